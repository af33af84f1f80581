#pragma once

// POST /api/posts/merge: posts as the caller has them, given back with their live counts.

#include <optional>
#include <string>
#include <vector>

#include "hearth/base/ids.h"
#include "hearth/likes/like.h"

namespace hearth::api {

struct MergeRequest {
  // {posts: [{id, …}], sessionId?}. A numeric id stands for its decimal text.
  static Result<MergeRequest> parse(std::string& body);
  // {posts}: each as it was sent, with `likes`, and `isLiked` if a session was named, set.
  std::string render(const std::vector<likes::LikeView>& views, bool is_degraded) const;

  std::vector<PostId> ids;
  std::vector<std::string> fields;  // of each post: its fields but likes and isLiked, as JSON without the braces
  std::optional<std::string> session;
};

}  // namespace hearth::api
