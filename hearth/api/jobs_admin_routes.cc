// What the administrator sees and sets: jobs, their types, schedules, the queue.

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "hearth/api/input.h"
#include "hearth/api/job_drafts.h"
#include "hearth/api/jobs_json.h"
#include "hearth/api/jobs_routes.h"
#include "hearth/base/ids.h"
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

constexpr std::size_t kJobsPerPage = 50;
constexpr std::size_t kSearchBytesMax = 200;
constexpr std::int64_t kRateCountMax = 1'000'000;
constexpr std::int64_t kRateWindowMsMax = 86'400'000;
constexpr std::int64_t kRetryBaseSecondsMax = 3'600;
constexpr std::int64_t kRetrySecondsMax = 7 * 86'400;
constexpr std::size_t kCronBytesMax = 200;
constexpr std::size_t kTimeZoneBytesMax = 64;

// --- jobs ---

Result<jobs::JobSearch> search_of(const Request& request) {
  jobs::JobSearch search;
  if (auto status = request.query("status")) {
    search.has_failed = *status == "failed";
    search.status = search.has_failed ? jobs::JobStatus::kPending : jobs::parse_job_status(*status);
    if (!search.status) return invalid("status", "status must be pending, failed, processing, completed, dead or cancelled");
  }
  if (auto type = request.query("type")) {
    if (auto checked = jobs::check_type(*type, "type"); !checked) return std::unexpected(checked.error());
    search.type = std::string(*type);
  }
  if (auto text = request.query("q"); text && !text->empty()) {
    bool is_text = text->size() <= kSearchBytesMax && text->find('\0') == text->npos;
    if (!is_text) return invalid("q", "q must be at most 200 bytes of text");
    search.text = std::string(*text);
  }
  if (auto cursor = request.query("cursor")) {
    auto id = jobs::parse_job_id(*cursor, "cursor");
    if (!id) return invalid("cursor", "cursor must be the nextCursor of a page");
    search.before = *id;
  }
  auto limit = limit_of(request, kJobsPerPage, jobs::kJobsPerPageMax);
  if (!limit) return std::unexpected(limit.error());
  search.limit = *limit;
  return search;
}

Task<Response> search_jobs(JobsApi& api, Request& request, Caller /*caller*/) {
  auto search = search_of(request);
  if (!search) co_return problem(search.error());
  auto page = co_await api.admin.search(*std::move(search));
  if (!page) co_return problem(page.error());
  co_return Response{.body = to_json(*page)};
}

Task<Response> get_stats(JobsApi& api, Request& /*request*/, Caller /*caller*/) {
  auto stats = co_await api.admin.stats();
  if (!stats) co_return problem(stats.error());
  co_return Response{.body = to_json(*stats)};
}

// --- types ---

Result<std::string> type_of(const Request& request) {
  const auto& type = request.path_parameter(0);
  if (auto checked = jobs::check_type(type, "type"); !checked) return std::unexpected(checked.error());
  return type;
}

// Those with settings, and those that Hearth does itself.
Task<Response> get_types(JobsApi& api, Request& /*request*/, Caller /*caller*/) {
  auto types = co_await api.admin.types();
  if (!types) co_return problem(types.error());
  for (const auto& [type, entry] : api.handlers.all()) {
    if (std::ranges::find(*types, type, &jobs::TypeSettings::type) == types->end()) types->push_back({.type = type});
  }
  std::ranges::sort(*types, {}, &jobs::TypeSettings::type);
  Response response;
  JsonWriter json(response.body);
  json.begin_object().key("jobTypes").begin_array();
  for (const auto& type : *types) write_type(json, type, api.handlers.find(type.type) != nullptr);
  json.end_array().end_object();
  co_return response;
}

Result<bool> take_rate(JsonValue& value, std::optional<jobs::TypeSettings::Rate>& target) {
  if (value.is_null()) return true;
  std::optional<int> count;
  std::optional<std::chrono::milliseconds> window;
  auto read = value.object("rate", UnknownFields::kRefuse, [&](std::string_view key, JsonValue& field) -> Result<bool> {
    if (key == "count") return take_number(field, "rate.count", 1, kRateCountMax, count);
    if (key == "windowMs") return take_number(field, "rate.windowMs", 1, kRateWindowMsMax, window);
    return false;
  });
  if (!read) return std::unexpected(read.error());
  if (!count) return invalid("rate.count", "rate.count is required");
  if (!window) return invalid("rate.windowMs", "rate.windowMs is required");
  target = jobs::TypeSettings::Rate{.count = *count, .window = *window};
  return true;
}

Result<jobs::TypeSettings> read_type(Request& request) {
  auto type = type_of(request);
  if (!type) return std::unexpected(type.error());
  jobs::TypeSettings settings{.type = *std::move(type)};
  auto read = read_json_object(request.body, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "rate") return take_rate(value, settings.rate);
    if (key == "maxAttempts") return value.is_null() ? true : take_number(value, key, 1, jobs::kAttemptsMax, settings.max_attempts);
    if (key == "retryBaseSeconds") return value.is_null() ? true : take_number(value, key, 1, kRetryBaseSecondsMax, settings.retry_base);
    if (key == "retryMaxSeconds") return value.is_null() ? true : take_number(value, key, 1, kRetrySecondsMax, settings.retry_max);
    return false;
  });
  if (!read) return std::unexpected(read.error());
  return settings;
}

Task<Response> put_type(JobsApi& api, Request& request, Caller /*caller*/) {
  auto settings = read_type(request);
  if (!settings) co_return problem(settings.error());
  auto configured = co_await api.admin.configure(*settings);
  if (!configured) co_return problem(configured.error());
  auto types = co_await api.admin.types();
  if (!types) co_return problem(types.error());
  api.signal.notify();  // another limit may let more of them start
  auto kept = std::ranges::find(*types, settings->type, &jobs::TypeSettings::type);
  if (kept != types->end()) settings->is_paused = kept->is_paused;
  Response response;
  JsonWriter json(response.body);
  write_type(json, *settings, api.handlers.find(settings->type) != nullptr);
  co_return response;
}

Task<Response> set_paused(JobsApi& api, Request& request, bool is_paused) {
  auto type = type_of(request);
  if (!type) co_return problem(type.error());
  if (auto empty = expect_no_fields(request); !empty) co_return problem(empty.error());
  auto set = co_await api.admin.set_paused(*type, is_paused);
  if (!set) co_return problem(set.error());
  if (!is_paused) api.signal.notify();
  co_return Response{.body = paused_json(*type, is_paused)};
}

// --- schedules ---

Result<std::string> schedule_of(const Request& request) {
  const auto& name = request.path_parameter(0);
  if (!is_valid_id(name)) return invalid("name", invalid_id_message("name"));
  return name;
}

Task<Response> get_schedules(JobsApi& api, Request& /*request*/, Caller /*caller*/) {
  auto schedules = co_await api.schedules.list();
  if (!schedules) co_return problem(schedules.error());
  Response response;
  JsonWriter json(response.body);
  json.begin_object().key("schedules").begin_array();
  for (const auto& schedule : *schedules) write_schedule(json, schedule);
  json.end_array().end_object();
  co_return response;
}

// "once" or "skip"; or whether missed runs are caught up at all.
Result<bool> take_catch_up(JsonValue& value, std::string_view field, jobs::CatchUp& target) {
  if (value.is_string()) {
    auto text = value.string(field);
    if (!text) return std::unexpected(text.error());
    if (*text != "once" && *text != "skip") return invalid("catchUp", "catchUp must be once or skip");
    target = *text == "once" ? jobs::CatchUp::kOnce : jobs::CatchUp::kSkip;
    return true;
  }
  auto is_wanted = value.boolean(field);
  if (!is_wanted) return invalid("catchUp", "catchUp must be once or skip");
  target = *is_wanted ? jobs::CatchUp::kOnce : jobs::CatchUp::kSkip;
  return true;
}

// Whether its jobs could be enqueued by hand.
Result<void> check_job(const jobs::Schedule& schedule, const JobsApi& api) {
  if (auto checked = jobs::check({.type = schedule.job_type, .payload = schedule.payload}); !checked) return checked;
  if (schedule.job_type != jobs::kWebhookType) return check_payload(schedule.job_type, schedule.payload, api);
  auto url = jobs::url_in_payload(schedule.payload);
  if (!url) return std::unexpected(url.error());
  return api.check_url(*url, "payload.url");
}

Result<jobs::Schedule> read_schedule(Request& request, const JobsApi& api) {
  auto name = schedule_of(request);
  if (!name) return std::unexpected(name.error());
  std::optional<std::string> cron;
  std::optional<std::string> zone;
  std::optional<std::string> type;
  jobs::Schedule schedule;
  schedule.name = *std::move(name);
  auto read = read_json_object(request.body, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "cron") return take(value, key, cron);
    if (key == "timeZone") return take_nullable(value, key, zone);
    if (key == "jobType") return take(value, key, type);
    if (key == "payload") return take_object(value, key, schedule.payload);
    if (key == "catchUp") return take_catch_up(value, key, schedule.catch_up);
    return false;
  });
  if (!read) return std::unexpected(read.error());
  if (!cron || cron->size() > kCronBytesMax) return invalid("cron", "cron is required: five fields");
  if (zone && zone->size() > kTimeZoneBytesMax) return invalid("timeZone", "timeZone must be the name of a time zone, as Europe/Berlin");
  if (!type) return invalid("jobType", "jobType is required");
  schedule.cron = *std::move(cron);
  if (zone) schedule.time_zone = *std::move(zone);
  schedule.job_type = *std::move(type);
  if (auto checked = check_job(schedule, api); !checked) return std::unexpected(checked.error());
  return schedule;
}

Task<Response> put_schedule(JobsApi& api, Request& request, Caller /*caller*/) {
  auto schedule = read_schedule(request, api);
  if (!schedule) co_return problem(schedule.error());
  auto put = co_await api.scheduler.put(*std::move(schedule));
  if (!put) co_return problem(put.error());
  Response response;
  JsonWriter json(response.body);
  write_schedule(json, *put);
  co_return response;
}

Task<Response> remove_schedule(JobsApi& api, Request& request, Caller /*caller*/) {
  auto name = schedule_of(request);
  if (!name) co_return problem(name.error());
  if (auto empty = expect_no_fields(request); !empty) co_return problem(empty.error());
  auto removed = co_await api.schedules.remove(*name);
  if (!removed) co_return problem(removed.error());
  Response response;
  JsonWriter(response.body).begin_object().field("name", *name).field("removed", true).end_object();
  co_return response;
}

}  // namespace

void add_jobs_admin_routes(Routes& routes, JobsApi& api) {
  auto add = [&](Method method, std::string_view pattern, Access access, Task<Response> (*handler)(JobsApi&, Request&, Caller)) {
    routes.add(method, pattern, access,
               [&api, handler](Request& request, Caller caller) { return handler(api, request, std::move(caller)); });
  };
  add(Method::kGet, "/api/admin/jobs", Access::kAdminRead, search_jobs);
  add(Method::kGet, "/api/admin/queue/stats", Access::kAdminRead, get_stats);
  add(Method::kGet, "/api/admin/job-types", Access::kAdminRead, get_types);
  add(Method::kPut, "/api/admin/job-types/{type}", Access::kAdmin, put_type);
  routes.add(Method::kPost, "/api/admin/job-types/{type}/pause", Access::kAdmin,
             [&api](Request& request, const Caller&) { return set_paused(api, request, true); });
  routes.add(Method::kPost, "/api/admin/job-types/{type}/resume", Access::kAdmin,
             [&api](Request& request, const Caller&) { return set_paused(api, request, false); });
  add(Method::kGet, "/api/admin/schedules", Access::kAdminRead, get_schedules);
  add(Method::kPut, "/api/admin/schedules/{name}", Access::kAdmin, put_schedule);
  add(Method::kDelete, "/api/admin/schedules/{name}", Access::kAdmin, remove_schedule);
}

}  // namespace hearth::api
