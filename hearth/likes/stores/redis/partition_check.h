#pragma once

// Compares the live store with SQL where a stream is not the one that SQL has followed: Redis came back older, or empty.
//
// The entry at the partition's cursor is the proof that nothing which SQL has is missing in Redis. Without it every post
// of the partition is compared, and the newer version wins whole: an older live post is dropped and so loaded from SQL, a
// newer one is copied to SQL. Posts that Redis does not have are loaded when they are asked for.
//
// Blocks: for background threads.

#include "hearth/likes/like_ledger.h"
#include "hearth/likes/stores/redis/redis_live_posts.h"
#include "hearth/likes/stores/redis/redis_outbox.h"

namespace hearth::likes {

class PartitionCheck {
 public:
  PartitionCheck(RedisOutbox& outbox, RedisLivePosts& posts, LikeLedger& ledger, RedisKeys keys)
      : outbox_(outbox), posts_(posts), ledger_(ledger), keys_(keys) {}

  // True: the stream had to be taken for another one, and all was compared. Works on a server that is not admitted yet.
  Result<bool> run(const outbox::HeldPartition& held);

 private:
  Result<void> compare(const outbox::HeldPartition& held, const LedgerCursor& cursor, std::vector<LedgerPost> page);

  RedisOutbox& outbox_;
  RedisLivePosts& posts_;
  LikeLedger& ledger_;
  const RedisKeys keys_;
};

}  // namespace hearth::likes
