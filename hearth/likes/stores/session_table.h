#pragma once

// Gives each session that likes something a number, so that a like costs a number in memory and not a name.
//
// A number is counted: acquire() and find() take a reference, release() gives it back, and a number without references is
// used again. Whoever compares numbers must hold a reference, or the number may mean another session by then.
//
// About 28 bytes a session (UUIDs; others up to 15 bytes alike, longer ones more), given back when many are released.
// Thread-safe.

#include <array>
#include <atomic>
#include <boost/unordered/unordered_flat_set.hpp>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::likes {

using SessionNumber = std::uint32_t;  // 0: none

class SessionTable {
 public:
  SessionTable();
  ~SessionTable();

  // A reference to the session's number, which is made if there is none.
  SessionNumber acquire(std::string_view session);
  // The same without making one: 0 if the session has none.
  SessionNumber find(std::string_view session);
  void release(SessionNumber number);
  // REQUIRES: a reference is held.
  std::string name(SessionNumber number) const;

  std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  std::uint64_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  struct Name;   // a session's name in its compact form
  struct Entry;  // a name and its references
  struct Chunk;
  struct Shard;
  static constexpr std::size_t kShardBits = 6;
  static constexpr std::size_t kShards = 1u << kShardBits;

  SessionNumber take(std::string_view session, bool make);

  std::vector<Shard> shards_;
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> size_{0};
};

// A reference that gives itself back.
class SessionReference {
 public:
  SessionReference() = default;
  SessionReference(SessionTable& table, SessionNumber number) : table_(&table), number_(number) {}
  SessionReference(SessionReference&& other) noexcept : table_(other.table_), number_(std::exchange(other.number_, 0)) {}
  SessionReference& operator=(SessionReference&& other) noexcept {
    std::swap(table_, other.table_);
    std::swap(number_, other.number_);
    return *this;
  }
  ~SessionReference() {
    if (number_ != 0) table_->release(number_);
  }
  SessionNumber number() const { return number_; }
  // The reference belongs to the caller from now on.
  SessionNumber keep() { return std::exchange(number_, 0); }

 private:
  SessionTable* table_ = nullptr;
  SessionNumber number_ = 0;
};

}  // namespace hearth::likes
