#include "hearth/api/views_routes.h"

#include <boost/asio/ip/address.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "hearth/api/input.h"
#include "hearth/base/json_reader.h"
#include "hearth/base/json_writer.h"

namespace hearth::api {
namespace {

using auth::Access;
using auth::Caller;
using http::Method;
using http::problem;
using http::Request;
using http::Response;
using views::ViewedItem;
using views::ViewedKind;

// --- a view ---

struct ViewRequest {
  std::optional<std::string> user = {};
  std::optional<std::string> address = {};  // clientInfo's
  std::optional<std::string> user_agent = {};
  bool has_client_info = false;
  bool counts = true;
};

Result<bool> take_client_info(JsonValue& value, std::string_view field, ViewRequest& request) {
  request.has_client_info = true;
  auto read = value.object(field, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& inner) -> Result<bool> {
    if (key == "ip") return take(inner, "clientInfo.ip", request.address);
    if (key == "userAgent") return take(inner, "clientInfo.userAgent", request.user_agent);
    return false;
  });
  if (!read) return std::unexpected(read.error());
  return true;
}

Result<ViewRequest> read_view(Request& request) {
  ViewRequest view;
  if (request.body.empty()) return view;
  auto read = read_json_object(request.body, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "userId") return take_nullable(value, key, view.user);
    if (key == "clientInfo") return take_client_info(value, key, view);
    if (key != "incrementReadCount") return false;
    auto counts = value.boolean(key);
    if (!counts) return std::unexpected(counts.error());
    view.counts = *counts;
    return true;
  });
  if (!read) return std::unexpected(read.error());
  return view;
}

// Addresses are compared as they are written once they are parsed: "::1" and "0:0:0:0:0:0:0:1" are one, "::ffff:1.2.3.4" and
// "1.2.3.4" too.
Result<std::string> written_alike(const std::string& address) {
  boost::system::error_code error;
  auto parsed = boost::asio::ip::make_address(address, error);
  if (error || (parsed.is_v6() && parsed.to_v6().scope_id() != 0)) {
    return invalid("clientInfo.ip", "clientInfo.ip must be an IPv4 or IPv6 address");
  }
  if (parsed.is_v6() && parsed.to_v6().is_v4_mapped()) {
    parsed = boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, parsed.to_v6());
  }
  return parsed.to_string();
}

// Who looks: the token's user, the user that is named, the client that an app server names, or whoever calls.
Result<views::Visitor> visitor_of(const ViewsApi& api, const Request& request, const Caller& caller, ViewRequest view) {
  if (caller.kind == auth::CallerKind::kUser || view.user) {
    if (view.has_client_info && caller.kind == auth::CallerKind::kUser) {
      return fail(ErrorCode::kForbidden, "clientInfo is for the service key: a user's token says who looks");
    }
    auto user = acting_user(caller, view.user, "userId");
    if (!user) return std::unexpected(user.error());
    return views::Visitor{.user = user->str()};
  }
  if (!view.has_client_info) return views::Visitor{.address = api.address_of(request), .user_agent = std::string(request.user_agent)};
  if (!view.address) return invalid("clientInfo.ip", "clientInfo.ip is required");
  auto address = written_alike(*view.address);
  if (!address) return std::unexpected(address.error());
  auto user_agent = std::move(view.user_agent).value_or("");
  if (user_agent.size() > kUserAgentBytesMax) {
    return invalid("clientInfo.userAgent", "clientInfo.userAgent must be at most " + std::to_string(kUserAgentBytesMax) + " bytes");
  }
  return views::Visitor{.address = *std::move(address), .user_agent = std::move(user_agent)};
}

Result<ViewedItem> item_of(const Request& request, ViewedKind kind) {
  auto id = path_id<views::ViewedId>(request, 0, "id");
  if (!id) return std::unexpected(id.error());
  return ViewedItem{kind, *std::move(id)};
}

Task<Response> count_view(ViewsApi& api, ViewedItem item, views::Visitor visitor, bool counts) {
  Degraded degraded(api.is_degraded);
  auto outcome = co_await api.service.view(std::move(item), std::move(visitor), counts);
  if (!outcome) co_return problem(outcome.error());
  Response response;
  JsonWriter json(response.body);
  json.begin_object().field("success", true).field("isFirstView", outcome->is_first).field("viewCount", outcome->views);
  degraded.write(json);
  json.end_object();
  co_return response;
}

Task<Response> post_view(ViewsApi& api, Request& request, Caller caller, ViewedKind kind) {
  auto item = item_of(request, kind);
  if (!item) co_return problem(item.error());
  auto view = read_view(request);
  if (!view) co_return problem(view.error());
  bool counts = view->counts;
  auto visitor = visitor_of(api, request, caller, *std::move(view));
  if (!visitor) co_return problem(visitor.error());
  if (request.idempotency_key.empty()) co_return co_await count_view(api, *std::move(item), *std::move(visitor), counts);
  auto work = [&] { return count_view(api, *item, *visitor, counts); };
  co_return co_await api.keyed_answers.answer_once(request, std::move(caller), work);
}

// --- totals ---

Result<std::optional<views::SeriesStep>> step_of(const Request& request) {
  auto by = request.query("by");
  if (!by) return std::nullopt;
  if (*by == "hour") return views::SeriesStep::kHour;
  if (*by == "day") return views::SeriesStep::kDay;
  return invalid("by", "by must be hour or day");
}

void write_series(JsonWriter& json, const std::vector<views::HourViews>& series) {
  json.key("series").begin_array();
  for (const auto& [hour, views] : series) json.begin_object().field("at", to_rfc3339(hour)).field("views", views).end_object();
  json.end_array();
}

Task<Response> get_views(ViewsApi& api, Request& request, Caller /*caller*/, ViewedKind kind) {
  Degraded degraded(api.is_degraded);
  auto item = item_of(request, kind);
  if (!item) co_return problem(item.error());
  auto step = step_of(request);
  if (!step) co_return problem(step.error());
  std::vector<ViewedItem> items{*item};
  auto totals = co_await api.service.totals(std::move(items));
  if (!totals) co_return problem(totals.error());
  const auto& total = totals->front();

  Response response;
  JsonWriter json(response.body);
  json.begin_object().field("viewCount", total.views).field("buffered", total.buffered).key("lastSyncedAt");
  if (total.synced_at) {
    json.value(to_rfc3339(*total.synced_at));
  } else {
    json.null();
  }
  if (*step) {
    auto series = co_await api.service.series(*std::move(item), **step);
    if (!series) co_return problem(series.error());
    write_series(json, *series);
  }
  degraded.write(json);
  json.end_object();
  co_return response;
}

Result<std::chrono::hours> window_of(const Request& request) {
  auto window = request.query("window");
  if (!window || *window == "24h") return std::chrono::hours(24);
  if (*window == "1h") return std::chrono::hours(1);
  return invalid("window", "window must be 1h or 24h");
}

Task<Response> get_trending(ViewsApi& api, Request& request, Caller /*caller*/) {
  auto window = window_of(request);
  if (!window) co_return problem(window.error());
  auto limit = limit_of(request, kTrendingDefault, views::kTrendingMax);
  if (!limit) co_return problem(limit.error());
  auto stories = co_await api.service.trending(*window, *limit);
  if (!stories) co_return problem(stories.error());
  Response response;
  JsonWriter json(response.body);
  json.begin_object().key("stories").begin_array();
  for (const auto& story : *stories) json.begin_object().field("id", story.id.view()).field("views", story.views).end_object();
  json.end_array().end_object();
  co_return response;
}

// --- into SQL ---

Task<Response> sync_views(ViewsApi& api, Request& /*request*/, Caller /*caller*/) {
  auto report = co_await api.sync();
  if (!report) co_return problem(report.error());
  co_return Response{.body = to_json(*report)};
}

Task<Response> get_view_stats(ViewsApi& api, Request& /*request*/, Caller /*caller*/) {
  auto stats = co_await api.buffered.stats();
  if (!stats) co_return problem(stats.error());
  Response response;
  JsonWriter(response.body)
      .begin_object()
      .field("bufferedStories", stats->stories)
      .field("bufferedChapters", stats->chapters)
      .field("totalBufferedViews", stats->views)
      .end_object();
  co_return response;
}

}  // namespace

std::string to_json(const views::SyncReport& report) {
  std::string json;
  JsonWriter(json)
      .begin_object()
      .field("success", true)
      .field("durationMs", report.duration.count())
      .field("storiesProcessed", report.stories)
      .field("chaptersProcessed", report.chapters)
      .field("storyViewsAdded", report.story_views)
      .field("chapterViewsAdded", report.chapter_views)
      .end_object();
  return json;
}

void add_views_routes(Routes& routes, ViewsApi& api) {
  auto add = [&](Method method, std::string_view pattern, Access access, Task<Response> (*handler)(ViewsApi&, Request&, Caller)) {
    routes.add(method, pattern, access,
               [&api, handler](Request& request, Caller caller) { return handler(api, request, std::move(caller)); });
  };
  auto add_of = [&](Method method, std::string_view pattern, Access access, ViewedKind kind,
                    Task<Response> (*handler)(ViewsApi&, Request&, Caller, ViewedKind)) {
    routes.add(method, pattern, access,
               [&api, handler, kind](Request& request, Caller caller) { return handler(api, request, std::move(caller), kind); });
  };
  add_of(Method::kPost, "/api/stories/{id}/view", Access::kActAsUser, ViewedKind::kStory, post_view);
  add_of(Method::kPost, "/api/chapters/{id}/view", Access::kActAsUser, ViewedKind::kChapter, post_view);
  add_of(Method::kGet, "/api/stories/{id}/views", Access::kPublicRead, ViewedKind::kStory, get_views);
  add_of(Method::kGet, "/api/chapters/{id}/views", Access::kPublicRead, ViewedKind::kChapter, get_views);
  add(Method::kGet, "/api/trending", Access::kPublicRead, get_trending);
  add(Method::kGet, "/api/cron/sync-views", Access::kCron, sync_views);
  add(Method::kPost, "/api/cron/sync-views", Access::kCron, sync_views);
  add(Method::kGet, "/api/admin/view-stats", Access::kAdminRead, get_view_stats);
  add_stories_routes(routes, api);
}

}  // namespace hearth::api
