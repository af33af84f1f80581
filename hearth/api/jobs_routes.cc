#include "hearth/api/jobs_routes.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "hearth/api/input.h"
#include "hearth/api/job_drafts.h"
#include "hearth/api/jobs_json.h"
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
using std::chrono::milliseconds;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::size_t kWorkerBytesMax = 128;
constexpr std::size_t kTokenBytesMax = 128;
// A waiting claim looks again at least so often, and at most so often when another claim is at what is due.
constexpr milliseconds kLookAgainAfter{1'000};
constexpr milliseconds kLookAgainNotBefore{20};

Result<jobs::JobId> job_of(const Request& request) {
  return jobs::parse_job_id(request.path_parameter(0), "id");
}

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

// --- making jobs ---

Task<Response> create_job(JobsApi& api, Request& request, Caller /*caller*/) {
  auto draft = read_job(request, api);
  if (!draft) co_return problem(draft.error());
  std::vector<jobs::JobDraft> one{*draft};
  auto made = co_await api.queue.enqueue(std::move(one));
  if (!made) co_return problem(made.error());
  const auto& [job, is_duplicate] = made->front();
  // A key of the header means the same request, one of the body the same job.
  bool is_replayed = is_duplicate && !request.idempotency_key.empty() && draft->idempotency_key == request.idempotency_key;
  if (is_replayed && !is_same_job(*draft, job)) {
    co_return problem({ErrorCode::kIdempotencyKeyReused, "this Idempotency-Key came with another job before", "Idempotency-Key"});
  }
  Response response{.status = is_duplicate && !is_replayed ? 200 : 201};
  JsonWriter json(response.body);
  begin_job(json, job);
  if (is_duplicate) json.field("duplicate", true);
  json.end_object();
  if (is_replayed) response.headers.emplace_back("Idempotent-Replayed", "true");
  co_return response;
}

Task<Response> create_jobs(JobsApi& api, Request& request, Caller /*caller*/) {
  auto drafts = read_jobs(request, api);
  if (!drafts) co_return problem(drafts.error());
  if (drafts->empty()) co_return Response{.body = R"({"jobs":[]})"};
  auto made = co_await api.queue.enqueue(*std::move(drafts));
  if (!made) co_return problem(made.error());
  Response response;
  response.body.reserve(made->size() * 320);
  JsonWriter json(response.body);
  json.begin_object().key("jobs").begin_array();
  for (const auto& [job, is_duplicate] : *made) {
    begin_job(json, job);
    json.field("duplicate", is_duplicate).end_object();
  }
  json.end_array().end_object();
  co_return response;
}

// --- one job ---

Task<Response> get_job(JobsApi& api, Request& request, Caller /*caller*/) {
  auto id = job_of(request);
  if (!id) co_return problem(id.error());
  auto found = co_await api.admin.find(*id);
  if (!found) co_return problem(found.error());
  co_return Response{.body = to_json(*found)};
}

Task<Response> cancel_job(JobsApi& api, Request& request, Caller /*caller*/) {
  auto id = job_of(request);
  if (!id) co_return problem(id.error());
  if (auto empty = expect_no_fields(request); !empty) co_return problem(empty.error());
  auto cancelled = co_await api.admin.cancel(*id);
  if (!cancelled) co_return problem(cancelled.error());
  co_return Response{.body = to_json(*cancelled)};
}

Task<Response> retry_job(JobsApi& api, Request& request, Caller /*caller*/) {
  auto id = job_of(request);
  if (!id) co_return problem(id.error());
  if (auto empty = expect_no_fields(request); !empty) co_return problem(empty.error());
  auto retried = co_await api.admin.retry(*id);
  if (!retried) co_return problem(retried.error());
  api.signal.notify();
  co_return Response{.body = to_json(*retried)};
}

// --- claiming ---

struct WantedClaim {
  jobs::ClaimRequest request;
  milliseconds wait{0};
};

Result<bool> take_types(JsonValue& value, std::string_view field, std::vector<jobs::TypeLimit>& types) {
  auto read = value.array(field, kTypesPerClaimMax, [&](std::size_t index, JsonValue& item) -> Result<void> {
    auto place = std::string(field) + "[" + std::to_string(index) + "]";
    auto type = item.string(place);
    if (!type) return std::unexpected(type.error());
    if (auto checked = jobs::check_type(*type, place); !checked) return checked;
    if (std::ranges::find(types, *type, &jobs::TypeLimit::type) == types.end()) types.push_back({.type = std::string(*type)});
    return {};
  });
  if (!read) return std::unexpected(read.error());
  if (types.empty())
    return invalid(std::string(field), std::string(field) + " names no type; leave it out for all that no handler here does");
  return true;
}

Result<WantedClaim> read_claim(Request& request, const JobsApi& api) {
  WantedClaim wanted;
  auto& claim = wanted.request;
  std::optional<std::string> worker;
  auto read = read_json_object(request.body, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "workerId") return take(value, key, worker);
    if (key == "jobTypes") return value.is_null() ? true : take_types(value, key, claim.types);
    if (key == "limit") return take_number(value, key, 1, kJobsPerHttpClaimMax, claim.limit);
    if (key == "leaseMs") return take_number(value, key, jobs::kLeaseMin.count(), jobs::kLeaseMax.count(), claim.lease);
    if (key == "waitMs") return take_number(value, key, 0, kClaimWaitMax.count(), wanted.wait);
    return false;
  });
  if (!read) return std::unexpected(read.error());
  if (!worker || worker->empty() || worker->size() > kWorkerBytesMax || !is_printable(*worker)) {
    return invalid("workerId", "workerId is required: 1 to 128 bytes of printable ASCII that say who works");
  }
  claim.worker = *std::move(worker);
  for (auto& type : claim.types) type.limit = claim.limit;
  if (claim.types.empty()) {
    for (const auto& [type, entry] : api.handlers.all()) claim.except.push_back(type);
  }
  return wanted;
}

// Of claims that wait for the same.
std::string types_text(const jobs::ClaimRequest& claim) {
  std::vector<std::string> types;
  types.reserve(claim.types.size());
  for (const auto& type : claim.types) types.push_back(type.type);
  std::ranges::sort(types);
  std::string text;
  for (const auto& type : types) text += type + "\n";
  return text;
}

// Until when nothing will come without a notice, as far as a claim that found nothing knows.
SteadyTime empty_until(const JobsApi& api, const jobs::Claim& claim) {
  return api.clock.steady() + std::clamp(claim.next_due_in.value_or(kLookAgainAfter), kLookAgainNotBefore, kLookAgainAfter);
}

// Waits for a notice after the `seen`-th, or for the moment. False: nothing will come any more.
Task<bool> wait_for_jobs(JobsApi& api, std::uint64_t seen, SteadyTime until) {
  auto began = api.clock.steady();
  auto pause = std::max(std::chrono::ceil<milliseconds>(until - began), milliseconds(0));
  auto count = co_await api.signal.wait_async(seen, pause);
  // A signal that was closed lets go of those who wait at once.
  co_return count > seen || api.clock.steady() - began >= pause / 2;
}

// Looks whenever a job may have come, until `deadline`; and at the end once more. While it waits it holds nothing but its place.
Task<Result<jobs::Claim>> claim_waiting(JobsApi& api, const jobs::ClaimRequest& request, SteadyTime deadline) {
  auto seen = api.signal.count();
  auto claim = co_await api.queue.claim(request);
  if (!claim || !claim->jobs.empty() || api.clock.steady() >= deadline) co_return claim;
  WaitingClaims::Place place(api.waiting_claims, types_text(request));
  if (!place.is_there()) co_return fail(ErrorCode::kUnavailable, "too many claims are waiting: try again later, or without waitMs");
  auto look_at = empty_until(api, *claim);
  for (;;) {
    bool is_open = co_await wait_for_jobs(api, seen, std::min(look_at, deadline));
    if (!is_open) co_return jobs::Claim{};
    seen = api.signal.count();
    auto still_empty_until = co_await place.take_turn(seen);
    if (still_empty_until) {
      look_at = *still_empty_until;
    } else {
      claim = co_await api.queue.claim(request);
      bool is_empty = claim && claim->jobs.empty();
      if (is_empty) look_at = empty_until(api, *claim);
      place.end_turn(seen, is_empty ? std::optional(look_at) : std::nullopt);
      if (!is_empty) co_return claim;
    }
    if (api.clock.steady() >= deadline) co_return jobs::Claim{};
  }
}

Task<Response> claim_jobs(JobsApi& api, Request& request, Caller /*caller*/) {
  auto wanted = read_claim(request, api);
  if (!wanted) co_return problem(wanted.error());
  auto claim = co_await claim_waiting(api, wanted->request, api.clock.steady() + wanted->wait);
  if (!claim) co_return problem(claim.error());
  co_return Response{.body = to_json(claim->jobs)};
}

// --- working ---

// What workers say of a job that they hold.
struct Report {
  std::optional<std::string> lease_token = {};
  std::optional<std::string> json = {};   // result or progress
  std::optional<std::string> error = {};  // why it failed
  std::optional<milliseconds> retry_after = {};
  bool is_final = false;
  std::optional<std::chrono::seconds> wait = {};
};

// NULs have no place in a text of PostgreSQL, and a worker must get rid of a job whatever its error says.
Result<bool> take_error(JsonValue& value, std::string_view field, std::optional<std::string>& target) {
  auto taken = take(value, field, target);
  if (taken) std::ranges::replace(*target, '\0', ' ');
  return taken;
}

Result<bool> take_flag(JsonValue& value, std::string_view field, bool& target) {
  auto flag = value.boolean(field);
  if (!flag) return std::unexpected(flag.error());
  target = *flag;
  return true;
}

// `on_field` takes what stands beside the token.
template <typename OnReportField>
Result<Report> read_report(Request& request, OnReportField on_field) {
  Report report;
  auto read = read_json_object(request.body, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "leaseToken") return take(value, key, report.lease_token);
    return on_field(report, key, value);
  });
  if (!read) return std::unexpected(read.error());
  const auto& token = report.lease_token;
  if (!token || token->empty() || token->size() > kTokenBytesMax || !is_printable(*token)) {
    return invalid("leaseToken", "leaseToken is required: the one that the claim gave");
  }
  return report;
}

Task<Response> end_job(JobsApi& api, jobs::JobId id, std::string lease_token, jobs::Outcome outcome) {
  std::vector<jobs::Ending> endings;
  endings.push_back({.job = id, .lease_token = std::move(lease_token), .outcome = std::move(outcome)});
  auto all = co_await api.queue.end(std::move(endings));
  if (!all) co_return problem(all.error());
  const auto& ended = all->front();
  if (!ended) co_return problem(ended.error());
  Response response;
  JsonWriter json(response.body);
  json.begin_object().field("success", true).field("id", to_text(id)).field("status", to_text(ended->status));
  if (ended->is_repeated) json.field("repeated", true);
  json.end_object();
  co_return response;
}

Task<Response> complete_job(JobsApi& api, Request& request, Caller /*caller*/) {
  auto id = job_of(request);
  if (!id) co_return problem(id.error());
  auto report = read_report(request, [](Report& to, std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "result") return take_json(value, key, to.json);
    return false;
  });
  if (!report) co_return problem(report.error());
  co_return co_await end_job(api, *id, *std::move(report->lease_token), jobs::Completed{.result = std::move(report->json)});
}

Task<Response> fail_job(JobsApi& api, Request& request, Caller /*caller*/) {
  auto id = job_of(request);
  if (!id) co_return problem(id.error());
  auto report = read_report(request, [](Report& to, std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "error") return take_error(value, key, to.error);
    if (key == "isFinal") return take_flag(value, key, to.is_final);
    if (key != "retryAfterSeconds") return false;
    std::optional<std::chrono::seconds> after;
    auto taken = take_number(value, key, 0, jobs::kSnoozeMax.count(), after);
    if (taken) to.retry_after = *after;
    return taken;
  });
  if (!report) co_return problem(report.error());
  if (!report->error) co_return problem({ErrorCode::kInvalidArgument, "error is required: why the attempt failed", "error"});
  jobs::Failed failed{.error = *std::move(report->error), .retry_after = report->retry_after, .is_final = report->is_final};
  co_return co_await end_job(api, *id, *std::move(report->lease_token), std::move(failed));
}

Task<Response> snooze_job(JobsApi& api, Request& request, Caller /*caller*/) {
  auto id = job_of(request);
  if (!id) co_return problem(id.error());
  auto report = read_report(request, [](Report& to, std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "seconds") return take_number(value, key, 0, jobs::kSnoozeMax.count(), to.wait);
    return false;
  });
  if (!report) co_return problem(report.error());
  if (!report->wait) co_return problem({ErrorCode::kInvalidArgument, "seconds is required: how long the job waits", "seconds"});
  co_return co_await end_job(api, *id, *std::move(report->lease_token), jobs::Snoozed{.wait = *report->wait});
}

Task<Response> renew_lease(JobsApi& api, Request& request, Caller /*caller*/) {
  auto id = job_of(request);
  if (!id) co_return problem(id.error());
  auto report = read_report(request, [](Report& to, std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "progress") return take_json(value, key, to.json);
    return false;
  });
  if (!report) co_return problem(report.error());
  std::vector<jobs::LeaseRenewal> renewals;
  renewals.push_back({.job = *id, .lease_token = *std::move(report->lease_token), .progress = std::move(report->json)});
  auto all = co_await api.queue.renew(std::move(renewals));
  if (!all) co_return problem(all.error());
  const auto& renewed = all->front();
  if (!renewed) co_return problem(renewed.error());
  Response response;
  JsonWriter json(response.body);
  json.begin_object().field("cancelled", renewed->is_cancelled);
  if (!renewed->is_cancelled) json.field("leaseExpiresAt", to_rfc3339(renewed->lease_expires_at));
  json.end_object();
  co_return response;
}

// --- for schedulers and monitors ---

// Whatever a scheduler sends along is not looked at.
Task<Response> process_jobs(JobsApi& api, Request& /*request*/, Caller /*caller*/) {
  // Where nothing but these calls works off the queue, nobody else takes over.
  if (auto taken_over = co_await api.queue.take_over_expired(kTakenOverPerProcessMax); !taken_over) co_return problem(taken_over.error());
  auto processed = co_await api.process(kJobsPerProcessMax, kProcessBudget);
  if (!processed) co_return problem(processed.error());
  co_return Response{.body = to_json(*processed)};
}

Task<Response> get_health(JobsApi& api, Request& /*request*/, Caller /*caller*/) {
  auto health = co_await api.admin.health();
  if (!health) co_return problem(health.error());
  Response response;
  bool is_healthy = health->stuck == 0;
  JsonWriter json(response.body);
  json.begin_object().field("healthy", is_healthy).field("stuckJobs", health->stuck).field("pendingJobs", health->pending);
  if (!is_healthy) {
    response.status = 503;
    response.headers.emplace_back("Retry-After", "1");
    json.field("error", "jobs are stuck: their leases ended, and nobody has taken them over").field("code", "unavailable");
  }
  json.end_object();
  co_return response;
}

}  // namespace

void add_jobs_routes(Routes& routes, JobsApi& api) {
  auto add = [&](Method method, std::string_view pattern, Access access, Task<Response> (*handler)(JobsApi&, Request&, Caller)) {
    routes.add(method, pattern, access,
               [&api, handler](Request& request, Caller caller) { return handler(api, request, std::move(caller)); });
  };
  add(Method::kPost, "/api/jobs", Access::kService, create_job);
  add(Method::kPost, "/api/jobs/bulk", Access::kService, create_jobs);
  add(Method::kPost, "/api/jobs/claim", Access::kService, claim_jobs);
  add(Method::kGet, "/api/jobs/{id}", Access::kService, get_job);
  add(Method::kDelete, "/api/jobs/{id}", Access::kService, cancel_job);
  add(Method::kPost, "/api/jobs/{id}/retry", Access::kService, retry_job);
  add(Method::kPost, "/api/jobs/{id}/heartbeat", Access::kService, renew_lease);
  add(Method::kPost, "/api/jobs/{id}/complete", Access::kService, complete_job);
  add(Method::kPost, "/api/jobs/{id}/fail", Access::kService, fail_job);
  add(Method::kPost, "/api/jobs/{id}/snooze", Access::kService, snooze_job);
  add(Method::kGet, "/api/queue/process", Access::kCron, process_jobs);
  add(Method::kPost, "/api/queue/process", Access::kCron, process_jobs);
  add(Method::kGet, "/api/health/queue", Access::kMetrics, get_health);
  add_jobs_admin_routes(routes, api);
}

}  // namespace hearth::api
