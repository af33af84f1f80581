#pragma once

// The live store as the reconciler compares and repairs it with SQL. Thread-safe.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hearth/base/task.h"
#include "hearth/likes/like.h"

namespace hearth::likes {

// A post as the live store has it.
struct LivePost {
  LikeView view;                           // `is_liked` means nothing here
  std::vector<std::string> sessions = {};  // if they were wanted and are known
  bool has_sessions = false;
};

// How many like a post, as it stands in the live store.
struct LiveCount {
  std::uint64_t version = 0;  // 0: other programs put it there, and it is not loaded
  std::uint32_t likes = 0;
  std::uint32_t members = 0;
};

class LivePosts {
 public:
  virtual ~LivePosts() = default;

  // In the order asked; nothing for a post that is not in the live store. Loads nothing.
  virtual Task<Result<std::vector<std::optional<LiveCount>>>> counts(std::vector<std::string> posts) = 0;

  // In the order asked; nothing for a post that is not in the live store, or whose last change may not have reached SQL.
  virtual Task<Result<std::vector<std::optional<LivePost>>>> clean(std::vector<std::string> posts, bool wants_sessions) = 0;
  // Whether the last change of the post may not have reached SQL.
  virtual Task<Result<bool>> is_dirty(std::string post) = 0;
  // Drops the post if its version is still this one, so that it is loaded from SQL again. Not an error if it is not there.
  virtual Task<Result<bool>> forget(std::string post, std::uint64_t version) = 0;
  // A version above `above`, SQL's, for a repair in SQL. Every change of the post from now on gets a higher one. Nothing if the
  // post has a change above SQL's version already; where is_dirty() tells that, it need not tell.
  virtual Task<Result<std::optional<std::uint64_t>>> reserve_version(std::string post, std::uint64_t above) = 0;
  // Makes the live count that of the live sessions, where another program set it otherwise.
  virtual Task<Result<void>> recount(std::string post) = 0;
  // The next posts of the live store, in no order, and where to go on: "" begins, and is returned at the end. For finding posts
  // that SQL does not know. Nothing where every post comes from SQL.
  struct Page {
    std::vector<std::string> posts;
    std::string next;
  };
  virtual Task<Result<Page>> scan(std::string from) = 0;
};

}  // namespace hearth::likes
