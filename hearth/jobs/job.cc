#include "hearth/jobs/job.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "hearth/base/json_reader.h"

namespace hearth::jobs {
namespace {

constexpr std::array<std::pair<JobStatus, std::string_view>, 5> kStatuses{{{JobStatus::kPending, "pending"},
                                                                           {JobStatus::kProcessing, "processing"},
                                                                           {JobStatus::kCompleted, "completed"},
                                                                           {JobStatus::kDead, "dead"},
                                                                           {JobStatus::kCancelled, "cancelled"}}};
constexpr std::array<std::pair<std::string_view, int>, 4> kPriorities{
    {{"sync_like_count", 5}, {"process_image", 3}, {"send_notification", 2}, {"generate_thumbnail", 1}}};
constexpr std::size_t kKeyBytesMax = 200;
constexpr std::size_t kUrlBytesMax = 2'048;
constexpr std::chrono::hours kDebounceMax{24};

bool is_printable(std::string_view text, std::size_t bytes_max) {
  return !text.empty() && text.size() <= bytes_max && std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

Result<void> check_keys(const JobDraft& draft) {
  if (draft.idempotency_key && !is_printable(*draft.idempotency_key, kKeyBytesMax))
    return invalid("idempotencyKey", "idempotencyKey must be 1 to 200 bytes of printable ASCII without spaces");
  if (!draft.debounce) return {};
  if (!is_printable(draft.debounce->key, kKeyBytesMax))
    return invalid("debounce.key", "debounce.key must be 1 to 200 bytes of printable ASCII without spaces");
  if (draft.debounce->within < std::chrono::milliseconds(0) || draft.debounce->within > kDebounceMax)
    return invalid("debounce.seconds", "debounce.seconds must be 0 to 86400");
  if (draft.idempotency_key) return invalid("debounce", "debounce and idempotencyKey exclude each other");
  if (draft.url) return invalid("debounce", "debounce and url exclude each other");
  if (draft.scheduled_for) return invalid("debounce", "debounce and scheduledFor exclude each other");
  return {};
}

}  // namespace

std::string to_text(JobId id) {
  return std::to_string(std::to_underlying(id));
}

Result<JobId> parse_job_id(std::string_view text, std::string_view field) {
  std::int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number <= 0)
    return invalid(std::string(field), std::string(field) + " must be the id of a job: a positive number");
  return JobId(number);
}

std::string_view to_text(JobStatus status) {
  return std::ranges::find(kStatuses, status, &decltype(kStatuses)::value_type::first)->second;
}

std::optional<JobStatus> parse_job_status(std::string_view text) {
  const auto* found = std::ranges::find(kStatuses, text, &decltype(kStatuses)::value_type::second);
  if (found == kStatuses.end()) return std::nullopt;
  return found->first;
}

Result<void> check_type(std::string_view type, std::string_view field) {
  auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == ':';
  };
  if (type.empty() || type.size() > kJobTypeBytesMax || !std::ranges::all_of(type, is_allowed))
    return invalid(std::string(field), std::string(field) + " must be 1 to 64 letters, digits and _-.:");
  return {};
}

Result<void> check(const JobDraft& draft) {
  if (auto type = check_type(draft.type, "jobType"); !type) return type;
  if (draft.payload.size() > kPayloadBytesMax) return fail(ErrorCode::kTooLarge, "payload must not be longer than 64 KiB", "payload");
  if (draft.priority && (*draft.priority < 0 || *draft.priority > kPriorityMax)) return invalid("priority", "priority must be 0 to 10");
  if (draft.max_attempts && (*draft.max_attempts < 1 || *draft.max_attempts > kAttemptsMax))
    return invalid("maxAttempts", "maxAttempts must be 1 to 100");
  if (draft.url && !is_printable(*draft.url, kUrlBytesMax)) return invalid("url", "url must be at most 2048 bytes of printable ASCII");
  return check_keys(draft);
}

Result<std::string> url_in_payload(std::string payload) {
  std::optional<std::string> url;
  auto read = read_json_object(payload, UnknownFields::kIgnore, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key != "url") return false;
    auto text = value.string("payload.url");
    if (!text) return std::unexpected(text.error());
    url = std::string(*text);
    return true;
  });
  if (!read) return std::unexpected(read.error());
  if (!url) return invalid("payload.url", "payload.url is required: where the webhook is posted to");
  return *std::move(url);
}

int default_priority(std::string_view type) {
  const auto* found = std::ranges::find(kPriorities, type, &decltype(kPriorities)::value_type::first);
  return found == kPriorities.end() ? 0 : found->second;
}

std::chrono::milliseconds retry_delay(int attempts, std::chrono::seconds base, std::chrono::seconds most, double spread) {
  std::chrono::seconds delay{1};
  for (int i = 0; i < attempts && delay < most; ++i) delay *= std::max<std::int64_t>(base.count(), 1);
  std::chrono::milliseconds wait = std::min(delay, most);
  return wait + std::chrono::milliseconds(static_cast<std::int64_t>(static_cast<double>(wait.count()) * 0.2 * spread));
}

}  // namespace hearth::jobs
