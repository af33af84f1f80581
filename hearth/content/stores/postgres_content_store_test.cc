#include "hearth/content/stores/postgres_content_store.h"

#include <gtest/gtest.h>

#include <future>
#include <string>
#include <utility>
#include <vector>

#include "hearth/content/stores/postgres_content_under_test.h"

namespace hearth::content {
namespace {

// Transactions of other programs that are held open, and the store's own that wait for them.
class PostgresContentStoreTest : public testing::Test {
 protected:
  PostgresContentStoreTest() { add_user(content.store(), "ada"); }

  postgres::Connection begin() {
    auto connection = postgres::Connection::connect({.url = content.url()});
    connection.execute("BEGIN");
    return connection;
  }
  // What a flush of likes does for one post.
  static void flush(postgres::Connection& connection, const char* post, int likes) {
    connection.run(
        "INSERT INTO post_counts (post_id, likes, version) VALUES ($1, $2, $2) ON CONFLICT (post_id) DO UPDATE SET likes = $2, version = "
        "$2",
        post, likes);
    connection.run("UPDATE posts SET likes = $2, likes_version = $2 WHERE id = $1", post, likes);
  }
  // Returns when exactly so many sessions wait for a lock.
  void wait_for_waiting(int sessions) {
    while (content.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") !=
           sessions) {
    }
  }
  template <typename Call>
  static auto start(Call call) {
    return std::async(std::launch::async, std::move(call));
  }
  auto start_create(const char* id, std::size_t node = 0, std::optional<IdempotencyKey> key = {}) {
    return start([=, this] { return run(content.store(node).create_post({.id = post_id(id), .author = user_id("ada")}, key)); });
  }
  std::pair<std::int64_t, std::int64_t> likes_and_version(const char* post) {
    return content.database()
        .read_blocking([&](postgres::Connection& connection) -> Result<std::pair<std::int64_t, std::int64_t>> {
          auto row = connection.query("SELECT likes, likes_version FROM posts WHERE id = $1", post);
          row.first();
          return std::pair(row.integer(0), row.integer(1));
        })
        .value();
  }

  SimulatedClock clock;
  PostgresContentUnderTest content{clock};
};

TEST_F(PostgresContentStoreTest, APostThatWasLikedBeforeStartsWithItsLikes) {
  auto other = begin();
  flush(other, "p", 3);
  other.execute("COMMIT");
  add_post(content.store(), "p");
  EXPECT_EQ(likes_and_version("p"), (std::pair<std::int64_t, std::int64_t>(3, 3)));
  add_post(content.store(), "q");
  EXPECT_EQ(likes_and_version("q"), (std::pair<std::int64_t, std::int64_t>(0, 0)));
}

TEST_F(PostgresContentStoreTest, APostCreatedDuringAFlushWaitsAndGetsItsLikes) {
  auto other = begin();
  flush(other, "p", 7);
  flush(other, "q", 8);
  auto created = start_create("p");
  auto imported = start([this] { return run(content.store().put_all({PostDraft{.id = post_id("q"), .author = user_id("ada")}})); });
  wait_for_waiting(2);
  other.execute("COMMIT");
  ASSERT_TRUE(created.get());
  ASSERT_TRUE(imported.get().value()[0]);
  EXPECT_EQ(likes_and_version("p"), (std::pair<std::int64_t, std::int64_t>(7, 7)));
  EXPECT_EQ(likes_and_version("q"), (std::pair<std::int64_t, std::int64_t>(8, 8)));
}

TEST_F(PostgresContentStoreTest, AFlushDuringTheCreationOfAPostWaitsAndSetsItsLikes) {
  auto holder = begin();
  holder.execute("SELECT FROM users FOR UPDATE");  // the insert of a post waits to see that its author stays
  auto created = start_create("p");
  wait_for_waiting(1);
  auto other = begin();
  auto flushed = start([&] {
    flush(other, "p", 7);
    other.execute("COMMIT");
  });
  wait_for_waiting(2);
  holder.execute("COMMIT");
  ASSERT_TRUE(created.get());
  flushed.get();
  EXPECT_EQ(likes_and_version("p"), (std::pair<std::int64_t, std::int64_t>(7, 7)));
}

TEST_F(PostgresContentStoreTest, AnImportNeverHoldsARowThatAFlushWaitsForWhileItWaits) {
  auto first = begin();
  for (const char* post : {"Y", "Z", "a"}) flush(first, post, 1);  // by their bytes, Z comes before a
  first.execute("COMMIT");
  auto import = [this](const char* one, const char* another) {
    return start([=, this] {
      return run(content.store().put_all(
          {PostDraft{.id = post_id(one), .author = user_id("ada")}, PostDraft{.id = post_id(another), .author = user_id("ada")}}));
    });
  };
  auto other = begin();
  other.execute("SET LOCAL lock_timeout = '200ms'");  // before the server would notice a deadlock
  other.execute("SELECT FROM post_counts WHERE post_id = 'Z' FOR UPDATE");
  auto of_known = import("a", "Z");
  wait_for_waiting(1);
  EXPECT_NO_THROW(other.execute("SELECT FROM post_counts WHERE post_id = 'a' FOR UPDATE"));
  other.execute("INSERT INTO post_counts VALUES ('new', 0, 0)");
  auto of_new = import("Y", "new");
  wait_for_waiting(2);
  EXPECT_NO_THROW(other.execute("SELECT FROM post_counts WHERE post_id = 'Y' FOR UPDATE"));
  other.execute("COMMIT");
  EXPECT_TRUE(of_known.get());
  EXPECT_TRUE(of_new.get());
}

TEST_F(PostgresContentStoreTest, ASecondRequestWithAKeyWaitsForTheFirstOnAnotherNode) {
  auto holder = begin();
  holder.execute("SELECT FROM users FOR UPDATE");
  auto first = start_create("p", 0, IdempotencyKey{"scope", "request"});
  wait_for_waiting(1);
  auto second = start_create("p", 1, IdempotencyKey{"scope", "request"});
  auto another = start_create("p", 1, IdempotencyKey{"scope", "another request"});
  wait_for_waiting(3);
  holder.execute("COMMIT");
  EXPECT_FALSE(first.get().value().replayed);
  EXPECT_TRUE(second.get().value().replayed);
  EXPECT_EQ(another.get().error().code, ErrorCode::kIdempotencyKeyReused);
}

TEST_F(PostgresContentStoreTest, AnExportWhoseConnectionIsLostEndsInsteadOfBeginningAgain) {
  int users = 0;
  auto use_user = [&](const User&) -> Result<void> {
    ++users;
    auto killer = postgres::Connection::connect({.url = content.url()});
    killer.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
    return {};
  };
  auto exported = PostgresContentExport(content.database()).for_each(use_user, [](const Post&) -> Result<void> { return {}; });
  ASSERT_FALSE(exported);
  EXPECT_EQ(exported.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(users, 1);
}

// What the planner can do when it must: a page that only a sort or a scan can make would take longer with every post.
TEST_F(PostgresContentStoreTest, NoPageSortsOrScans) {
  const char* queries[] = {
      "SELECT p.id FROM posts p JOIN users u ON u.id = p.author_id WHERE (p.created_at, p.id) < (now(), 'x') "
      "ORDER BY p.created_at DESC, p.id DESC LIMIT 51",
      "SELECT p.id FROM posts p JOIN users u ON u.id = p.author_id WHERE p.author_id = 'ada' AND (p.created_at, p.id) < (now(), 'x') "
      "ORDER BY p.created_at DESC, p.id DESC LIMIT 21",
      "SELECT id FROM posts WHERE (likes, created_at, id) < (9::bigint, now(), 'x') "
      "ORDER BY likes DESC, created_at DESC, id DESC LIMIT 500",
      "SELECT id FROM posts ORDER BY created_at DESC, id DESC LIMIT 1000"};
  for (const char* query : queries) {
    auto plan = content.database().read_blocking([query](postgres::Connection& connection) -> Result<std::string> {
      connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off");
      std::string text;
      auto rows = connection.query(std::string("EXPLAIN ") + query);
      while (rows.next()) text += rows.string(0) + "\n";
      return text;
    });
    ASSERT_TRUE(plan);
    EXPECT_FALSE(plan->contains("Sort") || plan->contains("Seq Scan on posts")) << query << "\n" << *plan;
    EXPECT_TRUE(plan->contains("using posts_by_")) << query << "\n" << *plan;
  }
}

}  // namespace
}  // namespace hearth::content
