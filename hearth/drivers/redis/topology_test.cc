// Sentinel and Cluster: where a call goes, and what happens when that changes.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <thread>

#include "hearth/base/run_to_end.h"
#include "hearth/drivers/redis/test_clients.h"
#include "hearth/drivers/redis/test_servers.h"

namespace hearth::redis {
namespace {

using std::chrono::milliseconds;
using Kind = Failure::Kind;

TEST(Sentinel, ThePrimaryIsFoundAndFollowed) {
  RedisServer primary;
  RedisServer replica({.config = {"replicaof 127.0.0.1 " + std::to_string(primary.port())}});
  RedisServer sentinel({.config = {"sentinel monitor main 127.0.0.1 " + std::to_string(primary.port()) + " 1",
                                   "sentinel down-after-milliseconds main 500", "sentinel failover-timeout main 5000"},
                        .is_sentinel = true});
  auto url = "redis+sentinel://" + sentinel.address() + "/main";
  auto client = connected({.url = url, .needs_admission = true});
  auto first = client->servers().at(0);
  EXPECT_EQ(first.address, primary.address());
  client->admit(first.run_id);
  EXPECT_EQ(must(client->call_blocking(Command({"INCR", "n"}))).integer, 1);
  EXPECT_EQ(must(client->call_blocking(Command({"WAIT", "1", "10000"}))).integer, 1);
  EXPECT_TRUE(eventually([&] { return sentinel.run({"SENTINEL", "replicas", "main"}).elements.size() == 1; }));

  primary.kill();
  EXPECT_TRUE(eventually([&] {
    auto servers = client->servers();
    return servers.size() == 1 && servers[0].address == replica.address();
  }));
  EXPECT_EQ(client->call_blocking(Command({"INCR", "n"})).error().kind, Kind::kNotSent);  // not admitted
  client->admit(client->servers().at(0).run_id);
  EXPECT_TRUE(eventually([&] { return client->call_blocking(Command({"INCR", "n"})).has_value(); }));
  EXPECT_EQ(replica.run({"GET", "n"}).text, "2");
}

TEST(Sentinel, ANameItDoesNotKnowIsNoServer) {
  RedisServer sentinel({.is_sentinel = true});
  auto client = client_of({.url = "redis+sentinel://" + sentinel.address() + "/nobody"});
  EXPECT_EQ(client->call_blocking(Command({"INCR", "n"})).error().kind, Kind::kNotSent);
}

TEST(Client, AReplicaIsNotUsedUntilItIsPromoted) {
  RedisServer primary;
  RedisServer replica({.config = {"replicaof 127.0.0.1 " + std::to_string(primary.port())}});
  auto client = client_of({.url = replica.url()});
  EXPECT_EQ(client->call_blocking(Command({"GET", "n"})).error().kind, Kind::kNotSent);
  replica.run({"REPLICAOF", "NO", "ONE"});
  EXPECT_TRUE(eventually([&] { return client->call_blocking(Command({"INCR", "n"})).has_value(); }));
}

// One cluster for the tests that leave it as it was.
class Cluster : public testing::Test {
 protected:
  static void SetUpTestSuite() { cluster = std::make_unique<RedisCluster>(); }
  static void TearDownTestSuite() { cluster.reset(); }

  // Moves an empty or filled slot as an administrator does; `between` runs while it is half moved.
  static void move_slot(std::uint16_t slot, std::size_t target, const std::function<void()>& between) {
    auto source = cluster->primary_of(slot);
    auto number = std::to_string(slot);
    auto source_id = cluster->id_of(source);
    auto target_id = cluster->id_of(target);
    cluster->node(target).run({"CLUSTER", "SETSLOT", number, "IMPORTING", source_id});
    cluster->node(source).run({"CLUSTER", "SETSLOT", number, "MIGRATING", target_id});
    between();
    while (true) {
      auto keys = cluster->node(source).run({"CLUSTER", "GETKEYSINSLOT", number, "10"});
      if (keys.elements.empty()) break;
      for (const Reply& key : keys.elements) move_key(source, target, key.text);
    }
    cluster->node(target).run({"CLUSTER", "SETSLOT", number, "NODE", target_id});
    cluster->node(source).run({"CLUSTER", "SETSLOT", number, "NODE", target_id});
  }
  static void move_key(std::size_t source, std::size_t target, const std::string& key) {
    cluster->node(source).run({"MIGRATE", "127.0.0.1", std::to_string(cluster->node(target).port()), key, "0", "5000"});
  }

  static std::unique_ptr<RedisCluster> cluster;
};

std::unique_ptr<RedisCluster> Cluster::cluster;

TEST_F(Cluster, EachKeyGoesToTheServerOfItsSlot) {
  auto client = connected({.url = cluster->url()});
  EXPECT_TRUE(client->is_cluster());
  EXPECT_EQ(client->servers().size(), RedisCluster::kPrimaries);
  std::vector<Command> sets;
  std::vector<Command> gets;
  for (int i = 0; i < 300; ++i) {
    auto key = "route:" + std::to_string(i);
    sets.emplace_back(Command({"SET", key, std::to_string(i)}));
    gets.emplace_back(Command({"GET", key}));
  }
  for (auto& outcome : run_to_end(client->call_all(std::move(sets)))) ASSERT_TRUE(outcome) << outcome.error().message;
  auto outcomes = run_to_end(client->call_all(std::move(gets)));
  for (std::size_t i = 0; i < outcomes.size(); ++i) EXPECT_EQ(outcomes[i]->text, std::to_string(i));
  EXPECT_EQ(client->stats().redirects, 0u);
}

TEST_F(Cluster, OneMemberLeadsToTheOthers) {
  auto client = client_of({.url = cluster->node(0).url()});
  EXPECT_TRUE(eventually([&] { return client->is_cluster() && client->servers().size() == RedisCluster::kPrimaries; }));
  for (std::string key : {"a", "b", "c", "d", "e"}) EXPECT_TRUE(client->call_blocking(Command({"SET", key, "v"})));
}

TEST_F(Cluster, AScriptOverTwoSlotsIsRefused) {
  auto client = connected({.url = cluster->url()});
  static const Script script("return redis.call('MGET', KEYS[1], KEYS[2])");
  auto outcome = client->run_blocking({.script = &script, .keys = {"a", "b"}});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, Kind::kRefused);
}

TEST_F(Cluster, ASlotThatHasMovedIsFollowed) {
  auto client = connected({.url = cluster->url()});
  std::string key = "{moved}n";
  auto slot = slot_of(key);
  EXPECT_EQ(must(client->call_blocking(Command({"INCR", key}))).integer, 1);
  auto target = (cluster->primary_of(slot) + 1) % RedisCluster::kPrimaries;
  move_slot(slot, target, [] {});
  std::vector<Command> commands;
  for (int i = 0; i < 10; ++i) commands.emplace_back(Command({"INCR", key}));
  auto outcomes = run_to_end(client->call_all(std::move(commands)));
  for (std::size_t i = 0; i < outcomes.size(); ++i) EXPECT_EQ(outcomes[i]->integer, static_cast<std::int64_t>(i) + 2);
  EXPECT_GT(client->stats().redirects, 0u);
  EXPECT_EQ(cluster->node(target).run({"GET", key}).text, "11");
}

TEST_F(Cluster, ASlotThatIsMovingIsAskedFor) {
  auto client = connected({.url = cluster->url()});
  std::string here = "{asked}here";
  std::string moved = "{asked}moved";
  std::string made = "{asked}new";
  EXPECT_TRUE(client->call_blocking(Command({"SET", here, "1"})));
  EXPECT_TRUE(client->call_blocking(Command({"SET", moved, "2"})));
  auto slot = slot_of(here);
  auto source = cluster->primary_of(slot);
  auto target = (source + 1) % RedisCluster::kPrimaries;
  move_slot(slot, target, [&] {
    move_key(source, target, moved);
    EXPECT_EQ(must(client->call_blocking(Command({"GET", here}))).text, "1");
    EXPECT_EQ(must(client->call_blocking(Command({"GET", moved}))).text, "2");
    EXPECT_EQ(must(client->call_blocking(Command({"INCR", made}))).integer, 1);
    static const Script script("return redis.call('INCR', KEYS[1])");
    EXPECT_EQ(must(client->run_blocking({.script = &script, .keys = {made}})).integer, 2);
    // Keys on both sides: nobody can answer, so it was tried again and given up.
    auto both = client->call_blocking(Command({"MGET", here, moved}));
    ASSERT_FALSE(both);
    EXPECT_EQ(both.error().kind, Kind::kNotSent);
    EXPECT_TRUE(both.error().message.contains("TRYAGAIN")) << both.error().message;
  });
  EXPECT_EQ(must(client->call_blocking(Command({"MGET", here, moved, made}))).elements[2].text, "2");
}

TEST(ClusterFailover, TheNewPrimaryIsFoundAndAdmittedFirst) {
  RedisCluster cluster;
  auto client = connected({.url = cluster.url(), .needs_admission = true});
  for (const auto& server : client->servers()) client->admit(server.run_id);
  EXPECT_TRUE(client->is_serving());
  std::string key = "{failover}n";
  EXPECT_EQ(must(client->call_blocking(Command({"INCR", key}))).integer, 1);
  EXPECT_EQ(must(client->call_blocking(Command({"WAIT", "1", "10000"}, slot_of(key)))).integer, 1);
  std::string elsewhere = "a";
  while (cluster.primary_of(slot_of(elsewhere)) == cluster.primary_of(slot_of(key))) elsewhere += "a";

  auto dead = cluster.kill_primary_of(slot_of(key));
  EXPECT_TRUE(eventually([&] { return !client->is_connected(); }));
  EXPECT_TRUE(client->call_blocking(Command({"GET", key})).error().kind == Kind::kNotSent);
  EXPECT_TRUE(eventually([&] { return client->is_connected(); }));
  EXPECT_FALSE(client->is_serving());
  EXPECT_EQ(client->call_blocking(Command({"INCR", key})).error().kind, Kind::kNotSent);
  EXPECT_TRUE(eventually([&] { return client->call_blocking(Command({"SET", elsewhere, "v"})).has_value(); }));
  for (const auto& server : client->servers()) client->admit(server.run_id);
  EXPECT_TRUE(client->is_serving());
  EXPECT_EQ(must(client->call_blocking(Command({"INCR", key}))).integer, 2);

  cluster.restart(dead);  // as a replica
  EXPECT_TRUE(eventually([&] { return cluster.is_healthy(); }));
  EXPECT_EQ(must(client->call_blocking(Command({"INCR", key}))).integer, 3);
}

TEST(ClusterFailover, NoCallIsExecutedTwiceMeanwhile) {
  RedisCluster cluster;
  auto client = connected({.url = cluster.url(), .call_timeout = milliseconds(500)});
  std::atomic<bool> is_over = false;
  struct Tally {
    std::int64_t answered = 0;
    std::int64_t unknown = 0;
    std::int64_t last = 0;
  };
  auto count = [&](std::string key) {
    Tally tally;
    while (!is_over) {
      auto outcome = client->call_blocking(Command({"INCR", key}));
      if (outcome) {
        ++tally.answered;
        tally.last = outcome->integer;
      } else if (outcome.error().kind == Kind::kUnknown) {
        ++tally.unknown;
      }
    }
    return tally;
  };
  std::vector<std::future<Tally>> counters;
  for (int i = 0; i < 6; ++i) counters.push_back(std::async(std::launch::async, count, "{" + std::to_string(i) + "}n"));
  cluster.kill_primary_of(slot_of("{0}n"));
  EXPECT_TRUE(eventually([&] { return !client->is_connected(); }));
  EXPECT_TRUE(eventually([&] { return client->is_connected(); }));
  EXPECT_TRUE(eventually([&] { return client->call_blocking(Command({"GET", "{0}n"})).has_value(); }));
  is_over = true;
  for (auto& counter : counters) {
    auto tally = counter.get();
    EXPECT_GT(tally.answered, 0);
    EXPECT_LE(tally.last, tally.answered + tally.unknown);
  }
}

}  // namespace
}  // namespace hearth::redis
