#include "hearth/likes/ledgers/postgres_like_ledger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <map>
#include <string_view>
#include <thread>

#include "hearth/likes/ledgers/postgres_ledger_under_test.h"

namespace hearth::likes {
namespace {

using postgres::Connection;
using postgres::Database;

// Events that follow each other, as the live store makes them.
class Events {
 public:
  outbox::LikeChanged next(std::string_view post_id, std::string_view session_id, bool is_liked = true) {
    auto& last = last_[std::string(post_id)];
    outbox::LikeChanged made{.post = post_id,
                             .session = session_id,
                             .version = last.version + 10,
                             .previous = last.version,
                             .likes = last.likes + (is_liked ? 1 : -1u),
                             .is_liked = is_liked,
                             .at = UtcMicros(std::chrono::seconds(1'700'000'000))};
    last = {made.version, made.likes};
    return made;
  }

 private:
  struct Last {
    std::uint64_t version = 0;
    std::uint32_t likes = 0;
  };
  std::map<std::string, Last> last_;
};

class PostgresLikeLedgerTest : public testing::Test {
 protected:
  void adopt(const std::string& sql, const LedgerNames& names = {}) { under_test_ = std::make_unique<PostgresLedgerUnderTest>(sql, names); }
  AppliedBatch apply(std::vector<outbox::LikeChanged> events) {
    return must(ledger().apply({.events = std::move(events), .cursor = {{.major = ++position_}, 7}}));
  }
  LikeLedger& ledger() { return under_test_->ledger(); }
  std::int64_t number(const std::string& sql) { return under_test_->number(sql); }
  void execute(const std::string& sql) { under_test_->execute(sql); }
  void add_posts() {
    execute(
        "INSERT INTO users (id, username, username_key, created_at) VALUES ('u', 'u', 'u', now());"
        "INSERT INTO posts (id, author_id, created_at) VALUES ('p', 'u', now()), ('q', 'u', now())");
  }

  Events events_;
  std::unique_ptr<PostgresLedgerUnderTest> under_test_ = std::make_unique<PostgresLedgerUnderTest>();
  std::uint64_t position_ = 0;
};

TEST_F(PostgresLikeLedgerTest, PostsGetTheirCountInTheSameTransaction) {
  add_posts();
  apply({events_.next("p", "ada"), events_.next("p", "bob"), events_.next("unknown", "ada")});
  EXPECT_EQ(number("SELECT likes FROM posts WHERE id = 'p'"), 2);
  EXPECT_EQ(number("SELECT likes_version FROM posts WHERE id = 'p'"), 20);
  EXPECT_EQ(number("SELECT likes FROM posts WHERE id = 'q'"), 0);
  must(run(ledger().repair(must(run(ledger().heads({"p"}))).front(), {"ada"}, 500)));
  EXPECT_EQ(number("SELECT likes FROM posts WHERE id = 'p'"), 1);
  EXPECT_EQ(number("SELECT likes_version FROM posts WHERE id = 'p'"), 500);
}

TEST_F(PostgresLikeLedgerTest, APostThatIsMadeDuringAFlushGetsTheCountOfEitherOrder) {
  add_posts();
  for (int i = 0; i < 40; ++i) {
    auto id = "new-" + std::to_string(i);
    std::latch together(2);
    std::jthread making([&] {
      auto connection = Connection::connect({.url = under_test_->url()});
      together.arrive_and_wait();
      // As the content store makes a post.
      connection.execute("BEGIN; INSERT INTO post_counts VALUES ('" + id + "', 0, 0) ON CONFLICT DO NOTHING;" +
                         "SELECT FROM post_counts WHERE post_id = '" + id + "' FOR UPDATE;" +
                         "INSERT INTO posts (id, author_id, created_at, likes, likes_version) " +
                         "SELECT post_id, 'u', now(), likes, version FROM post_counts WHERE post_id = '" + id + "'; COMMIT");
    });
    together.arrive_and_wait();
    apply({events_.next(id, "ada")});
    making.join();
    EXPECT_EQ(number("SELECT likes FROM posts WHERE id = '" + id + "'"), 1);
  }
}

TEST_F(PostgresLikeLedgerTest, AnEventThatSqlRefusesIsParkedAndTheOthersAreWritten) {
  add_posts();
  execute("ALTER TABLE post_ratings ADD CHECK (session_id <> 'bad')");
  std::vector<outbox::LikeChanged> events;
  std::vector<std::string> names;
  for (int i = 0; i < 50; ++i) names.push_back("s" + std::to_string(i));
  for (const auto& name : names) events.push_back(events_.next("p", name));
  events.push_back(events_.next("p", "bad"));
  events.push_back(events_.next("q", "ada"));
  auto applied = apply(events);
  EXPECT_EQ(applied.parked, 1u);
  EXPECT_EQ(applied.rows, 51u);
  EXPECT_EQ(number("SELECT count(*) FROM post_ratings WHERE post_id = 'p'"), 50);
  EXPECT_EQ(number("SELECT likes FROM post_counts WHERE post_id = 'p'"), 50) << "the count is that of the rows";
  EXPECT_EQ(number("SELECT likes FROM posts WHERE id = 'p'"), 50);
  EXPECT_EQ(number("SELECT likes FROM posts WHERE id = 'q'"), 1);
  EXPECT_EQ(number("SELECT count(*) FROM outbox_parked WHERE post_id = 'p' AND session_id = 'bad' AND is_liked AND reason LIKE '%23514%'"),
            1);

  auto next = must(ledger().apply({.events = {events_.next("p", "eve")}, .cursor = {{.major = ++position_}, 7}, .on_gap = OnGap::kReport}));
  EXPECT_TRUE(next.gap_posts.empty()) << "what was parked is no gap";
}

TEST_F(PostgresLikeLedgerTest, WhatATriggerOfAnotherProgramRefusesIsParkedToo) {
  execute(
      "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'closed'; END $$;"
      "CREATE TRIGGER refuse BEFORE INSERT ON post_ratings FOR EACH ROW WHEN (NEW.post_id = 'p') EXECUTE FUNCTION refuse()");
  EXPECT_EQ(apply({events_.next("p", "ada"), events_.next("q", "ada")}).parked, 1u);
  EXPECT_EQ(number("SELECT count(*) FROM post_ratings WHERE post_id = 'q'"), 1);
}

TEST_F(PostgresLikeLedgerTest, ACopyThatSqlRefusesDoesNotBlockTheOthers) {
  execute("ALTER TABLE post_ratings ADD CHECK (session_id <> 'bad')");
  auto applied =
      must(ledger().apply({.events = {},
                           .copies = {{.head = {"p", 2, 50}, .sessions = {"ada", "bad"}}, {.head = {"q", 1, 50}, .sessions = {"ada"}}},
                           .cursor = {{.major = ++position_}, 7}}));
  EXPECT_EQ(applied.parked, 1u);
  EXPECT_EQ(must(run(ledger().heads({"p"}))).front().version, 50u);
  EXPECT_EQ(must(run(ledger().heads({"p"}))).front().likes, 0u);
  EXPECT_EQ(must(run(ledger().heads({"q"}))).front().likes, 1u);
}

TEST_F(PostgresLikeLedgerTest, APostThatRefusesItsCountDoesNotBlockTheOthers) {
  add_posts();
  execute("ALTER TABLE posts ADD CHECK (id <> 'p' OR likes = 0)");
  apply({events_.next("p", "ada"), events_.next("q", "ada")});
  EXPECT_EQ(number("SELECT likes FROM post_counts WHERE post_id = 'p'"), 1);
  EXPECT_EQ(number("SELECT likes FROM posts WHERE id = 'p'"), 0);
  EXPECT_EQ(number("SELECT likes FROM posts WHERE id = 'q'"), 1);
}

TEST_F(PostgresLikeLedgerTest, AWriterThatIsStoppedInTheMiddleDoesNotHoldThePartition) {
  auto held = must(under_test_->leases()->seize("node-1", 0));
  std::latch locked(1);
  std::atomic<bool> is_refused = false;
  std::jthread flushing([&] {
    // A node that stops while its transaction is open: what it had set is what the server goes by.
    auto connection = Connection::connect({.url = under_test_->url()});
    connection.execute(
        "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 100; SELECT FROM outbox_cursors WHERE partition = 0 FOR UPDATE");
    locked.count_down();
    while (connection.is_usable()) {
      try {
        std::this_thread::sleep_for(std::chrono::milliseconds(500));
        connection.execute("SELECT 1");
      } catch (const postgres::Failure& failure) {
        is_refused = failure.is_connection_loss();
      }
    }
  });
  locked.wait();
  EXPECT_TRUE(must(under_test_->leases()->seize("node-2", 0)).lease.fence > held.lease.fence);
  flushing.join();
  EXPECT_TRUE(is_refused);
}

TEST_F(PostgresLikeLedgerTest, FlushesOfManyPartitionsAtOnceWithAForeignWriterEndInOneTruth) {
  std::vector<std::jthread> flushers;
  std::atomic<int> applied = 0;
  for (outbox::Partition partition = 0; partition < 4; ++partition) {
    flushers.emplace_back([&, partition] {
      Events own;
      auto post_id = "post-" + std::to_string(partition);
      std::vector<std::string> names;
      for (int i = 0; i < 20; ++i) names.push_back("session-" + std::to_string(i));
      for (std::uint64_t round = 1; round <= 20; ++round) {
        std::vector<outbox::LikeChanged> events;
        for (const auto& name : names) events.push_back(own.next(post_id, name, round % 2 == 1));
        LedgerBatch batch{.partition = partition, .events = std::move(events), .cursor = {{.major = round}, 7}};
        if (ledger().apply(batch)) ++applied;
      }
    });
  }
  for (int i = 0; i < 50; ++i) execute("UPDATE post_ratings SET created_at = now() WHERE session_id IN ('session-3', 'session-17')");
  flushers.clear();
  EXPECT_EQ(applied, 80);
  EXPECT_EQ(number("SELECT count(*) FROM post_ratings"), 0);
  EXPECT_EQ(number("SELECT sum(likes)::bigint FROM post_counts"), 0);
}

// --- adopted tables ---

constexpr char kForeignTables[] =
    "CREATE TABLE \"Story Ratings\" (id serial PRIMARY KEY, \"postId\" integer NOT NULL, session uuid NOT NULL, "
    "\"at\" timestamp NOT NULL DEFAULT now(), UNIQUE (session, \"postId\"));"
    "CREATE SCHEMA app; CREATE TABLE app.posts_new (id bigint PRIMARY KEY, \"likeCount\" integer);"
    "INSERT INTO app.posts_new VALUES (7, 3), (8, NULL)";
constexpr char kAda[] = "0d0d0d0d-1111-4222-8333-444444444444";
constexpr char kBob[] = "0e0e0e0e-1111-4222-8333-444444444444";

LedgerNames foreign_names() {
  LedgerNames names;
  names.ratings_table = "Story Ratings";
  names.ratings_post_column = "postId";
  names.ratings_session_column = "session";
  names.ratings_created_column = "at";
  names.posts_table = "app.posts_new";
  names.posts_likes_column = "likeCount";
  return names;
}

TEST_F(PostgresLikeLedgerTest, TablesOfAnotherProgramAreWrittenByTheirNamesAndTypes) {
  adopt(kForeignTables, foreign_names());
  apply({events_.next("7", kAda), events_.next("8", kAda), events_.next("7", kBob)});
  EXPECT_EQ(number("SELECT count(*) FROM \"Story Ratings\" WHERE \"postId\" = 7"), 2);
  EXPECT_EQ(number("SELECT \"likeCount\" FROM app.posts_new WHERE id = 7"), 2);
  EXPECT_EQ(number("SELECT \"likeCount\" FROM app.posts_new WHERE id = 8"), 1);
  auto members = must(run(ledger().members("7")));
  std::ranges::sort(members.sessions);
  EXPECT_EQ(members.sessions, (std::vector<std::string>{kAda, kBob}));
  auto likes = must(run(ledger().likes_of(kBob, 10, [] { return std::vector<TailEvent>(); })));
  ASSERT_EQ(likes.size(), 1u);
  EXPECT_EQ(likes[0].post, "7");
  EXPECT_EQ(likes[0].at, UtcMicros(std::chrono::seconds(1'700'000'000)));
  EXPECT_EQ(must(run(ledger().audit("", 10))).front().rows, 2u);
  apply({events_.next("7", kAda, false)});
  EXPECT_EQ(number("SELECT count(*) FROM \"Story Ratings\" WHERE \"postId\" = 7"), 1);
  ASSERT_TRUE(must(run(ledger().repair({"7", 1, 30}, {kAda}, 500))));
  EXPECT_EQ(must(run(ledger().members("7"))).sessions, (std::vector<std::string>{kAda}));
}

TEST_F(PostgresLikeLedgerTest, IdsThatAreNoneOfTheirColumnsTypeAreParkedAndFindNothing) {
  adopt(kForeignTables, foreign_names());
  auto applied = apply({events_.next("7", kAda), events_.next("07", kAda), events_.next("seven", kAda), events_.next("8", "ada"),
                        events_.next("9223372036854775808", kAda), events_.next("8", "0D0D0D0D-1111-4222-8333-444444444444")});
  EXPECT_EQ(applied.parked, 5u);
  EXPECT_EQ(number("SELECT count(*) FROM \"Story Ratings\""), 1);
  EXPECT_EQ(number("SELECT count(*) FROM outbox_parked"), 5);
  EXPECT_EQ(number("SELECT likes FROM post_counts WHERE post_id = '8'"), 0);
  EXPECT_TRUE(must(run(ledger().members("07"))).sessions.empty());
  EXPECT_TRUE(must(run(ledger().likes_of("ada", 10, [] { return std::vector<TailEvent>(); }))).empty());
  EXPECT_EQ(must(run(ledger().audit("", 100))).size(), 5u);
}

TEST_F(PostgresLikeLedgerTest, ForeignKeysOfAnotherProgramParkWhatTheyRefuse) {
  adopt(
      "CREATE TABLE posts (id varchar(20) PRIMARY KEY, likes integer NOT NULL DEFAULT 0);"
      "CREATE TABLE post_ratings (post_id varchar(20) REFERENCES posts, session_id text, created_at timestamptz, PRIMARY KEY (post_id, "
      "session_id));"
      "INSERT INTO posts VALUES ('p');"
      "ALTER TABLE posts RENAME TO posts_new",
      [] {
        LedgerNames names;
        names.posts_table = "posts_new";
        return names;
      }());
  EXPECT_EQ(apply({events_.next("p", "ada"), events_.next("gone", "ada"), events_.next("longer-than-the-column-is", "ada")}).parked, 2u);
  EXPECT_EQ(number("SELECT likes FROM posts_new WHERE id = 'p'"), 1);
}

struct Unusable {
  std::string sql;
  std::string message;
};

TEST_F(PostgresLikeLedgerTest, WhatAnAdoptedTableLacksIsSaidWithTheSetting) {
  const std::vector<Unusable> cases = {
      {"DROP TABLE post_ratings", "ledger.ratings_table"},
      {"ALTER TABLE post_ratings RENAME post_id TO post", "ledger.ratings_post_column"},
      {"ALTER TABLE post_ratings ALTER session_id TYPE bytea USING ''", "ledger.ratings_session_column"},
      {"ALTER TABLE post_ratings DROP created_at", "ledger.ratings_created_column"},
      {"ALTER TABLE post_ratings DROP CONSTRAINT post_ratings_pkey", "unique index"},
      {"ALTER TABLE post_ratings ADD ip text NOT NULL", "the column ip"},
      {"ALTER TABLE posts DROP likes CASCADE", "ledger.posts_likes_column"},
      {"ALTER TABLE posts ALTER likes TYPE text", "ledger.posts_likes_column"},
  };
  for (const auto& [sql, message] : cases) {
    PostgresLedgerUnderTest broken;
    broken.execute("DROP TRIGGER hearth_note_rating ON post_ratings; DROP TRIGGER hearth_queue_like_sync ON post_ratings; " + sql);
    auto database = must(Database::open({.url = broken.url()}));
    auto refused = PostgresLikeLedger::open(*database);
    ASSERT_FALSE(refused) << sql;
    EXPECT_NE(refused.error().message.find(message), std::string::npos) << refused.error().message;
  }
}

TEST_F(PostgresLikeLedgerTest, WithoutATableOfPostsThereIsNoCopyOfTheCounts) {
  execute("DROP TABLE posts CASCADE");
  under_test_->restart();
  apply({events_.next("p", "ada")});
  EXPECT_EQ(number("SELECT likes FROM post_counts WHERE post_id = 'p'"), 1);
}

TEST_F(PostgresLikeLedgerTest, AKillOfTheServerAtAnyPointAppliesABatchOnceOrNotAtAll) {
  for (int i = 0; i < 12; ++i) {
    bool is_liked = i % 2 == 0;
    LedgerBatch batch{.events = {events_.next("p", "ada", is_liked), events_.next("p", "bob", is_liked)},
                      .cursor = {{.major = ++position_}, 7}};
    std::latch together(2);
    std::jthread applying([&] {
      together.arrive_and_wait();
      while (!ledger().apply(batch)) std::this_thread::yield();
    });
    together.arrive_and_wait();
    postgres_test_server().restart();
  }
  auto head = must(run(ledger().heads({"p"}))).front();
  EXPECT_EQ(head.version, 240u);
  EXPECT_EQ(head.likes, 0u);
  EXPECT_EQ(number("SELECT count(*) FROM post_ratings"), 0);
  EXPECT_EQ(must(ledger().cursor(outbox::kJournalPartition)).position.major, 12u);
}

}  // namespace
}  // namespace hearth::likes
