// Bad input gets a clear 4xx or a closed connection, changes nothing, and leaves a server that serves.

#include <gtest/gtest.h>

#include <boost/json/value.hpp>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "hearth/drivers/sqlite/temporary_folder.h"
#include "tests/support/child_process.h"
#include "tests/support/http_client.h"
#include "tests/support/json_check.h"
#include "tests/support/server_process.h"

namespace hearth::tests {
namespace {

using namespace std::string_literals;

constexpr std::size_t kConnectionsMax = 300;

// A change that must never be made, to be sent behind what the server must refuse.
const std::string kLikeBody = R"({"sessionId":"intruder"})";
const std::string kLike =
    "POST /api/posts/p/like HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(kLikeBody.size()) + "\r\n\r\n" + kLikeBody;

class BadInput : public testing::Test {
 protected:
  explicit BadInput(const std::string& flag = "--http.connections_max=" + std::to_string(kConnectionsMax))
      : server({.data = folder.path() / "data", .flags = {flag}}) {}

  void SetUp() override {
    HttpClient http = client();
    ASSERT_EQ(http.call("PUT", "/api/users/ada", R"({"username":"ada"})").status, 200);
    ASSERT_EQ(http.post("/api/posts", R"({"id":"p","authorId":"ada"})").status, 201);
    ASSERT_EQ(http.post("/api/posts/p/like", R"({"sessionId":"ada"})").status, 200);
    before = exported();
    ASSERT_NE(before.find("\"sessionId\":\"ada\""), std::string::npos);
  }

  void TearDown() override {
    EXPECT_EQ(exported(), before);
    EXPECT_EQ(client().get("/api/posts/p/likes").json().at("likes").as_int64(), 1);
    EXPECT_EQ(server.terminate().code, 0) << server.errors();
  }

  HttpClient client() { return HttpClient(server.port()); }
  std::string exported() {
    auto result = run_hearth({"export", "--data=" + (folder.path() / "data").string()});
    EXPECT_EQ(result.code, 0) << result.errors;
    return result.output;
  }

  // Everything that comes back for these bytes, sent over a connection of their own.
  std::string sent(std::string_view bytes) {
    HttpClient http = client();
    http.connect();
    http.try_send(bytes);
    http.finish_sending();
    return http.receive_rest();
  }

  void expect_refused(const std::string& bytes, const std::string& what) {
    auto answer = sent(bytes + kLike);
    bool is_refused = answer.empty() || answer.starts_with("HTTP/1.1 4");
    EXPECT_TRUE(is_refused) << what << ": " << answer;
    EXPECT_EQ(answer.find("newCount"), std::string::npos) << what << ": " << answer;
  }

  sqlite::TemporaryFolder folder;
  ServerProcess server;
  std::string before;
};

// On a server that waits for a second only.
class SlowPeers : public BadInput {
 protected:
  SlowPeers() : BadInput("--http.request_timeout_seconds=1") {}
};

// --- bodies ---

std::vector<std::string> malformed_bodies() {
  std::vector<std::string> bodies = {
      "{", "}", "[]", "[{}]", "null", "true", "7", "\"text\"", "nonsense", "{}{}", "{\"sessionId\"}", "{\"sessionId\":}",
      "{\"sessionId\":\"a\"", "{\"sessionId\":\"a\"}}", "{\"sessionId\":\"a\"} x", "{\"sessionId\":\"a\"}\n{\"sessionId\":\"b\"}",
      "{\"sessionId\":'a'}", "{sessionId:\"a\"}", "{\"sessionId\":\"a\",}", "{,\"sessionId\":\"a\"}", "{\"sessionId\" \"a\"}",
      "{\"sessionId\":\"a\" \"b\"}", "/* c */{\"sessionId\":\"a\"}", "{\"sessionId\":\"a\"// c\n}", "\xEF\xBB\xBF{\"sessionId\":\"a\"}",
      "{\"sessionId\":NaN}", "{\"sessionId\":01}", "{\"sessionId\":1e}", "{\"sessionId\":-}", "{\"sessionId\":+1}", "{\"sessionId\":.5}",
      "{\"sessionId\":0x10}", "{\"sessionId\":nul}", "{\"sessionId\":tru}",
      // Wrong types.
      "{\"sessionId\":null}", "{\"sessionId\":true}", "{\"sessionId\":7}", "{\"sessionId\":1e400}", "{\"sessionId\":{}}",
      "{\"sessionId\":[]}", "{\"sessionId\":[\"a\"]}",
      // Text that is none.
      "{\"sessionId\":\"a\nb\"}", "{\"sessionId\":\"a\tb\"}", "{\"sessionId\":\"\\x61\"}", "{\"sessionId\":\"\\u12\"}",
      "{\"sessionId\":\"\\ud800\"}", "{\"sessionId\":\"\\udc00\\ud800\"}", "{\"sessionId\":\"a\\\"}", "{\"sessionId\":\"a\0b\"}"s,
      "{\"sessionId\":\"a\"}\0"s, "\0"s,
      // Bytes that are no UTF-8: alone, cut short, overlong, surrogates, above the last character.
      "{\"sessionId\":\"\x80\"}", "{\"sessionId\":\"\xC3\"}", "{\"sessionId\":\"\xC0\xAF\"}", "{\"sessionId\":\"\xE2\x82\"}",
      "{\"sessionId\":\"\xED\xA0\x80\"}", "{\"sessionId\":\"\xF4\x90\x80\x80\"}", "{\"sessionId\":\"\xFF\"}", "{\"\xFF\":\"a\"}",
      "{\0\"\0s\0\"\0:\0\"\0a\0\"\0}\0"s,
      // One key twice, also when it is written in two ways, and whatever the values.
      "{\"sessionId\":\"a\",\"sessionId\":\"a\"}", "{\"sessionId\":\"a\",\"session\\u0049d\":\"b\"}", "{\"x\":1,\"x\":2}"};
  for (std::size_t depth : {33u, 1'000u, 200'000u}) {
    bodies.push_back(std::string(depth, '['));
    bodies.push_back("{\"sessionId\":" + std::string(depth, '[') + std::string(depth, ']') + "}");
    std::string objects;
    for (std::size_t i = 0; i < depth && objects.size() < 1'000'000; ++i) objects += "{\"a\":";
    bodies.push_back(objects);
  }
  return bodies;
}

TEST_F(BadInput, NoMalformedBodyChangesAnything) {
  struct Route {
    const char* method;
    const char* target;
  };
  const Route routes[] = {{"POST", "/api/posts/p/like"},
                          {"PUT", "/api/posts/p/like"},
                          {"DELETE", "/api/posts/p/like"},
                          {"POST", "/api/likes/batch"},
                          {"PUT", "/api/users/mallory"},
                          {"POST", "/api/posts"},
                          {"POST", "/api/likes/counts"},
                          {"POST", "/api/posts/merge"},
                          {"POST", "/api/admin/counters/reconcile"},
                          {"POST", "/api/jobs"},
                          {"POST", "/api/jobs/bulk"},
                          {"POST", "/api/jobs/claim"},
                          {"POST", "/api/jobs/1/complete"},
                          {"POST", "/api/jobs/1/fail"},
                          {"POST", "/api/jobs/1/snooze"},
                          {"POST", "/api/jobs/1/heartbeat"},
                          {"POST", "/api/jobs/1/retry"},
                          {"DELETE", "/api/jobs/1"},
                          {"PUT", "/api/admin/job-types/intruder"},
                          {"POST", "/api/admin/job-types/intruder/pause"},
                          {"PUT", "/api/admin/schedules/intruder"}};
  HttpClient http = client();
  for (const auto& body : malformed_bodies()) {
    for (const auto& route : routes) {
      auto answer = http.call(route.method, route.target, body);
      auto what = std::string(route.method) + " " + route.target + " with " + body.substr(0, 80);
      EXPECT_EQ(answer.status, 400) << what << ": " << answer.body;
      EXPECT_EQ(find_mismatch(R"({"error": "<string>", "code": "invalid_argument"})", answer.json()), "") << what;
    }
  }
}

TEST_F(BadInput, AnItemOfTheWrongTypeStopsTheWholeBatch) {
  HttpClient http = client();
  for (const char* item : {"null", "7", "\"x\"", "[]", R"({"postId":7,"sessionId":"intruder","op":"like"})",
                           R"({"postId":"p","sessionId":["intruder"],"op":"like"})", R"({"postId":"p","sessionId":"intruder","op":true})",
                           R"({"postId":"p","postId":"q","sessionId":"intruder","op":"like"})", "{\"postId\":\"\xFF\"}"}) {
    auto answer =
        http.post("/api/likes/batch", R"({"operations":[{"postId":"p","sessionId":"intruder","op":"like"},)" + std::string(item) + "]}");
    EXPECT_EQ(answer.status, 400) << item << ": " << answer.body;
  }
}

TEST_F(BadInput, AJobOfTheWrongFormStopsAllThatCameWithIt) {
  HttpClient http = client();
  for (const char* item : {"null",
                           "7",
                           "\"x\"",
                           "[]",
                           "{}",
                           R"({"jobType":7})",
                           R"({"jobType":"intruder","payload":"{}"})",
                           R"({"jobType":"intruder","payload":[{}]})",
                           R"({"jobType":"intruder","payload":{"a":1,"a":2}})",
                           R"({"jobType":"intruder","priority":"5"})",
                           R"({"jobType":"intruder","priority":99999999999999999999})",
                           R"({"jobType":"intruder","maxAttempts":-1})",
                           R"({"jobType":"intruder","scheduledFor":1700000000})",
                           R"({"jobType":"intruder","scheduledFor":"2026-13-01T00:00:00Z"})",
                           R"({"jobType":"intruder","idempotencyKey":"a b"})",
                           R"({"jobType":"intruder","url":"javascript:alert"})",
                           R"({"jobType":"intruder","url":"http://"})",
                           R"({"jobType":"intruder","debounce":"k"})",
                           R"({"jobType":"intruder","debounce":{"key":7,"seconds":1}})",
                           "{\"jobType\":\"\xFF\"}",
                           "{\"jobType\":\"intruder\",\"payload\":{\"\xFF\":1}}"}) {
    auto one = http.post("/api/jobs", item);
    EXPECT_EQ(one.status, 400) << item << ": " << one.body;
    auto many = http.post("/api/jobs/bulk", R"({"jobs":[{"jobType":"intruder"},)" + std::string(item) + "]}");
    EXPECT_EQ(many.status, 400) << item << ": " << many.body;
  }
  EXPECT_EQ(http.get("/api/admin/jobs?type=intruder").json().at("jobs").as_array().size(), 0u);
  EXPECT_EQ(http.get("/api/admin/schedules").body.find("intruder"), std::string::npos);
  EXPECT_EQ(http.get("/api/admin/job-types").body.find("intruder"), std::string::npos);
}

TEST_F(BadInput, HugeBodiesAndBatchesAreTooLarge) {
  std::string operations = R"({"operations":[)";
  for (int i = 0; i < 1'001; ++i) operations += std::string(i > 0 ? "," : "") + R"({"postId":"p","sessionId":"intruder","op":"like"})";
  EXPECT_EQ(client().post("/api/likes/batch", operations + "]}").status, 413);
  EXPECT_EQ(client().post("/api/posts/p/like", R"({"sessionId":")" + std::string(2 << 20, 'x') + "\"}").status, 413);
  EXPECT_EQ(client().post("/api/posts/p/like", R"({"sessionId":"intruder")" + std::string(1 << 20, ' ') + "}").status, 413);
  // Only announced, or growing without end.
  expect_refused("POST /api/posts/p/like HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000000\r\n\r\n", "10 GB announced");
  std::string chunks = "POST /api/posts/p/like HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 40; ++i) chunks += "10000\r\n" + std::string(0x10000, ' ') + "\r\n";
  auto answer = sent(chunks);
  EXPECT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 413")) << answer;
}

// --- what is no HTTP, or one that two readers may read in two ways ---

TEST_F(BadInput, WhatIsNoRequestIsRefusedAndSoIsAllBehindIt) {
  const std::string post = "POST /api/posts/p/like HTTP/1.1\r\nHost: h\r\n";
  const std::pair<const char*, std::string> cases[] = {
      {"a line of nonsense", "nonsense\r\n\r\n"},
      {"no version", "GET /healthz\r\n\r\n"},
      {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {"HTTP/9.9", "GET /healthz HTTP/9.9\r\nHost: h\r\n\r\n"},
      {"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s + std::string(200, '\x07') + "\r\n\r\n"},
      {"no host", "GET /healthz HTTP/1.1\r\n\r\n"},
      {"two hosts", "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
      {"a field without a colon", "GET /healthz HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n"},
      {"a field without a name", "GET /healthz HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n"},
      {"a space before the colon", "GET /healthz HTTP/1.1\r\nHost: h\r\nX-A : x\r\n\r\n"},
      {"a folded line", "GET /healthz HTTP/1.1\r\nHost: h\r\nX-A: x\r\n y\r\n\r\n"},
      {"a NUL in a field", "GET /healthz HTTP/1.1\r\nHost: h\r\nX-A: x\0y\r\n\r\n"s},
      {"a control character in the target", "GET /heal\x01thz HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"a space in the target", "GET /heal thz HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"a method of control characters", "G\x01T /healthz HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"a target that is no path", "GET healthz HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"a tunnel", "CONNECT evil.example:443 HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"two lengths", post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"},
      {"a list of lengths", post + "Content-Length: 3, 3\r\n\r\nabc"},
      {"a negative length", post + "Content-Length: -1\r\n\r\n"},
      {"a length with a sign", post + "Content-Length: +3\r\n\r\nabc"},
      {"a length in hexadecimal", post + "Content-Length: 0x3\r\n\r\nabc"},
      {"a length beyond 64 bits", post + "Content-Length: 18446744073709551619\r\n\r\nabc"},
      {"an empty length", post + "Content-Length:\r\n\r\n"},
      {"length and chunks", post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"chunks and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"},
      {"another encoding", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
      {"chunked twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"a chunk size that is none", post + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n"},
      {"a negative chunk size", post + "Transfer-Encoding: chunked\r\n\r\n-1\r\n"},
      {"a chunk that is longer than it says", post + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}{}\r\n0\r\n\r\n"},
      {"a chunk size beyond 64 bits", post + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n"},
      {"headers beyond 16 KiB", "GET /healthz HTTP/1.1\r\nHost: h\r\nX-A: " + std::string(20'000, 'x') + "\r\n\r\n"},
      {"a target beyond 16 KiB", "GET /" + std::string(20'000, 'x') + " HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"a name beyond 16 KiB", "GET /healthz HTTP/1.1\r\nHost: h\r\n" + std::string(20'000, 'x') + ": x\r\n\r\n"},
      {"no end of headers", "GET /healthz HTTP/1.1\r\n" + std::string(1 << 20, 'x')},
      {"two credentials", "GET /healthz HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"},
      {"two keys", post + "Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 0\r\n\r\n"},
  };
  for (const auto& [what, bytes] : cases) expect_refused(bytes, what);
}

TEST_F(BadInput, GarbageBehindARequestDoesNotHarmTheRequest) {
  const std::string good = "GET /api/posts/p/likes HTTP/1.1\r\nHost: h\r\n\r\n";
  auto answers = sent(good + good + "garbage\r\n\r\n" + kLike);
  EXPECT_TRUE(answers.starts_with("HTTP/1.1 200")) << answers;
  EXPECT_NE(answers.find("HTTP/1.1 200", 1), std::string::npos) << answers;
  EXPECT_NE(answers.find("HTTP/1.1 400"), std::string::npos) << answers;
  EXPECT_EQ(answers.find("newCount"), std::string::npos) << answers;
}

// --- peers that do not do their part ---

TEST_F(BadInput, ARequestThatIsCutOffIsNotMade) {
  auto request = client().compose("POST", "/api/posts/p/like", kLikeBody);
  for (std::size_t size = 0; size < request.size(); ++size) {
    auto answer = sent(request.substr(0, size));
    EXPECT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 400")) << size << ": " << answer;
  }
}

TEST_F(BadInput, AHalfClosedConnectionStillGetsItsAnswers) {
  const std::string good = "GET /api/posts/p/likes HTTP/1.1\r\nHost: h\r\n\r\n";
  auto answers = sent(good + good + good);
  std::size_t count = 0;
  for (auto at = answers.find("\"likes\":1"); at != std::string::npos; at = answers.find("\"likes\":1", at + 1)) ++count;
  EXPECT_EQ(count, 3u) << answers;
}

TEST_F(SlowPeers, ASlowSenderIsGivenUp) {
  auto request = client().compose("POST", "/api/posts/p/like", kLikeBody);
  // At every kind of place: within the request line, the header, the body.
  std::vector<HttpClient> slow;
  for (std::size_t sent_bytes : {std::size_t{1}, std::size_t{10}, request.find("\r\n\r\n") + 2, request.size() - 1}) {
    slow.push_back(client());
    slow.back().connect();
    slow.back().send(request.substr(0, sent_bytes));
  }
  for (auto& http : slow) {
    auto answer = http.receive_rest();  // returns when the server closes
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 408")) << answer;
  }
}

TEST_F(SlowPeers, ManyConnectionsThatSendHalfARequestDoNotKeepOthersOut) {
  std::vector<HttpClient> half;
  for (std::size_t i = 0; i < 250; ++i) {
    half.push_back(client());
    half.back().connect();
    half.back().send("POST /api/posts/p/like HTTP/1.1\r\nHo");
    if (i % 25 == 0) EXPECT_EQ(client().get("/api/posts/p/likes").status, 200);
  }
  for (auto& http : half) EXPECT_TRUE(http.receive_rest().starts_with("HTTP/1.1 408"));
}

TEST_F(BadInput, ConnectionsOverTheLimitAreToldSo) {
  std::vector<HttpClient> open;
  for (std::size_t i = 0; i < kConnectionsMax; ++i) {
    open.push_back(client());
    open.back().connect();
    EXPECT_EQ(open.back().get("/healthz").status, 200);
  }
  HttpClient one_more = client();
  one_more.connect();
  auto answer = one_more.receive();
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.header("retry-after"), "1");
  EXPECT_EQ(open.front().get("/api/posts/p/likes").status, 200);
  // Places become free again.
  open.clear();
  for (auto deadline = std::chrono::steady_clock::now() + kPatience; std::chrono::steady_clock::now() < deadline;) {
    try {
      if (client().get("/healthz").status == 200) return;
    } catch (const ConnectionLost&) {
      continue;  // refused once more
    }
  }
  ADD_FAILURE() << "closed connections still count";
}

// --- chance ---

TEST_F(BadInput, RandomBytesAndRequestsWithRandomFaultsAreSurvived) {
  auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::string seeds[] = {client().compose("POST", "/api/posts/merge",
                                                R"({"posts":[{"id":"p","title":"\u00e9","n":[1,2.5e3,null]},{"id":7}],"sessionId":"ada"})"),
                               client().compose("POST", "/api/likes/counts", R"({"postIds":["p","q"],"more":{"a":[{}]}})"),
                               "GET /api/rank?sessionId=a%20b&limit=5&order=hot HTTP/1.1\r\nHost: h\r\nX-Request-Id: 1\r\n\r\n",
                               "POST /api/likes/statuses HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                               "chunked\r\n\r\n10\r\n{\"postIds\":[\"p\"]\r\n12\r\n,\"sessionId\":\"ada\"}\r\n0\r\n\r\n"};
  for (int round = 0; round < 1'500; ++round) {
    std::string bytes;
    if (round % 5 == 0) {
      bytes.resize(random() % 3'000);
      for (auto& byte : bytes) byte = static_cast<char>(random());
    } else {
      bytes = seeds[random() % std::size(seeds)];
      for (auto faults = 1 + random() % 4; faults > 0; --faults) {
        auto at = random() % bytes.size();
        switch (random() % 4) {
          case 0:
            bytes[at] = static_cast<char>(random());
            break;
          case 1:
            bytes.erase(at, 1 + random() % 8);
            break;
          case 2:
            bytes.insert(at, bytes.substr(random() % bytes.size(), random() % 40));
            break;
          default:
            bytes.insert(at, 1, "\r\n\"{}[]:,%\0\\"[random() % 12]);
        }
        if (bytes.empty()) bytes = "x";
      }
    }
    auto answer = sent(bytes);
    EXPECT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 ")) << answer;
    EXPECT_EQ(answer.find("HTTP/1.1 5"), std::string::npos) << answer;
  }
}

}  // namespace
}  // namespace hearth::tests
