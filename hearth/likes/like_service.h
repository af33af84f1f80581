#pragma once

// What an app does with likes.
//
// Thread-safe. Arguments are taken by value: a coroutine outlives its caller's references.

#include <functional>
#include <optional>
#include <vector>

#include "hearth/base/task.h"
#include "hearth/likes/like.h"
#include "hearth/likes/like_flusher.h"
#include "hearth/likes/like_ledger.h"
#include "hearth/likes/like_store.h"
#include "hearth/outbox/journal.h"

namespace hearth::likes {

// Whether a post is known. Given when posts must be known to be liked.
using PostExists = std::function<Task<Result<bool>>(PostId)>;

// What a session likes, newest first; everything that was answered is in it.
using LikesOf = std::function<Task<Result<std::vector<LikedPost>>>(SessionId, std::size_t limit)>;

// From the ledger and what the journal holds above it. Both outlive the function.
LikesOf likes_by_journal(LikeLedger& ledger, outbox::Journal& journal, const LikeFlusher& flusher);

class LikeService {
 public:
  LikeService(LikeStore& store, LikesOf likes_of, PostExists require_post)
      : store_(store), likes_of_(std::move(likes_of)), require_post_(std::move(require_post)) {}

  // kNotFound if posts must be known and this one is not; the rest as LikeStore says.
  Task<Result<LikeOutcome>> change(LikeChange change);
  Task<std::vector<Result<LikeOutcome>>> change_all(std::vector<LikeChange> changes);
  Task<Result<std::vector<LikeView>>> read(std::vector<PostId> posts, std::optional<SessionId> session) {
    return store_.read(std::move(posts), std::move(session));
  }
  // REQUIRES: limit <= kLikesPerSessionMax.
  Task<Result<std::vector<LikedPost>>> likes_of(SessionId session, std::size_t limit);

 private:
  Task<Result<void>> check_known(PostId post);

  LikeStore& store_;
  LikesOf likes_of_;
  PostExists require_post_;
};

}  // namespace hearth::likes
