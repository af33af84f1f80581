#pragma once

// The keys of one shard, in little memory: records of 64 bytes in chunks of 32, and an index of 4 bytes a slot.
//
// A key of 27 bytes or less with one admission takes 64 bytes of a chunk and 5 to 10 of the index; a longer key, and a log of
// more than one admission, are on the heap beside it. A chunk without records is given back. All of it is counted in `bytes`, which
// several tables may share, with what malloc adds.
//
// Records stay where they are until they are erased. Not thread-safe, but `bytes`.

#include <algorithm>
#include <atomic>
#include <boost/unordered/unordered_flat_set.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string_view>
#include <vector>

#include "hearth/base/function_ref.h"
#include "hearth/limits/limit_state.h"

namespace hearth::limits {

// A block of `bytes` with malloc's own (glibc's: 8, in steps of 16).
inline std::size_t heap_cost(std::size_t bytes) {
  return bytes == 0 ? 0 : std::max<std::size_t>(32, (bytes + 8 + 15) / 16 * 16);
}

template <typename T>
struct CountingAllocator {
  using value_type = T;
  std::atomic<std::uint64_t>* bytes;

  explicit CountingAllocator(std::atomic<std::uint64_t>& counter) : bytes(&counter) {}
  template <typename U>
  CountingAllocator(const CountingAllocator<U>& other) : bytes(other.bytes) {}

  T* allocate(std::size_t count) {
    bytes->fetch_add(heap_cost(count * sizeof(T)), std::memory_order_relaxed);
    return std::allocator<T>().allocate(count);
  }
  void deallocate(T* block, std::size_t count) {
    bytes->fetch_sub(heap_cost(count * sizeof(T)), std::memory_order_relaxed);
    std::allocator<T>().deallocate(block, count);
  }
  template <typename U>
  bool operator==(const CountingAllocator<U>& other) const {
    return bytes == other.bytes;
  }
};

// A name with its hash, which also says in which shard it is.
struct HashedName {
  explicit HashedName(StateName wanted);
  StateName name;
  std::uint64_t hash;
};

class LimitTable {
 public:
  using Index = std::uint32_t;
  static constexpr std::uint32_t kChunkRecords = 32;

  explicit LimitTable(std::atomic<std::uint64_t>& bytes);
  ~LimitTable();
  LimitTable(const LimitTable&) = delete;
  LimitTable& operator=(const LimitTable&) = delete;

  std::optional<Index> find(const HashedName& name) const;
  // An empty state. REQUIRES: there is none of that name.
  Index insert(const HashedName& name);
  void erase(Index index);
  std::size_t size() const { return names_.size(); }
  // How much more `bytes` may be during and after the insert() of `name`.
  std::size_t insert_bytes(const HashedName& name) const;

  // Changes a state; what it takes on the heap is counted anew.
  template <typename Use>
  decltype(auto) change(Index index, Use&& use) {
    Counted counted(*this, state(index));
    return use(state(index));
  }
  const LimitState& operator[](Index index) const { return state(index); }

  // Hands out all records of chunk `chunk`; those for which `keep` says no are erased. Says how many that were.
  std::size_t chunks() const { return chunks_.size(); }
  std::size_t visit(std::size_t chunk, FunctionRef<bool(const StateName&, LimitState&)> keep);
  // Makes the index as small as its names allow.
  void shrink();

 private:
  struct Record;
  struct Chunk;
  struct Hash {
    using is_transparent = void;
    using is_avalanching = void;
    const LimitTable* table;
    std::size_t operator()(Index index) const;
    std::size_t operator()(const HashedName& name) const { return name.hash; }
  };
  struct Equal {
    using is_transparent = void;
    const LimitTable* table;
    bool operator()(Index a, Index b) const { return a == b; }
    bool operator()(const HashedName& name, Index index) const;
    bool operator()(Index index, const HashedName& name) const { return (*this)(name, index); }
  };
  struct Counted {
    Counted(LimitTable& of, LimitState& changed) : table(of), counted(changed), before(changed.heap_bytes()) {}
    ~Counted() { table.count(heap_cost(counted.heap_bytes()) - heap_cost(before)); }
    LimitTable& table;
    LimitState& counted;
    std::size_t before;
  };

  Record& record(Index index) const;
  LimitState& state(Index index) const;
  void count(std::uint64_t more) { bytes_.fetch_add(more, std::memory_order_relaxed); }  // less wraps, as it should
  std::uint32_t open_chunk();
  void close(std::uint32_t chunk);

  std::atomic<std::uint64_t>& bytes_;
  std::vector<std::unique_ptr<Chunk>, CountingAllocator<std::unique_ptr<Chunk>>> chunks_;  // null where one was given back
  std::vector<std::uint32_t, CountingAllocator<std::uint32_t>> open_;                      // chunks with room
  std::vector<std::uint32_t, CountingAllocator<std::uint32_t>> vacant_;                    // where chunks_ is null
  boost::unordered_flat_set<Index, Hash, Equal, CountingAllocator<Index>> names_;
};

}  // namespace hearth::limits
