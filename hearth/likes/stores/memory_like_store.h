#pragma once

// The embedded live store: sharded tables in memory over the journal.
//
// How a change is made: under the lock of the post's shard, the event joins the journal's open batch and memory changes;
// both or neither. The answer waits for that batch. A reader that sees the change waits for it too.
//
// Posts are loaded from the ledger when first asked for: the count at once, the sessions when someone asks about them. A
// post may leave memory again when all consumers have passed its last change: the ledger has all of it then. A post that
// is in memory and not passed is "dirty".
//
// After a failed commit the posts it touched are dropped; they are loaded again once the journal accepts changes and the
// ledger has everything that is durable.

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/hash.h"
#include "hearth/base/single_flight.h"
#include "hearth/likes/like_ledger.h"
#include "hearth/likes/like_store.h"
#include "hearth/likes/live_posts.h"
#include "hearth/likes/stores/session_table.h"
#include "hearth/outbox/idempotency_index.h"
#include "hearth/outbox/journal.h"

namespace hearth::likes {

struct MemoryLikeStoreOptions {
  std::uint64_t memory_limit = 2ull << 30;             // bytes; cold posts leave memory above it
  std::uint64_t idempotency_bytes_max = 256ull << 20;  // keyed changes are refused above it
};

class MemoryLikeStore final : public LikeStore, public outbox::JournalListener {
 public:
  MemoryLikeStore(outbox::Journal& journal, LikeLedger& ledger, const Clock& clock, MemoryLikeStoreOptions options);
  ~MemoryLikeStore() override;

  // Before serving: learns how many posts the ledger holds and which idempotency keys are taken.
  // REQUIRES: the ledger has everything that is in the journal.
  Result<void> start();

  Task<Result<LikeOutcome>> change(LikeChange change) override;
  Task<std::vector<Result<LikeOutcome>>> change_all(std::vector<LikeChange> changes) override;
  Task<Result<std::vector<LikeView>>> read(std::vector<PostId> posts, std::optional<SessionId> session) override;

  // All consumers have passed `sequence`.
  void on_passed(outbox::Sequence sequence);
  // Lets cold posts go until memory is under its limit, if it is over. Returns how many left.
  std::size_t evict();
  // Drops answers of idempotency keys that are too old.
  void prune_idempotency();
  void on_lost(outbox::Sequence first) override;

  // Drops the coroutines that wait for a load. REQUIRES: their io_contexts run no more and still exist.
  void abandon_waiters() { flights_.abandon_waiters(); }

  // Whether the post changed and some consumer has not passed that yet.
  bool is_dirty(std::string_view post) const;
  // Dirty posts with at least `likes` likes, most likes first, at most `limit`.
  std::vector<std::string> dirty_above(std::uint32_t likes, std::size_t limit) const;

  // The post as memory has it, for comparing with the ledger. Nothing if it is not in memory or dirty.
  // `sessions` are given if they are wanted.
  std::optional<LivePost> clean_resident(std::string_view post, bool wants_sessions) const;
  // Forgets the post, so that it is loaded again. False: it is dirty.
  bool forget(std::string_view post);
  // A version above `above` for a repair in the ledger. Every change from now on, of any post, gets a higher one; whether
  // there was one just before, is_dirty() tells.
  std::uint64_t reserve_version(std::uint64_t above);

  struct Stats {
    std::uint64_t posts = 0;
    std::uint64_t sessions = 0;
    std::uint64_t bytes = 0;
    std::uint64_t cold_posts = 0;  // known to the ledger and not in memory; may be too high after a failed commit
    std::uint64_t changes = 0;
    std::uint64_t loads = 0;
    std::uint64_t evictions = 0;
  };
  Stats stats() const;

 private:
  using Members = boost::unordered_flat_set<SessionNumber>;
  struct Post {
    std::uint64_t version = 0;
    outbox::Sequence changed_in = 0;   // the batch of its last change
    std::unique_ptr<Members> members;  // null: not loaded
    std::uint32_t likes = 0;
    bool is_referenced = true;  // used since the evictor came by
    bool is_listed = false;     // in Shard::changed
  };
  using Posts = boost::unordered_flat_map<std::string, Post, TextHash, std::equal_to<>>;
  struct Shard {
    mutable std::mutex mutex;
    Posts posts;
    std::vector<std::string> changed;  // posts changed since consumers last passed
    std::uint64_t departures = 0;      // posts that left: a load that began before one must begin again
  };
  static constexpr std::size_t kShards = 128;

  enum class Found : std::uint8_t { kReady, kNeedsHead, kNeedsMembers };
  struct Attempt {
    bool is_loaded = true;          // false: nothing was done, the post's sessions must be loaded first
    outbox::Sequence sequence = 0;  // to wait for before answering
    Result<LikeOutcome> outcome = LikeOutcome{};
  };

  static std::size_t shard_index(std::string_view post) { return (hash64(post) >> 16) % kShards; }
  Shard& shard_of(std::string_view post) { return shards_[shard_index(post)]; }
  const Shard& shard_of(std::string_view post) const { return shards_[shard_index(post)]; }

  // Changing.
  Attempt try_change(const LikeChange& change);
  Attempt try_change_unkeyed(const LikeChange& change);
  Attempt change_loaded(Shard& shard, Post& post, const LikeChange& change, SessionReference session);
  Task<Attempt> change_after_loading(const LikeChange& change);
  Task<Result<LikeOutcome>> finish(Attempt attempt);
  Result<outbox::Sequence> append(const LikeChange& change, const LikeOutcome& outcome, std::uint64_t previous, UtcMicros at);
  Result<Post*> find_or_create(Shard& shard, std::string_view name);
  bool ensure_members(Post& post);

  // Reading and loading.
  Found look(std::string_view post, SessionNumber session, bool wants_session, LikeView& view, outbox::Sequence& newest);
  Task<Result<void>> load_heads(std::vector<std::string> posts);
  Task<Result<void>> load_members(std::string post);
  Result<void> check_loadable() const;
  void install_members(LedgerMembers loaded, std::uint64_t departures);
  Post& install_head(Shard& shard, const LedgerPost& head);

  // Leaving.
  std::size_t evict_from(Shard& shard);
  void erase(Shard& shard, Posts::iterator post, std::vector<std::unique_ptr<Members>>& released);
  void release_all(std::vector<std::unique_ptr<Members>> released);
  bool is_over(std::uint64_t limit) const { return bytes_ + sessions_.bytes() > limit; }
  // Nothing more is loaded above it. Leaves room to load even where the limit is very low.
  std::uint64_t hard_limit() const { return options_.memory_limit + std::max<std::uint64_t>(options_.memory_limit / 8, 1u << 20); }

  outbox::Journal& journal_;
  LikeLedger& ledger_;
  const Clock& clock_;
  const MemoryLikeStoreOptions options_;
  SessionTable sessions_;
  outbox::IdempotencyIndex idempotency_;
  SingleFlight flights_;
  std::array<Shard, kShards> shards_;
  std::atomic<outbox::Sequence> passed_{0};
  std::atomic<std::uint64_t> version_floor_{0};    // new versions are above it
  std::atomic<outbox::Sequence> load_barrier_{0};  // loads wait until consumers have passed it
  std::atomic<std::uint64_t> cold_posts_{0};
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> posts_{0};
  std::atomic<std::uint64_t> changes_{0};
  std::atomic<std::uint64_t> loads_{0};
  std::atomic<std::uint64_t> evictions_{0};
  std::atomic<std::size_t> next_evicted_{0};
};

}  // namespace hearth::likes
