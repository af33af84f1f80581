#pragma once

// Who was seen within the window: a hash of item and viewer, and when, to the millisecond.
//
// Entries live in generations, each as long as the window: generation g holds the times from g * window on. A lookup asks
// the newest two; a generation leaves whole when the second after it begins, when nothing in it can matter any more. So
// nothing is ever searched for what is old.
//
// An entry is 8 bytes of hash and 4 of time within its generation, in two arrays sorted by hash with gaps: a hash says about
// where it stands, so that a table of any size will do. Tables grow by a quarter when they are 92 % full: 14.8 bytes an entry
// averaged over all sizes, 15.9 at most, with a thousand entries a shard or more (measured by seen_table_test.cc).
//
// Bounded: a table that would grow above bytes_max does not, and takes no more. What is in it stays.
//
// Entries are taken back when the journal lost the batch that holds them.
//
// Thread-safe.

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "hearth/base/clock.h"
#include "hearth/outbox/journal.h"
#include "hearth/views/view.h"

namespace hearth::views {

using UtcMillis = std::chrono::sys_time<std::chrono::milliseconds>;

// The same for ever: it is kept on disk. Two viewers of one item differ in it.
std::uint64_t seen_hash(const ViewedItem& item, Viewer viewer);

// One generation's entries of one shard. Not thread-safe.
class SeenEntries {
 public:
  std::optional<std::uint32_t> find(std::uint64_t hash) const;
  // False: it must grow first.
  bool has_room_for(std::uint64_t hash) const;
  // REQUIRES: has_room_for(hash), and it does not hold it.
  void insert(std::uint64_t hash, std::uint32_t millis);
  void erase(std::uint64_t hash);

  // How many slots it grows to next, and how many hold so many entries.
  std::size_t next_slots() const;
  static std::size_t slots_to_hold(std::size_t entries);
  // To at least so many.
  void grow(std::size_t slots);

  std::size_t size() const { return size_; }
  std::uint64_t bytes() const { return bytes_of(slots_); }
  static std::uint64_t bytes_of(std::size_t slots) { return slots * (sizeof(std::uint64_t) + sizeof(std::uint32_t)); }

 private:
  std::size_t home(std::uint64_t hash) const;
  // Where `hash` is, or would be.
  std::size_t place_of(std::uint64_t hash) const;
  bool rebuild(std::size_t slots);

  std::unique_ptr<std::uint64_t[]> hashes_;  // 0: empty
  std::unique_ptr<std::uint32_t[]> millis_;
  std::size_t slots_ = 0;
  std::size_t size_ = 0;
};

class SeenTable {
 private:
  struct Shard;

 public:
  // REQUIRES: 0 < window <= kDedupeWindowMax.
  SeenTable(std::chrono::milliseconds window, std::uint64_t bytes_max);
  ~SeenTable();

  // A look at one viewer of one item, which others wait for.
  class Access {
   public:
    // Whether the viewer was seen less than a window before `at`, or after.
    bool is_seen(UtcMillis at) const;
    // False: the table is full. What follows makes use of the room.
    bool make_room(UtcMillis at);
    // Its batch is `sequence`; 0 if that is durable. REQUIRES: make_room(at), and !is_seen(at).
    void insert(UtcMillis at, outbox::Sequence sequence, outbox::Sequence durable);

   private:
    friend class SeenTable;
    struct Place {
      SeenEntries& entries;
      std::int64_t generation;
      std::uint32_t millis;
    };
    Place place_of(UtcMillis at) const;
    Access(SeenTable& owner, Shard& shard, std::uint64_t hash, UtcMillis now);

    SeenTable& owner_;
    Shard& shard_;
    std::uint64_t hash_;
    std::unique_lock<std::mutex> lock_;
  };
  // Generations that are too old at `now` leave first.
  Access open(std::uint64_t hash, UtcMillis now);

  // Earlier views are taken as ones of this time.
  UtcMillis oldest(UtcMillis now) const { return begin_of(generation_of(now) - 1); }

  // Takes back what batches from `first` on brought.
  void take_back(outbox::Sequence first);
  // Lets old generations go everywhere, also where nobody looks.
  void expire(UtcMillis now);
  // Adds what was kept on disk, above the limit too. Not an error for what is there or too old.
  void load(std::uint64_t hash, UtcMillis at, UtcMillis now);
  // Room for about as many entries as will be loaded, so that loading need not grow step by step.
  void reserve(std::size_t entries_of_this_generation, std::size_t entries_of_the_one_before, UtcMillis now);

  std::int64_t generation_of(UtcMillis at) const;
  UtcMillis begin_of(std::int64_t generation) const { return UtcMillis(window_ * generation); }
  std::chrono::milliseconds window() const { return window_; }

  struct Stats {
    std::uint64_t entries = 0;
    std::uint64_t bytes = 0;
    std::uint64_t refusals = 0;  // because it was full
  };
  Stats stats() const;

 private:
  static constexpr std::size_t kShards = 256;

  struct Pending {
    outbox::Sequence sequence = 0;
    std::uint64_t hash = 0;
    std::int64_t generation = 0;
  };
  struct Shard {
    std::mutex mutex;
    std::int64_t generation = 0;         // of `entries[0]`; `entries[1]` is the one before
    std::array<SeenEntries, 2> entries;  //
    std::deque<Pending> pending;         // may not be durable yet
  };

  Shard& shard_of(std::uint64_t hash) { return shards_[hash % kShards]; }
  void move_on(Shard& shard, UtcMillis now);
  void drop(SeenEntries& entries);
  enum class Limit : std::uint8_t { kHolds, kMayBePassed };
  bool grow(SeenEntries& entries, std::size_t slots, Limit limit);

  const std::chrono::milliseconds window_;
  const std::uint64_t bytes_max_;
  std::array<Shard, kShards> shards_;
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> entries_{0};
  std::atomic<std::uint64_t> refusals_{0};
};

}  // namespace hearth::views
