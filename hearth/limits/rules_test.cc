#include "hearth/limits/rules.h"

#include <gtest/gtest.h>

#include "hearth/base/ids.h"
#include "hearth/limits/rule_json.h"

namespace hearth::limits {
namespace {

using UnknownRoutes = RuleSet::UnknownRoutes;

const std::vector<RuleSet::Route> kRoutes = {{"POST", "/api/posts"},
                                             {"GET", "/api/posts/{postId}"},
                                             {"POST", "/api/posts/{postId}/like"},
                                             {"DELETE", "/api/posts/{postId}/like"},
                                             {"POST", "/api/stories/{id}/view"},
                                             {"POST", "/api/chapters/{id}/view"}};

std::vector<Rule> parsed(std::string text) {
  auto rules = parse_rules(text);
  EXPECT_TRUE(rules) << (rules ? "" : rules.error().message);
  return rules ? *rules : std::vector<Rule>();
}

// A document of one rule, with `more` beside what is required.
std::string one(const std::string& more) {
  return R"({"rules": [{"name": "r", "routes": ["*"], "identity": "user", "limit": 10, "windowMs": 1000)" + more + "}]}";
}

std::string wrong_field(std::string text) {
  auto rules = parse_rules(text);
  return rules ? "nothing" : rules.error().field;
}

// The names of the rules that hold for each of kRoutes.
std::vector<std::string> holding(const std::vector<std::vector<std::string>>& routes_of_rules) {
  std::vector<Rule> rules;
  for (const auto& routes : routes_of_rules) rules.push_back({.name = std::to_string(rules.size()), .routes = routes});
  auto set = RuleSet::make(std::move(rules), kRoutes, UnknownRoutes::kRefused);
  std::vector<std::string> names(kRoutes.size());
  if (!set) return {set.error().field};
  for (std::size_t i = 0; i < kRoutes.size(); ++i) {
    for (const auto* rule : set->of_route(i)) names[i] += rule->name;
  }
  return names;
}

TEST(RuleJsonTest, ReadsAllThatARuleSays) {
  auto rules = parsed(R"({"rules": [{"name": "sign-in.2", "routes": ["POST /api/sessions", "* /api/x/{id}"], "identity": "address",
    "limit": 5, "windowMs": 60000, "algorithm": "gcra", "cost": 2, "onFailure": "closed", "shadow": true,
    "allow": ["10.0.0.0/8"], "deny": ["2001:db8::/32", "192.0.2.1"], "includesService": true}]})");
  ASSERT_EQ(rules.size(), 1U);
  const auto& rule = rules[0];
  EXPECT_EQ(rule.name, "sign-in.2");
  EXPECT_EQ(rule.routes, (std::vector<std::string>{"POST /api/sessions", "* /api/x/{id}"}));
  EXPECT_EQ(rule.identity, Identity::kAddress);
  EXPECT_EQ(rule.limit, 5U);
  EXPECT_EQ(rule.window, std::chrono::minutes(1));
  EXPECT_EQ(rule.algorithm, Algorithm::kGcra);
  EXPECT_EQ(rule.cost, 2U);
  EXPECT_EQ(rule.on_failure, OnFailure::kClosed);
  EXPECT_TRUE(rule.is_shadow);
  EXPECT_TRUE(rule.includes_service);
  EXPECT_TRUE(rule.allow.contains(boost::asio::ip::make_address("10.1.1.1")));
  EXPECT_TRUE(rule.deny.contains(boost::asio::ip::make_address("2001:db8::7")));
}

TEST(RuleJsonTest, TakesTheUsualForWhatARuleDoesNotSay) {
  auto rules = parsed(one(""));
  ASSERT_EQ(rules.size(), 1U);
  EXPECT_EQ(rules[0].algorithm, Algorithm::kSlidingWindow);
  EXPECT_EQ(rules[0].cost, 1U);
  EXPECT_EQ(rules[0].on_failure, OnFailure::kLocal);
  EXPECT_FALSE(rules[0].is_shadow);
  EXPECT_FALSE(rules[0].includes_service);
  EXPECT_TRUE(parsed(R"({"rules": []})").empty());
}

TEST(RuleJsonTest, WritesWhatItReads) {
  auto written = rules_json(default_rules(kRoutes));
  EXPECT_EQ(rules_json(parsed(written)), written);
  auto full =
      one(R"(, "algorithm": "fixed_window", "cost": 3, "onFailure": "open", "shadow": true, "allow": ["::1"], "deny": ["10.0.0.0/8"])");
  EXPECT_EQ(rules_json(parsed(rules_json(parsed(full)))), rules_json(parsed(full)));
  EXPECT_NE(rules_json(parsed(full)).find(R"("deny":["10.0.0.0/8"])"), std::string::npos);
}

TEST(RuleJsonTest, NamesTheFieldThatIsWrong) {
  EXPECT_EQ(wrong_field(R"({})"), "rules");
  EXPECT_EQ(wrong_field(R"({"rules": {}})"), "rules");
  EXPECT_EQ(wrong_field(R"({"rules": [], "rule": []})"), "rule");
  EXPECT_EQ(wrong_field(R"({"rules": [1]})"), "rules[0]");
  EXPECT_EQ(wrong_field(R"({"rules": [{"name": "r"}]})"), "rules[0].routes");
  EXPECT_EQ(wrong_field(R"({"rules": [{"name": "r", "routes": ["*"], "identity": "user", "limit": 1}]})"), "rules[0].windowMs");
  const std::pair<const char*, const char*> wrong[] = {{R"(, "windowms": 5)", "windowms"},
                                                       {R"(, "algorithm": "leaky")", "algorithm"},
                                                       {R"(, "algorithm": 1)", "algorithm"},
                                                       {R"(, "cost": 0)", "cost"},
                                                       {R"(, "cost": 11)", "cost"},
                                                       {R"(, "cost": -1)", "cost"},
                                                       {R"(, "onFailure": "maybe")", "onFailure"},
                                                       {R"(, "shadow": "yes")", "shadow"},
                                                       {R"(, "allow": ["10.0.0.0/64"])", "allow[0]"},
                                                       {R"(, "deny": ["::1", "x"])", "deny[1]"},
                                                       {R"(, "deny": "::1")", "deny"},
                                                       {R"(, "includesService": 1)", "includesService"}};
  for (const auto& [more, field] : wrong) EXPECT_EQ(wrong_field(one(more)), std::string("rules[0].") + field);
}

TEST(RuleJsonTest, NamesTheRuleThatIsWrong) {
  auto rule = [](const std::string& name, const std::string& route, int limit, int window) {
    return R"({"name": ")" + name + R"(", "routes": [")" + route + R"("], "identity": "user", "limit": )" + std::to_string(limit) +
           R"(, "windowMs": )" + std::to_string(window) + "}";
  };
  auto third = [&](const std::string& bad) {
    return wrong_field(R"({"rules": [)" + rule("a", "*", 1, 1) + "," + rule("b", "*", 1, 1) + "," + bad + "]}");
  };
  EXPECT_EQ(third(rule("c", "*", 1, 1)), "nothing");
  EXPECT_EQ(third(rule("c", "*", 1, 0)), "rules[2].windowMs");
  EXPECT_EQ(third(rule("c", "*", 0, 1)), "rules[2].limit");
  EXPECT_EQ(third(rule("a", "*", 1, 1)), "rules[2].name");
  EXPECT_EQ(third(rule("", "*", 1, 1)), "rules[2].name");
  EXPECT_EQ(third(rule("with space", "*", 1, 1)), "rules[2].name");
  EXPECT_EQ(third(rule("a:b", "*", 1, 1)), "rules[2].name");
  EXPECT_EQ(third(rule(std::string(65, 'n'), "*", 1, 1)), "rules[2].name");
  for (const char* route : {"", "POST", "PATCH /api/posts", "POST api/posts", "POST", "post /api/posts", "/api/posts"}) {
    EXPECT_EQ(third(rule("c", route, 1, 1)), "rules[2].routes[0]") << route;
  }
}

TEST(RuleJsonTest, TakesAHundredRules) {
  auto many = [](int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      text += std::string(i > 0 ? "," : "") + R"({"name": "r)" + std::to_string(i) +
              R"(", "routes": ["*"], "identity": "user", "limit": 1, "windowMs": 1})";
    }
    return R"({"rules": [)" + text + "]}";
  };
  EXPECT_EQ(parsed(many(100)).size(), 100U);
  auto over = many(101);
  auto refused = parse_rules(over);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kTooLarge);
}

TEST(RuleSetTest, FindsTheRulesOfARoute) {
  EXPECT_EQ(holding({{"*"}, {"POST /api/posts"}, {"* /api/posts/{postId}/like"}, {"POST /api/stories/{id}/view", "GET *"}}),
            (std::vector<std::string>{"01", "03", "02", "02", "03", "0"}));
}

TEST(RuleSetTest, DoesNotMindHowAParameterIsCalled) {
  EXPECT_EQ(holding({{"POST /api/posts/{id}/like"}}), (std::vector<std::string>{"", "", "0", "", "", ""}));
  EXPECT_EQ(holding({{"POST /api/{kind}/{id}/view"}}), (std::vector<std::string>{"rules[0].routes[0]"}));
}

TEST(RuleSetTest, NamesARouteThatDoesNotExist) {
  EXPECT_EQ(holding({{"*"}, {"POST /api/posts", "POST /api/post"}}), (std::vector<std::string>{"rules[1].routes[1]"}));
  EXPECT_EQ(holding({{"PUT /api/posts"}}), (std::vector<std::string>{"rules[0].routes[0]"}));
  std::vector<Rule> rules;
  rules.push_back({.name = "r", .routes = {"POST /api/post", "POST /api/posts"}});
  auto lenient = RuleSet::make(std::move(rules), kRoutes, UnknownRoutes::kIgnored);
  ASSERT_TRUE(lenient);
  EXPECT_EQ(lenient->of_route(0).size(), 1U);
}

TEST(RuleSetTest, HoldsAsManyForARouteAsOneTakeMayHave) {
  std::vector<std::vector<std::string>> rules(kChecksMax, {"*"});
  EXPECT_EQ(holding(rules).size(), kRoutes.size());
  rules.push_back({"POST /api/posts"});
  EXPECT_EQ(holding(rules), (std::vector<std::string>{"rules"}));
}

TEST(CountedNamesTest, OfRulesAndOfClientsNeverMeet) {
  Rule rule{.name = "likes", .routes = {}, .identity = Identity::kSession};
  EXPECT_EQ(check_of(rule, "a:b").key, "r:likes:session:a:b");
  EXPECT_EQ(service_name("r:likes:session:a"), "s:r:likes:session:a");
  auto parts = name_parts("r:likes:session:a:b");
  EXPECT_EQ(parts.rule, "likes");
  EXPECT_EQ(parts.identity, "session");
  EXPECT_EQ(parts.key, "a:b");
  EXPECT_EQ(name_parts("s:r:likes:session:a").rule, "");
  EXPECT_EQ(name_parts("s:r:likes:session:a").key, "r:likes:session:a");
}

// What the store is asked for is a valid key, and another one for every name, however long.
TEST(CountedNamesTest, AreKeysOfTheStore) {
  Rule rule{.name = std::string(kRuleNameBytesMax, 'n'), .routes = {}, .identity = Identity::kSession, .window = std::chrono::seconds(1)};
  std::string id(kIdBytesMax, 'i');
  auto one = check_of(rule, id);
  id.back() = 'j';
  auto other = check_of(rule, id);
  EXPECT_TRUE(validate(one));
  EXPECT_NE(one.key, other.key);
  EXPECT_NE(stored_key(service_name(id)), stored_key(service_name(std::string(kIdBytesMax, 'i'))));
  EXPECT_EQ(stored_key(service_name("k")), "s:k");
  EXPECT_TRUE(validate(check_of(rule, "2001:db8:1:2::/64")));
}

TEST(DefaultRulesTest, AreThoseOfRoutesThatThereAre) {
  auto rules = default_rules(kRoutes);
  ASSERT_EQ(rules.size(), 3U);
  EXPECT_EQ(rules[0].name, "create-posts");
  EXPECT_EQ(rules[1].name, "likes");
  EXPECT_EQ(rules[1].routes.size(), 1U);
  EXPECT_EQ(rules[2].name, "views");
  EXPECT_TRUE(RuleSet::make(std::move(rules), kRoutes, UnknownRoutes::kRefused));
}

TEST(DefaultRulesTest, LeaveTrustedCallersAloneButForSignIns) {
  auto routes = kRoutes;
  routes.push_back({"POST", "/api/sessions"});
  auto rules = default_rules(routes);
  EXPECT_EQ(rules.size(), 4U);
  for (const auto& rule : rules) {
    EXPECT_EQ(rule.identity, Identity::kUser) << rule.name;
    EXPECT_EQ(rule.holds_for_trusted(), rule.name == "sign-in") << rule.name;
  }
}

}  // namespace
}  // namespace hearth::limits
