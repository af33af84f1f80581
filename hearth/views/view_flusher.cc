#include "hearth/views/view_flusher.h"

#include <algorithm>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "hearth/base/hash.h"
#include "hearth/base/log.h"

namespace hearth::views {

template <typename Handler>
struct ViewFlusher::HandlerWaiter final : Waiter {
  HandlerWaiter(outbox::Sequence s, Handler h) : Waiter(s), handler(std::move(h)) {}
  void resume(Result<void> outcome) override {
    auto executor = boost::asio::get_associated_executor(handler);
    boost::asio::post(executor, [waiting = std::move(handler), result = std::move(outcome)]() mutable { waiting(std::move(result)); });
  }
  Handler handler;
};

ViewFlusher::ViewFlusher(outbox::Journal& journal, ViewsFile& file, const Clock& clock, std::chrono::milliseconds window,
                         std::function<void()> wake)
    : journal_(journal), file_(file), clock_(clock), window_(window), wake_(std::move(wake)) {}

ViewFlusher::~ViewFlusher() = default;

Result<outbox::Sequence> ViewFlusher::start() {
  auto cursor = file_.cursor();
  if (!cursor) return std::unexpected(cursor.error());
  auto checksum = journal_.checksum_at(cursor->sequence);
  if (!checksum) return std::unexpected(checksum.error());
  if (cursor->sequence != 0 && *checksum != cursor->checksum) {
    log::warning("views", "the journal is not the one that views.db has followed; what views.db has stands",
                 {{"sequence", cursor->sequence}});
  }
  flushed_ = cursor->sequence;
  is_cursor_known_ = true;
  return cursor->sequence;
}

Result<bool> ViewFlusher::run_once() {
  auto more = move_batch();
  resume_waiters(more);
  return more;
}

Result<bool> ViewFlusher::move_batch() {
  if (!is_cursor_known_) {
    // A transaction that failed may have been committed all the same.
    auto cursor = file_.cursor();
    if (!cursor) return std::unexpected(cursor.error());
    flushed_ = cursor->sequence;
    is_cursor_known_ = true;
  }
  auto durable = journal_.durable_mark();
  auto entries = journal_.read(flushed_, kViewFlushBytesMax);
  if (!entries) return std::unexpected(entries.error());
  if (entries->empty()) {
    flushed_ = std::max<outbox::Sequence>(flushed_, durable);  // a new journal begins above what the other consumers have
    return false;
  }

  auto began = clock_.steady();
  ViewBatch batch{.events = {}, .cursor = {}, .window = window_, .now = clock_.now()};
  for (const auto& entry : *entries) {
    auto decoded = outbox::decode(entry.events, [&](const outbox::Viewed& event) { batch.events.push_back(event); });
    if (!decoded) return std::unexpected(decoded.error());
  }
  std::size_t events = batch.events.size();
  batch.cursor = {entries->back().sequence, checksum64(entries->back().events)};
  is_cursor_known_ = false;
  auto applied = file_.apply(std::move(batch));
  if (!applied) return std::unexpected(applied.error());
  is_cursor_known_ = true;

  flushed_ = entries->back().sequence;
  ++batches_;
  events_ += events;
  items_ += applied->items;
  micros_ += std::chrono::duration_cast<std::chrono::microseconds>(clock_.steady() - began).count();
  return flushed_ < durable;  // what has come since may gather
}

// --- those who wait ---

Task<Result<void>> ViewFlusher::catch_up() {
  auto wanted = journal_.durable_mark();
  if (flushed_ >= wanted) co_return Result<void>{};
  co_return co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<Executor>, void(Result<void>)>(
      [this, wanted](auto handler) {
        {
          std::lock_guard lock(mutex_);
          waiters_.push_back(std::make_unique<HandlerWaiter<decltype(handler)>>(wanted, std::move(handler)));
        }
        wake_();
      },
      use_task);
}

// A flush that ended between the look at flushed_ and the wait is made up for by the one that wake_() asks for.
void ViewFlusher::resume_waiters(const Result<bool>& outcome) {
  std::vector<std::unique_ptr<Waiter>> ready;
  {
    std::lock_guard lock(mutex_);
    std::erase_if(waiters_, [&](std::unique_ptr<Waiter>& waiter) {
      if (outcome && waiter->sequence > flushed_) return false;
      ready.push_back(std::move(waiter));
      return true;
    });
  }
  for (auto& waiter : ready) waiter->resume(outcome ? Result<void>{} : std::unexpected(outcome.error()));
}

void ViewFlusher::abandon_waiters() {
  std::vector<std::unique_ptr<Waiter>> abandoned;
  std::lock_guard lock(mutex_);
  abandoned.swap(waiters_);
}

ViewFlusher::Stats ViewFlusher::stats() const {
  return {.batches = batches_, .events = events_, .items = items_, .micros = micros_};
}

}  // namespace hearth::views
