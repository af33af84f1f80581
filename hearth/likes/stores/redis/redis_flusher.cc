#include "hearth/likes/stores/redis/redis_flusher.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "hearth/base/log.h"
#include "hearth/base/run_to_end.h"

namespace hearth::likes {

// Nobody else moves the cursor while the lease lasts, so it is read once a fence.
Result<LedgerCursor> RedisFlusher::cursor_of(const outbox::HeldPartition& held) {
  auto found = followed_.find(held.partition);
  if (found != followed_.end() && found->second.fence == held.lease.fence) return found->second.cursor;
  auto cursor = ledger_.cursor(held.partition);
  if (cursor) followed_[held.partition] = {held.lease.fence, *cursor};
  return cursor;
}

Result<bool> RedisFlusher::run_once(const outbox::HeldPartition& held) {
  if (auto announced = announce(); !announced) return std::unexpected(announced.error());
  auto cursor = cursor_of(held);
  if (!cursor) return std::unexpected(cursor.error());
  auto page = outbox_.read(held.partition, *cursor, kEntriesPerFlush);
  if (!page) return std::unexpected(page.error());
  followed_.erase(held.partition);  // until this batch is through
  if (!page->is_same) {
    if (auto checked = check_.run(held); !checked) return checked;
    return true;
  }
  if (page->events.empty()) {
    followed_[held.partition] = {held.lease.fence, *cursor};
    return false;
  }

  auto began = std::chrono::steady_clock::now();
  LedgerBatch batch{.partition = held.partition, .events = {}, .copies = {}, .cursor = {}, .on_gap = OnGap::kReport, .lease = held.lease};
  batch.events.reserve(page->events.size());
  std::size_t foreign = 0;
  for (const auto& entry : page->events) {
    if (entry.is_valid()) {
      batch.events.push_back(entry.event);
    } else {
      ++foreign;
    }
  }
  if (foreign > 0) log::warning("flusher", "the outbox holds entries that are not Hearth's; they are passed over", {{"entries", foreign}});
  batch.cursor = {page->events.back().position, entry_checksum(page->events.back())};
  auto applied = apply(batch);
  if (!applied) return std::unexpected(applied.error());
  followed_[held.partition] = {held.lease.fence, batch.cursor};

  ++batches_;
  events_ += batch.events.size();
  flushed_posts_ += applied->posts;
  rows_ += applied->rows;
  gaps_ += batch.copies.size();
  micros_ += std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began).count();
  note_changed(batch);
  if (auto announced = announce(); !announced) return std::unexpected(announced.error());
  if (auto trimmed = outbox_.trim(held.partition, batch.cursor.position); !trimmed) return std::unexpected(trimmed.error());
  return page->events.size() >= kEntriesPerFlush;
}

Result<AppliedBatch> RedisFlusher::apply(LedgerBatch& batch) {
  auto applied = ledger_.apply(batch);
  if (!applied || applied->gap_posts.empty()) return applied;
  log::warning("flusher", "posts with a gap in their changes are copied whole",
               {{"partition", batch.partition}, {"posts", applied->gap_posts.size()}});
  for (auto& post : applied->gap_posts) {
    auto copy = run_to_end(posts_.copy(std::move(post)));
    if (!copy) return std::unexpected(copy.error());
    if (copy->head.version != 0) batch.copies.push_back(*std::move(copy));
  }
  batch.on_gap = OnGap::kRecount;  // what is left of them is not in the live store any more
  return ledger_.apply(batch);
}

void RedisFlusher::note_changed(const LedgerBatch& batch) {
  if (!on_flushed_) return;
  for (const auto& event : batch.events) changed_.emplace_back(event.post);
  std::ranges::sort(changed_);
  changed_.erase(std::unique(changed_.begin(), changed_.end()), changed_.end());
}

// Those of an announcement that failed are announced again, before anything else is flushed.
Result<void> RedisFlusher::announce() {
  if (changed_.empty()) return {};
  auto announced = on_flushed_(changed_);
  if (announced) changed_.clear();
  return announced;
}

LikeFlusher::Stats RedisFlusher::stats() const {
  return {.batches = batches_, .events = events_, .posts = flushed_posts_, .rows = rows_, .gaps = gaps_, .micros = micros_};
}

}  // namespace hearth::likes
