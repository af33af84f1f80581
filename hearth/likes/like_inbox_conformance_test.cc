// What every LikeInbox and LiveControl promises, as tests on every database.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "hearth/likes/ledgers/postgres_ledger_under_test.h"
#include "hearth/likes/ledgers/sqlite_ledger_under_test.h"
#include "hearth/likes/like_store_conformance.h"

namespace hearth::likes {
namespace {

const LikeLedgerMaker kSqlite{"sqlite", [] { return std::make_unique<SqliteLedgerUnderTest>(); }};
const LikeLedgerMaker kPostgres{"postgres", [] { return std::make_unique<PostgresLedgerUnderTest>(); }};

// --- as a store ---

class InboxAsStore final : public LikeStoreUnderTest {
 public:
  explicit InboxAsStore(std::unique_ptr<LikeLedgerUnderTest> sql) : sql_(std::move(sql)) { must(sql_->control().enter_fallback()); }
  LikeStore& store() override { return sql_->inbox(); }
  void restart() override { sql_->restart(); }

 private:
  std::unique_ptr<LikeLedgerUnderTest> sql_;
};

INSTANTIATE_TEST_SUITE_P(Fallback, LikeStoreConformance,
                         testing::Values(LikeStoreMaker{"sqlite", [] { return std::make_unique<InboxAsStore>(kSqlite.make()); }},
                                         LikeStoreMaker{"postgres", [] { return std::make_unique<InboxAsStore>(kPostgres.make()); }}),
                         name_of_maker);

// --- the inbox ---

class LikeInboxConformance : public testing::TestWithParam<LikeLedgerMaker> {
 protected:
  using Names = std::vector<std::string>;

  LikeInbox& inbox() { return under_test_->inbox(); }
  LiveControl& control() { return under_test_->control(); }

  Result<LikeOutcome> change(const std::string& post_id, const std::string& session_id, LikeAction action = LikeAction::kToggle) {
    return run(inbox().change({.post = post(post_id), .session = session(session_id), .action = action}));
  }
  LikeView view(const std::string& post_id, const std::string& session_id) {
    return must(run(inbox().read({post(post_id)}, session(session_id)))).front();
  }
  Names likes_of(const std::string& session_id, std::size_t limit = 100) {
    Names names;
    for (const auto& like : must(run(inbox().likes_of(session_id, limit)))) names.push_back(like.post);
    return names;
  }
  // "post session +" for a like, "post session -" for an unlike.
  Names waiting() {
    Names names;
    for (const auto& operation : must(inbox().operations(100)))
      names.push_back(operation.post + " " + operation.session + (operation.is_liked ? " +" : " -"));
    return names;
  }
  // The same, only the last of each post and session: an older one may wait too.
  Names last_waiting() {
    Names names;
    for (auto& name : waiting()) {
      std::erase_if(names, [&](const auto& older) { return older.substr(0, older.size() - 1) == name.substr(0, name.size() - 1); });
      names.push_back(std::move(name));
    }
    return names;
  }
  void drain() {
    std::vector<std::uint64_t> ids;
    for (const auto& operation : must(inbox().operations(100))) ids.push_back(operation.id);
    must(inbox().remove(ids));
  }
  // What the ledger knows of a post.
  void flush(const std::string& post_id, std::vector<std::string> sessions, std::uint64_t version) {
    LedgerMembers copy{.head = {post_id, static_cast<std::uint32_t>(sessions.size()), version}, .sessions = std::move(sessions)};
    must(under_test_->ledger().apply({.events = {}, .copies = {copy}, .cursor = {{.major = ++position_}, 7}}));
  }

  std::unique_ptr<LikeLedgerUnderTest> under_test_ = GetParam().make();
  std::uint64_t position_ = 0;
};

TEST_P(LikeInboxConformance, OutsideOfFallbackChangesAreRefusedAndNothingIsWritten) {
  auto refused = change("p", "ada");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  IdempotencyKey key{"key", "body"};
  EXPECT_FALSE(run(inbox().change({.post = post("p"), .session = session("ada"), .idempotency = key})));
  EXPECT_TRUE(waiting().empty());
  EXPECT_TRUE(must(inbox().answered_keys()).empty());
  EXPECT_FALSE(view("p", "ada").is_liked);
}

TEST_P(LikeInboxConformance, AnswersAreThoseOfLedgerAndInboxTogether) {
  flush("p", {"ada", "bob"}, 50);
  must(control().enter_fallback());
  EXPECT_EQ(view("p", "ada").likes, 2u);
  EXPECT_EQ(view("p", "ada").version, 50u);
  auto unliked = must(change("p", "ada"));
  EXPECT_FALSE(unliked.is_liked);
  EXPECT_EQ(unliked.likes, 1u);
  EXPECT_GT(unliked.version, 50u);
  EXPECT_FALSE(view("p", "ada").is_liked);
  EXPECT_TRUE(view("p", "bob").is_liked);
  EXPECT_EQ(view("p", "bob").version, unliked.version);
  EXPECT_EQ(must(change("p", "eve")).likes, 2u);
}

TEST_P(LikeInboxConformance, ASessionsLikesAreNewestFirstBoundedAndWithThoseOfTheInbox) {
  flush("a", {"ada"}, 50);
  flush("b", {"ada"}, 60);
  must(control().enter_fallback());
  auto at = [](int seconds) { return UtcMicros(std::chrono::seconds(2'000'000'000 + seconds)); };
  for (auto [name, second] : {std::pair("c", 1), std::pair("d", 2)})
    must(run(inbox().change({.post = post(name), .session = session("ada"), .at = at(second)})));
  must(change("a", "ada", LikeAction::kUnlike));
  EXPECT_EQ(likes_of("ada"), (Names{"d", "c", "b"}));
  EXPECT_EQ(likes_of("ada", 1), (Names{"d"}));
  must(change("d", "ada"));
  EXPECT_EQ(likes_of("ada", 1), (Names{"c"}));
  EXPECT_TRUE(likes_of("bob").empty());
}

TEST_P(LikeInboxConformance, OperationsAreTheLastStatesInTheOrderTheyCame) {
  must(control().enter_fallback());
  must(change("p", "ada"));
  must(change("q", "bob"));
  must(change("p", "eve", LikeAction::kUnlike));  // changes nothing here, and may in the live store
  must(change("p", "ada"));
  EXPECT_EQ(last_waiting(), (Names{"q bob +", "p eve -", "p ada -"}));
  auto operations = must(inbox().operations(100));
  auto of_bob = std::ranges::find(operations, "bob", &InboxOperation::session);
  EXPECT_EQ(of_bob->origin, InboxOrigin::kFallback);
  EXPECT_LT(of_bob->id, operations.back().id);
  EXPECT_EQ(must(inbox().operations(2)).size(), 2u);
  must(inbox().remove({of_bob->id}));
  must(inbox().remove({of_bob->id, 1'000'000}));
  EXPECT_EQ(last_waiting(), (Names{"p eve -", "p ada -"}));
}

TEST_P(LikeInboxConformance, WhatIsDrainedCountsUntilTheLedgerHasIt) {
  must(control().enter_fallback());
  auto liked = must(change("p", "ada"));
  drain();
  EXPECT_TRUE(waiting().empty());
  EXPECT_TRUE(view("p", "ada").is_liked);
  EXPECT_EQ(view("p", "ada").version, liked.version);
  EXPECT_FALSE(must(change("p", "ada")).is_liked) << "a toggle builds on what was answered before";
  drain();
  flush("p", {"ada", "bob"}, liked.version + 100'000'000);  // the live store went on
  EXPECT_TRUE(view("p", "ada").is_liked);
  EXPECT_EQ(view("p", "ada").likes, 2u);
  EXPECT_EQ(likes_of("bob"), (Names{"p"}));
}

TEST_P(LikeInboxConformance, AnOperationThatComesWhileAnotherIsDrainedStays) {
  must(control().enter_fallback());
  must(change("p", "ada"));
  auto drained = must(inbox().operations(100));
  must(change("p", "ada"));
  must(inbox().remove({drained.front().id}));
  EXPECT_EQ(waiting(), (Names{"p ada -"}));
}

TEST_P(LikeInboxConformance, WhereTheLedgerGetsAheadOfWhatWaitsLikesAreCounted) {
  must(control().enter_fallback());
  auto liked = must(change("p", "ada"));
  must(change("p", "bob", LikeAction::kUnlike));
  flush("p", {"bob", "eve", "zoe"}, liked.version + 100'000'000);
  EXPECT_EQ(view("p", "ada").likes, 3u) << "eve, zoe, and ada who waits";
  EXPECT_TRUE(view("p", "ada").is_liked);
  EXPECT_FALSE(view("p", "bob").is_liked);
  auto next = must(change("p", "max"));
  EXPECT_EQ(next.likes, 4u);
  EXPECT_GT(next.version, liked.version + 100'000'000);
}

TEST_P(LikeInboxConformance, KeysOfAnyBytesAreKeptWithTheirAnswers) {
  using namespace std::string_literals;
  must(control().enter_fallback());
  IdempotencyKey key{"\0\xff key"s, "\xfe\0 body"s};
  auto outcome = must(run(inbox().change({.post = post("p"), .session = session("ada"), .idempotency = key})));
  EXPECT_TRUE(must(run(inbox().change({.post = post("p"), .session = session("ada"), .idempotency = key}))).replayed);
  auto answered = must(inbox().answered_keys());
  ASSERT_EQ(answered.size(), 1u);
  EXPECT_EQ(answered[0].post.view(), "p");
  EXPECT_EQ(answered[0].key.scope, key.scope);
  EXPECT_EQ(answered[0].key.request, key.request);
  EXPECT_EQ(answered[0].outcome.version, outcome.version);
  EXPECT_EQ(answered[0].outcome.likes, 1u);
  EXPECT_TRUE(answered[0].outcome.is_liked);
  EXPECT_TRUE(answered[0].outcome.changed);
}

TEST_P(LikeInboxConformance, WhatWasAnsweredIsDrainedBeforeTheLiveStoreServesAgain) {
  must(control().enter_fallback());
  constexpr int kSessions = 4;
  std::vector<std::map<std::string, bool>> answered(kSessions);
  std::vector<std::jthread> changing;
  for (int i = 0; i < kSessions; ++i) {
    changing.emplace_back([&, i] {
      auto session_id = "session-" + std::to_string(i);
      for (int k = 0;; ++k) {
        auto post_id = "post-" + std::to_string(k % 3);
        auto outcome = change(post_id, session_id);
        if (!outcome) return;
        answered[static_cast<std::size_t>(i)][post_id + " " + session_id] = outcome->is_liked;
      }
    });
  }
  std::map<std::string, bool> live;
  std::size_t drained = 0;
  for (auto mode = LiveMode::kFallback; mode == LiveMode::kFallback;) {
    std::vector<std::uint64_t> ids;
    for (const auto& operation : must(inbox().operations(100))) {
      live[operation.post + " " + operation.session] = operation.is_liked;
      ids.push_back(operation.id);
    }
    must(inbox().remove(ids));
    drained += ids.size();
    if (drained > 100) mode = must(control().leave_fallback());
  }
  changing.clear();
  EXPECT_TRUE(waiting().empty());
  for (const auto& states : answered) {
    for (const auto& [pair, is_liked] : states) EXPECT_EQ(live[pair], is_liked) << pair;
  }
}

INSTANTIATE_TEST_SUITE_P(Databases, LikeInboxConformance, testing::Values(kSqlite, kPostgres), name_of_ledger);

// --- the control ---

class LiveControlConformance : public LikeInboxConformance {};

TEST_P(LiveControlConformance, TheFirstDeploymentIsKeptUntilItIsChanged) {
  EXPECT_EQ(must(control().deployment({.id = "first", .partitions = 16, .is_tagged = true})).id, "first");
  under_test_->restart();
  auto kept = must(control().deployment({.id = "second", .partitions = 4, .is_tagged = false}));
  EXPECT_EQ(kept.id, "first");
  EXPECT_EQ(kept.partitions, 16);
  EXPECT_TRUE(kept.is_tagged);
  must(control().change_deployment({.id = "first", .partitions = 32, .is_tagged = false}));
  EXPECT_EQ(must(control().deployment({})).partitions, 32);
}

TEST_P(LiveControlConformance, NobodyFallsBackWhileANodeReportsTheLiveStoreHealthy) {
  EXPECT_EQ(must(control().mode()), LiveMode::kLive);
  must(control().report_healthy("node-1"));
  EXPECT_EQ(must(control().enter_fallback()), LiveMode::kLive);
  EXPECT_TRUE(must(control().is_healthy_elsewhere("node-2")));
  EXPECT_FALSE(must(control().is_healthy_elsewhere("node-1")));
  under_test_->let_reports_age();
  EXPECT_FALSE(must(control().is_healthy_elsewhere("node-2")));
  EXPECT_EQ(must(control().enter_fallback()), LiveMode::kFallback);
  EXPECT_EQ(must(control().enter_fallback()), LiveMode::kFallback);
  EXPECT_EQ(must(control().mode()), LiveMode::kFallback);
}

TEST_P(LiveControlConformance, InFallbackNobodyServesFromTheLiveStore) {
  must(control().enter_fallback());
  auto refused = control().report_healthy("node-1");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_EQ(must(control().leave_fallback()), LiveMode::kLive);
  must(control().report_healthy("node-1"));
}

TEST_P(LiveControlConformance, FallbackEndsOnlyWithAnEmptyInbox) {
  must(control().enter_fallback());
  must(change("p", "ada"));
  EXPECT_EQ(must(control().leave_fallback()), LiveMode::kFallback);
  EXPECT_FALSE(change("p", "bob")) << "or it would never be empty under load";
  EXPECT_EQ(must(control().enter_fallback()), LiveMode::kFallback) << "the live store went away again";
  must(change("p", "bob"));
  EXPECT_EQ(must(control().leave_fallback()), LiveMode::kFallback);
  under_test_->restart();
  EXPECT_EQ(must(control().mode()), LiveMode::kFallback);
  drain();
  EXPECT_EQ(must(control().leave_fallback()), LiveMode::kLive);
  EXPECT_EQ(must(control().mode()), LiveMode::kLive);
  EXPECT_EQ(must(control().leave_fallback()), LiveMode::kLive);
  must(control().enter_fallback());
  must(change("p", "eve"));
}

TEST_P(LiveControlConformance, ServersAreAdmittedByTheIdOfTheirRun) {
  EXPECT_FALSE(must(control().is_admitted("run-1")));
  must(control().admit("run-1"));
  must(control().admit("run-1"));
  EXPECT_TRUE(must(control().is_admitted("run-1")));
  EXPECT_FALSE(must(control().is_admitted("run-2")));
  for (int i = 0; i < 1'100; ++i) must(control().admit("later-" + std::to_string(i)));
  EXPECT_TRUE(must(control().is_admitted("later-1099")));
  EXPECT_FALSE(must(control().is_admitted("run-1"))) << "the oldest are forgotten";
}

INSTANTIATE_TEST_SUITE_P(Databases, LiveControlConformance, testing::Values(kSqlite, kPostgres), name_of_ledger);

// --- in PostgreSQL ---

class PostgresLikeInboxTest : public testing::Test {
 protected:
  using Names = std::vector<std::string>;

  Names waiting() {
    Names names;
    for (const auto& operation : must(sql_->inbox().operations(100))) {
      EXPECT_EQ(operation.origin, InboxOrigin::kForeign);
      names.push_back(operation.post + " " + operation.session + (operation.is_liked ? " +" : " -"));
    }
    return names;
  }
  // Posts that a waiting job will bring together with live state.
  Names queued_posts() {
    Names posts;
    auto connection = postgres::Connection::connect({.url = sql_->url()});
    auto rows = connection.query(
        "SELECT payload ->> 'postId' FROM background_jobs WHERE job_type = 'sync_like_count' AND scheduled_for <= now() + interval '2 "
        "seconds' "
        "ORDER BY payload ->> 'postId' COLLATE \"C\"");
    while (rows.next()) posts.push_back(rows.string(0));
    return posts;
  }
  LikeView view(const std::string& post_id, const std::string& session_id) {
    return must(run(sql_->inbox().read({post(post_id)}, session(session_id)))).front();
  }
  void flush(const std::string& post_id, std::vector<std::string> sessions, std::uint64_t version) {
    LedgerMembers copy{.head = {post_id, static_cast<std::uint32_t>(sessions.size()), version}, .sessions = std::move(sessions)};
    must(sql_->ledger().apply({.events = {}, .copies = {copy}, .cursor = {{.major = ++position_}, 7}}));
  }

  std::unique_ptr<PostgresLedgerUnderTest> sql_ = std::make_unique<PostgresLedgerUnderTest>();
  std::uint64_t position_ = 0;
};

TEST_F(PostgresLikeInboxTest, FallbackDoesNotEndDuringAChange) {
  must(sql_->control().enter_fallback());
  auto holding = postgres::Connection::connect({.url = sql_->url()});
  holding.execute("BEGIN; INSERT INTO post_counts VALUES ('p', 0, 0)");
  auto waiting_for_locks = [&] {
    return sql_->number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'");
  };
  std::jthread changing([&] { must(run(sql_->inbox().change({.post = post("p"), .session = session("ada")}))); });
  while (waiting_for_locks() < 1) std::this_thread::yield();
  std::atomic<bool> has_left = false;
  std::jthread leaving([&] {
    EXPECT_EQ(must(sql_->control().leave_fallback()), LiveMode::kFallback);
    has_left = true;
  });
  while (waiting_for_locks() < 2 && !has_left) std::this_thread::yield();
  EXPECT_FALSE(has_left);
  holding.execute("COMMIT");
}

TEST_F(PostgresLikeInboxTest, RowsOfOtherProgramsBecomeOperationsWhateverTheModeIs) {
  sql_->execute("INSERT INTO post_ratings VALUES ('p', 'ada'), ('p', 'bob')");
  sql_->execute("DELETE FROM post_ratings WHERE session_id = 'ada'");
  EXPECT_EQ(waiting(), (Names{"p ada +", "p bob +", "p ada -"}));
  sql_->execute("UPDATE post_ratings SET session_id = 'eve'");
  sql_->execute("UPDATE post_ratings SET created_at = now()");
  EXPECT_EQ(waiting(), (Names{"p ada +", "p bob +", "p ada -", "p bob -", "p eve +"}));
  EXPECT_EQ(queued_posts(), Names{"p"}) << "one job for all of them";
  std::vector<std::uint64_t> ids;
  for (const auto& operation : must(sql_->inbox().operations(100))) ids.push_back(operation.id);
  must(sql_->inbox().remove(ids));
  EXPECT_TRUE(waiting().empty());
  EXPECT_EQ(sql_->number("SELECT count(*) FROM like_inbox"), 0);
}

TEST_F(PostgresLikeInboxTest, WhatHearthWritesItselfIsNone) {
  flush("p", {"ada", "bob"}, 50);
  flush("p", {"ada"}, 60);
  must(run(sql_->ledger().repair({"p", 1, 60}, {"eve"}, 70)));
  EXPECT_TRUE(waiting().empty());
  EXPECT_TRUE(queued_posts().empty());
}

TEST_F(PostgresLikeInboxTest, InFallbackTheyCountAtOnceAndDoNotKeepItFromEnding) {
  flush("p", {"ada"}, 50);
  must(sql_->control().enter_fallback());
  auto change = [&](const std::string& session_id) {
    return must(run(sql_->inbox().change({.post = post("p"), .session = session(session_id)})));
  };
  auto liked = change("bob");
  sql_->execute("INSERT INTO post_ratings VALUES ('p', 'eve'), ('p', 'zoe')");
  EXPECT_EQ(view("p", "eve").likes, 4u);
  EXPECT_TRUE(view("p", "eve").is_liked);
  EXPECT_EQ(view("p", "eve").version, liked.version);
  EXPECT_EQ(change("eve").likes, 3u);
  sql_->execute("DELETE FROM post_ratings WHERE session_id = 'zoe'");
  EXPECT_EQ(view("p", "zoe").likes, 2u);
  sql_->execute("DELETE FROM like_inbox WHERE NOT is_foreign");
  EXPECT_EQ(must(sql_->control().leave_fallback()), LiveMode::kLive);
}

TEST_F(PostgresLikeInboxTest, AProgramWithoutRightsOnHearthsTablesIsSeenToo) {
  sql_->execute(
      "DROP ROLE IF EXISTS other_program; CREATE ROLE other_program; GRANT INSERT ON post_ratings TO other_program;"
      "SET ROLE other_program; SET search_path = pg_catalog; INSERT INTO public.post_ratings VALUES ('p', 'ada')");
  EXPECT_EQ(waiting(), (Names{"p ada +"}));
  EXPECT_EQ(queued_posts(), Names{"p"});
  sql_->execute("DROP OWNED BY other_program; DROP ROLE other_program");
}

TEST_F(PostgresLikeInboxTest, AdoptedTablesAreFollowedByTheirNamesAndTypes) {
  LedgerNames names;
  names.ratings_table = "app.Ratings";
  names.ratings_post_column = "it's \"post\"";
  names.posts_table = "posts_new";
  sql_ = std::make_unique<PostgresLedgerUnderTest>(
      "CREATE SCHEMA app; CREATE TABLE posts_new (id integer PRIMARY KEY, likes integer);"
      "CREATE TABLE app.\"Ratings\" (\"it's \"\"post\"\"\" integer, session_id uuid, created_at timestamptz DEFAULT now(), "
      "UNIQUE (session_id, \"it's \"\"post\"\"\"))",
      names);
  sql_->execute("INSERT INTO app.\"Ratings\" VALUES (7, '0D0D0D0D-1111-4222-8333-444444444444')");
  EXPECT_EQ(waiting(), (Names{"7 0d0d0d0d-1111-4222-8333-444444444444 +"}));
  sql_->restart();
  sql_->execute("DELETE FROM app.\"Ratings\"");
  EXPECT_EQ(waiting().size(), 2u) << "the trigger is there once";
  EXPECT_EQ(queued_posts(), Names{"7"});
}

TEST_F(PostgresLikeInboxTest, AProgramMayHaveAPostCountedBySql) {
  LedgerNames names;
  names.ratings_table = "app.ratings";
  names.ratings_post_column = "of";
  names.posts_table = "app.posts_new";
  names.posts_id_column = "number";
  names.posts_likes_column = "like count";
  sql_ = std::make_unique<PostgresLedgerUnderTest>(
      "CREATE SCHEMA app; CREATE TABLE app.posts_new (number integer PRIMARY KEY, \"like count\" integer);"
      "INSERT INTO app.posts_new VALUES (7, 90), (8, 90);"
      "CREATE TABLE app.ratings (of varchar(20), session_id text, created_at timestamptz DEFAULT now(), UNIQUE (of, session_id));"
      "INSERT INTO app.ratings VALUES ('7', 'ada'), ('7', 'bob'), ('x', 'ada'), ('08', 'ada')",
      names);
  auto likes_of = [&](const std::string& post) {
    return sql_->number("SELECT coalesce(\"like count\", -1) FROM app.posts_new WHERE number = " + post);
  };
  auto synced = [&](const std::string& post) { return sql_->number("SELECT sync_post_like_count('" + post + "')"); };
  EXPECT_EQ(synced("7"), 2);
  EXPECT_EQ(likes_of("7"), 2);
  EXPECT_EQ(synced("08"), 1) << "a rating of no post";
  EXPECT_EQ(likes_of("8"), 90) << "8 is another id than 08";
  EXPECT_EQ(synced("8"), 0);
  EXPECT_EQ(likes_of("8"), 0);
  EXPECT_EQ(synced("x"), 1);
  EXPECT_EQ(synced("unknown"), 0);
  EXPECT_EQ(synced("99999999999999999999999"), 0);
  EXPECT_EQ(queued_posts(), (Names{"08", "7", "8", "99999999999999999999999", "unknown", "x"}));
}

TEST_F(PostgresLikeInboxTest, ThePostIsLockedWhileItIsCounted) {
  flush("p", {"ada"}, 50);
  auto counting = postgres::Connection::connect({.url = sql_->url()});
  counting.execute("BEGIN; SELECT sync_post_like_count('p')");
  std::atomic<bool> has_flushed = false;
  std::jthread flushing([&] {
    flush("p", {"ada", "bob"}, 60);
    has_flushed = true;
  });
  while (sql_->number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == 0)
    std::this_thread::yield();
  EXPECT_FALSE(has_flushed);
  counting.execute("COMMIT");
}

}  // namespace
}  // namespace hearth::likes
