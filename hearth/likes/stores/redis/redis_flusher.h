#pragma once

// Moves likes from one partition's stream to the ledger: a batch and the cursor behind it in one transaction, checked
// against the partition's lease. Then the stream is trimmed up to the entry at the cursor, which stays.
//
// Where the chain of a post's versions is broken, the whole live post is copied at one version.
//
// One thread at a time.

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "hearth/likes/like_flusher.h"
#include "hearth/likes/stores/redis/partition_check.h"
#include "hearth/likes/stores/redis/redis_live_posts.h"
#include "hearth/likes/stores/redis/redis_outbox.h"

namespace hearth::likes {

inline constexpr std::size_t kEntriesPerFlush = 20'000;

// The counts of these posts have changed in the ledger.
using OnFlushed = std::function<Result<void>(std::vector<std::string> posts)>;

class RedisFlusher {
 public:
  RedisFlusher(RedisOutbox& outbox, RedisLivePosts& posts, LikeLedger& ledger, PartitionCheck& check, OnFlushed on_flushed = {})
      : outbox_(outbox), posts_(posts), ledger_(ledger), check_(check), on_flushed_(std::move(on_flushed)) {}

  // Moves one batch. True: there may be more. kConflict: the lease is lost.
  Result<bool> run_once(const outbox::HeldPartition& held);

  LikeFlusher::Stats stats() const;

 private:
  struct Followed {
    std::uint64_t fence = 0;
    LedgerCursor cursor;
  };
  Result<LedgerCursor> cursor_of(const outbox::HeldPartition& held);
  Result<AppliedBatch> apply(LedgerBatch& batch);
  void note_changed(const LedgerBatch& batch);
  Result<void> announce();

  RedisOutbox& outbox_;
  RedisLivePosts& posts_;
  LikeLedger& ledger_;
  PartitionCheck& check_;
  const OnFlushed on_flushed_;
  std::unordered_map<outbox::Partition, Followed> followed_;
  std::vector<std::string> changed_;  // posts to announce
  std::atomic<std::uint64_t> batches_{0};
  std::atomic<std::uint64_t> events_{0};
  std::atomic<std::uint64_t> flushed_posts_{0};
  std::atomic<std::uint64_t> rows_{0};
  std::atomic<std::uint64_t> gaps_{0};
  std::atomic<std::uint64_t> micros_{0};
};

}  // namespace hearth::likes
