#include "hearth/likes/like_flusher.h"

#include <chrono>

#include "hearth/base/hash.h"
#include "hearth/base/log.h"

namespace hearth::likes {

Result<outbox::Sequence> LikeFlusher::start() {
  auto cursor = ledger_.cursor(outbox::kJournalPartition);
  if (!cursor) return std::unexpected(cursor.error());
  outbox::Sequence sequence = cursor->position.major;
  auto checksum = journal_.checksum_at(sequence);
  if (!checksum) return std::unexpected(checksum.error());
  if (sequence != 0 && *checksum != cursor->checksum) {
    log::warning("flusher", "the journal is not the one that the ledger has followed; what the ledger has stands",
                 {{"sequence", sequence}});
  }
  auto oldest = journal_.read(0, 1);
  if (!oldest) return std::unexpected(oldest.error());
  if (sequence == 0 && !oldest->empty() && oldest->front().sequence > 1) {
    log::error("flusher", "ratings.db is new, but the journal is not: likes from before are missing. If it was lost, stop and restore it",
               {{"journal_begins", oldest->front().sequence}});
  }
  flushed_ = sequence;
  return sequence;
}

Result<bool> LikeFlusher::run_once() {
  auto durable = journal_.durable_mark();
  auto entries = journal_.read(flushed_, kFlushBytesMax);
  if (!entries) return std::unexpected(entries.error());
  if (entries->empty()) return false;

  auto began = std::chrono::steady_clock::now();
  LedgerBatch batch;
  for (const auto& entry : *entries) {
    auto decoded = outbox::decode(entry.events, [&](const outbox::LikeChanged& event) { batch.events.push_back(event); });
    if (!decoded) return std::unexpected(decoded.error());
  }
  batch.cursor = {{.major = entries->back().sequence}, checksum64(entries->back().events)};
  batch.lease = lease_;
  auto applied = ledger_.apply(batch);
  if (!applied) return std::unexpected(applied.error());

  flushed_ = batch.cursor.position.major;
  if (applied->gaps > 0) log::warning("flusher", "posts with a gap in their changes were recounted", {{"posts", applied->gaps}});
  ++batches_;
  events_ += batch.events.size();
  posts_ += applied->posts;
  rows_ += applied->rows;
  gaps_ += applied->gaps;
  micros_ += std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began).count();
  return flushed_ < durable;  // what has come since may gather
}

LikeFlusher::Stats LikeFlusher::stats() const {
  return {.batches = batches_, .events = events_, .posts = posts_, .rows = rows_, .gaps = gaps_, .micros = micros_};
}

}  // namespace hearth::likes
