// Two nodes on one Redis and one PostgreSQL, all of them killed, stopped and cut off at random under load: in the end every
// answered change is there once, and Redis and SQL are one.
//
// HEARTH_FIRE_ROUNDS sets how many faults there are; the seed is printed when something is wrong.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "tests/support/hearth_nodes.h"
#include "tests/support/steady_load.h"
#include "tests/support/test_stores.h"

namespace hearth::tests {
namespace {

constexpr std::size_t kPosts = 24;
constexpr std::size_t kKnownPosts = 8;  // of them; the others have their content elsewhere
constexpr std::size_t kNodes = 2;
constexpr int kRounds = 14;

std::vector<std::string> post_names(std::size_t count) {
  std::vector<std::string> posts;
  for (std::size_t i = 0; i < count; ++i) posts.push_back("post-" + std::to_string(i));
  return posts;
}

int rounds() {
  const char* text = std::getenv("HEARTH_FIRE_ROUNDS");
  return text == nullptr ? kRounds : std::atoi(text);
}

class ExactlyOnce : public testing::Test {
 protected:
  ExactlyOnce() {
    for (std::size_t i = 0; i < kNodes; ++i) {
      auto& node = nodes.add(proxies[i].url(), {"--flush.interval_ms=10"});
      load.serve_from(i, node.port());
    }
    nodes.add_content(post_names(kKnownPosts));
  }

  std::uint64_t some(std::uint64_t most) { return 1 + random() % most; }

  void kill_node(std::size_t i) {
    load.serve_from(i, 0);
    nodes[i].kill();
  }
  void start_node(std::size_t i) {
    nodes[i].start();
    load.serve_from(i, nodes[i].port());
  }
  void kill_redis() {
    load.expect_loss();
    redis.kill();
  }

  // One node, or both at once, and perhaps once more while they start.
  void nodes_die() {
    bool are_both = random() % 3 == 0;
    std::size_t first = random() % kNodes;
    kill_node(first);
    if (are_both) kill_node(1 - first);
    load.wait_for_tries(some(200));
    start_node(first);
    if (are_both) start_node(1 - first);
  }
  // For a moment, or until SQL has taken over.
  void redis_dies() {
    kill_redis();
    if (random() % 2 == 0) {
      load.wait_for_tries(some(100));
    } else {
      load.wait_for_answers(some(300));
    }
    redis.restart();
  }
  // Right after Redis was away nobody may be able to answer without it.
  void postgres_dies() {
    postgres.kill();
    load.wait_for_tries(some(1'000));
    postgres.start();
  }
  void all_die() {
    std::vector<int> order = {0, 1, 2, 3};
    std::ranges::shuffle(order, random);
    for (int which : order) {
      if (which == 2) {
        kill_redis();
      } else if (which == 3) {
        postgres.kill();
      } else {
        kill_node(static_cast<std::size_t>(which));
      }
      load.wait_for_tries(some(20));
    }
    if (random() % 2 == 0) redis.restart();
    postgres.start();
    start_node(0);
    if (redis.pid() < 0) redis.restart();
    start_node(1);
  }
  void connections_are_cut() {
    for (auto i = some(5); i > 0; --i) {
      proxies[random() % kNodes].cut();
      load.wait_for_tries(some(100));
    }
  }
  void the_network_is_slow() {
    auto& proxy = proxies[random() % kNodes];
    proxy.delay(std::chrono::milliseconds(some(40)));
    load.wait_for_answers(some(300));
    proxy.cut();
    load.wait_for_answers(some(100));
    proxy.resume();
  }
  // The calls under way fail after some seconds; the other node goes on.
  void answers_of_redis_are_lost() {
    auto& proxy = proxies[random() % kNodes];
    proxy.swallow_answers();
    load.wait_for_answers(some(500));
    proxy.cut();
    proxy.resume();
  }

  static constexpr int kKinds = 7;
  void let_fail(int kind) {
    void (ExactlyOnce::* const kFaults[kKinds])() = {&ExactlyOnce::nodes_die,
                                                     &ExactlyOnce::redis_dies,
                                                     &ExactlyOnce::postgres_dies,
                                                     &ExactlyOnce::all_die,
                                                     &ExactlyOnce::connections_are_cut,
                                                     &ExactlyOnce::the_network_is_slow,
                                                     &ExactlyOnce::answers_of_redis_are_lost};
    constexpr const char* kNames[kKinds] = {"nodes die",           "Redis dies",          "PostgreSQL dies",          "all die",
                                            "connections are cut", "the network is slow", "answers of Redis are lost"};
    std::cout << kNames[kind] << std::endl;
    (this->*kFaults[kind])();
  }

  void expect_one_truth() {
    load.stop();
    nodes.settle();
    for (const auto& what : nodes.differences(RedisReader(redis), load.posts())) ADD_FAILURE() << what;
    for (const auto& what : load.missing_from(nodes.members())) ADD_FAILURE() << what;
    for (const auto& what : load.failures()) ADD_FAILURE() << what;
    for (std::size_t i = 0; HasFailure() && i < kNodes; ++i) std::cout << "node " << i << " said:\n" << nodes[i].errors();
    auto counts = load.counts();
    std::cout << counts.answers << " requests answered, " << counts.degraded << " of them from SQL; " << counts.unanswered
              << " not at first, of which " << counts.retried << " were when sent again\n";
    EXPECT_GT(counts.answers, 0u);
  }

  std::int64_t owners() {
    return postgres_number(database, "SELECT count(DISTINCT owner) FROM outbox_cursors WHERE consumer = 'ledger' AND partition >= 0");
  }

  const std::uint64_t seed = std::random_device{}();
  std::mt19937_64 random{seed};
  testing::ScopedTrace trace{__FILE__, __LINE__, "seed " + std::to_string(seed)};
  redis::RedisServer redis{{.appendfsync = "always"}};
  postgres::PostgresServer postgres;
  const std::string database = postgres.create_database("fire");
  redis::TcpProxy proxies[kNodes] = {redis::TcpProxy(redis.port()), redis::TcpProxy(redis.port())};
  HearthNodes nodes{database};
  SteadyLoad load{{.posts = post_names(kPosts), .nodes = kNodes, .seed = seed}};
};

TEST_F(ExactlyOnce, WhateverIsKilledOrCut) {
  load.start();
  load.wait_for_answers(some(500));
  for (int round = 0; round < rounds() && load.failures().empty(); ++round) {
    let_fail(round < kKinds ? round : static_cast<int>(random() % kKinds));  // each kind at least once in a run of the usual length
    load.wait_for_answers(some(500));
  }
  expect_one_truth();
}

TEST_F(ExactlyOnce, ANodeThatWasStoppedBeyondItsLeaseWritesNothingOld) {
  load.start();
  ASSERT_TRUE(redis::eventually([this] { return owners() == 2; }));
  load.wait_for_answers(200);
  nodes[1].pause();
  ASSERT_TRUE(redis::eventually([this] { return owners() == 1; }));  // the other has taken over all partitions
  load.wait_for_answers(200);
  nodes[1].resume();
  load.wait_for_answers(500);
  ASSERT_TRUE(redis::eventually([this] { return owners() == 2; }));
  expect_one_truth();
}

}  // namespace
}  // namespace hearth::tests
