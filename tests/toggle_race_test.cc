// Many connections, one like: toggles end where their number says, and an Idempotency-Key counts once.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <boost/json/value.hpp>
#include <functional>
#include <latch>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "hearth/drivers/sqlite/temporary_folder.h"
#include "tests/support/http_client.h"
#include "tests/support/server_process.h"
#include "tests/support/test_stores.h"

namespace hearth::tests {
namespace {

constexpr std::size_t kConnections = 64;
constexpr char kLike[] = "/api/posts/p/like";
constexpr char kAda[] = R"({"sessionId":"ada"})";

struct ToggleRaceCase {
  std::string name;
  StoresKind stores = {};
  std::vector<std::string> flags = {};
};

class ToggleRace : public testing::TestWithParam<ToggleRaceCase> {
 protected:
  void TearDown() override { EXPECT_EQ(server.terminate().code, 0) << server.errors(); }

  // Runs `work` on so many connections at once, all open before the first begins, and returns all answers.
  std::vector<Answer> race(std::size_t connections, const std::function<void(HttpClient&, std::vector<Answer>&)>& work) {
    std::vector<std::vector<Answer>> parts(connections);
    std::latch ready(static_cast<std::ptrdiff_t>(connections));
    std::vector<std::thread> threads;
    for (auto& part : parts) {
      threads.emplace_back([&] {
        HttpClient http(server.port());
        http.connect();
        ready.arrive_and_wait();
        work(http, part);
      });
    }
    for (auto& thread : threads) thread.join();
    std::vector<Answer> answers;
    for (auto& part : parts) answers.insert(answers.end(), part.begin(), part.end());
    return answers;
  }

  boost::json::value likes() { return HttpClient(server.port()).get("/api/posts/p/likes?sessionId=ada").json(); }

  void expect_parity(std::size_t connections, std::size_t toggles) {
    auto answers = race(connections, [&](HttpClient& http, std::vector<Answer>& out) {
      for (std::size_t i = 0; i < toggles; ++i) out.push_back(http.post(kLike, kAda));
    });
    bool is_odd = connections * toggles % 2 == 1;
    EXPECT_EQ(likes().at("likes").as_int64(), is_odd ? 1 : 0);
    EXPECT_EQ(likes().at("isLiked").as_bool(), is_odd);

    // One after the other they were on, off, on, …: as many of each, each at a version of its own.
    std::size_t liked = 0;
    std::set<std::int64_t> versions;
    for (const auto& answer : answers) {
      ASSERT_EQ(answer.status, 200) << answer.body;
      auto body = answer.json();
      EXPECT_EQ(body.at("newCount").as_int64(), body.at("isLiked").as_bool() ? 1 : 0) << answer.body;
      liked += body.at("isLiked").as_bool() ? 1 : 0;
      versions.insert(body.at("version").as_int64());
    }
    EXPECT_EQ(liked, (answers.size() + 1) / 2);
    EXPECT_EQ(versions.size(), answers.size());
    EXPECT_EQ(likes().at("version").as_int64(), *versions.rbegin());
  }

  // Who gets the key first is not known; all others get the same, marked.
  void expect_one_effect(const std::vector<Answer>& answers) {
    std::size_t originals = 0;
    for (const auto& answer : answers) {
      ASSERT_EQ(answer.status, answers.front().status) << answer.body;
      EXPECT_EQ(answer.body, answers.front().body);
      if (!answer.header("idempotent-replayed")) ++originals;
    }
    EXPECT_EQ(originals, 1u);
  }

  std::vector<std::string> flags() const {
    auto all = stores.flags();
    all.insert(all.end(), GetParam().flags.begin(), GetParam().flags.end());
    return all;
  }

  sqlite::TemporaryFolder folder;
  TestStores stores{GetParam().stores};
  ServerProcess server{{.data = folder.path() / "data", .flags = flags()}};
};

TEST_P(ToggleRace, AnEvenNumberOfTogglesFromEachOfSixtyFourEndsUnliked) {
  expect_parity(kConnections, 16);
}

TEST_P(ToggleRace, AnOddNumberOfTogglesFromEachOfSixtyFourEndsUnlikedToo) {
  expect_parity(kConnections, 15);
}

TEST_P(ToggleRace, AnOddNumberOfConnectionsWithAnOddNumberOfTogglesEndsLiked) {
  expect_parity(kConnections - 1, 15);
}

TEST_P(ToggleRace, LikesAndUnlikesOfOtherSessionsMeanwhileAreCountedToo) {
  race(kConnections, [&](HttpClient& http, std::vector<Answer>& out) {
    static std::atomic<int> next{0};
    auto own = R"({"sessionId":"s)" + std::to_string(next++) + "\"}";
    for (int i = 0; i < 5; ++i) {
      out.push_back(http.post(kLike, kAda));
      out.push_back(http.call(i % 2 == 0 ? "PUT" : "DELETE", kLike, own));
    }
  });
  EXPECT_EQ(likes().at("likes").as_int64(), static_cast<std::int64_t>(kConnections));  // 64 × 5 toggles end unliked
  EXPECT_FALSE(likes().at("isLiked").as_bool());
}

TEST_P(ToggleRace, OneKeyFromSixtyFourConnectionsCountsOnce) {
  auto answers = race(kConnections, [&](HttpClient& http, std::vector<Answer>& out) {
    for (int i = 0; i < 3; ++i) out.push_back(http.post(kLike, kAda, {{"Idempotency-Key", "the-key"}}));
  });
  expect_one_effect(answers);
  EXPECT_EQ(likes().at("likes").as_int64(), 1);
  auto other = HttpClient(server.port()).post(kLike, R"({"sessionId":"bob"})", {{"Idempotency-Key", "the-key"}});
  EXPECT_EQ(other.status, 409);
  EXPECT_EQ(other.json().at("code").as_string(), "idempotency_key_reused");
  EXPECT_EQ(likes().at("likes").as_int64(), 1);
}

TEST_P(ToggleRace, OneKeyOfABatchFromSixtyFourConnectionsCountsOnce) {
  const char* batch = R"({"operations":[{"postId":"p","sessionId":"ada","op":"toggle"},{"postId":"p","sessionId":"bob","op":"toggle"},
                                        {"postId":"p","sessionId":"ada","op":"toggle"},{"postId":"","sessionId":"ada","op":"toggle"}]})";
  auto answers = race(kConnections, [&](HttpClient& http, std::vector<Answer>& out) {
    out.push_back(http.post("/api/likes/batch", batch, {{"Idempotency-Key", "the-key"}}));
  });
  // Two copies may share the work item by item, so more than one may have done a part; but each got the same.
  for (const auto& answer : answers) EXPECT_EQ(answer.body, answers.front().body);
  EXPECT_GE(std::ranges::count_if(answers, [](const Answer& answer) { return answer.header("idempotent-replayed").has_value(); }),
            static_cast<std::ptrdiff_t>(kConnections) - 1);
  EXPECT_EQ(likes().at("likes").as_int64(), 1);
  EXPECT_FALSE(likes().at("isLiked").as_bool());
}

TEST_P(ToggleRace, OneKeyOfAPostFromSixtyFourConnectionsCreatesOne) {
  ASSERT_EQ(HttpClient(server.port()).call("PUT", "/api/users/ada", R"({"username":"ada"})").status, 200);
  expect_one_effect(race(kConnections, [&](HttpClient& http, std::vector<Answer>& out) {
    out.push_back(http.post("/api/posts", R"({"authorId":"ada","content":"once"})", {{"Idempotency-Key", "the-key"}}));
  }));
  EXPECT_EQ(HttpClient(server.port()).get("/api/users/ada/posts").json().at("posts").as_array().size(), 1u);
}

TEST_P(ToggleRace, AnotherBatchWithTheKeyChangesNothing) {
  HttpClient http(server.port());
  auto send = [&](const std::string& operations) {
    return http.post("/api/likes/batch", "{\"operations\":[" + operations + "]}", {{"Idempotency-Key", "the-key"}});
  };
  const std::string ada = R"({"postId":"p","sessionId":"ada","op":"toggle"})";
  const std::string bob = R"({"postId":"p","sessionId":"bob","op":"toggle"})";
  const std::string bad = R"({"postId":"","sessionId":"bob","op":"toggle"})";
  ASSERT_EQ(send(bad + "," + ada).status, 200);
  for (const auto& other : {ada, bob, ada + "," + ada, bob + "," + bob + "," + bob, bad + "," + bad + "," + bob, bob + "," + bad}) {
    auto answer = send(other);
    EXPECT_EQ(answer.status, 409) << answer.body;
    EXPECT_EQ(answer.json().at("code").as_string(), "idempotency_key_reused");
    EXPECT_EQ(likes().at("likes").as_int64(), 1) << other;
  }
}

TEST_P(ToggleRace, AKeyOfAnotherPathIsAnotherKey) {
  HttpClient http(server.port());
  const Headers key = {{"Idempotency-Key", "the-key"}};
  EXPECT_EQ(http.post(kLike, kAda, key).json().at("newCount").as_int64(), 1);
  auto other = http.post("/api/posts/q/like", kAda, key);
  EXPECT_EQ(other.json().at("newCount").as_int64(), 1);
  EXPECT_FALSE(other.header("idempotent-replayed"));
}

INSTANTIATE_TEST_SUITE_P(, ToggleRace,
                         testing::Values(ToggleRaceCase{.name = "commit", .flags = {"--durability=commit"}},
                                         ToggleRaceCase{.name = "relaxed", .flags = {"--durability=relaxed"}},
                                         ToggleRaceCase{.name = "redis_postgres", .stores = {LiveKind::kRedis, SqlKind::kPostgres}},
                                         ToggleRaceCase{.name = "cluster_postgres", .stores = {LiveKind::kCluster, SqlKind::kPostgres}}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace hearth::tests
