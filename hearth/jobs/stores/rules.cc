#include "hearth/jobs/stores/rules.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <variant>

#include "hearth/base/assert.h"

namespace hearth::jobs {

std::unexpected<Error> job_missing(JobId id) {
  return fail(ErrorCode::kNotFound, "there is no job " + to_text(id));
}

std::unexpected<Error> lease_is_stale(JobId id) {
  return fail(ErrorCode::kStaleLease, "this lease of job " + to_text(id) + " is over", "leaseToken");
}

std::unexpected<Error> job_was_cancelled(JobId id) {
  return fail(ErrorCode::kConflict, "job " + to_text(id) + " was cancelled");
}

std::unexpected<Error> attempt_ended_otherwise(JobId id, std::string_view status) {
  return fail(ErrorCode::kConflict, "this attempt of job " + to_text(id) + " has ended already: " + std::string(status));
}

Result<Ended> answer_again(JobId id, const Outcome& outcome, std::string_view status) {
  if (status == "cancelled") return job_was_cancelled(id);
  if (status == "completed" && std::holds_alternative<Completed>(outcome)) return Ended{JobStatus::kCompleted, true};
  if (status == "failed" && std::holds_alternative<Failed>(outcome)) return Ended{JobStatus::kPending, true};
  if (status == "dead" && std::holds_alternative<Failed>(outcome)) return Ended{JobStatus::kDead, true};
  if (status == "snoozed" && std::holds_alternative<Snoozed>(outcome)) return Ended{JobStatus::kPending, true};
  return attempt_ended_otherwise(id, status);
}

std::string_view cut(std::string_view error) {
  if (error.size() <= kErrorBytesMax) return error;
  std::size_t end = kErrorBytesMax;
  while (end > 0 && (static_cast<unsigned char>(error[end]) & 0xc0) == 0x80) --end;  // a byte that continues a character
  return error.substr(0, end);
}

std::string new_lease_prefix() {
  std::array<std::uint8_t, 10> noise{};
  HEARTH_ASSERT(RAND_bytes(noise.data(), noise.size()) == 1);
  noise[6] = 0x40 | (noise[6] & 0x0f);  // version 4: random
  noise[8] = 0x80 | (noise[8] & 0x3f);
  std::string text;
  for (std::size_t i = 0; i < noise.size(); ++i) {
    if (i == 4 || i == 6 || i == 8) text += '-';
    text += "0123456789abcdef"[noise[i] >> 4];
    text += "0123456789abcdef"[noise[i] & 0x0f];
  }
  return text + '-';
}

JobDraft job_of(const Schedule& schedule, UtcMicros due_at) {
  JobDraft draft{
      .type = schedule.job_type, .payload = schedule.payload, .idempotency_key = "cron:" + schedule.name + ":" + to_rfc3339(due_at)};
  if (draft.type == kWebhookType) {
    if (auto url = url_in_payload(draft.payload)) draft.url = *std::move(url);
  }
  return draft;
}

double random_spread() {
  std::array<std::uint8_t, 4> noise{};
  HEARTH_ASSERT(RAND_bytes(noise.data(), noise.size()) == 1);
  std::uint32_t number = 0;
  for (std::uint8_t byte : noise) number = (number << 8) | byte;
  return static_cast<double>(number) / static_cast<double>(UINT32_MAX);
}

}  // namespace hearth::jobs
