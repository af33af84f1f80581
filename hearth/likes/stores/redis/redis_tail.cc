#include "hearth/likes/stores/redis/redis_tail.h"

#include <boost/unordered/unordered_flat_map.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

#include "hearth/base/hash.h"

namespace hearth::likes {
namespace {

constexpr std::size_t kEventsPerPage = 5'000;

}  // namespace

RedisTail::RedisTail(RedisOutbox& outbox, LikeLedger& ledger)
    : outbox_(outbox), ledger_(ledger), tails_(static_cast<std::size_t>(outbox.partitions())), seen_(tails_.size()) {}

Task<Result<std::vector<RedisTail::ChangedPost>>> RedisTail::changed_posts() {
  if (auto fresh = co_await refresh(); !fresh) co_return std::unexpected(fresh.error());
  boost::unordered_flat_map<std::string_view, std::uint32_t, TextHash, std::equal_to<>> likes;
  std::vector<ChangedPost> posts;
  std::lock_guard lock(mutex_);
  for (const auto& tail : tails_) {
    for (const auto& entry : tail) likes[entry.event.post] = entry.event.likes;
  }
  posts.reserve(likes.size());
  for (const auto& [post, count] : likes) posts.push_back({std::string(post), count});
  co_return posts;
}

Task<Result<std::vector<TailEvent>>> RedisTail::events_of(std::string session) {
  if (auto fresh = co_await refresh(); !fresh) co_return std::unexpected(fresh.error());
  std::vector<TailEvent> events;
  std::lock_guard lock(mutex_);
  for (std::size_t partition = 0; partition < tails_.size(); ++partition) {
    for (const auto& entry : tails_[partition]) {
      if (entry.event.session != session) continue;
      events.push_back({.partition = static_cast<outbox::Partition>(partition),
                        .position = entry.position,
                        .post = std::string(entry.event.post),
                        .is_liked = entry.event.is_liked,
                        .at = entry.event.at});
    }
  }
  co_return events;
}

// Returns after a refresh that began after the call.
Task<Result<void>> RedisTail::refresh() {
  std::uint64_t wanted = 0;
  {
    std::lock_guard lock(mutex_);
    wanted = begun_ + 1;
  }
  for (;;) {
    {
      std::lock_guard lock(mutex_);
      if (done_ >= wanted) co_return Result<void>{};
    }
    auto lead = co_await flights_.join("tail");
    if (!lead) continue;
    std::uint64_t mine = 0;
    {
      std::lock_guard lock(mutex_);
      mine = ++begun_;
    }
    if (auto followed = co_await follow(); !followed) co_return followed;
    std::lock_guard lock(mutex_);
    done_ = mine;
  }
}

Task<Result<void>> RedisTail::follow() {
  auto cursors = co_await ledger_.cursors();
  if (!cursors) co_return std::unexpected(cursors.error());
  for (;;) {
    auto pages = co_await outbox_.read_after(drop_flushed(*cursors), kEventsPerPage);
    if (!pages) co_return std::unexpected(pages.error());
    bool more = std::ranges::any_of(*pages, [](const auto& page) { return page.size() == kEventsPerPage; });
    if (!add(*std::move(pages))) co_return fail(ErrorCode::kUnavailable, "SQL is too far behind to tell; try again later");
    if (!more) co_return Result<void>{};
  }
}

// Returns where to read on.
std::vector<outbox::Position> RedisTail::drop_flushed(const std::vector<std::pair<outbox::Partition, LedgerCursor>>& cursors) {
  std::lock_guard lock(mutex_);
  for (const auto& [partition, cursor] : cursors) {
    if (partition < 0 || static_cast<std::size_t>(partition) >= tails_.size()) continue;
    auto& tail = tails_[static_cast<std::size_t>(partition)];
    auto& seen = seen_[static_cast<std::size_t>(partition)];
    // A cursor that starts over is that of another stream.
    if (cursor.position == outbox::Position{} && seen != outbox::Position{}) {
      events_ -= tail.size();
      tail.clear();
      seen = {};
    }
    while (!tail.empty() && tail.front().position <= cursor.position) {
      tail.pop_front();
      --events_;
    }
    seen = std::max(seen, cursor.position);
  }
  return seen_;
}

bool RedisTail::add(std::vector<std::vector<StreamEvent>> pages) {
  std::lock_guard lock(mutex_);
  for (std::size_t partition = 0; partition < pages.size(); ++partition) {
    for (auto& entry : pages[partition]) {
      seen_[partition] = entry.position;
      if (!entry.is_valid()) continue;
      tails_[partition].push_back(std::move(entry));
      ++events_;
    }
  }
  if (events_ <= kTailEventsMax) return true;
  clear();
  return false;
}

void RedisTail::forget() {
  std::lock_guard lock(mutex_);
  clear();
}

void RedisTail::clear() {
  for (auto& tail : tails_) tail.clear();
  std::ranges::fill(seen_, outbox::Position{});
  events_ = 0;
}

}  // namespace hearth::likes
