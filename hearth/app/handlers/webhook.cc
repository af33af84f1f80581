#include "hearth/app/handlers/webhook.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string_view>

#include "hearth/base/digest.h"
#include "hearth/base/json_writer.h"

namespace hearth::app {
namespace {

constexpr std::chrono::milliseconds kTimeout{30'000};
constexpr std::size_t kAnswerBytesMax = 64 << 10;
constexpr std::chrono::hours kRetryAfterMax{24};

std::string body_of(const jobs::ClaimedJob& job) {
  std::string body;
  JsonWriter json(body);
  json.begin_object().field("id", jobs::to_text(job.id)).field("jobType", job.type).field("attempt", job.attempts);
  json.key("payload").raw(job.payload).end_object();
  return body;
}

// Seconds, as nearly everybody sends it; a date is not understood, and the usual delay holds.
std::optional<std::chrono::milliseconds> retry_after(const web::WebResponse& response) {
  if (response.status != 429 && response.status != 503) return std::nullopt;
  std::string_view text = response.header("retry-after");
  std::int64_t seconds = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || seconds < 0) return std::nullopt;
  return std::min<std::chrono::milliseconds>(std::chrono::seconds(std::min<std::int64_t>(seconds, 86'400)), kRetryAfterMax);
}

}  // namespace

std::string webhook_signature(std::string_view secret, std::string_view timestamp, std::string_view body) {
  std::string signed_text(timestamp);
  signed_text += '.';
  signed_text += body;
  return "sha256=" + to_hex(hmac_sha256(secret, signed_text));
}

jobs::Outcome post_webhook(web::WebClient& web, const WebhookOptions& options, const Clock& clock, const jobs::JobRun& run) {
  web::WebRequest request{.method = "POST",
                          .url = run.job.url.value_or(""),
                          .body = body_of(run.job),
                          .timeout = kTimeout,
                          .answer_bytes_max = kAnswerBytesMax,
                          .cuts_answer = true,
                          .allows_private = options.allows_private};
  auto now = std::chrono::duration_cast<std::chrono::seconds>(clock.now().time_since_epoch()).count();
  std::string timestamp = std::to_string(now);
  request.headers = {{"Content-Type", "application/json"}, {"X-Hearth-Job", jobs::to_text(run.job.id)}, {"X-Hearth-Timestamp", timestamp}};
  if (options.secret) request.headers.emplace_back("X-Hearth-Signature", webhook_signature(*options.secret, timestamp, request.body));

  auto response = web.send(request, run.stop);
  if (!response) {
    bool is_hopeless = response.error().code == ErrorCode::kForbidden || response.error().code == ErrorCode::kInvalidArgument;
    return jobs::Failed{.error = response.error().message, .is_final = is_hopeless};
  }
  std::string said = "the endpoint answered " + std::to_string(response->status);
  if (response->status < 200 || response->status > 299) return jobs::Failed{.error = said, .retry_after = retry_after(*response)};
  std::string result;
  JsonWriter(result).begin_object().field("status", response->status).end_object();
  return jobs::Completed{.result = std::move(result)};
}

}  // namespace hearth::app
