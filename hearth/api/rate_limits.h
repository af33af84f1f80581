#pragma once

// Limits of Hearth's own routes, by rules.
//
// All rules of a route are taken together, all or nothing, after the caller is known and before the handler runs: a request
// that the handler then refuses, or answers from its Idempotency-Key, has counted.
//
// Thread-safe once serving.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "hearth/auth/caller.h"
#include "hearth/base/clock.h"
#include "hearth/base/guarded.h"
#include "hearth/base/task.h"
#include "hearth/http/request.h"
#include "hearth/limits/address_list.h"
#include "hearth/limits/limit_service.h"
#include "hearth/limits/refused_top.h"
#include "hearth/limits/rule_book.h"

namespace hearth::api {

// Whoever changes rules must be able to take them back: no rule holds for this path.
inline constexpr std::string_view kRulesPath = "/api/admin/ratelimit/rules";

// The address that a request came from, as text; behind trusted proxies the one that they name.
std::string address_of(const http::Request& request, const limits::AddressList& trusted_proxies);
// Seconds, rounded up: whoever waits so long has waited long enough.
std::int64_t whole_seconds(std::chrono::microseconds duration);

class RateLimits {
 public:
  // All outlive this.
  RateLimits(limits::RuleBook& book, limits::LimitService& service, limits::AddressList trusted_proxies, const Clock& clock)
      : book_(book), service_(service), trusted_proxies_(std::move(trusted_proxies)), clock_(clock) {}

  // Before serving. Null for a route that no rule may hold for.
  const limits::RuleBook::Route* add_route(http::Method method, std::string_view pattern);

  struct Verdict {
    std::optional<http::Response> refusal = {};
    std::vector<std::pair<std::string_view, std::string>> headers = {};  // for the handler's answer
  };
  // Whether a request to a limited route may go on. The arguments outlive the task.
  Task<Verdict> admit(const limits::RuleBook::Route& route, http::Request& request, const auth::Caller& caller);

  // By the names of rules.h, of the limits as a service too; and of rules.
  void note_refused(std::string_view name) { refused_names_.add(name); }
  std::vector<limits::RefusedTop::Entry> refused_names(std::size_t count) const { return refused_names_.top(count); }
  std::vector<limits::RefusedTop::Entry> refused_rules(std::size_t count) const { return refused_rules_.top(count); }

  struct Stats {  // requests that a rule held for
    std::uint64_t allowed = 0;
    std::uint64_t refused = 0;
    std::uint64_t denied = 0;          // by their address
    std::uint64_t shadow_refused = 0;  // let pass
  };
  Stats stats() const;

 private:
  class Who;
  struct Plan;

  Plan plan(const limits::RuleBook::RouteRules& rules, Who& who);
  Verdict deny(const limits::Rule& rule, Who& who);
  Verdict verdict(const Plan& plan, const limits::Answers& answers);
  Task<void> take_shadows(const Plan& plan);
  void note_refusal(const limits::Rule& rule, limits::Identity identity, std::string_view who);
  void note_shadow_refusal(const limits::Rule& rule, limits::Identity identity, std::string_view who);

  limits::RuleBook& book_;
  limits::LimitService& service_;
  const limits::AddressList trusted_proxies_;
  const Clock& clock_;
  limits::RefusedTop refused_names_;
  limits::RefusedTop refused_rules_{limits::kRulesMax};
  Guarded<std::unordered_map<std::string, std::chrono::steady_clock::time_point>> shadow_logged_;  // by rule
  std::atomic<std::uint64_t> allowed_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::uint64_t> denied_{0};
  std::atomic<std::uint64_t> shadow_refused_{0};
};

}  // namespace hearth::api
