// Rules before Hearth's routes, and the routes of limits, as requests see them.

#include "hearth/api/rate_limits.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "hearth/api/ratelimit_routes.h"
#include "hearth/api/routes.h"
#include "hearth/auth/authenticator.h"
#include "hearth/auth/test_tokens.h"
#include "hearth/base/ids.h"
#include "hearth/base/json_reader.h"
#include "hearth/base/run_to_end.h"
#include "hearth/limits/stores/memory_limiter.h"

namespace hearth::api {
namespace {

using auth::Access;
using http::Method;
using std::chrono::milliseconds;
using std::chrono::seconds;

const std::string kService = "Bearer service-key";
const std::string kAdmin = "Bearer admin-key";
constexpr std::int64_t kNow = 1'700'000'000;

struct Sent {
  std::string authorization = {};
  std::string body = {};
  std::string address = "192.0.2.1";
  std::string forwarded_for = {};
  std::string idempotency_key = {};
};

struct Answer {
  int status = 0;
  std::string body;
  std::map<std::string, std::string> headers;
  std::string header(const std::string& name) const { return headers.contains(name) ? headers.at(name) : "absent"; }
};

std::string user(const std::string& id) {
  auto claims = R"({"sub":")" + id + R"(","jti":"1","exp":)" + std::to_string(kNow + 86'400) + "}";
  return "Bearer " + auth::TestKey::secret("jwt-secret").sign(claims);
}

// A rule for POST /things, with `more` fields.
std::string rule(const std::string& name, const std::string& identity, int limit, int window_ms, const std::string& more = "") {
  return R"({"name": ")" + name + R"(", "routes": ["POST /things"], "identity": ")" + identity + R"(", "limit": )" + std::to_string(limit) +
         R"(, "windowMs": )" + std::to_string(window_ms) + more + "}";
}

// The memory of another machine, which may be away.
class RemoteLimiter final : public limits::Limiter {
 public:
  explicit RemoteLimiter(const Clock& clock) : memory_(clock, {.cleans_itself = false}) {}

  Task<Result<std::vector<limits::Decision>>> take(std::vector<limits::Check> checks) override {
    if (is_away) co_return fail(ErrorCode::kUnavailable, "away");
    auto decisions = co_await memory_.take(std::move(checks));
    if (decisions) {
      for (auto& decision : *decisions) decision.reset += ahead;
    }
    co_return decisions;
  }
  Task<Result<std::vector<limits::Decision>>> peek(std::vector<limits::Check> checks) override {
    if (is_away) co_return fail(ErrorCode::kUnavailable, "away");
    co_return co_await memory_.peek(std::move(checks));
  }
  Task<Result<limits::Decision>> refund(limits::Check check) override {
    if (is_away) co_return fail(ErrorCode::kUnavailable, "away");
    co_return co_await memory_.refund(std::move(check));
  }

  bool is_away = false;
  seconds ahead{0};  // of its clock

 private:
  limits::MemoryLimiter memory_;
};

class AnswersInMemory final : public content::KeyedAnswers {
 public:
  Task<Result<std::optional<std::string>>> find(content::IdempotencyKey key) override {
    auto found = answers_.find(key.scope);
    if (found == answers_.end()) co_return Result<std::optional<std::string>>(std::nullopt);
    if (found->second.first != key.request) co_return fail(ErrorCode::kIdempotencyKeyReused, "reused");
    co_return Result<std::optional<std::string>>(found->second.second);
  }
  Task<Result<std::string>> keep(content::IdempotencyKey key, std::string answer) override {
    answers_.emplace(key.scope, std::pair(key.request, answer));
    co_return answer;
  }

 private:
  std::map<std::string, std::pair<std::string, std::string>> answers_;
};

class RateLimitsTest : public testing::Test {
 protected:
  explicit RateLimitsTest(auth::AuthenticatorOptions keys = {.service_key = "service-key",
                                                             .admin_key = "admin-key",
                                                             .viewer_key = "viewer-key",
                                                             .cron_secret = {},
                                                             .jwt_secret = "jwt-secret",
                                                             .jwks_file = {}})
      : authenticator(*auth::Authenticator::open(keys, clock)) {
    auto handler = [this](http::Request& request, auth::Caller) -> Task<http::Response> {
      ++handled;
      http::Response response{.status = 201, .body = request.body};
      response.headers.emplace_back("X-Own", "kept");
      co_return response;
    };
    routes.add(Method::kPost, "/things", Access::kPublicRead, handler);
    routes.add(Method::kPost, "/users/{userId}/things/{id}", Access::kPublicRead, handler);
    add_ratelimit_routes(routes, api);
    EXPECT_TRUE(book.start());
  }

  Answer call(Method method, const std::string& target, const Sent& sent = {}) {
    http::Request request;
    request.method = method;
    request.body = sent.body;
    request.body.reserve(request.body.size() + kJsonPadding);
    request.authorization = sent.authorization;
    request.remote_address = sent.address;
    request.is_loopback = sent.address == "127.0.0.1";
    request.forwarded_for = sent.forwarded_for;
    request.idempotency_key = sent.idempotency_key;
    http::Response response;
    if (const auto* handler = router.find(target, request, response)) response = run_to_end((*handler)(request));
    Answer answer{.status = response.status, .body = response.body, .headers = {}};
    for (const auto& [name, value] : response.headers) {
      EXPECT_TRUE(answer.headers.emplace(name, value).second) << name << " comes twice";
    }
    return answer;
  }
  Answer post(const Sent& sent = {}, const std::string& target = "/things") { return call(Method::kPost, target, sent); }
  // How many of `count` requests are answered with 201.
  int handled_of(int count, const Sent& sent = {}, const std::string& target = "/things") {
    int before = handled;
    for (int i = 0; i < count; ++i) post(sent, target);
    return handled - before;
  }
  void put(const std::string& list) {
    auto answer = call(Method::kPut, "/api/admin/ratelimit/rules",
                       {.authorization = kAdmin, .body = R"({"rules": [)" + list + "]}", .address = "127.0.0.1"});
    ASSERT_EQ(answer.status, 200) << answer.body;
  }
  Answer check(const std::string& body) { return post({.authorization = kService, .body = body}, "/api/ratelimit/check"); }
  Answer get(const std::string& target) { return call(Method::kGet, target, {.authorization = kAdmin}); }

  SimulatedClock clock{UtcMicros(seconds(kNow))};
  std::unique_ptr<auth::Authenticator> authenticator;
  RemoteLimiter store{clock};
  limits::MemoryLimiter local{clock, {.cleans_itself = false}};
  limits::LimitService service{store, local, clock};
  std::optional<std::string> stored;
  limits::RuleBook book{
      {.has_user_tokens = true,
       .document = {.load = [this]() -> Task<Result<std::optional<std::string>>> { co_return Result<std::optional<std::string>>(stored); },
                    .save = [this](std::string text) -> Task<Result<void>> {
                      stored = std::move(text);
                      co_return Result<void>{};
                    },
                    .remove = [this]() -> Task<Result<void>> {
                      stored.reset();
                      co_return Result<void>{};
                    }}}};
  RateLimits limits{book, service, *limits::AddressList::parse({"10.0.0.0/8"}, "proxies"), clock};
  http::Router router;
  Routes routes{router, *authenticator, true, {}, &limits};
  AnswersInMemory kept_answers;
  KeyedAnswers keyed_answers{kept_answers};
  RateLimitApi api{.service = service, .book = book, .limits = limits};
  int handled = 0;
};

// --- answers ---

TEST_F(RateLimitsTest, LeavesARouteWithoutRulesAlone) {
  auto answer = post();
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(answer.headers.size(), 1U);
}

TEST_F(RateLimitsTest, SaysHowMuchIsLeftBesideTheHandlersAnswer) {
  put(rule("per-address", "address", 2, 60'000));
  clock.advance(milliseconds(500));
  auto answer = post({.body = R"({"a":1})"});
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(answer.body, R"({"a":1})");
  EXPECT_EQ(answer.header("X-Own"), "kept");
  EXPECT_EQ(answer.header("X-RateLimit-Limit"), "2");
  EXPECT_EQ(answer.header("X-RateLimit-Remaining"), "1");
  EXPECT_EQ(answer.header("X-RateLimit-Reset"), std::to_string(kNow + 61));  // rounded up
  EXPECT_EQ(answer.header("RateLimit-Policy"), R"("per-address";q=2;w=60)");
  EXPECT_EQ(answer.header("RateLimit"), R"("per-address";r=1;t=60)");
}

TEST_F(RateLimitsTest, RefusesWhatIsOverTheLimitUntilItSays) {
  put(rule("r", "address", 1, 1'500));
  EXPECT_EQ(post().status, 201);
  auto answer = post();
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.body, R"({"error":"Rate limit exceeded","code":"rate_limited","retryAfter":2})");
  EXPECT_EQ(answer.header("Retry-After"), "2");
  EXPECT_EQ(answer.header("X-RateLimit-Limit"), "1");
  EXPECT_EQ(answer.header("X-RateLimit-Remaining"), "0");
  EXPECT_EQ(answer.header("X-RateLimit-Reset"), std::to_string(kNow + 2));
  EXPECT_EQ(answer.header("RateLimit-Policy"), R"("r";q=1;w=2)");
  EXPECT_EQ(answer.header("RateLimit"), R"("r";r=0;t=2)");
  EXPECT_EQ(handled, 1);
  clock.advance(seconds(2));
  EXPECT_EQ(post().status, 201);
}

TEST_F(RateLimitsTest, TakesAllRulesOfARouteOrNone) {
  put(rule("burst", "address", 2, 1'000) + "," + rule("hour", "address", 5, 3'600'000));
  EXPECT_EQ(handled_of(10), 2);
  EXPECT_EQ(post().header("RateLimit"), R"("burst";r=0;t=1, "hour";r=3;t=3600)");  // refusals took nothing
  clock.advance(seconds(1));
  EXPECT_EQ(handled_of(10), 2);
  clock.advance(seconds(1));
  auto last = post();
  EXPECT_EQ(last.status, 201);
  EXPECT_EQ(last.header("X-RateLimit-Limit"), "5");  // which has the least left
  EXPECT_EQ(last.header("X-RateLimit-Remaining"), "0");
  auto refused = post();
  EXPECT_EQ(refused.header("Retry-After"), "3598");
  EXPECT_EQ(refused.header("X-RateLimit-Limit"), "5");
}

TEST_F(RateLimitsTest, TellsOfTheRefusingRuleThatFreesLast) {
  put(rule("short", "address", 1, 1'000) + "," + rule("long", "address", 1, 9'000) + "," + rule("middle", "address", 1, 5'000));
  EXPECT_EQ(handled_of(2), 1);
  EXPECT_EQ(post().header("Retry-After"), "9");
}

TEST_F(RateLimitsTest, IsNotMisledByAClockThatDiffersFromTheStores) {
  put(rule("r", "address", 2, 60'000));
  store.ahead = seconds(3'600);
  EXPECT_EQ(post().header("RateLimit"), R"("r";r=1;t=60)");
  store.ahead = seconds(-3'600);
  EXPECT_EQ(post().header("RateLimit"), R"("r";r=0;t=0)");
  EXPECT_EQ(post().header("Retry-After"), "60");
  clock.advance(seconds(60));
  EXPECT_EQ(post().status, 201);
}

// --- who is counted ---

TEST_F(RateLimitsTest, CountsUsersByTheirTokens) {
  put(rule("r", "user", 2, 60'000));
  EXPECT_EQ(handled_of(5, {.authorization = user("ada")}), 2);
  EXPECT_EQ(handled_of(5, {.authorization = user("ada"), .body = R"({"userId": "bob"})"}), 0);  // a name does not help
  EXPECT_EQ(handled_of(5, {.authorization = user("bob")}), 2);
  EXPECT_EQ(handled_of(5, {.authorization = kService, .body = R"({"userId": "ada"})"}), 5);  // trusted
  EXPECT_EQ(handled_of(5), 5);                                                               // nobody
}

TEST_F(RateLimitsTest, CountsTheUserThatATrustedCallerNames) {
  put(R"({"name": "r", "routes": ["* *"], "identity": "user", "limit": 1, "windowMs": 60000, "includesService": true})");
  EXPECT_EQ(handled_of(2, {.authorization = kService, .body = R"({"userId": "ada"})"}), 1);
  EXPECT_EQ(handled_of(2, {.authorization = kAdmin, .body = R"({"x": [1], "authorId": "bob"})"}), 1);
  EXPECT_EQ(handled_of(2, {.authorization = kService}, "/things?userId=cid"), 1);
  EXPECT_EQ(handled_of(2, {.authorization = kService}, "/things?authorId=dan"), 1);
  EXPECT_EQ(handled_of(2, {.authorization = kService}, "/users/eve/things/1"), 1);
  EXPECT_EQ(handled_of(1, {.authorization = kService}, "/things?userId=eve"), 0);
  EXPECT_EQ(handled_of(1, {.authorization = user("ada")}), 0);    // the same user
  EXPECT_EQ(handled_of(3, {.authorization = kService}), 3);       // who names nobody
  EXPECT_EQ(handled_of(3, {.body = R"({"userId": "ada"})"}), 3);  // whose word counts for nothing
}

TEST_F(RateLimitsTest, CountsSessionsWhereverTheyAreNamed) {
  put(rule("r", "session", 1, 60'000, R"(, "includesService": true)"));
  EXPECT_EQ(handled_of(2, {.authorization = kService, .body = R"({"sessionId": "s1"})"}), 1);
  EXPECT_EQ(handled_of(2, {.authorization = kService}, "/things?sessionId=s1"), 0);
  EXPECT_EQ(handled_of(2, {.authorization = kService, .body = R"({"in": {"sessionId": "s1"}})"}), 2);  // not at the top level
  EXPECT_EQ(handled_of(2, {.authorization = user("ada"), .body = R"({"sessionId": "s9"})"}), 1);       // whose session is their own
  EXPECT_EQ(handled_of(2, {.authorization = user("ada"), .body = R"({"sessionId": "s8"})"}), 0);
}

TEST_F(RateLimitsTest, FailsNoRequestForABodyThatItCannotRead) {
  put(rule("r", "session", 1, 60'000, R"(, "includesService": true)"));
  for (const char* body : {"{", "[]", R"({"sessionId": 5})", R"({"sessionId": "a b"})", R"({"sessionId": "s", "a": tru})"}) {
    auto answer = post({.authorization = kService, .body = body});
    EXPECT_EQ(answer.status, 201) << body;
    EXPECT_EQ(answer.body, body);
    EXPECT_EQ(answer.header("RateLimit"), "absent") << body;
  }
}

TEST_F(RateLimitsTest, CountsKindsOfKeys) {
  put(rule("r", "service", 2, 60'000));
  EXPECT_EQ(handled_of(5, {.authorization = kService}), 2);
  EXPECT_EQ(handled_of(5, {.authorization = kAdmin}), 2);
  EXPECT_EQ(handled_of(5, {.authorization = user("ada")}), 5);
  EXPECT_EQ(handled_of(5), 5);
}

TEST_F(RateLimitsTest, CountsAddressesBehindTrustedProxies) {
  put(rule("r", "address", 1, 60'000));
  EXPECT_EQ(handled_of(2, {.address = "192.0.2.1"}), 1);
  EXPECT_EQ(handled_of(2, {.authorization = kService, .address = "192.0.2.1"}), 0);
  EXPECT_EQ(handled_of(2, {.address = "192.0.2.1", .forwarded_for = "198.51.100.9"}), 0);  // which anybody can write
  EXPECT_EQ(handled_of(2, {.address = "10.0.0.7", .forwarded_for = "6.6.6.6, 198.51.100.1"}), 1);
  EXPECT_EQ(handled_of(2, {.address = "10.0.0.8", .forwarded_for = "7.7.7.7, 198.51.100.1"}), 0);
  EXPECT_EQ(handled_of(2, {.address = "2001:db8::1"}), 1);
  EXPECT_EQ(handled_of(2, {.address = "2001:db8::ffff:2"}), 0);  // the same network
}

class RateLimitsWithoutKeysTest : public RateLimitsTest {
 protected:
  RateLimitsWithoutKeysTest() : RateLimitsTest({}) {}
};

TEST_F(RateLimitsWithoutKeysTest, LeavesThisMachineAloneUnlessToldOtherwise) {
  put(rule("users", "user", 1, 60'000) + "," + rule("keys", "service", 1, 60'000));
  Sent here{.body = R"({"userId": "ada"})", .address = "127.0.0.1"};
  EXPECT_EQ(handled_of(3, here), 3);
  put(rule("users", "user", 1, 60'000, R"(, "includesService": true)"));
  EXPECT_EQ(handled_of(3, here), 1);
}

// --- allowed, denied, only looked at ---

TEST_F(RateLimitsTest, DoesNotHoldForAddressesThatAreAllowed) {
  put(rule("r", "address", 1, 60'000, R"(, "allow": ["192.0.2.0/28"], "deny": ["192.0.2.0/24", "2001:db8::/32"])"));
  EXPECT_EQ(handled_of(3, {.address = "192.0.2.1"}), 3);
  EXPECT_EQ(handled_of(3, {.address = "198.51.100.1"}), 1);
}

TEST_F(RateLimitsTest, RefusesAddressesThatAreDenied) {
  put(rule("r", "user", 5, 60'000, R"(, "deny": ["192.0.2.0/24", "2001:db8::/32"])"));
  for (const char* address : {"192.0.2.1", "2001:db8::5", "::ffff:192.0.2.7"}) {
    auto answer = post({.address = address});
    EXPECT_EQ(answer.status, 403) << address;
    EXPECT_NE(answer.body.find(R"("code":"forbidden")"), std::string::npos);
  }
  EXPECT_EQ(handled_of(1, {.authorization = kService, .address = "192.0.2.1"}), 1);  // the rule does not hold for it
  EXPECT_EQ(handled_of(1, {.address = "203.0.113.1"}), 1);
  EXPECT_EQ(limits.stats().denied, 3U);
}

TEST_F(RateLimitsTest, LetsPassWhatARuleInShadowModeWouldRefuse) {
  put(rule("real", "address", 4, 60'000) + "," + rule("trial", "address", 1, 60'000, R"(, "shadow": true)") + "," +
      rule("trial-deny", "address", 9, 60'000, R"(, "shadow": true, "deny": ["192.0.2.1"])"));
  testing::internal::CaptureStderr();
  EXPECT_EQ(handled_of(3), 3);
  auto logged = testing::internal::GetCapturedStderr();
  EXPECT_NE(logged.find("rule=trial "), std::string::npos) << logged;
  EXPECT_EQ(logged.find("rule=trial ", logged.find("rule=trial ") + 1), std::string::npos) << logged;  // not for each request
  EXPECT_EQ(limits.stats().shadow_refused, 5U);
  EXPECT_EQ(limits.stats().refused, 0U);
  EXPECT_EQ(post().header("RateLimit"), R"("real";r=0;t=60)");  // which alone is told of
  EXPECT_EQ(post().status, 429);
}

// --- the store is away ---

TEST_F(RateLimitsTest, AnswersByTheFailurePolicyOfTheRule) {
  store.is_away = true;
  put(rule("r", "address", 1, 60'000, R"(, "onFailure": "closed")"));
  auto refused = post();
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.header("Retry-After"), "1");
  put(rule("r", "address", 1, 60'000, R"(, "onFailure": "open")"));
  EXPECT_EQ(handled_of(3), 3);
  put(rule("r", "address", 1, 60'000));
  EXPECT_EQ(handled_of(3), 1);
}

// --- limits as a service ---

TEST_F(RateLimitsTest, ChecksForOthers) {
  const std::string body = R"({"key": "k", "limit": 3, "windowMs": 1500, "cost": 2})";
  auto reset = std::to_string(kNow + 2);
  EXPECT_EQ(check(body).body, R"({"success":true,"limit":3,"remaining":1,"reset":)" + reset + "}");
  auto refused = check(body);
  EXPECT_EQ(refused.status, 200);
  EXPECT_EQ(refused.body, R"({"success":false,"limit":3,"remaining":1,"reset":)" + reset + R"(,"retryAfter":2})");
  clock.advance(seconds(2));
  EXPECT_NE(check(body).body.find(R"("success":true)"), std::string::npos);
}

TEST_F(RateLimitsTest, ChecksSeveralAtOnceAllOrNothing) {
  auto body = [](const char* b_cost) {
    return R"({"checks": [{"key": "a", "limit": 5, "windowMs": 1000}, {"key": "b", "limit": 2, "windowMs": 1000, "cost": )" +
           std::string(b_cost) + "}]}";
  };
  auto reset = std::to_string(kNow + 1);
  EXPECT_EQ(check(body("2")).body, R"({"success":true,"results":[{"success":true,"limit":5,"remaining":4,"reset":)" + reset +
                                       R"(},{"success":true,"limit":2,"remaining":0,"reset":)" + reset + "}]}");
  auto refused = check(body("1")).body;
  EXPECT_TRUE(refused.starts_with(R"({"success":false,"results":[{"success":true,"limit":5,"remaining":4,)")) << refused;
  EXPECT_NE(refused.find(R"({"success":false,"limit":2,"remaining":0,)"), std::string::npos) << refused;
}

TEST_F(RateLimitsTest, ShowsAndGivesBackWhatWasTaken) {
  auto remaining = [this] {
    auto body = call(Method::kGet, "/api/ratelimit/status?key=k&limit=3&windowMs=60000", {.authorization = kService}).body;
    return body.substr(body.find("remaining") + 11, 1);
  };
  EXPECT_EQ(remaining(), "3");
  check(R"({"key": "k", "limit": 3, "windowMs": 60000, "cost": 3})");
  EXPECT_EQ(remaining(), "0");
  EXPECT_EQ(remaining(), "0");  // looking takes nothing
  auto given =
      post({.authorization = kService, .body = R"({"key": "k", "limit": 3, "windowMs": 60000, "cost": 2})"}, "/api/ratelimit/refund");
  EXPECT_EQ(given.status, 200);
  EXPECT_NE(given.body.find(R"("success":true,"limit":3,"remaining":2)"), std::string::npos) << given.body;
  EXPECT_EQ(remaining(), "2");
}

TEST_F(RateLimitsTest, KeepsTheAlgorithmsApart) {
  for (const char* algorithm : {"sliding_window", "gcra", "fixed_window"}) {
    auto body = R"({"key": "k", "limit": 1, "windowMs": 60000, "algorithm": ")" + std::string(algorithm) + "\"}";
    EXPECT_NE(check(body).body.find(R"("success":true)"), std::string::npos) << algorithm;
    EXPECT_NE(check(body).body.find(R"("success":false)"), std::string::npos) << algorithm;
  }
}

TEST_F(RateLimitsTest, SaysThatALargeLimitIsRoundedToTicks) {
  auto exact = check(R"({"key": "k", "limit": 10000, "windowMs": 60000})").body;
  EXPECT_EQ(exact.find("policy"), std::string::npos) << exact;
  auto ticked = check(R"({"key": "k", "limit": 1000000, "windowMs": 3600000})").body;
  EXPECT_NE(ticked.find(R"("policy":{"tickMicros":)"), std::string::npos) << ticked;
}

TEST_F(RateLimitsTest, NamesWhatIsWrongWithACheck) {
  const std::pair<const char*, const char*> wrong[] = {
      {R"({"limit": 1, "windowMs": 1})", "key"},
      {R"({"key": "a b", "limit": 1, "windowMs": 1})", "key"},
      {R"({"key": "", "limit": 1, "windowMs": 1})", "key"},
      {R"({"key": "k", "windowMs": 1})", "limit"},
      {R"({"key": "k", "limit": 0, "windowMs": 1})", "limit"},
      {R"({"key": "k", "limit": 1000000001, "windowMs": 1})", "limit"},
      {R"({"key": "k", "limit": 1.5, "windowMs": 1})", "limit"},
      {R"({"key": "k", "limit": 1})", "windowMs"},
      {R"({"key": "k", "limit": 1, "windowMs": 2592000001})", "windowMs"},
      {R"({"key": "k", "limit": 1, "windowMs": 1, "cost": 2})", "cost"},
      {R"({"key": "k", "limit": 1, "windowMs": 1, "cost": 0})", "cost"},
      {R"({"key": "k", "limit": 1, "windowMs": 1, "algorithm": "x"})", "algorithm"},
      {R"({"key": "k", "limit": 1, "windowMs": 1, "onFailure": "x"})", "onFailure"},
      {R"({"key": "k", "limit": 1, "windowMs": 1, "costs": 1})", "costs"},
      {R"({"checks": []})", "checks"},
      {R"({"checks": [{"key": "k", "limit": 1, "windowMs": 1}], "cost": 1})", "cost"},
      {R"({"checks": [{"key": "k", "limit": 1, "windowMs": 1}, {"key": "k", "limit": 1}]})", "checks[1].windowMs"},
      {R"({"checks": [{"key": "k", "limit": 1, "windowMs": 1, "weight": 1}]})", "checks[0].weight"},
      {R"({"checks": [{"key": "k", "limit": 1, "windowMs": 1, "cost": 2}]})", "checks[0].cost"},
  };
  for (const auto& [body, field] : wrong) {
    auto answer = check(body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_NE(answer.body.find(R"("field":")" + std::string(field) + "\""), std::string::npos) << body << answer.body;
  }
  std::string many = R"({"key": "k", "limit": 1, "windowMs": 1})";
  for (std::size_t i = 0; i < limits::kChecksMax; ++i) many += R"(,{"key": "k", "limit": 1, "windowMs": 1})";
  EXPECT_EQ(check(R"({"checks": [)" + many + "]}").status, 413);
  for (const char* query :
       {"?limit=1&windowMs=1", "?key=k&limit=x&windowMs=1", "?key=k&limit=1&windowMs=-1", "?key=k&limit=1&windowMs=1&cost="}) {
    EXPECT_EQ(get("/api/ratelimit/status" + std::string(query)).status, 400) << query;
  }
}

TEST_F(RateLimitsTest, CountsNothingForTheRulesOfItsOwnRoutes) {
  put(rule("r", "address", 2, 60'000));
  for (const char* key : {"r:r:address:192.0.2.1", "s:r:r:address:192.0.2.1"}) {
    check(R"({"key": ")" + std::string(key) + R"(", "limit": 2, "windowMs": 60000, "cost": 2})");
  }
  EXPECT_EQ(handled_of(3), 2);
}

TEST_F(RateLimitsTest, TakesEveryIdAsAKey) {
  std::string longest(kIdBytesMax, 'k');
  auto body = [](const std::string& key) { return R"({"key": ")" + key + R"(", "limit": 1, "windowMs": 60000})"; };
  EXPECT_NE(check(body(longest)).body.find(R"("success":true)"), std::string::npos);
  EXPECT_NE(check(body(longest)).body.find(R"("success":false)"), std::string::npos);
  longest.back() = 'l';
  EXPECT_NE(check(body(longest)).body.find(R"("success":true)"), std::string::npos);
}

TEST_F(RateLimitsTest, GivesTheFirstAnswerAgainForAnIdempotencyKey) {
  api.keyed_answers = &keyed_answers;
  put(R"({"name": "r", "routes": ["POST /api/ratelimit/check"], "identity": "service", "limit": 3, "windowMs": 60000})");
  Sent sent{.authorization = kService, .body = R"({"key": "k", "limit": 5, "windowMs": 60000})", .idempotency_key = "once"};
  auto first = post(sent, "/api/ratelimit/check");
  auto again = post(sent, "/api/ratelimit/check");
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(again.header("Idempotent-Replayed"), "true");
  sent.body = R"({"key": "k", "limit": 6, "windowMs": 60000})";
  EXPECT_EQ(post(sent, "/api/ratelimit/check").status, 409);
  EXPECT_EQ(post(sent, "/api/ratelimit/check").status, 429);  // each of them has counted for the route's own rule
  sent.idempotency_key = "back";
  sent.body = R"({"key": "k", "limit": 5, "windowMs": 60000, "cost": 1})";
  auto given = post(sent, "/api/ratelimit/refund");
  EXPECT_NE(given.body.find(R"("remaining":5)"), std::string::npos) << given.body;
  check(R"({"key": "k", "limit": 5, "windowMs": 60000})");
  EXPECT_EQ(post(sent, "/api/ratelimit/refund").body, given.body);
}

TEST_F(RateLimitsTest, IsAServiceForTrustedCallersAlone) {
  const std::string body = R"({"key": "k", "limit": 1, "windowMs": 1000})";
  for (const char* path : {"/api/ratelimit/check", "/api/ratelimit/refund"}) {
    EXPECT_EQ(post({.authorization = {}, .body = body}, path).status, 401);
    EXPECT_EQ(post({.authorization = user("ada"), .body = body}, path).status, 403);
    EXPECT_EQ(post({.authorization = kAdmin, .body = body}, path).status, 200);
  }
  const std::string status = "/api/ratelimit/status?key=k&limit=1&windowMs=1000";
  EXPECT_EQ(call(Method::kGet, status, {.authorization = user("ada")}).status, 403);
  EXPECT_EQ(call(Method::kGet, status, {.authorization = kService}).status, 200);
}

TEST_F(RateLimitsTest, SaysThatTheStoreIsAway) {
  const std::string body = R"({"key": "k", "limit": 1, "windowMs": 60000)";
  store.is_away = true;
  EXPECT_NE(check(body + "}").body.find(R"("success":true,"limit":1,"remaining":0)"), std::string::npos);
  EXPECT_NE(check(body + "}").body.find(R"("success":false)"), std::string::npos);
  EXPECT_NE(check(body + "}").body.find(R"("degraded":true)"), std::string::npos);
  EXPECT_NE(check(body + R"(, "onFailure": "open"})").body.find(R"("success":true)"), std::string::npos);
  auto closed = check(body + R"(, "onFailure": "closed"})").body;
  EXPECT_NE(closed.find(R"("success":false)"), std::string::npos);
  EXPECT_NE(closed.find(R"("retryAfter":1)"), std::string::npos);
  EXPECT_EQ(post({.authorization = kService, .body = body + R"(, "onFailure": "open"})"}, "/api/ratelimit/refund").status, 503);
}

// --- administration ---

TEST_F(RateLimitsTest, ShowsTheRulesThatHold) {
  auto defaults = get("/api/admin/ratelimit/rules");
  EXPECT_EQ(defaults.body, R"({"source":"defaults","rules":[]})");  // none of their routes is here
  put(rule("mine", "user", 1, 1'000));
  auto mine = get("/api/admin/ratelimit/rules").body;
  EXPECT_TRUE(mine.starts_with(R"({"source":"put","rules":[{"name":"mine","routes":["POST /things"],)")) << mine;
  EXPECT_EQ(handled_of(2, {.authorization = user("ada")}), 1);
  auto removed = call(Method::kDelete, "/api/admin/ratelimit/rules", {.authorization = kAdmin});
  EXPECT_EQ(removed.body, defaults.body);
  EXPECT_EQ(handled_of(2, {.authorization = user("ada")}), 2);
}

TEST_F(RateLimitsTest, ChangesNothingForRulesThatAreNotInOrder) {
  put(rule("mine", "user", 1, 1'000));
  auto answer = call(Method::kPut, "/api/admin/ratelimit/rules",
                     {.authorization = kAdmin, .body = R"({"rules": [)" + rule("a", "user", 1, 1) + "," + rule("b", "user", 1, 0) + "]}"});
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find(R"("field":"rules[1].windowMs")"), std::string::npos) << answer.body;
  EXPECT_NE(get("/api/admin/ratelimit/rules").body.find("mine"), std::string::npos);
}

TEST_F(RateLimitsTest, IsChangedByAdministratorsAlone) {
  const std::string viewer = "Bearer viewer-key";
  for (auto [method, path] :
       {std::pair(Method::kPut, "/api/admin/ratelimit/rules"), std::pair(Method::kDelete, "/api/admin/ratelimit/rules")}) {
    EXPECT_EQ(call(method, path, {.authorization = kService, .body = R"({"rules": []})"}).status, 403);
    EXPECT_EQ(call(method, path, {.authorization = viewer, .body = R"({"rules": []})"}).status, 403);
  }
  EXPECT_EQ(call(Method::kGet, "/api/admin/ratelimit/rules", {.authorization = viewer}).status, 200);
  EXPECT_EQ(call(Method::kGet, "/api/admin/ratelimit/top", {.authorization = viewer}).status, 200);
  EXPECT_EQ(call(Method::kGet, "/api/admin/ratelimit/top", {.authorization = kService}).status, 403);
}

// Not even by a mistake of their own.
TEST_F(RateLimitsTest, NeverKeepsAnAdministratorFromTheRules) {
  put(R"({"name": "all", "routes": ["*"], "identity": "address", "limit": 1, "windowMs": 3600000, "deny": ["0.0.0.0/0"]})");
  EXPECT_EQ(get("/api/admin/ratelimit/top").status, 403);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(get("/api/admin/ratelimit/rules").status, 200);
  put("");
  EXPECT_EQ(get("/api/admin/ratelimit/top").status, 200);
}

TEST_F(RateLimitsTest, ShowsWhoIsRefusedMost) {
  put(rule("r", "user", 1, 60'000) + "," + rule("a", "address", 100, 60'000, R"(, "deny": ["203.0.113.0/24"])"));
  handled_of(5, {.authorization = user("ada")});
  handled_of(3, {.authorization = user("bob")});
  handled_of(1, {.address = "203.0.113.9"});
  std::string longest(kIdBytesMax, 'k');
  for (int i = 0; i < 4; ++i) check(R"({"key": ")" + longest + R"(", "limit": 1, "windowMs": 60000})");
  EXPECT_EQ(get("/api/admin/ratelimit/top").body,
            R"({"keys":[{"key":"ada","rule":"r","identity":"user","refused":4,"overcount":0},{"key":")" + longest +
                R"(","refused":3,"overcount":0},)"
                R"({"key":"bob","rule":"r","identity":"user","refused":2,"overcount":0},)"
                R"({"key":"203.0.113.9","rule":"a","identity":"address","refused":1,"overcount":0}],)"
                R"("rules":[{"rule":"r","refused":6,"overcount":0},{"rule":"a","refused":1,"overcount":0}]})");
  EXPECT_EQ(get("/api/admin/ratelimit/top?limit=1").body,
            R"({"keys":[{"key":"ada","rule":"r","identity":"user","refused":4,"overcount":0}],)"
            R"("rules":[{"rule":"r","refused":6,"overcount":0}]})");
  EXPECT_EQ(get("/api/admin/ratelimit/top?limit=0").status, 400);
}

}  // namespace
}  // namespace hearth::api
