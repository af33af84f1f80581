#include "hearth/likes/stores/redis/switching_like_store.h"

#include <utility>

namespace hearth::likes {
namespace {

// The inbox refuses changes once Redis serves again.
Result<LikeOutcome> for_client(Result<LikeOutcome> outcome) {
  if (!outcome && outcome.error().code == ErrorCode::kConflict)
    return fail(ErrorCode::kUnavailable, "the live store is coming back; try again");
  return outcome;
}

}  // namespace

LikeStore* SwitchingLikeStore::serving() {
  switch (guard_.served_from()) {
    case ServedFrom::kLive:
      return &live_;
    case ServedFrom::kSql:
      return &sql_;
    case ServedFrom::kNowhere:
      return nullptr;
  }
  return nullptr;
}

Task<Result<LikeOutcome>> SwitchingLikeStore::change(LikeChange change) {
  auto* store = serving();
  if (store == nullptr) co_return std::unexpected(guard_.reason());
  co_return for_client(co_await store->change(std::move(change)));
}

Task<std::vector<Result<LikeOutcome>>> SwitchingLikeStore::change_all(std::vector<LikeChange> changes) {
  auto* store = serving();
  if (store == nullptr) co_return std::vector<Result<LikeOutcome>>(changes.size(), std::unexpected(guard_.reason()));
  auto outcomes = co_await store->change_all(std::move(changes));
  for (auto& outcome : outcomes) outcome = for_client(std::move(outcome));
  co_return outcomes;
}

Task<Result<std::vector<LikeView>>> SwitchingLikeStore::read(std::vector<PostId> posts, std::optional<SessionId> session) {
  auto* store = serving();
  if (store == nullptr) co_return std::unexpected(guard_.reason());
  co_return co_await store->read(std::move(posts), std::move(session));
}

}  // namespace hearth::likes
