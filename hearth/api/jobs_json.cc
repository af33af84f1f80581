#include "hearth/api/jobs_json.h"

#include <optional>
#include <string_view>

#include "hearth/base/clock.h"

namespace hearth::api {
namespace {

void write_time(JsonWriter& json, std::string_view name, const std::optional<UtcMicros>& time) {
  if (time) json.field(name, to_rfc3339(*time));
}

void write_text(JsonWriter& json, std::string_view name, const std::optional<std::string>& text) {
  if (text) json.field(name, *text);
}

// Of text that is JSON.
void write_raw(JsonWriter& json, std::string_view name, const std::optional<std::string>& text) {
  if (text) json.key(name).raw(*text);
}

}  // namespace

void begin_job(JsonWriter& json, const jobs::Job& job) {
  json.begin_object().field("id", to_text(job.id)).field("jobType", job.type).key("payload").raw(job.payload);
  write_text(json, "url", job.url);
  json.field("status", to_text(job.status)).field("priority", job.priority);
  json.field("attempts", job.attempts).field("maxAttempts", job.max_attempts).field("scheduledFor", to_rfc3339(job.scheduled_for));
  write_time(json, "startedAt", job.started_at);
  write_time(json, "completedAt", job.completed_at);
  write_time(json, "failedAt", job.failed_at);
  write_text(json, "errorMessage", job.error_message);
  write_raw(json, "result", job.result);
  write_raw(json, "progress", job.progress);
  json.field("createdAt", to_rfc3339(job.created_at)).field("updatedAt", to_rfc3339(job.updated_at));
  write_text(json, "idempotencyKey", job.idempotency_key);
  write_text(json, "workerId", job.worker);
  write_time(json, "leaseExpiresAt", job.lease_expires_at);
}

std::string to_json(const jobs::Job& job) {
  std::string out;
  JsonWriter json(out);
  begin_job(json, job);
  json.end_object();
  return out;
}

std::string to_json(const jobs::JobDetails& details) {
  std::string out;
  JsonWriter json(out);
  begin_job(json, details.job);
  json.key("history").begin_array();
  for (const auto& attempt : details.attempts) {
    json.begin_object().field("attempt", attempt.number).field("status", attempt.status);
    write_time(json, "startedAt", attempt.started_at);
    json.field("endedAt", to_rfc3339(attempt.ended_at));
    if (attempt.duration) json.field("durationMs", attempt.duration->count());
    write_text(json, "errorMessage", attempt.error_message);
    write_text(json, "workerId", attempt.worker);
    json.end_object();
  }
  json.end_array().end_object();
  return out;
}

std::string to_json(const jobs::JobPage& page) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("jobs").begin_array();
  for (const auto& job : page.jobs) {
    begin_job(json, job);
    json.end_object();
  }
  json.end_array();
  if (page.next) json.field("nextCursor", to_text(*page.next));
  json.end_object();
  return out;
}

std::string to_json(const std::vector<jobs::ClaimedJob>& jobs) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("jobs").begin_array();
  for (const auto& job : jobs) {
    json.begin_object().field("id", to_text(job.id)).field("jobType", job.type).key("payload").raw(job.payload);
    json.field("attempts", job.attempts).field("maxAttempts", job.max_attempts);
    json.field("scheduledFor", to_rfc3339(job.scheduled_for)).field("startedAt", to_rfc3339(job.started_at));
    json.field("leaseToken", job.lease_token).field("leaseExpiresAt", to_rfc3339(job.lease_expires_at)).end_object();
  }
  json.end_array().end_object();
  return out;
}

std::string to_json(const std::vector<jobs::ProcessedJob>& jobs) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("processed", jobs.size()).key("results").begin_array();
  for (const auto& job : jobs) {
    json.begin_object().field("id", to_text(job.id)).field("jobType", job.type).field("success", job.is_ok);
    if (!job.is_ok) json.field("error", job.error);
    json.end_object();
  }
  json.end_array().end_object();
  return out;
}

std::string to_json(const jobs::QueueStats& stats) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("pending", stats.pending).field("processing", stats.processing);
  json.field("failed", stats.failed).field("dead", stats.dead).field("stuck", stats.stuck).field("staleRefused", stats.stale_refused);
  json.field("oldestPendingAgeMs", stats.oldest_pending_age.value_or(std::chrono::milliseconds(0)).count());
  json.key("byType").begin_object();
  for (const auto& type : stats.by_type) {
    json.key(type.type).begin_object().field("pending", type.pending).field("processing", type.processing);
    json.field("failed", type.failed).field("dead", type.dead).end_object();
  }
  json.end_object().end_object();
  return out;
}

void write_type(JsonWriter& json, const jobs::TypeSettings& settings, bool is_built_in) {
  json.begin_object().field("jobType", settings.type).field("isBuiltIn", is_built_in).field("isPaused", settings.is_paused);
  if (settings.rate) {
    json.key("rate").begin_object().field("count", settings.rate->count).field("windowMs", settings.rate->window.count()).end_object();
  }
  if (settings.max_attempts) json.field("maxAttempts", *settings.max_attempts);
  if (settings.retry_base) json.field("retryBaseSeconds", settings.retry_base->count());
  if (settings.retry_max) json.field("retryMaxSeconds", settings.retry_max->count());
  json.end_object();
}

std::string paused_json(const std::string& type, bool is_paused) {
  std::string out;
  JsonWriter(out).begin_object().field("jobType", type).field("isPaused", is_paused).end_object();
  return out;
}

void write_schedule(JsonWriter& json, const jobs::Schedule& schedule) {
  json.begin_object().field("name", schedule.name).field("cron", schedule.cron).field("timeZone", schedule.time_zone);
  json.field("jobType", schedule.job_type).key("payload").raw(schedule.payload);
  json.field("catchUp", schedule.catch_up == jobs::CatchUp::kOnce ? "once" : "skip").field("isConfigured", schedule.is_configured);
  write_time(json, "lastRunAt", schedule.last_run_at);
  json.field("nextRunAt", to_rfc3339(schedule.next_run_at)).end_object();
}

}  // namespace hearth::api
