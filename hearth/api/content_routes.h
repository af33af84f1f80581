#pragma once

// Content, as far as pages need it: users, posts, the timeline, a user's posts, the rank.
// Every `likes` is the live count.

#include "hearth/api/routes.h"
#include "hearth/base/clock.h"
#include "hearth/content/content_pages.h"
#include "hearth/content/content_store.h"
#include "hearth/content/rank.h"
#include "hearth/likes/like_service.h"

namespace hearth::api {

struct ContentApi {
  content::ContentStore& store;
  content::ContentPages& pages;
  content::RankCandidates& rank;
  likes::LikeService& likes;
  const Clock& clock;
  IsDegraded is_degraded;
};

// `api` outlives the router.
void add_content_routes(Routes& routes, ContentApi& api);

}  // namespace hearth::api
