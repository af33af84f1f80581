#pragma once

// The nouns of background jobs, and their limits.
//
// A job waits (kPending) until it is due, is claimed by a worker for the time of a lease (kProcessing), and ends:
// kCompleted, kCancelled, or kDead after its last attempt failed. A failed attempt that was not the last waits again.
// Each claim has its own lease token; only who shows it may end the attempt (guarantee 6).

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/result.h"

namespace hearth::jobs {

inline constexpr int kPriorityMax = 10;  // 0 … 10, higher first
inline constexpr int kAttemptsDefault = 3;
inline constexpr int kAttemptsMax = 100;
inline constexpr std::size_t kPayloadBytesMax = 64 << 10;  // of a payload, and of a result
inline constexpr std::size_t kErrorBytesMax = 2'000;       // longer messages are cut
inline constexpr std::size_t kJobsPerEnqueueMax = 1'000;
inline constexpr std::size_t kJobsPerClaimMax = 1'000;
inline constexpr std::size_t kJobTypesMax = 1'000;   // that settings are kept for
inline constexpr std::size_t kJobTypeBytesMax = 64;  // letters, digits, _ - . :
inline constexpr std::size_t kJobsPerPageMax = 100;
inline constexpr std::chrono::milliseconds kLeaseDefault{30'000};
inline constexpr std::chrono::milliseconds kLeaseMin{1'000};
inline constexpr std::chrono::milliseconds kLeaseMax{3'600'000};
inline constexpr std::chrono::seconds kSnoozeMax{30 * 86'400};
inline constexpr std::chrono::seconds kStuckAfter{60};        // a lease that ended longer ago than this
inline constexpr std::chrono::hours kIdempotencyKeyKept{24};  // after the job ended
inline constexpr std::chrono::seconds kRetryBase{2};          // the n-th failure waits kRetryBase^n …
inline constexpr std::chrono::seconds kRetryMax{3'600};       // … at most this, and up to 20 % more, so that they spread

enum class JobId : std::int64_t {};
std::string to_text(JobId id);
Result<JobId> parse_job_id(std::string_view text, std::string_view field);

enum class JobStatus : std::uint8_t { kPending, kProcessing, kCompleted, kDead, kCancelled };
std::string_view to_text(JobStatus status);  // "pending" …
std::optional<JobStatus> parse_job_status(std::string_view text);

// A job as clients see it, also from history. Payload, result and progress are JSON texts.
struct Job {
  JobId id{};
  std::string type;
  std::string payload;
  std::optional<std::string> url = {};  // where it is posted to; absent: a handler or an outside worker does it
  JobStatus status = JobStatus::kPending;
  int priority = 0;
  int attempts = 0;  // claims so far, except snoozed ones
  int max_attempts = kAttemptsDefault;
  UtcMicros scheduled_for{};
  std::optional<UtcMicros> started_at = {};
  std::optional<UtcMicros> completed_at = {};
  std::optional<UtcMicros> failed_at = {};  // of the last failed attempt
  std::optional<std::string> error_message = {};
  std::optional<std::string> result = {};
  std::optional<std::string> progress = {};
  UtcMicros created_at{};
  UtcMicros updated_at{};
  std::optional<std::string> idempotency_key = {};
  std::optional<std::string> worker = {};
  std::optional<UtcMicros> lease_expires_at = {};

  friend bool operator==(const Job&, const Job&) = default;
};

// While a job with this key waits, another one with it only replaces its payload: it still runs `within` after the first.
// The key is free again when the job starts, so that a change after that makes a new job.
struct Debounce {
  std::string key;
  std::chrono::milliseconds within{0};
};

// What a job is to be. `type` and `payload` (a JSON object) were checked by check().
struct JobDraft {
  std::string type;
  std::string payload = "{}";
  std::optional<int> priority = {};             // default_priority(type)
  std::optional<UtcMicros> scheduled_for = {};  // now, by the database's clock
  std::optional<std::string> idempotency_key = {};
  std::optional<int> max_attempts = {};  // kAttemptsDefault, or what the type's settings say
  std::optional<std::string> url = {};
  std::optional<Debounce> debounce = {};  // not together with idempotency_key, scheduled_for or url
};

// Limits and forms of a draft; the error names the API's field. Whether `payload` is an object is the caller's to know.
Result<void> check(const JobDraft& draft);
Result<void> check_type(std::string_view type, std::string_view field);

// The type of jobs that are nothing but a request to a url, which their payload may name: {"url": …, …}.
inline constexpr std::string_view kWebhookType = "webhook";
// That url. kInvalidArgument naming `payload.url`.
Result<std::string> url_in_payload(std::string payload);

// sync_like_count 5, process_image 3, send_notification 2, generate_thumbnail 1, others 0.
int default_priority(std::string_view type);

// How long the attempt that made `attempts` of them waits for the next: min(kRetryMax, base^attempts), and up to a fifth
// more by `spread`, 0 … 1.
std::chrono::milliseconds retry_delay(int attempts, std::chrono::seconds base, std::chrono::seconds most, double spread);

}  // namespace hearth::jobs
