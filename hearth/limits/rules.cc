#include "hearth/limits/rules.h"

#include <algorithm>
#include <array>
#include <utility>

#include "hearth/base/digest.h"
#include "hearth/base/ids.h"

namespace hearth::limits {
namespace {

constexpr std::array<std::string_view, 4> kIdentities = {"user", "session", "service", "address"};
constexpr std::array<std::string_view, 3> kPolicies = {"local", "open", "closed"};
constexpr std::array<std::string_view, 5> kMethods = {"*", "GET", "POST", "PUT", "DELETE"};

template <typename Value, std::size_t count>
std::optional<Value> value_named(const std::array<std::string_view, count>& names, std::string_view name) {
  auto found = std::ranges::find(names, name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Value>(found - names.begin());
}

std::string_view take_segment(std::string_view& path) {
  auto slash = path.find('/');
  auto segment = path.substr(0, slash);
  path.remove_prefix(slash == path.npos ? path.size() : slash + 1);
  return segment;
}

// Whatever the parameters are called.
bool is_same_path(std::string_view a, std::string_view b) {
  if (std::ranges::count(a, '/') != std::ranges::count(b, '/')) return false;
  while (!a.empty() || !b.empty()) {
    auto x = take_segment(a);
    auto y = take_segment(b);
    if (x != y && !(x.starts_with('{') && y.starts_with('{'))) return false;
  }
  return true;
}

bool covers(RouteParts parts, const RuleSet::Route& route) {
  return (parts.method == "*" || parts.method == route.method) && (parts.path == "*" || is_same_path(parts.path, route.pattern));
}

bool covers(const Rule& rule, const RuleSet::Route& route) {
  return std::ranges::any_of(rule.routes, [&](const std::string& text) {
    auto parts = route_parts(text);
    return parts && covers(*parts, route);
  });
}

bool is_among(const std::string& text, const std::vector<RuleSet::Route>& routes) {
  auto parts = route_parts(text);
  return parts && std::ranges::any_of(routes, [&](const RuleSet::Route& route) { return covers(*parts, route); });
}

Result<void> check_routes(const std::vector<Rule>& rules, const std::vector<RuleSet::Route>& routes) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    for (std::size_t j = 0; j < rules[i].routes.size(); ++j) {
      const auto& text = rules[i].routes[j];
      if (is_among(text, routes)) continue;
      return invalid("rules[" + std::to_string(i) + "].routes[" + std::to_string(j) + "]", "there is no route " + text);
    }
  }
  return {};
}

}  // namespace

std::string_view name_of(Identity identity) {
  return kIdentities[static_cast<std::size_t>(identity)];
}
std::optional<Identity> identity_named(std::string_view name) {
  return value_named<Identity>(kIdentities, name);
}

std::string_view name_of(OnFailure policy) {
  return kPolicies[static_cast<std::size_t>(policy)];
}
std::optional<OnFailure> on_failure_named(std::string_view name) {
  return value_named<OnFailure>(kPolicies, name);
}

bool is_rule_name(std::string_view name) {
  return !name.empty() && name.size() <= kRuleNameBytesMax && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
  });
}

std::optional<RouteParts> route_parts(std::string_view route) {
  if (route == "*") return RouteParts{"*", "*"};
  auto space = route.find(' ');
  if (space == route.npos) return std::nullopt;
  RouteParts parts{route.substr(0, space), route.substr(space + 1)};
  bool is_route = std::ranges::find(kMethods, parts.method) != kMethods.end() && (parts.path == "*" || parts.path.starts_with('/'));
  if (!is_route) return std::nullopt;
  return parts;
}

Check check_of(const Rule& rule, std::string_view who) {
  return {.key = stored_key(counted_name(rule, rule.identity, who)),
          .limit = rule.limit,
          .window = rule.window,
          .algorithm = rule.algorithm,
          .cost = rule.cost};
}

std::string counted_name(const Rule& rule, Identity identity, std::string_view who) {
  std::string name("r:");
  name.append(rule.name).append(":").append(name_of(identity)).append(":").append(who);
  return name;
}

std::string service_name(std::string_view key) {
  return std::string("s:").append(key);
}

std::string stored_key(std::string name) {
  return name.size() <= kIdBytesMax ? std::move(name) : "h:" + sha256_hex(name);
}

// No name of a rule or an identity has a colon.
NameParts name_parts(std::string_view name) {
  bool is_rule = name.starts_with("r:");
  name.remove_prefix(2);
  if (!is_rule) return {.rule = {}, .identity = {}, .key = name};
  auto cut = [&name] {
    auto colon = name.find(':');
    auto part = name.substr(0, colon);
    name.remove_prefix(colon + 1);
    return part;
  };
  NameParts parts;
  parts.rule = cut();
  parts.identity = cut();
  parts.key = name;
  return parts;
}

std::vector<Rule> default_rules(const std::vector<RuleSet::Route>& routes) {
  using std::chrono::minutes;
  std::vector<Rule> rules;
  rules.push_back({.name = "create-posts", .routes = {"POST /api/posts"}, .limit = 10, .window = minutes(1)});
  rules.push_back({.name = "likes", .routes = {"* /api/posts/{postId}/like", "POST /api/likes/batch"}, .limit = 120, .window = minutes(1)});
  rules.push_back(
      {.name = "views", .routes = {"POST /api/stories/{id}/view", "POST /api/chapters/{id}/view"}, .limit = 300, .window = minutes(1)});
  rules.push_back({.name = "sign-in", .routes = {"POST /api/sessions"}, .limit = 10, .window = minutes(1), .includes_service = true});
  for (auto& rule : rules) std::erase_if(rule.routes, [&](const std::string& route) { return !is_among(route, routes); });
  std::erase_if(rules, [](const Rule& rule) { return rule.routes.empty(); });
  return rules;
}

Result<RuleSet> RuleSet::make(std::vector<Rule> rules, const std::vector<Route>& routes, UnknownRoutes unknown) {
  if (unknown == UnknownRoutes::kRefused) {
    if (auto known = check_routes(rules, routes); !known) return std::unexpected(known.error());
  }
  RuleSet set;
  set.rules_ = std::move(rules);
  for (const auto& route : routes) {
    auto& list = set.by_route_.emplace_back();
    for (const auto& rule : set.rules_) {
      if (covers(rule, route)) list.push_back(&rule);
    }
    if (list.size() > kChecksMax) {
      return invalid("rules",
                     "more than " + std::to_string(kChecksMax) + " rules hold for " + route.method + " " + route.pattern + ": merge some");
    }
  }
  return set;
}

}  // namespace hearth::limits
