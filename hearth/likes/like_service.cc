#include "hearth/likes/like_service.h"

#include <utility>

#include "hearth/base/assert.h"

namespace hearth::likes {
namespace {

constexpr std::size_t kTailBytesPerRead = 4u << 20;

Result<std::vector<TailEvent>> tail_of(std::string_view session, outbox::Journal& journal, outbox::Sequence after) {
  std::vector<TailEvent> tail;
  for (;;) {
    auto entries = journal.read(after, kTailBytesPerRead);
    if (!entries) return std::unexpected(entries.error());
    if (entries->empty()) return tail;
    for (const auto& entry : *entries) {
      auto decoded = outbox::decode(entry.events, [&](const outbox::LikeChanged& event) {
        if (event.session != session) return;
        tail.push_back(
            {.position = {.major = entry.sequence}, .post = std::string(event.post), .is_liked = event.is_liked, .at = event.at});
      });
      if (!decoded) return std::unexpected(decoded.error());
    }
    after = entries->back().sequence;
  }
}

}  // namespace

Task<Result<void>> LikeService::check_known(PostId post) {
  auto exists = co_await require_post_(post);
  if (!exists) co_return std::unexpected(exists.error());
  if (!*exists) co_return fail(ErrorCode::kNotFound, "there is no post " + post.str(), "postId");
  co_return Result<void>{};
}

Task<Result<LikeOutcome>> LikeService::change(LikeChange change) {
  if (require_post_) {
    if (auto known = co_await check_known(change.post); !known) co_return std::unexpected(known.error());
  }
  co_return co_await store_.change(std::move(change));
}

Task<std::vector<Result<LikeOutcome>>> LikeService::change_all(std::vector<LikeChange> changes) {
  if (!require_post_) co_return co_await store_.change_all(std::move(changes));
  std::vector<Result<LikeOutcome>> outcomes(changes.size());
  std::vector<LikeChange> known;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (auto checked = co_await check_known(changes[i].post); !checked) {
      outcomes[i] = std::unexpected(checked.error());
    } else {
      known.push_back(std::move(changes[i]));
      places.push_back(i);
    }
  }
  auto done = co_await store_.change_all(std::move(known));
  for (std::size_t i = 0; i < done.size(); ++i) outcomes[places[i]] = std::move(done[i]);
  co_return outcomes;
}

Task<Result<std::vector<LikedPost>>> LikeService::likes_of(SessionId session, std::size_t limit) {
  HEARTH_ASSERT(limit <= kLikesPerSessionMax);
  co_return co_await likes_of_(std::move(session), limit);
}

LikesOf likes_by_journal(LikeLedger& ledger, outbox::Journal& journal, const LikeFlusher& flusher) {
  return [&ledger, &journal, &flusher](SessionId session, std::size_t limit) {
    std::string name = session.str();
    return ledger.likes_of(name, limit, [&journal, &flusher, name] { return tail_of(name, journal, flusher.flushed()); });
  };
}

}  // namespace hearth::likes
