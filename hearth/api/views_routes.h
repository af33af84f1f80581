#pragma once

// Views, stories and chapters, as docs/api/openapi.yaml has them.

#include <functional>
#include <string>

#include "hearth/api/keyed_answers.h"
#include "hearth/api/routes.h"
#include "hearth/base/clock.h"
#include "hearth/content/story_store.h"
#include "hearth/views/buffered_views.h"
#include "hearth/views/view_service.h"
#include "hearth/views/view_sync.h"

namespace hearth::api {

inline constexpr std::size_t kStoriesDefault = 20;
inline constexpr std::size_t kTrendingDefault = 20;
inline constexpr std::size_t kUserAgentBytesMax = 1'024;

// The address that a request came from; behind proxies that are trusted, the one that they name.
using AddressOf = std::function<std::string(const http::Request&)>;

struct ViewsApi {
  views::ViewService& service;
  views::BufferedViews& buffered;
  // ViewSync::run(), which also tidies up what is too old.
  std::function<Task<Result<views::SyncReport>>()> sync;
  content::StoryStore& stories;
  KeyedAnswers& keyed_answers;
  AddressOf address_of;
  IsDegraded is_degraded;
};

std::string to_json(const views::SyncReport& report);

// `api` outlives the router.
void add_views_routes(Routes& routes, ViewsApi& api);
void add_stories_routes(Routes& routes, ViewsApi& api);  // called by add_views_routes()

}  // namespace hearth::api
