#include "hearth/outbox/postgres_partition_leases.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "hearth/drivers/postgres/migrations.h"
#include "hearth/drivers/postgres/test_server.h"

namespace hearth::outbox {
namespace {

using Partitions = std::vector<Partition>;

class PostgresPartitionLeasesTest : public testing::Test {
 protected:
  static std::string fresh_database() {
    static postgres::PostgresServer server;
    return server.create_database("leases");
  }
  PostgresPartitionLeasesTest() { EXPECT_TRUE(postgres::migrate(*database_, postgres::kMigrations)); }

  Partitions balance(const std::string& owner, Partition count = 4) {
    Partitions partitions;
    for (const auto& held : leases_.balance(owner, count).value()) {
      EXPECT_EQ(held.lease.owner, owner);
      partitions.push_back(held.partition);
    }
    return partitions;
  }
  void execute(const std::string& sql) { postgres::Connection::connect({.url = url_}).execute(sql); }
  // As if nothing had been heard of the node for longer than a lease.
  void silence(const std::string& node) {
    execute("UPDATE nodes SET alive_at = now() - interval '1 hour' WHERE node = '" + node + "'");
    execute("UPDATE outbox_cursors SET lease_until = now() - interval '1 hour' WHERE owner = '" + node + "'");
  }

  std::string url_ = fresh_database();
  std::unique_ptr<postgres::Database> database_ = postgres::Database::open({.url = url_}).value();
  PostgresPartitionLeases leases_{*database_};
};

TEST_F(PostgresPartitionLeasesTest, ANodeAloneHasAllPartitions) {
  EXPECT_EQ(balance("ada"), (Partitions{0, 1, 2, 3}));
  auto first = leases_.balance("ada", 4).value();
  auto again = leases_.balance("ada", 4).value();
  EXPECT_EQ(first[0].lease.fence, again[0].lease.fence) << "a renewal is no new owner";
}

TEST_F(PostgresPartitionLeasesTest, ASecondNodeGetsItsShareOnceTheFirstGivesItBack) {
  balance("ada");
  EXPECT_EQ(balance("bob"), Partitions{});
  EXPECT_EQ(balance("ada"), (Partitions{0, 1}));
  EXPECT_EQ(balance("bob"), (Partitions{2, 3}));
  EXPECT_EQ(balance("ada"), (Partitions{0, 1}));
}

TEST_F(PostgresPartitionLeasesTest, APartitionLeftOverGoesToSomeone) {
  balance("ada", 5);
  balance("bob", 5);
  EXPECT_EQ(balance("ada", 5), (Partitions{0, 1, 2}));
  EXPECT_EQ(balance("bob", 5), (Partitions{3, 4}));
}

TEST_F(PostgresPartitionLeasesTest, WhatASilentNodeHeldIsTakenOverWithAHigherFence) {
  auto before = leases_.balance("ada", 1).value();
  silence("ada");
  auto after = leases_.balance("bob", 1).value();
  ASSERT_EQ(after.size(), 1u);
  EXPECT_GT(after[0].lease.fence, before[0].lease.fence);
  EXPECT_EQ(balance("ada", 1), Partitions{}) << "it is back, and one partition is no two shares";
}

TEST_F(PostgresPartitionLeasesTest, WhatIsReleasedIsFreeAtOnce) {
  balance("ada");
  ASSERT_TRUE(leases_.release("ada"));
  EXPECT_EQ(balance("bob"), (Partitions{0, 1, 2, 3}));
  ASSERT_TRUE(leases_.release("ada"));
}

TEST_F(PostgresPartitionLeasesTest, APartitionThatIsBeingFlushedIsLeftAlone) {
  balance("ada");
  silence("ada");
  auto flushing = postgres::Connection::connect({.url = url_});
  flushing.execute("BEGIN; SELECT FROM outbox_cursors WHERE partition = 1 FOR UPDATE");
  EXPECT_EQ(balance("bob"), (Partitions{0, 2, 3}));
  flushing.execute("COMMIT");
  EXPECT_EQ(balance("bob"), (Partitions{0, 1, 2, 3}));
}

TEST_F(PostgresPartitionLeasesTest, ARenewalDoesNotWaitForAFlush) {
  balance("ada");
  auto flushing = postgres::Connection::connect({.url = url_});
  flushing.execute("BEGIN; SELECT FROM outbox_cursors WHERE partition = 1 FOR UPDATE");
  EXPECT_EQ(balance("ada"), (Partitions{0, 1, 2, 3}));
}

TEST_F(PostgresPartitionLeasesTest, AClaimOfWhatAnotherHoldsIsRefusedAndNamesIt) {
  auto first = leases_.claim("ada", kJournalPartition).value();
  EXPECT_EQ(first.partition, kJournalPartition);
  auto refused = leases_.claim("bob", kJournalPartition);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_NE(refused.error().message.find("ada"), std::string::npos);
  EXPECT_GT(leases_.claim("ada", kJournalPartition).value().lease.fence, first.lease.fence) << "the same node, started again";
  silence("ada");
  EXPECT_TRUE(leases_.claim("bob", kJournalPartition));
  EXPECT_EQ(balance("ada", 1), (Partitions{0})) << "the journal is nobody's share";
}

TEST_F(PostgresPartitionLeasesTest, TheLastOwnerIsKnownUntilItGivesThePartitionBack) {
  EXPECT_EQ(leases_.last_owner(kJournalPartition).value(), "");
  ASSERT_TRUE(leases_.claim("ada", kJournalPartition));
  silence("ada");
  EXPECT_EQ(leases_.last_owner(kJournalPartition).value(), "ada");
  ASSERT_TRUE(leases_.release("ada"));
  EXPECT_EQ(leases_.last_owner(kJournalPartition).value(), "");
}

TEST_F(PostgresPartitionLeasesTest, ManyNodesAtOnceNeverHoldTheSamePartition) {
  constexpr Partition kCount = 8;
  constexpr int kNodes = 4;
  std::vector<std::jthread> nodes;
  for (int i = 0; i < kNodes; ++i) {
    nodes.emplace_back([&, i] {
      for (int round = 0; round < 20; ++round) balance("node-" + std::to_string(i), kCount);
    });
  }
  nodes.clear();
  std::set<Partition> all;
  for (int i = 0; i < kNodes; ++i) {
    auto held = balance("node-" + std::to_string(i), kCount);
    EXPECT_EQ(held.size(), 2u);
    all.insert(held.begin(), held.end());
  }
  EXPECT_EQ(all.size(), 8u);
}

}  // namespace
}  // namespace hearth::outbox
