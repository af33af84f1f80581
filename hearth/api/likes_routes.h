#pragma once

// Likes, as docs/api/openapi.yaml has them: /api/posts/{id}/like, /api/likes/*, /api/posts/merge, /api/users/{session}/likes,
// /api/admin/counters/*.

#include <functional>
#include <string>
#include <vector>

#include "hearth/api/routes.h"
#include "hearth/likes/like_reconciler.h"
#include "hearth/likes/like_service.h"

namespace hearth::api {

// The authors of posts, in the order asked, empty where the post is not known here.
using AuthorsOf = std::function<Task<Result<std::vector<std::string>>>(std::vector<std::string> posts)>;

struct LikesApi {
  likes::LikeService& service;
  likes::LikeReconciler& reconciler;
  AuthorsOf authors_of;
  IsDegraded is_degraded;
};

// {checked, drifted, repaired, drift: [{postId, live, sql, ratings}], truncated?}
std::string to_json(const likes::ReconcileReport& report);

// `api` outlives the router.
void add_likes_routes(Routes& routes, LikesApi& api);

}  // namespace hearth::api
