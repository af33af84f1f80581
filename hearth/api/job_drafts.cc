#include "hearth/api/job_drafts.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "hearth/api/input.h"
#include "hearth/base/json_writer.h"

namespace hearth::api {
namespace {

using jobs::JobDraft;

constexpr std::int64_t kDebounceSecondsMax = 86'400;
constexpr std::size_t kNumberCharsMax = 1'000;
constexpr std::size_t kExponentDigitsMax = 4;
constexpr std::size_t kDigitsExact = 15;  // of a whole number that a double holds exactly

Result<bool> take_time(JsonValue& value, std::string_view field, std::optional<UtcMicros>& target) {
  if (value.is_null()) return true;
  auto text = value.string(field);
  if (!text) return std::unexpected(text.error());
  auto time = parse_rfc3339(*text, field);
  if (!time) return std::unexpected(time.error());
  target = *time;
  return true;
}

Result<bool> take_debounce(JsonValue& value, std::optional<jobs::Debounce>& target) {
  if (value.is_null()) return true;
  std::optional<std::string> key;
  std::optional<std::chrono::seconds> within;
  auto read = value.object("debounce", UnknownFields::kRefuse, [&](std::string_view name, JsonValue& field) -> Result<bool> {
    if (name == "key") return take(field, "debounce.key", key);
    if (name == "seconds") return take_number(field, "debounce.seconds", 0, kDebounceSecondsMax, within);
    return false;
  });
  if (!read) return std::unexpected(read.error());
  if (!key) return invalid("debounce.key", "debounce.key is required");
  if (!within) return invalid("debounce.seconds", "debounce.seconds is required");
  target = jobs::Debounce{.key = *std::move(key), .within = *within};
  return true;
}

Result<bool> take_field(JobDraft& draft, std::string_view key, JsonValue& value) {
  if (key == "jobType") {
    auto type = value.string(key);
    if (!type) return std::unexpected(type.error());
    draft.type = std::string(*type);
    return true;
  }
  if (key == "payload") return take_object(value, key, draft.payload);
  if (key == "scheduledFor") return take_time(value, key, draft.scheduled_for);
  if (key == "idempotencyKey") return take_nullable(value, key, draft.idempotency_key);
  if (key == "url") return take_nullable(value, key, draft.url);
  if (key == "debounce") return take_debounce(value, draft.debounce);
  if (key == "priority") return value.is_null() ? true : take_number(value, key, 0, jobs::kPriorityMax, draft.priority);
  if (key == "maxAttempts") return value.is_null() ? true : take_number(value, key, 1, jobs::kAttemptsMax, draft.max_attempts);
  return false;
}

// The error of a part, as one of the whole: `place.field`.
Error of_part(Error error, const std::string& place) {
  if (error.field == "body" || error.field == place) return error;
  error.message = place + "." + error.message;
  error.field = place + "." + error.field;
  return error;
}

// What can be looked at only when all has been read.
Result<void> complete(JobDraft& draft, const JobsApi& api) {
  if (draft.type.empty()) return invalid("jobType", "jobType is required");
  if (auto checked = jobs::check(draft); !checked) return checked;
  // It belongs to its type: a job never takes the payload of another type.
  if (draft.debounce) draft.debounce->key = draft.type + ":" + draft.debounce->key;
  std::string_view url_field = "url";
  if (draft.type == jobs::kWebhookType && !draft.url) {
    auto url = jobs::url_in_payload(draft.payload);
    if (!url) return std::unexpected(url.error());
    draft.url = *std::move(url);
    url_field = "payload.url";
    if (auto checked = jobs::check(draft); !checked) return std::unexpected(of_part(std::move(checked.error()), "payload"));
  }
  if (draft.url) return api.check_url(*draft.url, url_field);
  return check_payload(draft.type, draft.payload, api);
}

// A key of the header stands for one of the body. Of a list each job has its own, derived from it. A job that is debounced
// needs none: asking again replaces its payload by the same one.
void take_header(const std::optional<std::string>& key, std::optional<std::size_t> index, JobDraft& draft) {
  if (!key || draft.idempotency_key || draft.debounce) return;
  draft.idempotency_key = index ? *key + "#" + std::to_string(*index) : *key;
}

// --- JSON ---

bool has_long_exponent(std::string_view behind_e) {
  if (behind_e.starts_with('+') || behind_e.starts_with('-')) behind_e.remove_prefix(1);
  auto digits = std::min(behind_e.find_first_not_of("0123456789"), behind_e.size());
  return digits > kExponentDigitsMax;
}

// PostgreSQL keeps neither a NUL in a text nor a number of more than some ten thousand digits.
Result<void> check_storable(std::string_view json, std::string_view field) {
  bool is_text = false;
  std::size_t number = 0;  // its length so far
  for (std::size_t i = 0; i < json.size(); ++i) {
    char c = json[i];
    if (is_text && c == '\\') {
      if (json.substr(i, 6) == "\\u0000") return invalid(std::string(field), std::string(field) + " must not hold \\u0000");
      ++i;
    } else if (c == '"') {
      is_text = !is_text;
    } else if (!is_text) {
      bool is_exponent = (c == 'e' || c == 'E') && number > 0;
      bool is_number = (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || is_exponent;
      number = is_number ? number + 1 : 0;
      if (number > kNumberCharsMax || (is_exponent && has_long_exponent(json.substr(i + 1)))) {
        return invalid(std::string(field), std::string(field) + " holds a number that is too long");
      }
    }
  }
  return {};
}

// A number by its value: a database may write it in another way.
std::string canonical_number(std::string_view text) {
  bool is_digits = text.size() <= kDigitsExact && text.find_first_not_of("-0123456789") == text.npos && text != "-0";
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (is_digits || error != std::errc()) return std::string(text);
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, value + 0.0).ptr};
}

Result<void> append_canonical(std::string& out, JsonValue& value) {
  if (value.is_object()) {
    std::map<std::string, std::string> members;
    auto read = value.object("payload", UnknownFields::kIgnore, [&](std::string_view key, JsonValue& member) -> Result<bool> {
      auto written = append_canonical(members[std::string(key)], member);
      if (!written) return std::unexpected(written.error());
      return true;
    });
    if (!read) return read;
    JsonWriter json(out);
    json.begin_object();
    for (const auto& [key, member] : members) json.key(key).raw(member);
    json.end_object();
    return {};
  }
  if (value.is_array()) {
    out += '[';
    auto read = value.array("payload", jobs::kPayloadBytesMax, [&](std::size_t, JsonValue& item) {
      auto written = append_canonical(out, item);
      out += ',';
      return written;
    });
    out += ']';
    return read;
  }
  bool is_string = value.is_string();
  auto text = is_string ? value.string("payload") : value.raw("payload");
  if (!text) return std::unexpected(text.error());
  if (is_string) {
    append_json_string(out, *text);
  } else {
    out += text->find_first_of("0123456789") == text->npos ? std::string(*text) : canonical_number(*text);
  }
  return {};
}

// The same text for two that mean the same.
std::string canonical(const std::string& json) {
  std::string out;
  auto wrapped = R"({"payload":)" + json + "}";
  auto read = read_json_object(wrapped, UnknownFields::kIgnore, [&](std::string_view, JsonValue& payload) -> Result<bool> {
    auto written = append_canonical(out, payload);
    if (!written) return std::unexpected(written.error());
    return true;
  });
  return read ? out : json;
}

}  // namespace

Result<void> check_payload(std::string_view type, std::string_view payload, const JobsApi& api) {
  auto checked = api.handlers.check(type, payload);
  if (!checked) return std::unexpected(of_part(std::move(checked.error()), "payload"));
  return {};
}

Result<JobDraft> read_job(http::Request& request, const JobsApi& api) {
  auto key = idempotency_header(request);
  if (!key) return std::unexpected(key.error());
  JobDraft draft;
  auto read = read_json_object(request.body, UnknownFields::kRefuse,
                               [&](std::string_view name, JsonValue& value) { return take_field(draft, name, value); });
  if (!read) return std::unexpected(read.error());
  take_header(*key, std::nullopt, draft);
  if (auto completed = complete(draft, api); !completed) return std::unexpected(completed.error());
  return draft;
}

Result<std::vector<JobDraft>> read_jobs(http::Request& request, const JobsApi& api) {
  auto key = idempotency_header(request);
  if (!key) return std::unexpected(key.error());
  std::optional<std::vector<JobDraft>> drafts;
  auto read = read_json_object(request.body, UnknownFields::kRefuse, [&](std::string_view list, JsonValue& value) -> Result<bool> {
    if (list != "jobs") return false;
    drafts.emplace();
    auto items = value.array(list, jobs::kJobsPerEnqueueMax, [&](std::size_t index, JsonValue& item) -> Result<void> {
      JobDraft& draft = drafts->emplace_back();
      auto place = "jobs[" + std::to_string(index) + "]";
      auto taken = item.object(place, UnknownFields::kRefuse,
                               [&](std::string_view name, JsonValue& field) { return take_field(draft, name, field); });
      if (!taken) return std::unexpected(of_part(std::move(taken.error()), place));
      return {};
    });
    if (!items) return std::unexpected(items.error());
    return true;
  });
  if (!read) return std::unexpected(read.error());
  if (!drafts) return invalid("jobs", "jobs is required: an array of {jobType, payload, …}");
  for (std::size_t i = 0; i < drafts->size(); ++i) {
    take_header(*key, i, (*drafts)[i]);
    auto completed = complete((*drafts)[i], api);
    if (!completed) return std::unexpected(of_part(std::move(completed.error()), "jobs[" + std::to_string(i) + "]"));
  }
  return *std::move(drafts);
}

bool is_same_job(const JobDraft& draft, const jobs::Job& job) {
  return draft.type == job.type && draft.url == job.url && draft.priority.value_or(jobs::default_priority(draft.type)) == job.priority &&
         draft.max_attempts.value_or(job.max_attempts) == job.max_attempts && canonical(draft.payload) == canonical(job.payload);
}

Result<bool> take_json(JsonValue& value, std::string_view field, std::optional<std::string>& target) {
  auto text = value.raw(field);
  if (!text) return std::unexpected(text.error());
  if (text->size() > jobs::kPayloadBytesMax) {
    return fail(ErrorCode::kTooLarge, std::string(field) + " must not be longer than 64 KiB", std::string(field));
  }
  if (auto storable = check_storable(*text, field); !storable) return std::unexpected(storable.error());
  target = std::string(*text);
  return true;
}

Result<bool> take_object(JsonValue& value, std::string_view field, std::string& target) {
  if (!value.is_object()) return invalid(std::string(field), std::string(field) + " must be an object");
  std::optional<std::string> text;
  auto taken = take_json(value, field, text);
  if (taken) target = *std::move(text);
  return taken;
}

}  // namespace hearth::api
