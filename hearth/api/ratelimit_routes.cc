#include "hearth/api/ratelimit_routes.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hearth/api/input.h"
#include "hearth/base/json_reader.h"
#include "hearth/base/json_writer.h"
#include "hearth/limits/rule_json.h"

namespace hearth::api {
namespace {

using auth::Access;
using auth::Caller;
using http::Method;
using http::problem;
using http::Request;
using http::Response;
using limits::Ask;
using limits::Decision;

constexpr std::int64_t kNumberMax = limits::kLimitMax;
constexpr std::int64_t kWindowMsMax = limits::kWindowMax.count();

// --- what is asked ---

// One check as it is given; `at` goes before the names of its fields in errors, as "checks[1].".
class AskReader {
 public:
  explicit AskReader(std::string at = {}) : at_(std::move(at)) {}

  // Whether it knows the field.
  Result<bool> take_field(std::string_view key, JsonValue& value) {
    auto field = at_ + std::string(key);
    if (key == "key") return take(value, field, key_);
    if (key == "limit") return take_number(value, field, 1, kNumberMax, limit_);
    if (key == "windowMs") return take_number(value, field, limits::kWindowMin.count(), kWindowMsMax, window_);
    if (key == "cost") return take_number(value, field, 1, kNumberMax, ask_.check.cost);
    if (key != "algorithm" && key != "onFailure") return false;
    auto text = value.string(field);
    if (!text) return std::unexpected(text.error());
    auto chosen = choose(key, *text);
    if (!chosen) return std::unexpected(chosen.error());
    return true;
  }

  // The same from a query.
  Result<void> take_query(const Request& request) {
    if (auto key = request.query("key")) key_ = std::string(*key);
    if (auto taken = take_query_number(request, "limit", limit_); !taken) return taken;
    if (auto taken = take_query_number(request, "windowMs", window_); !taken) return taken;
    std::optional<std::uint64_t> cost;
    if (auto taken = take_query_number(request, "cost", cost); !taken) return taken;
    ask_.check.cost = cost.value_or(1);
    for (const char* name : {"algorithm", "onFailure"}) {
      if (auto text = request.query(name)) {
        if (auto chosen = choose(name, *text); !chosen) return chosen;
      }
    }
    return {};
  }

  Result<Ask> finish() {
    if (!key_) return invalid(at_ + "key", at_ + "key is required");
    if (!limit_) return invalid(at_ + "limit", at_ + "limit is required");
    if (!window_) return invalid(at_ + "windowMs", at_ + "windowMs is required");
    auto& check = ask_.check;
    check.key = *std::move(key_);
    check.limit = *limit_;
    check.window = *window_;
    if (auto valid = validate(check); !valid) return invalid(at_ + valid.error().field, at_ + valid.error().message);
    return std::move(ask_);
  }

 private:
  Result<void> choose(std::string_view name, std::string_view text) {
    auto field = at_ + std::string(name);
    if (name == "algorithm") {
      auto algorithm = limits::algorithm_named(text);
      if (!algorithm) return invalid(field, field + " must be sliding_window, gcra or fixed_window");
      ask_.check.algorithm = *algorithm;
    } else {
      auto policy = limits::on_failure_named(text);
      if (!policy) return invalid(field, field + " must be open, closed or local");
      ask_.on_failure = *policy;
    }
    return {};
  }

  template <typename Number>
  static Result<void> take_query_number(const Request& request, const char* name, std::optional<Number>& target) {
    auto text = request.query(name);
    if (!text) return {};
    std::uint64_t number = 0;
    auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc() || end != text->data() + text->size() || number > INT64_MAX) {
      return invalid(name, std::string(name) + " must be a whole number");
    }
    target = Number(number);
    return {};
  }

  const std::string at_;
  std::optional<std::string> key_;
  std::optional<std::uint64_t> limit_;
  std::optional<std::chrono::milliseconds> window_;
  Ask ask_;
};

struct CheckRequest {
  std::vector<Ask> asks = {};
  bool is_list = false;
};

Result<std::vector<Ask>> read_checks(JsonValue& value) {
  std::vector<Ask> asks;
  auto read = value.array("checks", limits::kChecksMax, [&](std::size_t index, JsonValue& item) -> Result<void> {
    auto name = "checks[" + std::to_string(index) + "]";
    AskReader reader(name + ".");
    auto fields = item.object(name, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& field) -> Result<bool> {
      auto known = reader.take_field(key, field);
      if (known && !*known) return invalid(name + "." + std::string(key), name + "." + std::string(key) + " is not a known field");
      return known;
    });
    if (!fields) return std::unexpected(fields.error());
    auto ask = reader.finish();
    if (!ask) return std::unexpected(ask.error());
    asks.push_back(*std::move(ask));
    return {};
  });
  if (!read) return std::unexpected(read.error());
  if (asks.empty()) return invalid("checks", "checks must not be empty");
  return asks;
}

// One check, or {checks: […]} alone.
Result<CheckRequest> read_check_request(Request& request) {
  CheckRequest wanted;
  AskReader single;
  std::string given;
  auto read = read_json_object(request.body, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "checks") {
      auto asks = read_checks(value);
      if (!asks) return std::unexpected(asks.error());
      wanted = {.asks = *std::move(asks), .is_list = true};
      return true;
    }
    given = key;
    return single.take_field(key, value);
  });
  if (!read) return std::unexpected(read.error());
  if (wanted.is_list) {
    if (!given.empty()) return invalid(given, given + " belongs into each of checks");
    return wanted;
  }
  auto ask = single.finish();
  if (!ask) return std::unexpected(ask.error());
  wanted.asks.push_back(*std::move(ask));
  return wanted;
}

Result<Ask> read_one(Request& request) {
  AskReader reader;
  auto read = read_json_object(request.body, UnknownFields::kRefuse,
                               [&](std::string_view key, JsonValue& value) { return reader.take_field(key, value); });
  if (!read) return std::unexpected(read.error());
  return reader.finish();
}

// The same under the keys by which the store counts them.
std::vector<Ask> stored(std::vector<Ask> asks) {
  for (auto& ask : asks) ask.check.key = limits::stored_key(limits::service_name(ask.check.key));
  return asks;
}

std::vector<Ask> stored(Ask ask) {
  std::vector<Ask> one;
  one.push_back(std::move(ask));
  return stored(std::move(one));
}

// --- what is answered ---

void write_decision(JsonWriter& json, const Decision& decision) {
  json.field("success", decision.is_allowed).field("limit", decision.limit).field("remaining", decision.remaining);
  json.field("reset", whole_seconds(decision.reset.time_since_epoch()));
  if (decision.retry_after) json.field("retryAfter", std::max<std::int64_t>(whole_seconds(*decision.retry_after), 1));
  if (decision.tick.count() > 0) json.key("policy").begin_object().field("tickMicros", decision.tick.count()).end_object();
}

Response answer_of(const limits::Answers& answers, bool is_list) {
  Response response;
  JsonWriter json(response.body);
  json.begin_object();
  if (is_list) {
    json.field("success", answers.is_allowed()).key("results").begin_array();
    for (const auto& decision : answers.decisions) {
      json.begin_object();
      write_decision(json, decision);
      json.end_object();
    }
    json.end_array();
  } else {
    write_decision(json, answers.decisions.front());
  }
  if (answers.is_degraded) json.field("degraded", true);
  json.end_object();
  return response;
}

// --- limits as a service ---

Task<Response> take(RateLimitApi& api, CheckRequest wanted) {
  auto answers = co_await api.service.take(stored(wanted.asks));
  if (!answers) co_return problem(answers.error());
  for (std::size_t i = 0; i < wanted.asks.size(); ++i) {
    if (!answers->decisions[i].is_allowed) api.limits.note_refused(limits::service_name(wanted.asks[i].check.key));
  }
  co_return answer_of(*answers, wanted.is_list);
}

Task<Response> give_back(RateLimitApi& api, Ask ask) {
  auto answers = co_await api.service.refund(stored(std::move(ask)).front());
  if (!answers) co_return problem(answers.error());
  co_return answer_of(*answers, false);
}

// Whether the first answer is to be given again. The record is kept after the effect: a crash between the two lets a
// repetition take, or give back, once more.
bool has_key(const RateLimitApi& api, const Request& request) {
  return api.keyed_answers != nullptr && !request.idempotency_key.empty();
}

Task<Response> check(RateLimitApi& api, Request& request, Caller caller) {
  auto wanted = read_check_request(request);
  if (!wanted) co_return problem(wanted.error());
  if (!has_key(api, request)) co_return co_await take(api, *std::move(wanted));
  auto work = [&] { return take(api, *wanted); };
  co_return co_await api.keyed_answers->answer_once(request, std::move(caller), work);
}

Task<Response> get_status(RateLimitApi& api, Request& request, Caller /*caller*/) {
  AskReader reader;
  if (auto taken = reader.take_query(request); !taken) co_return problem(taken.error());
  auto ask = reader.finish();
  if (!ask) co_return problem(ask.error());
  auto answers = co_await api.service.peek(stored(*std::move(ask)));
  if (!answers) co_return problem(answers.error());
  co_return answer_of(*answers, false);
}

Task<Response> refund(RateLimitApi& api, Request& request, Caller caller) {
  auto ask = read_one(request);
  if (!ask) co_return problem(ask.error());
  if (!has_key(api, request)) co_return co_await give_back(api, *std::move(ask));
  auto work = [&] { return give_back(api, *ask); };
  co_return co_await api.keyed_answers->answer_once(request, std::move(caller), work);
}

// --- administration ---

Response rules_answer(const RateLimitApi& api) {
  auto held = api.book.held();
  Response response;
  JsonWriter json(response.body);
  json.begin_object().field("source", name_of(held.source));
  limits::write_rules(json, held.set ? held.set->rules() : std::vector<limits::Rule>());
  json.end_object();
  return response;
}

Task<Response> get_rules(RateLimitApi& api, Request& /*request*/, Caller /*caller*/) {
  co_return rules_answer(api);
}

Task<Response> put_rules(RateLimitApi& api, Request& request, Caller /*caller*/) {
  auto put = co_await api.book.put(request.body);
  if (!put) co_return problem(put.error());
  co_return rules_answer(api);
}

Task<Response> remove_rules(RateLimitApi& api, Request& request, Caller /*caller*/) {
  if (auto empty = expect_no_fields(request); !empty) co_return problem(empty.error());
  auto removed = co_await api.book.remove_put();
  if (!removed) co_return problem(removed.error());
  co_return rules_answer(api);
}

Task<Response> get_top(RateLimitApi& api, Request& request, Caller /*caller*/) {
  auto limit = limit_of(request, kRefusedShownDefault, limits::kRefusedKeysMax);
  if (!limit) co_return problem(limit.error());
  Response response;
  JsonWriter json(response.body);
  json.begin_object().key("keys").begin_array();
  for (const auto& entry : api.limits.refused_names(*limit)) {
    auto parts = limits::name_parts(entry.key);
    json.begin_object().field("key", parts.key);
    if (!parts.rule.empty()) json.field("rule", parts.rule).field("identity", parts.identity);
    json.field("refused", entry.refused).field("overcount", entry.overcount).end_object();
  }
  json.end_array().key("rules").begin_array();
  for (const auto& entry : api.limits.refused_rules(*limit)) {
    json.begin_object().field("rule", entry.key).field("refused", entry.refused).field("overcount", entry.overcount).end_object();
  }
  json.end_array().end_object();
  co_return response;
}

}  // namespace

void add_ratelimit_routes(Routes& routes, RateLimitApi& api) {
  auto add = [&](Method method, std::string_view pattern, Access access, Task<Response> (*handler)(RateLimitApi&, Request&, Caller)) {
    routes.add(method, pattern, access,
               [&api, handler](Request& request, Caller caller) { return handler(api, request, std::move(caller)); });
  };
  add(Method::kPost, "/api/ratelimit/check", Access::kService, check);
  add(Method::kGet, "/api/ratelimit/status", Access::kService, get_status);
  add(Method::kPost, "/api/ratelimit/refund", Access::kService, refund);
  add(Method::kGet, kRulesPath, Access::kAdminRead, get_rules);
  add(Method::kPut, kRulesPath, Access::kAdmin, put_rules);
  add(Method::kDelete, kRulesPath, Access::kAdmin, remove_rules);
  add(Method::kGet, "/api/admin/ratelimit/top", Access::kAdminRead, get_top);
}

}  // namespace hearth::api
