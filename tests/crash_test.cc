// What was answered survives kill -9 at any moment, and SIGTERM answers what it accepted.
//
// A kill leaves the operating system's memory as it is; what a power cut takes is the matter of the fault tests.

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <random>
#include <string>
#include <vector>

#include "hearth/drivers/sqlite/temporary_folder.h"
#include "tests/support/http_client.h"
#include "tests/support/like_load.h"
#include "tests/support/server_process.h"

namespace hearth::tests {
namespace {

constexpr std::size_t kPosts = 24;
constexpr std::size_t kKnownPosts = 8;  // of them; the others have their content elsewhere
constexpr std::size_t kClients = 6;

std::vector<std::string> post_names() {
  std::vector<std::string> posts;
  for (std::size_t i = 0; i < kPosts; ++i) posts.push_back("post-" + std::to_string(i));
  return posts;
}

class Crash : public testing::Test {
 protected:
  // A short interval, so that kills meet the flusher at work.
  ServerOptions options(const std::string& durability) const {
    return {.data = folder.path() / "data", .flags = {"--durability=" + durability, "--flush.interval_ms=10"}};
  }

  static void add_content(std::uint16_t port) {
    HttpClient http(port);
    ASSERT_EQ(http.call("PUT", "/api/users/ada", R"({"username":"ada"})").status, 200);
    for (std::size_t i = 0; i < kKnownPosts; ++i) {
      ASSERT_EQ(http.post("/api/posts", R"({"id":"post-)" + std::to_string(i) + R"(","authorId":"ada"})").status, 201);
    }
  }

  void expect_well(const LikeLoad& load, int round) {
    for (const auto& failure : load.failures()) ADD_FAILURE() << "round " << round << ": " << failure;
  }

  // Starts the server and kills it while it recovers. Any moment will do, so the time it gets decides nothing.
  void kill_while_starting(const ServerOptions& server_options) {
    ChildProcess process(serve_arguments(server_options));
    usleep(static_cast<useconds_t>(random() % 30'000));
    process.signal(SIGKILL);
    process.wait();
  }

  void survive_kills(const std::string& durability, int rounds) {
    ServerProcess server(options(durability));
    add_content(server.port());
    LikeLoad load(post_names(), kClients, random());
    for (int round = 0; round < rounds && !HasFailure(); ++round) {
      load.start(server.port());
      load.wait_for_answers(1 + random() % (round % 4 == 3 ? 3'000 : 300));
      server.kill();
      load.join();
      for (int i = 0; i < round % 3; ++i) kill_while_starting(options(durability));
      server.start();
      load.settle_and_compare(server.port());
      load.compare_with_sql(server.port(), folder.path() / "data");
      expect_well(load, round);
    }
  }

  sqlite::TemporaryFolder folder;
  const std::uint64_t seed = std::random_device{}();
  std::mt19937_64 random{seed};
  testing::ScopedTrace trace{__FILE__, __LINE__, "seed " + std::to_string(seed)};
};

TEST_F(Crash, NothingAnsweredIsLostByAKillAndSqlFollows) {
  survive_kills("commit", 24);
}

TEST_F(Crash, ARelaxedServerLosesNothingByAKillEither) {
  survive_kills("relaxed", 12);
}

TEST_F(Crash, AStopUnderLoadAnswersWhatWasAcceptedAndLosesNothing) {
  for (const char* durability : {"commit", "relaxed"}) {
    auto data = folder.path() / durability;
    ServerOptions server_options = options(durability);
    server_options.data = data;
    ServerProcess server(server_options);
    add_content(server.port());
    LikeLoad load(post_names(), kClients, random());
    for (int round = 0; round < 4 && !HasFailure(); ++round) {
      load.start(server.port());
      load.wait_for_answers(1 + random() % 500);
      server.ask_to_stop();
      load.join();
      auto status = server.wait();
      EXPECT_EQ(status.code, 0) << "signal " << status.signal << " " << server.errors();
      load.forget_unanswered();
      load.compare_stopped_sql(data);  // a stop brings the ledger up to date
      server.start();
      load.settle_and_compare(server.port());
      load.compare_with_sql(server.port(), data);
      expect_well(load, round);
    }
  }
}

TEST_F(Crash, AnIdempotencyKeyCountsOnceAcrossKills) {
  ServerProcess server(options("commit"));
  struct Ask {
    const char* target;
    const char* body;
    const char* other_body;
  };
  const Ask asks[] = {
      {"/api/posts/p/like", R"({"sessionId":"ada"})", R"({"sessionId":"bob"})"},
      {"/api/likes/batch",
       R"({"operations":[{"postId":"q","sessionId":"ada","op":"toggle"},{"postId":"q","sessionId":"bob","op":"toggle"}]})",
       R"({"operations":[{"postId":"q","sessionId":"eve","op":"toggle"}]})"},
      {"/api/posts", R"({"id":"mine","authorId":"ada","content":"once"})", R"({"id":"mine","authorId":"ada","content":"twice"})"},
  };
  ASSERT_EQ(HttpClient(server.port()).call("PUT", "/api/users/ada", R"({"username":"ada"})").status, 200);
  const Headers key = {{"Idempotency-Key", "the-key"}};
  std::vector<Answer> first;
  for (const auto& ask : asks) first.push_back(HttpClient(server.port()).post(ask.target, ask.body, key));

  for (int round = 0; round < 3; ++round) {
    server.kill();
    server.start();
    HttpClient http(server.port());
    for (std::size_t i = 0; i < std::size(asks); ++i) {
      auto again = http.post(asks[i].target, asks[i].body, key);
      EXPECT_EQ(again.status, first[i].status) << again.body;
      EXPECT_EQ(again.body, first[i].body);
      EXPECT_EQ(again.header("idempotent-replayed"), "true");
      auto other = http.post(asks[i].target, asks[i].other_body, key);
      EXPECT_EQ(other.status, 409) << other.body;
      EXPECT_EQ(other.json().at("code").as_string(), "idempotency_key_reused");
    }
    auto counts = http.post("/api/likes/counts", R"({"postIds":["p","q"]})").json().at("counts");
    EXPECT_EQ(counts.at("p").as_int64(), 1);
    EXPECT_EQ(counts.at("q").as_int64(), 2);
  }
}

}  // namespace
}  // namespace hearth::tests
