// Views under kills and cuts: in the end each story was viewed by exactly those who viewed it, in the live store and in SQL.
//
// HEARTH_FIRE_ROUNDS sets how many faults there are; the seed is printed when something is wrong.

#include <gtest/gtest.h>

#include <atomic>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "hearth/drivers/sqlite/connection.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "tests/support/hearth_nodes.h"
#include "tests/support/job_nodes.h"
#include "tests/support/test_stores.h"
#include "tests/support/view_load.h"

namespace hearth::tests {
namespace {

using redis::eventually;
using ReadCounts = std::map<std::string, std::uint64_t>;

constexpr int kRounds = 8;

std::vector<std::string> story_names() {
  return {"s-0", "s-1", "s-2", "s-3", "s-4", "s-5"};
}

int rounds() {
  const char* text = std::getenv("HEARTH_FIRE_ROUNDS");
  return text == nullptr ? kRounds : std::atoi(text);
}

void put_stories(HttpClient http) {
  for (const auto& story : story_names()) expect_answer(200, http.call("PUT", "/api/stories/" + story, "{}"));
}

std::uint64_t views_of(HttpClient& http, const std::string& story) {
  return expect_answer(200, http.get("/api/stories/" + story + "/views")).at("viewCount").to_number<std::uint64_t>();
}

ReadCounts totals(HttpClient http) {
  ReadCounts counts;
  for (const auto& story : story_names()) counts[story] = views_of(http, story);
  return counts;
}

// stories.read_count as other programs find it.
ReadCounts read_counts(const std::filesystem::path& data) {
  auto content = sqlite::Connection::open({.path = data / "content.db", .read_only = true}).value();
  ReadCounts counts;
  auto& row = content.statement("SELECT id, read_count FROM stories").query();
  while (row.next()) counts[row.string(0)] = static_cast<std::uint64_t>(row.integer(1));
  return counts;
}

ReadCounts read_counts(const std::string& database_url) {
  ReadCounts counts;
  for (const auto& story : story_names()) {
    counts[story] = static_cast<std::uint64_t>(postgres_number(database_url, "SELECT read_count FROM stories WHERE id = '" + story + "'"));
  }
  return counts;
}

// Brings views to SQL again and again, as the clock would, and is killed with whom it asks.
class SyncLoad {
 public:
  explicit SyncLoad(const std::atomic<std::uint16_t>& port) : thread_([this, &port] { run(port); }) {}
  ~SyncLoad() {
    is_stopping_ = true;
    thread_.join();
  }

 private:
  void run(const std::atomic<std::uint16_t>& port) const {
    while (!is_stopping_) {
      try {
        if (port != 0) HttpClient(port).post("/api/cron/sync-views", "");
      } catch (const ConnectionLost&) {
        continue;
      }
      std::this_thread::yield();
    }
  }

  std::atomic<bool> is_stopping_{false};
  std::thread thread_;
};

class SeededTest : public testing::Test {
 protected:
  std::uint64_t some(std::uint64_t most) { return 1 + random() % most; }

  const std::uint64_t seed = std::random_device{}();
  std::mt19937_64 random{seed};
  testing::ScopedTrace trace{__FILE__, __LINE__, "seed " + std::to_string(seed)};
};

// --- one node that keeps views in memory ---

class ViewsInMemory : public SeededTest {};

TEST_F(ViewsInMemory, AreCountedOnceWhateverIsKilled) {
  sqlite::TemporaryFolder folder;
  ServerProcess server({.data = folder.path() / "data", .flags = {"--flush.interval_ms=10"}});
  put_stories(HttpClient(server.port()));
  ViewLoad load({.stories = story_names(), .seed = seed});
  std::atomic<std::uint16_t> port = server.port();
  {
    SyncLoad syncs(port);
    load.serve_from(0, port);
    load.start();
    for (int round = 0; round < rounds(); ++round) {
      load.wait_for_answers(some(400));
      load.serve_from(0, 0);
      port = 0;
      if (round % 4 == 3) {
        EXPECT_EQ(server.terminate().code, 0);
      } else {
        server.kill();
      }
      server.start();
      port = server.port();
      load.serve_from(0, port);
    }
    load.wait_for_answers(200);
    load.stop();
  }
  for (const auto& failure : load.failures()) ADD_FAILURE() << failure;
  auto expected = load.viewers();
  HttpClient http(server.port());
  EXPECT_EQ(totals(HttpClient(server.port())), expected);
  expect_answer(200, http.post("/api/cron/sync-views", ""));
  EXPECT_EQ(read_counts(folder.path() / "data"), expected);
  EXPECT_EQ(expect_answer(200, http.get("/api/admin/view-stats")).at("totalBufferedViews").as_int64(), 0);

  // And nobody is new after a restart.
  server.kill();
  server.start();
  HttpClient again(server.port());
  auto seen = expect_answer(200, again.post("/api/stories/s-0/view", R"({"userId":"viewer-0-0"})"));
  auto total = seen.at("viewCount").to_number<std::uint64_t>();
  EXPECT_EQ(total, expected["s-0"] + (seen.at("isFirstView").as_bool() ? 1 : 0));
  EXPECT_FALSE(expect_answer(200, again.post("/api/stories/s-0/view", R"({"userId":"viewer-0-0"})")).at("isFirstView").as_bool());
}

// --- two nodes on Redis and PostgreSQL ---

class ViewsUnderFire : public SeededTest {
 protected:
  ViewsUnderFire() {
    for (std::size_t i = 0; i < 2; ++i) load.serve_from(i, nodes.add(proxies[i].url()).port());
    sync_port = nodes[0].port();
    put_stories(nodes.client(0));
  }
  void TearDown() override {
    for (std::size_t i = 0; HasFailure() && i < nodes.size(); ++i) std::cout << "node " << i << " said:\n" << nodes[i].errors();
  }

  void node_dies() {
    auto which = random() % 2;
    load.serve_from(which, 0);
    if (which == 0) sync_port = 0;
    nodes[which].kill();
    load.wait_for_tries(some(200));
    nodes[which].start();
    load.serve_from(which, nodes[which].port());
    if (which == 0) sync_port = nodes[0].port();
  }
  void redis_dies() {
    redis.kill();
    load.wait_for_tries(some(300));
    redis.restart();
  }
  // Until the views go to SQL.
  void redis_is_away() {
    redis.kill();
    auto before = load.degraded();
    ASSERT_TRUE(eventually([&] { return load.degraded() > before + 20; }));
    redis.restart();
  }
  void postgres_dies() {
    postgres.kill();
    load.wait_for_tries(some(300));
    postgres.start();
  }
  void connections_are_cut() {
    for (auto i = some(5); i > 0; --i) {
      proxies[random() % 2].cut();
      load.wait_for_tries(some(100));
    }
  }
  void answers_of_redis_are_lost() {
    auto& proxy = proxies[random() % 2];
    proxy.swallow_answers();
    load.wait_for_answers(some(300));
    proxy.cut();
    proxy.resume();
  }

  static constexpr int kKinds = 6;
  void let_fail(int kind) {
    void (ViewsUnderFire::* const kFaults[kKinds])() = {&ViewsUnderFire::node_dies,           &ViewsUnderFire::redis_dies,
                                                        &ViewsUnderFire::redis_is_away,       &ViewsUnderFire::postgres_dies,
                                                        &ViewsUnderFire::connections_are_cut, &ViewsUnderFire::answers_of_redis_are_lost};
    constexpr const char* kNames[kKinds] = {"a node dies",     "Redis dies",          "Redis is away",
                                            "PostgreSQL dies", "connections are cut", "answers of Redis are lost"};
    std::cout << kNames[kind] << std::endl;
    (this->*kFaults[kind])();
  }

  redis::RedisServer redis{{.appendfsync = "always"}};
  postgres::PostgresServer postgres;
  const std::string database = postgres.create_database("views");
  redis::TcpProxy proxies[2] = {redis::TcpProxy(redis.port()), redis::TcpProxy(redis.port())};
  HearthNodes nodes{database};
  ViewLoad load{{.stories = story_names(), .nodes = 2, .seed = seed}};
  std::atomic<std::uint16_t> sync_port{0};
};

TEST_F(ViewsUnderFire, AreCountedOnceWhateverIsKilledOrCut) {
  {
    SyncLoad syncs(sync_port);
    load.start();
    load.wait_for_answers(300);
    for (int round = 0; round < rounds(); ++round) {
      let_fail(round < kKinds ? round : static_cast<int>(random() % kKinds));
      load.wait_for_answers(some(300));
    }
    load.stop();
  }
  for (const auto& failure : load.failures()) ADD_FAILURE() << failure;
  nodes.settle();
  auto expected = load.viewers();
  // What came while Redis was away is drained in the background.
  ASSERT_TRUE(eventually([&] { return postgres_number(database, "SELECT count(*) FROM view_inbox") == 0; }));
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(totals(nodes.client(i)), expected);
  expect_answer(200, nodes.client(1).post("/api/cron/sync-views", ""));
  EXPECT_EQ(read_counts(database), expected);
  std::cout << load.answers() << " views answered, " << load.degraded() << " of them from SQL\n";
}

// --- what a newcomer sees ---

class ViewsOnRedis : public testing::Test {
 protected:
  std::int64_t exists(const std::string& key) { return RedisReader(redis).run({"EXISTS", key}).integer; }

  redis::RedisServer redis{{}};
  const std::string database = shared_postgres().create_database("views");
  HearthNodes nodes{database};
};

TEST_F(ViewsOnRedis, AfterASyncSqlHasGrownAndTheBufferIsGone) {
  nodes.add(redis.url());
  auto http = nodes.client(0);
  put_stories(nodes.client(0));
  for (int i = 0; i < 5; ++i) expect_answer(200, http.post("/api/stories/s-0/view", R"({"userId":"u)" + std::to_string(i) + "\"}"));
  EXPECT_EQ(exists("views:story:buffer:s-0"), 1);
  EXPECT_EQ(read_counts(database)["s-0"], 0u);
  auto synced = expect_answer(200, http.post("/api/cron/sync-views", ""));
  EXPECT_EQ(synced.at("storiesProcessed").as_int64(), 1);
  EXPECT_EQ(synced.at("storyViewsAdded").as_int64(), 5);
  EXPECT_EQ(read_counts(database)["s-0"], 5u);
  EXPECT_EQ(exists("views:story:buffer:s-0"), 0);
  EXPECT_EQ(RedisReader(redis).run({"GET", "views:story:count:s-0"}).text, "5");
  EXPECT_EQ(exists("views:story:last_sync:s-0"), 1);
}

TEST_F(ViewsOnRedis, AreCountedInSqlAtOnceWhereRedisIsSwitchedOffForThem) {
  nodes.add(redis.url());
  auto http = nodes.client(0);
  put_stories(nodes.client(0));
  for (int i = 0; i < 3; ++i) expect_answer(200, http.post("/api/stories/s-0/view", R"({"userId":"u)" + std::to_string(i) + "\"}"));
  nodes[0].terminate();
  nodes.add(redis.url(), {"--views.redis_enabled=false"});
  auto direct = nodes.client(1);
  EXPECT_EQ(views_of(direct, "s-0"), 3u) << "what Redis had counted";
  for (int i = 10; i < 12; ++i) {
    expect_answer(200, direct.post("/api/stories/s-0/view", R"({"userId":"u)" + std::to_string(i) + "\"}"));
    auto again = expect_answer(200, direct.post("/api/stories/s-0/view", R"({"userId":"u)" + std::to_string(i) + "\"}"));
    EXPECT_FALSE(again.at("isFirstView").as_bool());
  }
  EXPECT_EQ(read_counts(database)["s-0"], 5u);
  EXPECT_EQ(views_of(direct, "s-0"), 5u);

  // Switched on again, nobody counts twice and nothing is forgotten.
  nodes[1].terminate();
  nodes[0].start();
  ASSERT_TRUE(eventually([&] { return postgres_number(database, "SELECT count(*) FROM view_inbox") == 0; }));
  auto back = nodes.client(0);
  EXPECT_EQ(views_of(back, "s-0"), 5u);
  for (const char* user : {"u0", "u10", "u11"}) {
    auto again = expect_answer(200, back.post("/api/stories/s-0/view", R"({"userId":")" + std::string(user) + "\"}"));
    EXPECT_FALSE(again.at("isFirstView").as_bool()) << user;
  }
  expect_answer(200, back.post("/api/stories/s-0/view", R"({"userId":"new"})"));
  expect_answer(200, back.post("/api/cron/sync-views", ""));
  EXPECT_EQ(read_counts(database)["s-0"], 6u);
}

// Whoever goes back to one node takes along what waits in SQL.
TEST_F(ViewsOnRedis, ThatWaitInSqlAreTakenUpByANodeThatKeepsThemInMemory) {
  nodes.add(redis.url());
  auto http = nodes.client(0);
  redis.kill();
  ASSERT_TRUE(eventually([&] { return http.post("/api/stories/s-0/view", R"({"userId":"ada"})").status == 200; }));
  EXPECT_EQ(nodes[0].terminate().code, 0);
  ASSERT_EQ(postgres_number(database, "SELECT count(*) FROM view_inbox"), 1);
  change_postgres(database, "UPDATE live_control SET is_fallback = false, is_closing = false");  // as the operator says who moves

  sqlite::TemporaryFolder folder;
  ServerProcess alone({.data = folder.path() / "data", .flags = {"--database-url=" + database}});
  HttpClient http_alone(alone.port());
  EXPECT_EQ(views_of(http_alone, "s-0"), 1u);
  EXPECT_EQ(postgres_number(database, "SELECT count(*) FROM view_inbox"), 0);
  auto again = expect_answer(200, http_alone.post("/api/stories/s-0/view", R"({"userId":"ada"})"));
  EXPECT_FALSE(again.at("isFirstView").as_bool());
}

TEST(Views, OfAChapterCountForItsStoryWhereThatIsConfigured) {
  sqlite::TemporaryFolder folder;
  ServerProcess server({.data = folder.path() / "data", .flags = {"--views.chapters_count_for_story"}});
  HttpClient http(server.port());
  expect_answer(200, http.call("PUT", "/api/chapters/c-0", R"({"storyId":"s-0"})"));
  expect_answer(200, http.call("PUT", "/api/chapters/c-1", R"({"storyId":"s-0"})"));
  for (const char* chapter : {"c-0", "c-1", "c-0", "unknown"}) {
    expect_answer(200, http.post("/api/chapters/" + std::string(chapter) + "/view", R"({"userId":"ada"})"));
  }
  EXPECT_EQ(views_of(http, "s-0"), 1u);
  expect_answer(200, http.post("/api/chapters/c-1/view", R"({"userId":"bob"})"));
  EXPECT_EQ(views_of(http, "s-0"), 2u);
}

TEST(Views, AreBroughtToSqlByTheCommand) {
  sqlite::TemporaryFolder folder;
  auto data = folder.path() / "data";
  ServerProcess server({.data = data});
  HttpClient http(server.port());
  put_stories(HttpClient(server.port()));
  auto sync = [&] { return run_hearth({"sync-views", "--data=" + data.string(), "--json"}); };
  expect_answer(200, http.post("/api/stories/s-0/view", R"({"userId":"ada"})"));
  auto beside = sync();
  EXPECT_EQ(beside.code, 0) << beside.errors;
  EXPECT_NE(beside.output.find("\"storyViewsAdded\":1"), std::string::npos) << beside.output;
  expect_answer(200, http.post("/api/stories/s-0/view", R"({"userId":"bob"})"));
  server.kill();
  auto alone = sync();
  EXPECT_EQ(alone.code, 0) << alone.errors;
  EXPECT_NE(alone.output.find("\"storyViewsAdded\":1"), std::string::npos) << alone.output;
  EXPECT_EQ(read_counts(data)["s-0"], 2u);
}

TEST(Views, AreBroughtToSqlByTheClock) {
  sqlite::TemporaryFolder folder;
  ServerProcess server({.data = folder.path() / "data"});
  HttpClient http(server.port());
  auto schedules = expect_answer(200, http.get("/api/admin/schedules"));
  bool is_listed = false;
  for (const auto& schedule : schedules.at("schedules").as_array()) {
    if (text_of(schedule, "name") != "sync_views") continue;
    is_listed = true;
    EXPECT_EQ(text_of(schedule, "cron"), "0 2-23/12 * * *");
  }
  EXPECT_TRUE(is_listed);
  // The job that it enqueues does it.
  expect_answer(200, http.post("/api/stories/s-0/view", R"({"userId":"ada"})"));
  expect_answer(201, http.post("/api/jobs", R"({"jobType":"sync_views"})"));
  EXPECT_TRUE(eventually([&] { return expect_answer(200, http.get("/api/admin/view-stats")).at("totalBufferedViews").as_int64() == 0; }));
}

}  // namespace
}  // namespace hearth::tests
