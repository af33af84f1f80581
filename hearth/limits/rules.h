#pragma once

// Rules: which requests to Hearth's own routes are limited, by whom they come and how many may.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/result.h"
#include "hearth/limits/address_list.h"
#include "hearth/limits/failure_policy.h"
#include "hearth/limits/limit.h"

namespace hearth::limits {

inline constexpr std::size_t kRulesMax = 100;
inline constexpr std::size_t kRoutesPerRuleMax = 100;
inline constexpr std::size_t kRuleNameBytesMax = 64;
inline constexpr std::size_t kRouteBytesMax = 200;  // as text

// By whom a rule counts. It holds only for requests that have one.
enum class Identity : std::uint8_t {
  kUser,     // the subject of a user's token
  kSession,  // the sessionId that the request names
  kService,  // the kind of key: all that show one of a kind are counted together
  kAddress,  // the client's address
};
std::string_view name_of(Identity identity);  // "user" …
std::optional<Identity> identity_named(std::string_view name);

struct Rule {
  std::string name;                 // see is_rule_name()
  std::vector<std::string> routes;  // "POST /api/posts", "* /api/posts/{postId}/like", or "*"
  Identity identity = Identity::kUser;
  std::uint64_t limit = 1;
  std::chrono::milliseconds window{1'000};
  Algorithm algorithm = Algorithm::kSlidingWindow;
  std::uint64_t cost = 1;
  OnFailure on_failure = OnFailure::kLocal;
  bool is_shadow = false;  // counts and logs, and lets pass
  // Of whose address: the rule does not hold; refused at once. What is in both is allowed.
  AddressList allow = {};
  AddressList deny = {};
  // Whether trusted callers (the service and admin key, and callers without keys on this machine) are limited too. Rules that count keys or
  // addresses hold for them anyway. A rule that counts users then counts the user that such a caller names.
  bool includes_service = false;

  bool holds_for_trusted() const { return includes_service || identity == Identity::kService || identity == Identity::kAddress; }
};

// Lower-case letters, digits, '_', '.', '-', at most kRuleNameBytesMax: a name is part of keys and headers.
bool is_rule_name(std::string_view name);
// "POST /api/posts" has the parts POST and /api/posts; "*" alone is both. Nothing for what is no route.
struct RouteParts {
  std::string_view method;
  std::string_view path;
};
std::optional<RouteParts> route_parts(std::string_view route);

// The check of `rule` for one who is counted.
Check check_of(const Rule& rule, std::string_view who);
// By what names those who are counted are told apart: no two mean the same. A rule counts `who` as an identity, which is its own, or
// kAddress for one that it denies; a client of the limits as a service names a key.
std::string counted_name(const Rule& rule, Identity identity, std::string_view who);
std::string service_name(std::string_view key);
// The key under which the store counts a name: itself, or where it is longer than a key may be a hash of it.
std::string stored_key(std::string name);
// What a name stands for.
struct NameParts {
  std::string_view rule;  // empty: a client's key
  std::string_view identity;
  std::string_view key;
};
NameParts name_parts(std::string_view name);

// Rules by route. Never changes: another one takes its place.
class RuleSet {
 public:
  struct Route {
    std::string method;
    std::string pattern;  // as the router knows it
  };
  enum class UnknownRoutes : std::uint8_t { kRefused, kIgnored };

  RuleSet() = default;
  // Fails with kInvalidArgument where a rule names a route that is not among `routes` and that is refused, and where
  // more than kChecksMax rules hold for one route.
  static Result<RuleSet> make(std::vector<Rule> rules, const std::vector<Route>& routes, UnknownRoutes unknown);

  const std::vector<Rule>& rules() const { return rules_; }
  // Of the `index`-th route.
  const std::vector<const Rule*>& of_route(std::size_t index) const { return by_route_.at(index); }

  RuleSet(RuleSet&&) = default;
  RuleSet& operator=(RuleSet&&) = default;
  RuleSet(const RuleSet&) = delete;
  RuleSet& operator=(const RuleSet&) = delete;
  ~RuleSet() = default;

 private:
  std::vector<Rule> rules_;
  std::vector<std::vector<const Rule*>> by_route_;  // into rules_
};

// What an app with users of its own wants, as far as `routes` have it: who puts back what is shown must not be refused. Trusted
// callers are left alone, but for sign-ins.
std::vector<Rule> default_rules(const std::vector<RuleSet::Route>& routes);

}  // namespace hearth::limits
