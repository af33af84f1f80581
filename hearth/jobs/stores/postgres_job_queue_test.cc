// What is PostgreSQL's own in the queue: programs with nothing but SQL, locks, plans, and who may.

#include "hearth/jobs/stores/postgres_job_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "hearth/drivers/postgres/listener.h"
#include "hearth/jobs/stores/postgres_job_rows.h"
#include "hearth/jobs/stores/postgres_jobs_under_test.h"

namespace hearth::jobs {
namespace {

using postgres::Connection;
using postgres::Failure;
using postgres::Rows;

class PostgresJobQueueTest : public testing::Test {
 protected:
  JobQueue& queue(std::size_t node = 0) { return jobs_->queue(node); }
  Job add(JobDraft draft) { return run(queue().enqueue({std::move(draft)})).value().front().job; }
  EnqueuedJob enqueue(JobDraft draft) { return run(queue().enqueue({std::move(draft)})).value().front(); }
  std::vector<ClaimedJob> claim(ClaimRequest request) {
    request.worker = "w";
    return run(queue().claim(std::move(request))).value().jobs;
  }
  Result<Ended> end(const ClaimedJob& job, Outcome outcome) {
    return run(queue().end({{job.id, job.lease_token, std::move(outcome)}})).value().front();
  }
  Job find(JobId id) { return run(jobs_->admin().find(id)).value().job; }
  std::uint64_t stale_refused() { return run(jobs_->admin().stats()).value().stale_refused; }

  void execute(const std::string& sql) { sql_.execute(sql); }
  std::int64_t number(const std::string& sql) { return sql_.query(sql).first().integer(0); }
  bool truth(const std::string& sql) { return sql_.query(sql).first().boolean(0); }
  std::string text(const std::string& sql) { return sql_.query(sql).first().string(0); }

  std::unique_ptr<PostgresJobsUnderTest> jobs_ = std::make_unique<PostgresJobsUnderTest>();
  Connection sql_ = jobs_->connect();  // another program's
};

// --- programs with nothing but SQL ---

// What claim_next_job() gave.
struct SqlClaim {
  explicit SqlClaim(Connection& connection, const std::string& arguments = "'sql'") {
    auto row = connection.query("SELECT id, job_type, lease_token::text, payload::text, attempts FROM claim_next_job(" + arguments + ")");
    if (row.first().is_null(0)) return;
    id = JobId(row.integer(0));
    type = row.string(1);
    token = row.string(2);
    payload = row.string(3);
    attempts = row.integer(4);
  }
  std::string id_and_token() const { return to_text(*id) + ", '" + token + "'"; }

  std::optional<JobId> id;
  std::string type, token, payload;
  std::int64_t attempts = 0;
};

TEST_F(PostgresJobQueueTest, AProgramClaimsAndCompletesBySql) {
  EXPECT_FALSE(SqlClaim(sql_).id) << "there is none";
  Job made = add({.type = "t", .payload = R"({"a":1})"});
  SqlClaim claimed(sql_);
  ASSERT_EQ(claimed.id, made.id);
  EXPECT_EQ(claimed.type, "t");
  EXPECT_EQ(claimed.payload, R"({"a": 1})");
  EXPECT_EQ(claimed.attempts, 1);
  EXPECT_EQ(find(made.id).worker, "sql");
  EXPECT_FALSE(SqlClaim(sql_).id);

  EXPECT_FALSE(truth("SELECT complete_job(" + to_text(made.id) + ", gen_random_uuid())"));
  EXPECT_EQ(stale_refused(), 1u);
  EXPECT_TRUE(truth("SELECT complete_job(" + claimed.id_and_token() + ", '{\"b\": 2}')"));
  EXPECT_TRUE(truth("SELECT complete_job(" + claimed.id_and_token() + ")")) << "again with the same token";
  EXPECT_FALSE(truth("SELECT fail_job(" + claimed.id_and_token() + ", 'no')"));
  EXPECT_FALSE(truth("SELECT complete_job(" + to_text(made.id) + ", gen_random_uuid())"));
  EXPECT_EQ(stale_refused(), 2u);
  EXPECT_FALSE(truth("SELECT complete_job(999, gen_random_uuid())")) << "there is no such job";
  EXPECT_EQ(stale_refused(), 2u);
  EXPECT_EQ(find(made.id).status, JobStatus::kCompleted);
  EXPECT_EQ(find(made.id).result, R"({"b":2})");
  EXPECT_EQ(number("SELECT count(*) FROM job_history"), 1);
}

TEST_F(PostgresJobQueueTest, AProgramThatFailsBySqlHasItsJobTriedAgainUntilTheLastTime) {
  Job made = add({.type = "t", .max_attempts = 2});
  SqlClaim first(sql_);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(truth("SELECT fail_job(" + first.id_and_token() + ", 'one')"));
  EXPECT_FALSE(truth("SELECT complete_job(" + first.id_and_token() + ")")) << "it has failed";
  EXPECT_EQ(find(made.id).error_message, "one");
  EXPECT_GE(find(made.id).scheduled_for - find(made.id).failed_at.value(), seconds(2));
  EXPECT_FALSE(SqlClaim(sql_).id) << "it waits";
  jobs_->pass(minutes(1));
  SqlClaim second(sql_);
  EXPECT_EQ(second.attempts, 2);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(truth("SELECT fail_job(" + second.id_and_token() + ", NULL)"));
  EXPECT_EQ(find(made.id).status, JobStatus::kDead);
  EXPECT_EQ(stale_refused(), 0u);
}

TEST_F(PostgresJobQueueTest, AClaimBySqlTakesOverWhatDiedAndAStaleAnswerIsRefused) {
  Job made = add({.type = "t"});
  SqlClaim dead(sql_, "'dead', NULL, 1000");
  jobs_->pass(minutes(1));
  SqlClaim ours(sql_);
  ASSERT_EQ(ours.id, made.id);
  EXPECT_EQ(ours.attempts, 2);
  EXPECT_FALSE(truth("SELECT complete_job(" + dead.id_and_token() + ")"));
  EXPECT_FALSE(truth("SELECT fail_job(" + dead.id_and_token() + ", 'x')"));
  EXPECT_EQ(stale_refused(), 2u);
  EXPECT_TRUE(truth("SELECT complete_job(" + ours.id_and_token() + ")"));
}

TEST_F(PostgresJobQueueTest, AClaimBySqlKeepsToTheRules) {
  ASSERT_TRUE(run(jobs_->admin().set_paused("paused", true)));
  ASSERT_TRUE(run(jobs_->admin().configure({.type = "limited", .rate = TypeSettings::Rate{.count = 1, .window = hours(1)}})));
  for (const char* type : {"paused", "limited", "limited", "low", "other"}) {
    add({.type = type, .priority = std::string_view(type) == "low" ? 1 : 5});
  }
  add({.type = "hook", .priority = 10, .url = "https://example.org/"});
  EXPECT_EQ(SqlClaim(sql_, "'w', '{other,none}'").type, "other");
  EXPECT_FALSE(SqlClaim(sql_, "'w', '{other,none}'").id);
  EXPECT_EQ(SqlClaim(sql_).type, "limited");
  EXPECT_EQ(SqlClaim(sql_).type, "low");
  EXPECT_FALSE(SqlClaim(sql_).id);
}

TEST_F(PostgresJobQueueTest, ARowThatAProgramInsertsHasTheDefaultsOfHearth) {
  for (const char* type : {"sync_like_count", "process_image", "send_notification", "generate_thumbnail", "other"}) {
    Job theirs = find(JobId(number(std::string("INSERT INTO background_jobs (job_type) VALUES ('") + type + "') RETURNING id")));
    Job ours = add({.type = type});
    EXPECT_EQ(std::tuple(theirs.priority, theirs.max_attempts, theirs.payload, theirs.status, theirs.attempts),
              std::tuple(ours.priority, ours.max_attempts, ours.payload, ours.status, ours.attempts))
        << type;
    EXPECT_EQ(theirs.scheduled_for, theirs.created_at);
  }
  EXPECT_EQ(number("INSERT INTO background_jobs (job_type, priority) VALUES ('process_image', 9) RETURNING priority::bigint"), 9);
  for (const char* wrong : {"'t', 'running', 0", "'t', 'pending', 11", "'', 'pending', 0"}) {
    EXPECT_THROW(execute(std::string("INSERT INTO background_jobs (job_type, status, priority) VALUES (") + wrong + ")"), Failure) << wrong;
  }
}

TEST_F(PostgresJobQueueTest, AKeyIsOneForProgramsAndHearth) {
  constexpr char kInsert[] = "INSERT INTO background_jobs (job_type, idempotency_key) VALUES ('t', 'k'), ('t', 'k'), ('t', 'l')";
  EXPECT_EQ(sql_.run(kInsert), 2u) << "within one statement too";
  EXPECT_EQ(sql_.run(kInsert), 0u);
  EXPECT_EQ(sql_.run(std::string(kInsert) + " ON CONFLICT (idempotency_key) DO NOTHING"), 0u);
  auto theirs = enqueue({.type = "other", .idempotency_key = "k"});
  EXPECT_TRUE(theirs.is_duplicate);
  EXPECT_EQ(theirs.job.type, "t");
  add({.type = "t", .idempotency_key = "m"});
  EXPECT_EQ(sql_.run("INSERT INTO background_jobs (job_type, idempotency_key) VALUES ('t', 'm'), ('t', 'n')"), 1u);

  for (const ClaimedJob& job : claim({.limit = 10})) {
    ASSERT_TRUE(end(job, job.attempts > 0 && job.id == theirs.job.id ? Outcome(Failed{.error = "no", .is_final = true}) : Completed{}));
  }
  EXPECT_EQ(sql_.run(kInsert), 0u) << "they ended just now";
  jobs_->pass(hours(25));
  EXPECT_EQ(sql_.run(kInsert), 2u);
  EXPECT_FALSE(find(theirs.job.id).idempotency_key) << "the dead job has lost it";
  EXPECT_NE(enqueue({.type = "t", .idempotency_key = "k"}).job.id, theirs.job.id);
}

TEST_F(PostgresJobQueueTest, TheKeyOfAJobThatSomebodyDeletedIsFree) {
  Job made = add({.type = "t", .idempotency_key = "k"});
  execute("DELETE FROM background_jobs");
  auto again = enqueue({.type = "t", .idempotency_key = "k"});
  EXPECT_FALSE(again.is_duplicate);
  EXPECT_NE(again.job.id, made.id);
  EXPECT_TRUE(enqueue({.type = "t", .idempotency_key = "k"}).is_duplicate);
}

TEST_F(PostgresJobQueueTest, EveryInsertIsAnnounced) {
  std::mutex mutex;
  std::condition_variable changed;
  int notices = 0;
  auto listener = postgres::Listener::open(jobs_->url(), kPostgresJobsChannel, [&] {
                    std::lock_guard lock(mutex);
                    ++notices;
                    changed.notify_all();
                  }).value();
  auto hears = [&, seen = 0]() mutable {
    std::unique_lock lock(mutex);
    bool has_heard = changed.wait_for(lock, seconds(30), [&] { return notices > seen; });
    seen = notices;
    return has_heard;
  };
  ASSERT_TRUE(hears()) << "it listens";
  execute("INSERT INTO background_jobs (job_type) VALUES ('t')");
  EXPECT_TRUE(hears());
  add({.type = "t"});
  EXPECT_TRUE(hears());
  add({.type = "t", .debounce = Debounce{"d", seconds(1)}});
  EXPECT_TRUE(hears());
  Job dead = add({.type = "dies"});
  EXPECT_TRUE(hears());
  ASSERT_TRUE(end(claim({.types = {{"dies", 1}}}).at(0), Failed{.error = "no", .is_final = true}));
  ASSERT_TRUE(run(jobs_->admin().retry(dead.id)));
  EXPECT_TRUE(hears());
  claim({.types = {{"dies", 1}}, .lease = kLeaseMin});
  jobs_->pass(minutes(1));
  ASSERT_EQ(run(queue().take_over_expired(10)).value(), 1u);
  EXPECT_TRUE(hears());
}

// --- other programs' ratings ---

class RatingsTest : public PostgresJobQueueTest {
 protected:
  RatingsTest() {
    execute("CREATE TRIGGER t AFTER INSERT OR DELETE OR UPDATE ON post_ratings FOR EACH ROW EXECUTE FUNCTION queue_rated_posts('post_id')");
  }
  static void rate(Connection& connection, const std::string& post, int session) {
    connection.run("INSERT INTO post_ratings (post_id, session_id) VALUES ($1, $2)", post, std::to_string(session));
  }
  std::vector<std::string> claimed_posts() {
    jobs_->pass(minutes(1));
    std::vector<std::string> posts;
    for (const ClaimedJob& job : claim({.limit = 100})) posts.push_back(job.payload);
    std::ranges::sort(posts);
    return posts;
  }
};

TEST_F(RatingsTest, RatingsQueueOneJobAPostUntilItStarts) {
  for (int i = 0; i < 5; ++i) rate(sql_, "p", i);
  rate(sql_, "q", 1);
  execute("UPDATE post_ratings SET post_id = 'r' WHERE post_id = 'q'");
  EXPECT_TRUE(claim({.limit = 100}).empty()) << "2 s later";
  EXPECT_EQ(claimed_posts(), (std::vector<std::string>{R"({"postId":"p"})", R"({"postId":"q"})", R"({"postId":"r"})"}));
  execute("DELETE FROM post_ratings WHERE post_id = 'p'");
  EXPECT_EQ(claimed_posts(), (std::vector<std::string>{R"({"postId":"p"})"})) << "that change needs another run";
  rate(sql_, std::string(200, 'x'), 1);
  EXPECT_TRUE(claimed_posts().empty()) << "no post of Hearth's, and no error either";
}

TEST_F(RatingsTest, TheJobDoesNotRunBeforeTheTransactionThatRatedHasCommitted) {
  rate(sql_, "p", 1);
  jobs_->pass(minutes(1));
  auto slow = jobs_->connect();
  slow.execute("BEGIN");
  rate(slow, "p", 2);
  EXPECT_TRUE(claim({.limit = 100}).empty()) << "it would not see the rating";
  rate(sql_, "p", 3);  // and nobody waits
  slow.execute("COMMIT");
  EXPECT_EQ(claim({.limit = 100}).size(), 1u);
}

TEST_F(RatingsTest, TransactionsThatRatePostsInAnyOrderNeverWaitForEachOther) {
  auto a = jobs_->connect();
  auto b = jobs_->connect();
  for (auto* connection : {&a, &b}) connection->execute("SET lock_timeout = '5s'; BEGIN");
  rate(a, "p", 1);
  rate(b, "q", 2);
  rate(a, "q", 3);
  rate(b, "p", 4);
  auto claiming = jobs_->connect();
  claiming.execute("BEGIN");
  a.execute("COMMIT");
  jobs_->pass(minutes(1));
  EXPECT_GE(claiming.query("SELECT id FROM claim_jobs('w', NULL, NULL, NULL, 10, 1000, false) WHERE id IS NOT NULL").size(), 2);
  rate(b, "q", 5);  // whose job is about to start
  b.execute("COMMIT");
  claiming.execute("COMMIT");
  auto left = claimed_posts();
  EXPECT_EQ(std::set(left.begin(), left.end()), (std::set<std::string>{R"({"postId":"p"})", R"({"postId":"q"})"})) << "b's are not lost";
}

TEST_F(RatingsTest, HearthDoesNotKeepThemWaitingEither) {
  auto rating = jobs_->connect();
  rating.execute("SET lock_timeout = '5s'; BEGIN");
  rate(rating, "p", 1);
  std::jthread hearth([this] { add({.type = "sync_like_count", .debounce = Debounce{"sync_like_count:p", seconds(1)}}); });
  auto is_waiting = [this] {
    return number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") > 0;
  };
  while (!is_waiting()) std::this_thread::yield();
  for (const char* post : {"q", "p", "r"}) rate(rating, post, 2);
  rating.execute("COMMIT");
}

TEST_F(RatingsTest, AThousandPostsInOneTransactionTakeFewLocks) {
  sql_.execute("BEGIN; INSERT INTO post_ratings SELECT 'p' || i, 's' FROM generate_series(1, 1000) AS i");
  EXPECT_LE(number("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"), 300);
  sql_.execute("COMMIT");
  EXPECT_EQ(number("SELECT count(*) FROM background_jobs"), 1'000);
}

// --- the schema ---

TEST_F(PostgresJobQueueTest, MigratingAgainChangesNothing) {
  EXPECT_EQ(postgres::migrate(jobs_->database(), postgres::kMigrations).value(), 0);
}

TEST_F(PostgresJobQueueTest, JobsOfAnotherProgramAreNotTouchedAndTheErrorSaysWhatToDo) {
  execute("CREATE DATABASE theirs_" + text("SELECT current_database()") + " TEMPLATE template0");
  auto url = jobs_->url();
  url.insert(url.rfind('/') + 1, "theirs_");
  Connection::connect({.url = url}).execute("CREATE TABLE background_jobs (id uuid PRIMARY KEY)");
  auto database = postgres::Database::open({.url = url}).value();
  auto refused = postgres::migrate(*database, postgres::kMigrations);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
  EXPECT_NE(refused.error().message.find("\"background_jobs\""), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("not Hearth's: put Hearth's tables into a schema of their own"), std::string::npos);

  // As the message says; and whoever calls the functions may have any search_path.
  auto apart = postgres::Database::open({.url = url + "?options=-csearch_path%3D%22Hearth1%22,public"}).value();
  auto migrated = postgres::migrate(*apart, postgres::kMigrations);
  ASSERT_TRUE(migrated) << migrated.error().message;
  JobSignal signal;
  PostgresJobQueue own(*apart, signal);
  ASSERT_TRUE(run(own.enqueue({{.type = "t", .idempotency_key = "k"}, {.type = "t"}})));
  auto other = Connection::connect({.url = url});
  EXPECT_EQ(other.query("SELECT id FROM \"Hearth1\".claim_next_job('w') WHERE id IS NOT NULL").size(), 1);
  EXPECT_EQ(other.run("INSERT INTO \"Hearth1\".background_jobs (job_type, idempotency_key) VALUES ('t', 'k')"), 0u);
  EXPECT_EQ(run(own.claim({.worker = "w", .limit = 5})).value().jobs.size(), 1u);
}

TEST_F(PostgresJobQueueTest, WhereThereIsAServiceRoleNobodyElseSeesJobs) {
  execute("DROP ROLE IF EXISTS service_role; DROP ROLE IF EXISTS anon; CREATE ROLE service_role; CREATE ROLE anon");
  execute("CREATE DATABASE with_roles TEMPLATE template0");
  auto url = jobs_->url().substr(0, jobs_->url().rfind('/')) + "/with_roles";
  auto database = postgres::Database::open({.url = url}).value();
  ASSERT_TRUE(postgres::migrate(*database, postgres::kMigrations));
  JobSignal signal;
  PostgresJobQueue own(*database, signal);
  ASSERT_TRUE(run(own.enqueue({{.type = "a"}, {.type = "b"}, {.type = "c"}})));
  ASSERT_EQ(run(own.claim({.worker = "w"})).value().jobs.size(), 1u) << "the owner passes by itself";

  auto other = Connection::connect({.url = url});
  auto count = [&](const char* table) { return other.query(std::string("SELECT count(*) FROM ") + table).first().integer(0); };
  // As on Supabase, where everybody has all rights on new tables.
  other.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO anon; SET ROLE anon");
  EXPECT_EQ(count("background_jobs"), 0);
  EXPECT_THROW(other.run("INSERT INTO background_jobs (job_type) VALUES ('t')"), Failure);
  EXPECT_EQ(other.query("SELECT id FROM claim_next_job('w') WHERE id IS NOT NULL").size(), 0);
  EXPECT_THROW(other.run("INSERT INTO ledger_tables (ratings, ratings_post) VALUES ('users', 'id')"), Failure);
  EXPECT_EQ(other.run("UPDATE ledger_tables SET ratings = 'users'"), 0u);
  EXPECT_THROW(other.query("SELECT sync_post_like_count('p')"), Failure);

  other.execute("SET ROLE service_role");
  EXPECT_EQ(count("background_jobs"), 3);
  EXPECT_EQ(other.run("INSERT INTO background_jobs (job_type, idempotency_key) VALUES ('d', 'k'), ('d', 'k')"), 1u);
  SqlClaim claimed(other, "'w', '{d}'");
  ASSERT_TRUE(claimed.id);
  EXPECT_TRUE(other.query("SELECT complete_job(" + claimed.id_and_token() + ")").first().boolean(0));
  SqlClaim failing(other, "'w', '{b}'");
  EXPECT_TRUE(other.query("SELECT fail_job(" + failing.id_and_token() + ", 'no')").first().boolean(0));
  EXPECT_EQ(count("job_history"), 2);
  EXPECT_EQ(other.query("SELECT sync_post_like_count('p')").first().integer(0), 0);
  other.execute("RESET ROLE; SET ROLE anon");
  EXPECT_EQ(count("job_history"), 0);
  other.execute("RESET ROLE; DROP OWNED BY service_role, anon; DROP ROLE service_role; DROP ROLE anon");
}

// --- locks ---

TEST_F(PostgresJobQueueTest, TwoWhoClaimAtOncePassEachOther) {
  for (int i = 0; i < 10; ++i) add({.type = "t"});
  sql_.execute("SET lock_timeout = '5s'; BEGIN");
  EXPECT_EQ(sql_.query("SELECT id FROM claim_jobs('a', NULL, NULL, NULL, 4, 30000, false) WHERE id IS NOT NULL").size(), 4);
  EXPECT_EQ(claim({.limit = 4}).size(), 4u) << "without waiting for the commit of the first";
  EXPECT_EQ(sql_.query("SELECT id FROM claim_jobs('a', NULL, NULL, NULL, 4, 30000, false) WHERE id IS NOT NULL").size(), 2);
  sql_.execute("COMMIT");
  EXPECT_EQ(number("SELECT count(DISTINCT lease_token) FROM background_jobs WHERE status = 'processing' AND attempts = 1"), 10);
  EXPECT_EQ(number("SELECT count(*) FROM background_jobs WHERE worker_id = 'a'"), 6);
}

TEST_F(PostgresJobQueueTest, WhatAnotherClaimIsAtIsMadeUpForByOthersOfItsPriority) {
  for (int i = 0; i < 3; ++i) add({.type = "held", .priority = 9});
  for (int i = 0; i < 6; ++i) add({.type = "free", .priority = 9});
  for (int i = 0; i < 5; ++i) add({.type = "free", .priority = 8});
  sql_.execute("BEGIN; SELECT FROM background_jobs WHERE job_type = 'held' FOR UPDATE");
  auto jobs = claim({.limit = 5});
  EXPECT_EQ(jobs.size(), 5u);
  for (const auto& job : jobs) EXPECT_EQ(find(job.id).priority, 9);
  EXPECT_EQ(claim({.limit = 5}).size(), 5u) << "then the next priority";
  sql_.execute("COMMIT");
}

TEST_F(PostgresJobQueueTest, ALimitThatAnotherHoldsDelaysOnlyItsOwnType) {
  ASSERT_TRUE(run(jobs_->admin().configure({.type = "limited", .rate = TypeSettings::Rate{.count = 5, .window = hours(1)}})));
  for (const char* type : {"limited", "limited", "other"}) add({.type = type});
  sql_.execute("BEGIN");
  EXPECT_EQ(sql_.query("SELECT id FROM claim_jobs('a', '{limited}', NULL, NULL, 1, 30000, false) WHERE id IS NOT NULL").size(), 1);
  auto others = run(queue().claim({.worker = "w", .limit = 5})).value();
  ASSERT_EQ(others.jobs.size(), 1u);
  EXPECT_EQ(others.jobs[0].type, "other");
  EXPECT_LE(others.next_due_in.value(), milliseconds(10)) << "worth another look";
  EXPECT_TRUE(claim({.limit = 5}).empty()) << "it waited a while, and was no error";
  sql_.execute("COMMIT");
  EXPECT_EQ(claim({.limit = 5}).size(), 1u);
}

TEST_F(PostgresJobQueueTest, AnEndAndAnEnqueueOfTheSameKeyMeetInAnyOrder) {
  for (int i = 0; i < 60; ++i) {
    auto key = "k" + std::to_string(i);
    Job made = add({.type = "t", .idempotency_key = key});
    auto claimed = claim({}).at(0);
    std::atomic<int> ready = 0;
    auto together = [&] {
      ++ready;
      while (ready < 3) std::this_thread::yield();
    };
    std::vector<std::jthread> enqueuing;
    for (std::size_t node : {0u, 1u}) {
      enqueuing.emplace_back([&, node] {
        together();
        auto again = run(queue(node).enqueue({{.type = "t", .idempotency_key = key}}));
        ASSERT_TRUE(again) << again.error().message;
        EXPECT_TRUE((*again)[0].is_duplicate);
        EXPECT_EQ((*again)[0].job.id, made.id);
      });
    }
    together();
    EXPECT_TRUE(end(claimed, i % 2 ? Outcome(Completed{}) : Failed{.error = "no", .is_final = true}));
  }
}

// Others may have been at the job before.
bool is_done_or_refused(const Result<Job>& done) {
  return done || done.error().code == ErrorCode::kConflict || done.error().code == ErrorCode::kNotFound;
}

TEST_F(PostgresJobQueueTest, AllKindsOfWorkAtOnceNeverDeadlock) {
  std::vector<std::jthread> threads;
  for (unsigned seed = 0; seed < 6; ++seed) {
    threads.emplace_back([this, seed] {
      std::minstd_rand random(seed + 1);
      auto key = [&] { return "k" + std::to_string(random() % 30); };
      auto& own = queue(seed % 2);
      for (int i = 0; i < 60; ++i) {
        std::vector<JobDraft> drafts;
        for (int n = 0; n < 5; ++n) drafts.push_back({.type = "t" + std::to_string(n % 3), .idempotency_key = key(), .max_attempts = 1});
        drafts.push_back({.type = "t0"});
        if (i % 3 == 0) {
          for (int n = 0; n < 3; ++n) drafts.push_back({.type = "d", .debounce = Debounce{key(), milliseconds(0)}});
        }
        auto made = run(own.enqueue(drafts));
        ASSERT_TRUE(made) << made.error().message;
        auto claimed = run(own.claim({.worker = "w", .limit = 8, .lease = kLeaseMin}));
        ASSERT_TRUE(claimed) << claimed.error().message;
        std::vector<Ending> endings;
        std::vector<LeaseRenewal> renewals;
        for (const ClaimedJob& job : claimed->jobs) {
          Outcome outcome = Completed{};
          if (random() % 4 == 0) outcome = Failed{.error = "no"};
          if (random() % 8 == 0) outcome = Snoozed{};
          endings.push_back({job.id, job.lease_token, outcome});
          renewals.push_back({.job = job.id, .lease_token = job.lease_token});
        }
        std::ranges::shuffle(endings, random);
        std::ranges::shuffle(renewals, random);
        ASSERT_TRUE(run(own.renew(renewals)));
        if (!endings.empty() && i % 5 == 0) {
          EXPECT_TRUE(is_done_or_refused(run(jobs_->admin(seed % 2).cancel(endings[0].job))));
        }
        ASSERT_TRUE(run(own.end(endings)));
        if (i % 10 == 0) {
          ASSERT_TRUE(run(own.take_over_expired(10)));
          ASSERT_TRUE(run(jobs_->admin().prune(jobs_->now() - hours(1), 10)));
          auto dead = run(jobs_->admin().search({.status = JobStatus::kDead, .limit = 3})).value();
          for (const Job& job : dead.jobs) EXPECT_TRUE(is_done_or_refused(run(jobs_->admin().retry(job.id))));
        }
      }
    });
  }
  threads.clear();
  execute("SELECT pg_stat_clear_snapshot()");
  EXPECT_EQ(number("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"), 0);
  EXPECT_EQ(
      number("SELECT count(*) FROM (SELECT job_id FROM job_history WHERE status = 'completed' GROUP BY 1 HAVING count(*) > 1) AS twice"),
      0);
  EXPECT_EQ(number("SELECT count(*) FROM background_jobs JOIN job_history ON job_id = id AND job_history.status = 'completed'"), 0);
}

// --- growth ---

class GrowthTest : public PostgresJobQueueTest {
 protected:
  // How many pages a claim looks at, once its plans are made.
  std::int64_t pages_of_a_claim(const std::string& arguments) {
    Connection connection = jobs_->connect();
    std::string claim = "SELECT count(*) FROM claim_jobs('w', " + arguments + ", 10, 30000, false)";
    for (int i = 0; i < 2; ++i) {
      connection.execute("BEGIN");
      connection.query(claim);
      connection.execute("ROLLBACK");
    }
    connection.execute("BEGIN");
    auto plan = connection.query("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + claim).first().string(0);
    connection.execute("ROLLBACK");
    std::int64_t pages = 0;
    for (std::string_view kind : {"\"Shared Hit Blocks\": ", "\"Shared Read Blocks\": "})
      pages += std::stoll(plan.substr(plan.find(kind) + kind.size()));
    return pages;
  }
};

TEST_F(GrowthTest, AClaimLooksAtTheSameFewPagesHoweverManyJobsEndedOrWait) {
  ASSERT_TRUE(run(jobs_->admin().set_paused("paused", true)));
  auto add_due = [this] {
    execute("INSERT INTO background_jobs (job_type, priority) SELECT 't' || i % 3, i % 2 FROM generate_series(1, 60) AS i");
  };
  add_due();
  auto any = pages_of_a_claim("NULL, NULL, NULL");
  auto named = pages_of_a_claim("'{t0,t1,t2,paused}', NULL, NULL");
  // The statement's plans were made while the queue was empty, as those of a node are that runs for long.
  jobs_->pass(minutes(1));
  execute(
      "SET session_replication_role = replica;"  // no triggers
      "INSERT INTO background_jobs (job_type, priority, scheduled_for) SELECT 't' || i % 3, i % 2, now() + i * interval '1 second' "
      "FROM generate_series(10000, 1010000) AS i;"
      "INSERT INTO background_jobs (job_type, priority) SELECT 'paused', 10 FROM generate_series(1, 100000);"
      "INSERT INTO job_history (job_id, job_type, status, attempts, ended_at, payload, created_at) "
      "SELECT 10000000 + i, 't1', 'completed', 1, now(), '{}', now() FROM generate_series(1, 1000000) AS i");
  auto any_grown = pages_of_a_claim("NULL, NULL, NULL");
  auto named_grown = pages_of_a_claim("'{t0,t1,t2,paused}', NULL, NULL");
  // An index of a million entries is two levels higher, and there is one line more.
  EXPECT_LE(any_grown, 2 * any + 50);
  EXPECT_LE(named_grown, 2 * named + 50);
  auto claimed = claim({.limit = 100});
  EXPECT_EQ(claimed.size(), 60u) << "all that is due, and nothing else";
  std::vector<Ending> endings;
  for (const ClaimedJob& job : claimed) endings.push_back({job.id, job.lease_token, Completed{}});
  for (const auto& ended : run(queue().end(endings)).value()) EXPECT_TRUE(ended);
}

TEST_F(GrowthTest, APlanThatWasMadeForAnEmptyQueueServesAFullOne) {
  Connection node = jobs_->connect();
  auto lines = [&] { return node.query("SELECT name FROM job_lines(NULL, NULL, NULL, 10, false)").size(); };
  auto renewed = [&] {
    auto rows =
        node.query("SELECT became FROM renew_jobs(ARRAY[1::bigint, 2], ARRAY[gen_random_uuid(), gen_random_uuid()], ARRAY['', ''])");
    return rows.size();
  };
  for (int i = 0; i < 8; ++i) EXPECT_EQ(lines() + renewed(), 2);
  execute(
      "SET session_replication_role = replica; INSERT INTO background_jobs (job_type, priority, status, lease_expires_at, lease_token) "
      "SELECT 't', 0, 'processing', now() + interval '1 hour', gen_random_uuid() FROM generate_series(1, 100000)");
  auto pages_before = number("SELECT heap_blks_hit + heap_blks_read FROM pg_statio_user_tables WHERE relname = 'background_jobs'");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(lines() + renewed(), 2);
  node.execute("SELECT pg_stat_force_next_flush()");
  node.query("SELECT 1");
  sql_.query("SELECT pg_stat_clear_snapshot()");
  auto pages = number("SELECT heap_blks_hit + heap_blks_read FROM pg_statio_user_tables WHERE relname = 'background_jobs'") - pages_before;
  EXPECT_LE(pages, 10'000) << "not all rows each time";
}

// --- what PostgreSQL cannot keep ---

TEST_F(PostgresJobQueueTest, APayloadThatCannotBeKeptIsItsCallersAlone) {
  std::atomic<int> made = 0;
  std::vector<std::jthread> callers;
  constexpr std::array<std::string_view, 3> kWrong = {R"({"a":"x\u0000y"})", R"({"a":1e999999})", R"({"a":"\ud800"})"};
  for (std::size_t i = 0; i < 32; ++i) {
    callers.emplace_back([&, i] {
      std::string payload = i % 8 == 3 ? std::string(kWrong[i / 8 % 3]) : R"({"a":"\\u0000"})";
      auto answer = run(queue().enqueue({{.type = "t", .payload = payload}}));
      if (i % 8 != 3) {
        EXPECT_TRUE(answer) << answer.error().message;
        ++made;
      } else {
        ASSERT_FALSE(answer) << payload;
        EXPECT_EQ(answer.error().code, ErrorCode::kInvalidArgument);
        EXPECT_EQ(answer.error().field, "payload");
      }
    });
  }
  callers.clear();
  EXPECT_EQ(number("SELECT count(*) FROM background_jobs"), made);
  auto debounced = run(queue().enqueue({{.type = "t", .payload = std::string(kWrong[1]), .debounce = Debounce{"d", seconds(1)}}}));
  EXPECT_EQ(refusal(debounced), ErrorCode::kInvalidArgument);
  auto written = jobs_->write(
      [&](SqlTransaction transaction) { return queue().enqueue_in(transaction, {.type = "t", .payload = std::string(kWrong[0])}); });
  EXPECT_EQ(refusal(written), ErrorCode::kInvalidArgument);
}

TEST_F(PostgresJobQueueTest, AnEndingThatCannotBeKeptLetsTheOthersEnd) {
  for (int i = 0; i < 4; ++i) add({.type = "t"});
  auto claimed = claim({.limit = 4});
  auto renewed =
      run(queue().renew({{claimed[0].id, claimed[0].lease_token, R"({"a":1e999999})"}, {claimed[1].id, claimed[1].lease_token, "{}"}}));
  EXPECT_EQ(refusal(renewed.value()[0]), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(renewed.value()[1]);
  auto ended = run(queue().end({{claimed[0].id, claimed[0].lease_token, Completed{.result = R"({"a":1e999999})"}},
                                {claimed[1].id, claimed[1].lease_token, Completed{.effect = jobs_->note("done")}},
                                {claimed[2].id, claimed[2].lease_token, Completed{}},
                                {claimed[3].id, claimed[3].lease_token, Failed{.error = std::string("a\0b\xff", 4)}}}))
                   .value();
  EXPECT_EQ(refusal(ended[0]), ErrorCode::kInvalidArgument);
  for (std::size_t i : {1, 2, 3}) EXPECT_TRUE(ended[i]);
  EXPECT_EQ(jobs_->notes(), std::vector<std::string>{"done"});
  EXPECT_EQ(find(claimed[0].id).status, JobStatus::kProcessing);
  EXPECT_EQ(find(claimed[3].id).error_message, "a?b?");
}

TEST_F(PostgresJobQueueTest, SnoozingAgainIsTheSameAnswer) {
  add({.type = "t"});
  auto claimed = claim({}).at(0);
  for (bool is_repeated : {false, true}) EXPECT_EQ(end(claimed, Snoozed{.wait = hours(1)}).value().is_repeated, is_repeated);
  EXPECT_EQ(refusal(end(claimed, Completed{})), ErrorCode::kConflict);
  EXPECT_EQ(find(claimed.id).attempts, 0);
}

TEST(PostgresJobRows, JsonComesBackWithoutTheSpacesBetween) {
  EXPECT_EQ(without_padding(R"({"a": 1, "b c": [true, "x, \" : y\\", null]})"), R"({"a":1,"b c":[true,"x, \" : y\\",null]})");
  EXPECT_TRUE(names_nul(R"({"a":"\u0000"})"));
  EXPECT_TRUE(names_nul(R"({"a":"\\\u0000"})"));
  EXPECT_FALSE(names_nul(R"({"a":"\\u0000"})"));
  EXPECT_FALSE(names_nul(R"({"a":"\u0001\n"})"));
}

// --- groups ---

TEST_F(PostgresJobQueueTest, CallersWhoComeTogetherShareTransactions) {
  auto before = jobs_->database().stats().transactions;
  sql_.execute("BEGIN; LOCK TABLE background_jobs");  // so that they have to gather
  std::vector<std::jthread> callers;
  std::set<JobId> ids;
  std::mutex mutex;
  for (int i = 0; i < 64; ++i) {
    callers.emplace_back([&, i] {
      auto made = run(queue().enqueue({{.type = "t" + std::to_string(i)}, {.type = "u" + std::to_string(i)}})).value();
      EXPECT_EQ(made[0].job.type, "t" + std::to_string(i));
      EXPECT_EQ(find(made[1].job.id).type, "u" + std::to_string(i));
      std::lock_guard lock(mutex);
      for (const EnqueuedJob& each : made) ids.insert(each.job.id);
    });
  }
  while (number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") < 2)
    std::this_thread::yield();
  sql_.execute("COMMIT");
  callers.clear();
  EXPECT_EQ(ids.size(), 128u);
  auto transactions = jobs_->database().stats().transactions - before - 64;  // without those of find()
  EXPECT_LT(transactions, 40u);
}

TEST_F(PostgresJobQueueTest, TooManyWhoWaitAreToldSoAndTheOthersAreServed) {
  sql_.execute("BEGIN; LOCK TABLE background_jobs");
  boost::asio::io_context loop;
  int made = 0;
  int refused = 0;
  std::vector<JobDraft> drafts(kJobsPerEnqueueMax, {.type = "t"});
  for (int i = 0; i < 55; ++i) {
    boost::asio::co_spawn(loop, queue().enqueue(drafts), [&](std::exception_ptr, const Result<std::vector<EnqueuedJob>>& answer) {
      ++(answer ? made : refused);
      EXPECT_TRUE(answer || answer.error().code == ErrorCode::kUnavailable);
      if (made + refused == 3) sql_.execute("COMMIT");  // the refusals are answered while the others wait
    });
  }
  loop.run();
  EXPECT_EQ(refused, 3);
  EXPECT_EQ(made, 52);
  EXPECT_EQ(number("SELECT count(*) FROM background_jobs"), 52'000);
}

TEST_F(PostgresJobQueueTest, EverybodyIsAnsweredWhenTheDatabaseStops) {
  auto database = postgres::Database::open({.url = jobs_->url(), .connections = 2}).value();
  JobSignal signal;
  auto own = std::make_unique<PostgresJobQueue>(*database, signal);
  std::atomic<int> answered = 0;
  std::atomic<int> started = 0;
  std::vector<std::jthread> callers;
  for (int i = 0; i < 16; ++i) {
    callers.emplace_back([&] {
      while (true) {
        auto answer = run(own->enqueue({{.type = "t"}}));
        ++started;
        if (answer) continue;
        EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
        ++answered;
        return;
      }
    });
  }
  while (started < 100) std::this_thread::yield();
  database->stop();
  callers.clear();
  EXPECT_EQ(answered, 16);
  own.reset();
}

}  // namespace
}  // namespace hearth::jobs
