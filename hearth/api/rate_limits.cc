#include "hearth/api/rate_limits.h"

#include <algorithm>
#include <initializer_list>
#include <iterator>

#include "hearth/base/ids.h"
#include "hearth/base/json_reader.h"
#include "hearth/base/json_writer.h"
#include "hearth/base/log.h"
#include "hearth/http/problem.h"
#include "hearth/http/router.h"

namespace hearth::api {
namespace {

using limits::Ask;
using limits::Decision;
using limits::Identity;
using limits::Rule;

constexpr std::chrono::seconds kShadowLogPeriod{10};  // of one rule

// Exempt unless a rule says otherwise.
bool is_trusted(auth::CallerKind kind) {
  return kind == auth::CallerKind::kService || kind == auth::CallerKind::kAdmin || kind == auth::CallerKind::kLocal;
}

// Empty for callers without a key.
std::string_view key_kind(auth::CallerKind kind) {
  switch (kind) {
    case auth::CallerKind::kService:
      return "service";
    case auth::CallerKind::kCron:
      return "cron";
    case auth::CallerKind::kViewer:
      return "viewer";
    case auth::CallerKind::kAdmin:
      return "admin";
    case auth::CallerKind::kAnonymous:
    case auth::CallerKind::kUser:
    case auth::CallerKind::kLocal:
      break;
  }
  return {};
}

// The place of {name} among the parameters of a pattern.
std::optional<std::size_t> parameter_index(std::string_view pattern, std::string_view name) {
  std::size_t index = 0;
  for (auto at = pattern.find('{'); at != pattern.npos; at = pattern.find('{', at + 1), ++index) {
    if (pattern.substr(at + 1).starts_with(name) && pattern.substr(at + 1 + name.size()).starts_with('}')) return index;
  }
  return std::nullopt;
}

// Whom the top level of a JSON body names; nobody where it is not JSON.
struct Named {
  std::string session = {};
  std::string user = {};
  std::string author = {};
};

Named named_in(std::string& body) {
  Named named;
  auto read = read_json_object(body, UnknownFields::kIgnore, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    auto* target = key == "sessionId" ? &named.session : key == "userId" ? &named.user : key == "authorId" ? &named.author : nullptr;
    if (target == nullptr || !value.is_string()) return false;
    auto text = value.string(key);
    if (!text) return std::unexpected(text.error());
    *target = *text;
    return true;
  });
  return read ? named : Named();
}

bool waits_longer(const Decision& a, const Decision& b) {
  return a.retry_after.value_or(std::chrono::microseconds(-1)) < b.retry_after.value_or(std::chrono::microseconds(-1));
}

// The one that headers with room for one tell of: what frees last of those that refuse, else what is nearest to refusing.
std::size_t most_telling(const limits::Answers& answers) {
  const auto& all = answers.decisions;
  auto chosen =
      answers.is_allowed() ? std::ranges::min_element(all, {}, &Decision::remaining) : std::ranges::max_element(all, waits_longer);
  return chosen - all.begin();
}

http::Response too_many(std::chrono::microseconds retry_after) {
  auto seconds = std::max<std::int64_t>(whole_seconds(retry_after), 1);
  http::Response response{.status = 429};
  JsonWriter(response.body)
      .begin_object()
      .field("error", "Rate limit exceeded")
      .field("code", "rate_limited")
      .field("retryAfter", seconds)
      .end_object();
  response.headers.emplace_back("Retry-After", std::to_string(seconds));
  return response;
}

}  // namespace

std::string address_of(const http::Request& request, const limits::AddressList& trusted_proxies) {
  auto address = limits::client_address(request.remote_address, request.forwarded_for, trusted_proxies);
  return address ? address->to_string() : std::string(request.remote_address);
}

std::int64_t whole_seconds(std::chrono::microseconds duration) {
  return std::chrono::ceil<std::chrono::seconds>(duration).count();
}

// By whom a request comes. What costs something is found out once, and only if a rule asks.
class RateLimits::Who {
 public:
  Who(const limits::RuleBook::Route& route, http::Request& request, const auth::Caller& caller, const limits::AddressList& trusted_proxies)
      : route_(route),
        request_(request),
        caller_(caller),
        address_(limits::client_address(request.remote_address, request.forwarded_for, trusted_proxies)) {}

  bool is_trusted() const { return api::is_trusted(caller_.kind); }
  bool is_in(const limits::AddressList& list) const { return address_ && list.contains(*address_); }

  // Empty: the request has none.
  std::string as(Identity identity) {
    switch (identity) {
      case Identity::kUser:
        return user();
      case Identity::kSession:
        return session();
      case Identity::kService:
        return std::string(key_kind(caller_.kind));
      case Identity::kAddress:
        break;
    }
    return address_ ? limits::counted_as(*address_) : std::string();
  }

 private:
  // A user's token acts as its user alone, so nothing that the request names can change whose limit it is.
  std::string user() {
    if (caller_.kind == auth::CallerKind::kUser) return caller_.user_id;
    if (!is_trusted()) return {};
    if (auto index = parameter_index(route_.pattern(), "userId"); index && is_valid_id(request_.path_parameter(*index))) {
      return request_.path_parameter(*index);
    }
    return first_id({body().user, body().author, query("userId"), query("authorId")});
  }
  std::string session() {
    if (caller_.kind == auth::CallerKind::kUser) return caller_.user_id;
    return first_id({body().session, query("sessionId")});
  }

  static std::string first_id(std::initializer_list<std::string_view> candidates) {
    auto found = std::ranges::find_if(candidates, [](std::string_view text) { return is_valid_id(text); });
    return found == candidates.end() ? std::string() : std::string(*found);
  }
  std::string_view query(std::string_view name) const { return request_.query(name).value_or(std::string_view()); }
  const Named& body() {
    if (!body_) body_ = request_.body.empty() ? Named() : named_in(request_.body);
    return *body_;
  }

  const limits::RuleBook::Route& route_;
  http::Request& request_;
  const auth::Caller& caller_;
  const std::optional<boost::asio::ip::address> address_;
  std::optional<Named> body_;
};

// What to ask for a request.
struct RateLimits::Plan {
  struct Part {
    std::vector<const Rule*> rules = {};
    std::vector<std::string> counted = {};  // by each of the rules
    std::vector<Ask> asks = {};
  };
  Part enforced = {};
  Part shadow = {};
  const Rule* denying = nullptr;
};

const limits::RuleBook::Route* RateLimits::add_route(http::Method method, std::string_view pattern) {
  if (pattern == kRulesPath) return nullptr;
  return &book_.add_route(http::method_name(method), pattern);
}

Task<RateLimits::Verdict> RateLimits::admit(const limits::RuleBook::Route& route, http::Request& request, const auth::Caller& caller) {
  auto rules = route.rules();
  Who who(route, request, caller, trusted_proxies_);
  auto wanted = plan(rules, who);
  if (wanted.denying != nullptr) co_return deny(*wanted.denying, who);
  Verdict found;
  if (!wanted.enforced.asks.empty()) {
    auto answers = co_await service_.take(wanted.enforced.asks);
    if (!answers) {
      found.refusal = http::problem(answers.error());
      co_return found;
    }
    found = verdict(wanted, *answers);
  }
  // What is refused anyway would not have come to the other rules.
  if (!found.refusal && !wanted.shadow.asks.empty()) co_await take_shadows(wanted);
  co_return found;
}

RateLimits::Plan RateLimits::plan(const limits::RuleBook::RouteRules& rules, Who& who) {
  Plan plan;
  for (const auto* rule : rules.rules) {
    if ((who.is_trusted() && !rule->holds_for_trusted()) || who.is_in(rule->allow)) continue;
    if (who.is_in(rule->deny)) {
      if (!rule->is_shadow) {
        plan.denying = rule;
        return plan;
      }
      note_shadow_refusal(*rule, Identity::kAddress, who.as(Identity::kAddress));
      continue;
    }
    auto counted = who.as(rule->identity);
    if (counted.empty()) continue;
    auto& part = rule->is_shadow ? plan.shadow : plan.enforced;
    part.rules.push_back(rule);
    part.asks.push_back({.check = check_of(*rule, counted), .on_failure = rule->on_failure});
    part.counted.push_back(std::move(counted));
  }
  return plan;
}

RateLimits::Verdict RateLimits::deny(const Rule& rule, Who& who) {
  denied_.fetch_add(1, std::memory_order_relaxed);
  note_refusal(rule, Identity::kAddress, who.as(Identity::kAddress));
  Verdict verdict;
  verdict.refusal = http::problem({ErrorCode::kForbidden, "requests from this address are refused here"});
  return verdict;
}

RateLimits::Verdict RateLimits::verdict(const Plan& plan, const limits::Answers& answers) {
  Verdict verdict;
  auto now = clock_.now();
  std::string policies;
  std::string states;
  for (std::size_t i = 0; i < plan.enforced.rules.size(); ++i) {
    const auto& rule = *plan.enforced.rules[i];
    const auto& decision = answers.decisions[i];
    // A clock of this node that differs from the store's must not tell of more than the window.
    auto until = decision.retry_after.value_or(
        std::clamp(std::chrono::microseconds(decision.reset - now), std::chrono::microseconds(0), std::chrono::microseconds(rule.window)));
    const char* separator = i > 0 ? ", \"" : "\"";
    policies.append(separator).append(rule.name).append("\";q=").append(std::to_string(rule.limit));
    policies.append(";w=").append(std::to_string(whole_seconds(rule.window)));
    states.append(separator).append(rule.name).append("\";r=").append(std::to_string(decision.remaining));
    states.append(";t=").append(std::to_string(whole_seconds(until)));
  }
  const auto& telling = answers.decisions[most_telling(answers)];
  verdict.headers.reserve(6);
  verdict.headers.emplace_back("X-RateLimit-Limit", std::to_string(telling.limit));
  verdict.headers.emplace_back("X-RateLimit-Remaining", std::to_string(telling.remaining));
  verdict.headers.emplace_back("X-RateLimit-Reset", std::to_string(whole_seconds(telling.reset.time_since_epoch())));
  verdict.headers.emplace_back("RateLimit-Policy", std::move(policies));
  verdict.headers.emplace_back("RateLimit", std::move(states));
  if (answers.is_allowed()) {
    allowed_.fetch_add(1, std::memory_order_relaxed);
    return verdict;
  }
  refused_.fetch_add(1, std::memory_order_relaxed);
  for (std::size_t i = 0; i < plan.enforced.rules.size(); ++i) {
    if (answers.decisions[i].is_allowed) continue;
    const auto& rule = *plan.enforced.rules[i];
    note_refusal(rule, rule.identity, plan.enforced.counted[i]);
  }
  verdict.refusal = too_many(telling.retry_after.value_or(std::chrono::seconds(1)));
  auto& headers = verdict.refusal->headers;
  std::ranges::move(verdict.headers, std::back_inserter(headers));
  verdict.headers.clear();
  return verdict;
}

// Each by itself: one that would refuse must not keep another from counting.
Task<void> RateLimits::take_shadows(const Plan& plan) {
  for (std::size_t i = 0; i < plan.shadow.asks.size(); ++i) {
    std::vector<Ask> one;
    one.push_back(plan.shadow.asks[i]);
    auto answers = co_await service_.take(std::move(one));
    const auto& rule = *plan.shadow.rules[i];
    if (answers && !answers->is_allowed()) note_shadow_refusal(rule, rule.identity, plan.shadow.counted[i]);
  }
}

void RateLimits::note_refusal(const Rule& rule, Identity identity, std::string_view who) {
  refused_rules_.add(rule.name);
  refused_names_.add(counted_name(rule, identity, who));
}

void RateLimits::note_shadow_refusal(const Rule& rule, Identity identity, std::string_view who) {
  shadow_refused_.fetch_add(1, std::memory_order_relaxed);
  note_refusal(rule, identity, who);
  bool is_due = shadow_logged_.with([&](auto& logged) {
    if (logged.size() > limits::kRulesMax) logged.clear();  // rules of other times
    auto now = clock_.steady();
    auto [entry, is_new] = logged.try_emplace(rule.name, now);
    if (!is_new && now - entry->second < kShadowLogPeriod) return false;
    entry->second = now;
    return true;
  });
  if (!is_due) return;
  log::info("limits", "a rule in shadow mode would have refused",
            {{"rule", rule.name}, {"all_rules_so_far", shadow_refused_.load(std::memory_order_relaxed)}});
}

RateLimits::Stats RateLimits::stats() const {
  auto read = [](const std::atomic<std::uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  return {.allowed = read(allowed_), .refused = read(refused_), .denied = read(denied_), .shadow_refused = read(shadow_refused_)};
}

}  // namespace hearth::api
