// Hearth put in front of a database, and a Redis, that another program has filled: diagnose, import --from-database, and what
// is served afterwards.

#include <gtest/gtest.h>

#include <atomic>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "hearth/drivers/postgres/connection.h"
#include "hearth/drivers/postgres/test_server.h"
#include "hearth/drivers/redis/test_servers.h"
#include "hearth/drivers/sqlite/connection.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "tests/support/child_process.h"
#include "tests/support/http_client.h"
#include "tests/support/json_check.h"
#include "tests/support/server_process.h"

namespace hearth::tests {
namespace {

constexpr char kAda[] = "0d0d0d0d-1111-4222-8333-444444444444";
constexpr char kBob[] = "0e0e0e0e-1111-4222-8333-444444444444";
constexpr char kEve[] = "0f0f0f0f-1111-4222-8333-444444444444";

// Post 1: two ratings, one of them twice; 2: one rating and a wrong count; 3: none and a wrong count; 4: right. Ratings of the
// post 99, and a comment on 98, which do not exist.
constexpr char kOtherProgram[] = R"sql(
  CREATE TABLE posts_new (id serial PRIMARY KEY, title text, likes integer DEFAULT 0);
  INSERT INTO posts_new (id, likes) VALUES (1, 2), (2, 70), (3, 5), (4, 1);
  CREATE TABLE post_ratings (id serial PRIMARY KEY, post_id integer NOT NULL, session_id uuid NOT NULL, created_at timestamptz DEFAULT now());
  INSERT INTO post_ratings (post_id, session_id, created_at) VALUES
    (1, '0d0d0d0d-1111-4222-8333-444444444444', '2026-01-02'), (1, '0d0d0d0d-1111-4222-8333-444444444444', '2026-01-01'),
    (1, '0e0e0e0e-1111-4222-8333-444444444444', '2026-01-03'), (2, '0d0d0d0d-1111-4222-8333-444444444444', '2026-01-03'),
    (4, '0e0e0e0e-1111-4222-8333-444444444444', '2026-01-03'), (99, '0d0d0d0d-1111-4222-8333-444444444444', '2026-01-03');
  CREATE TABLE comments (id serial PRIMARY KEY, post_id integer, body text);
  INSERT INTO comments (post_id, body) VALUES (1, 'good'), (98, 'gone');
)sql";

postgres::PostgresServer& shared_postgres() {
  static postgres::PostgresServer server;
  return server;
}
redis::RedisServer& shared_redis() {
  static redis::RedisServer server;
  return server;
}

class Adoption : public testing::Test {
 protected:
  Adoption() { shared_redis().run({"FLUSHALL"}); }

  void execute(const std::string& sql) const { postgres::Connection::connect({.url = url}).execute(sql); }
  std::int64_t number(const std::string& sql) const { return postgres::Connection::connect({.url = url}).query(sql).first().integer(0); }
  std::string text(const std::string& sql) const { return postgres::Connection::connect({.url = url}).query(sql).first().string(0); }
  // Everything that the other program sees.
  std::string its_tables() const {
    return text(
        "SELECT (SELECT string_agg(p::text, ' ' ORDER BY p.id) FROM posts_new AS p) || "
        "(SELECT string_agg(r::text, ' ' ORDER BY r.id) FROM post_ratings AS r) || "
        "(SELECT string_agg(c::text, ' ' ORDER BY c.id) FROM comments AS c)");
  }

  std::vector<std::string> flags() const {
    std::vector<std::string> all = {"--database-url=" + url, "--data=" + (folder.path() / "data").string(),
                                    "--ledger.posts_table=" + posts_table};
    if (has_redis) all.push_back("--redis-url=" + shared_redis().url());
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  CommandResult hearth(std::vector<std::string> arguments) const {
    auto all = flags();
    arguments.insert(arguments.end(), all.begin(), all.end());
    return run_hearth(std::move(arguments));
  }
  boost::json::value json(std::vector<std::string> arguments, int code) const {
    arguments.push_back("--json");
    auto result = hearth(std::move(arguments));
    EXPECT_EQ(result.code, code) << result.errors << result.output;
    EXPECT_FALSE(result.output.empty()) << result.errors;
    return result.output.empty() ? boost::json::value() : boost::json::parse(result.output);
  }
  boost::json::value import(int code = 0) const { return json({"import", "--from-database"}, code); }

  std::unique_ptr<ServerProcess> serve() const {
    auto all = flags();
    std::erase_if(all, [](const std::string& flag) { return flag.starts_with("--data="); });
    return std::make_unique<ServerProcess>(ServerOptions{.data = folder.path() / "data", .flags = all});
  }
  static std::int64_t like(HttpClient& http, const std::string& post, const std::string& session) {
    auto answer = http.call("PUT", "/api/posts/" + post + "/like", R"({"sessionId":")" + session + "\"}");
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.json().at("newCount").to_number<std::int64_t>();
  }
  static std::int64_t likes(HttpClient& http, const std::string& post) {
    return http.get("/api/posts/" + post + "/likes").json().at("likes").to_number<std::int64_t>();
  }
  static redis::Reply redis_run(const std::vector<std::string_view>& words) { return shared_redis().run(words); }

  std::string url = shared_postgres().create_database("adoption");
  sqlite::TemporaryFolder folder;
  bool has_redis = true;
  std::string posts_table = "posts_new";
  std::vector<std::string> more;
};

TEST_F(Adoption, DiagnoseFindsEachAndChangesNothing) {
  execute(kOtherProgram);
  redis_run({"SADD", "post:liked:4", kBob, kEve});
  redis_run({"SET", "post:likes:4", "2"});
  auto before = its_tables();
  auto found = json({"diagnose"}, 1);
  EXPECT_EQ(find_mismatch(R"({"totals": {"duplicateRatings": 1, "drift": 4, "orphanedRatings": 1, "orphanedComments": 1},
      "duplicateRatings": [{"postId": "1", "sessionIds": ["0d0d0d0d-1111-4222-8333-444444444444"], "rows": 2, "severity": "error", "fix": "<string>"}],
      "drift": [{"postId": "1", "ratings": 3, "posts": 2}, {"postId": "2", "ratings": 1, "posts": 70}, {"postId": "3", "ratings": 0, "posts": 5},
                {"postId": "4", "ratings": 1, "live": 2, "members": 2}],
      "orphanedRatings": [{"postId": "99", "ratings": 1, "severity": "warning"}],
      "orphanedComments": [{"commentId": "2", "postId": "98"}]})",
                          found),
            "")
      << found;
  EXPECT_EQ(its_tables(), before);
  EXPECT_EQ(number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), 3) << "it made tables";
  EXPECT_EQ(redis_run({"DBSIZE"}).integer, 2) << "it made keys";

  auto result = hearth({"diagnose"});
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.output.find("post 2 has 1 ratings, 70 in the table of posts"), std::string::npos) << result.output;
}

TEST_F(Adoption, DiagnoseOnTheDataFolder) {
  auto data = folder.path() / "data";
  auto lines = folder.path() / "lines";
  std::ofstream(lines) << R"({"type":"user","id":"u","username":"u","createdAt":"2026-01-01T00:00:00.000Z"}
{"type":"post","id":"p","authorId":"u","content":"p","createdAt":"2026-01-02T00:00:00.000Z"}
{"type":"post","id":"q","authorId":"u","content":"q","createdAt":"2026-01-02T00:00:00.000Z"}
{"type":"rating","postId":"p","sessionId":"ada","createdAt":"2026-01-03T00:00:00.000Z"}
{"type":"rating","postId":"p","sessionId":"Ada","createdAt":"2026-01-03T00:00:00.000Z"}
{"type":"rating","postId":"q","sessionId":"bob","createdAt":"2026-01-03T00:00:00.000Z"}
{"type":"rating","postId":"gone","sessionId":"bob","createdAt":"2026-01-03T00:00:00.000Z"}
)";
  auto where = "--data=" + data.string();
  ASSERT_EQ(run_hearth({"import", lines.string(), where}).code, 0);
  {
    auto ratings = sqlite::Connection::open({.path = data / "ratings.db"});
    ratings->execute("UPDATE post_counts SET likes = 9 WHERE post_id = 'p'");
    auto content = sqlite::Connection::open({.path = data / "content.db"});
    content->execute("UPDATE posts SET likes = 5 WHERE id = 'q'");
  }
  auto expected = R"({"totals": {"duplicateRatings": 1, "drift": 2, "orphanedRatings": 1, "orphanedComments": 0},
      "duplicateRatings": [{"postId": "p", "sessionIds": ["Ada", "ada"], "severity": "warning"}],
      "drift": [{"postId": "p", "ratings": 2, "sql": 9}, {"postId": "q", "ratings": 1, "sql": 1, "posts": 5}],
      "orphanedRatings": [{"postId": "gone", "ratings": 1}], "notPossible": {"orphanedComments": "<string>"}})";
  auto closed = run_hearth({"diagnose", "--json", where});
  EXPECT_EQ(closed.code, 1);
  EXPECT_EQ(find_mismatch(expected, boost::json::parse(closed.output)), "") << closed.output;
  ServerProcess server({.data = data});
  auto served = run_hearth({"diagnose", "--json", where});
  EXPECT_EQ(served.code, 1);
  EXPECT_EQ(find_mismatch(expected, boost::json::parse(served.output)), "") << served.output;
}

TEST_F(Adoption, WhatCannotBeLookedForIsSaid) {
  execute(kOtherProgram);
  execute("DROP TABLE comments");
  EXPECT_EQ(find_mismatch(R"({"notPossible": {"duplicateRatings": "<string>", "drift": "<string>", "orphanedRatings": "<string>",
                                              "orphanedComments": "<string>"}})",
                          json({"diagnose", "--ledger.ratings_session_column=who"}, 0)),
            "");
}

TEST_F(Adoption, SessionsThatDifferByCaseOrSpaceAreReportedAndKept) {
  has_redis = false;
  execute(
      "CREATE TABLE posts_new (id text PRIMARY KEY, likes integer); INSERT INTO posts_new VALUES ('p', 3);"
      "CREATE TABLE post_ratings (post_id text, session_id text, created_at timestamptz DEFAULT now());"
      "INSERT INTO post_ratings VALUES ('p', 'ada'), ('p', 'Ada '), ('p', 'bob')");
  auto expected = R"({"duplicateRatings": [{"postId": "p", "sessionIds": ["Ada ", "ada"], "rows": 2, "severity": "warning"}]})";
  EXPECT_EQ(find_mismatch(expected, json({"diagnose"}, 1)), "");
  EXPECT_EQ(find_mismatch(R"({"duplicatesRemoved": 0, "leftTotal": 0})", import()), "");
  EXPECT_EQ(number("SELECT count(*) FROM post_ratings"), 3);
  EXPECT_EQ(find_mismatch(expected, json({"diagnose"}, 1)), "");
}

TEST_F(Adoption, AServerRefusesWhatWasNotImported) {
  execute(kOtherProgram);
  auto refused = hearth({"serve", "--listen=127.0.0.1:0"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.errors.find("hearth import --from-database"), std::string::npos) << refused.errors;

  // The names are all given, and there is no unique index; then one, and nothing is counted.
  more = {"--ledger.ratings_table=public.post_ratings", "--ledger.comments_table=public.comments"};
  auto rename = [&](const char* sql) { execute(sql); };
  rename("ALTER TABLE comments RENAME TO remarks");
  more.back() = "--ledger.comments_table=remarks";
  refused = hearth({"serve", "--listen=127.0.0.1:0"});
  EXPECT_NE(refused.errors.find("no unique index on (post_id, session_id); `hearth import --from-database`"), std::string::npos)
      << refused.errors;
  execute("DELETE FROM post_ratings WHERE id = 1; CREATE UNIQUE INDEX ON post_ratings (session_id, post_id)");
  refused = hearth({"serve", "--listen=127.0.0.1:0"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.errors.find("has not counted; `hearth import --from-database`"), std::string::npos) << refused.errors;
  EXPECT_EQ(find_mismatch(R"({"duplicatesRemoved": 0, "entered": 4})", import()), "");
  auto server = serve();
  HttpClient http(server->port());
  EXPECT_EQ(likes(http, "1"), 2);
}

TEST_F(Adoption, ImportMendsWhatCanBeMendedAndListsTheRest) {
  execute(kOtherProgram);
  auto before = its_tables();
  auto trial = json({"import", "--from-database", "--dry-run"}, 0);
  EXPECT_EQ(find_mismatch(R"({"dryRun": true, "entered": 4, "duplicatesRemoved": 1, "differencesTotal": 3})", trial), "") << trial;
  EXPECT_EQ(its_tables(), before);
  EXPECT_EQ(redis_run({"DBSIZE"}).integer, 0);

  auto report = import();
  EXPECT_EQ(find_mismatch(R"({"posts": 4, "ratings": 5, "entered": 4, "duplicatesRemoved": 1, "adopted": 0, "loaded": 4, "verified": 4,
      "differencesTotal": 2, "differences": [{"postId": "2", "where": "posts", "was": 70, "now": 1}, {"postId": "3", "was": 5, "now": 0}],
      "leftTotal": 0, "orphanedRatings": [{"postId": "99", "ratings": 1}], "orphanedComments": [{"commentId": "2", "postId": "98"}]})",
                          report),
            "")
      << report;
  EXPECT_EQ(number("SELECT count(*) FROM post_ratings WHERE id = 2"), 1) << "the oldest one stays";
  EXPECT_EQ(number("SELECT count(*) FROM post_ratings"), 5);
  EXPECT_EQ(redis_run({"GET", "post:likes:1"}).text, "2");
  EXPECT_EQ(redis_run({"SCARD", "post:liked:1"}).integer, 2);

  auto once = its_tables();
  EXPECT_EQ(find_mismatch(R"({"entered": 0, "duplicatesRemoved": 0, "differencesTotal": 0, "leftTotal": 0, "verified": 4})", import()), "");
  EXPECT_EQ(its_tables(), once);
  EXPECT_EQ(find_mismatch(R"({"totals": {"duplicateRatings": 0, "drift": 0, "orphanedRatings": 1, "orphanedComments": 1}})",
                          json({"diagnose"}, 1)),
            "");
}

TEST_F(Adoption, LikesAfterwardsLandInItsTables) {
  execute(kOtherProgram);
  import();
  auto server = serve();
  HttpClient http(server->port());
  EXPECT_EQ(like(http, "1", kEve), 3);
  EXPECT_EQ(http.call("DELETE", std::string("/api/posts/1/like?sessionId=") + kAda).status, 200);
  EXPECT_EQ(like(http, "3", kEve), 1);
  ASSERT_EQ(http.post("/api/admin/flush", "").status, 200);
  EXPECT_EQ(number("SELECT likes FROM posts_new WHERE id = 1"), 2);
  EXPECT_EQ(number("SELECT likes FROM posts_new WHERE id = 3"), 1);
  EXPECT_EQ(number(std::string("SELECT count(*) FROM post_ratings WHERE post_id = 1 AND session_id IN ('") + kBob + "', '" + kEve + "')"),
            2);
  EXPECT_EQ(number("SELECT count(*) FROM post_ratings WHERE post_id = 1"), 2);

  // Through the running server.
  execute("UPDATE posts_new SET likes = 12 WHERE id = 4");
  auto found = json({"diagnose"}, 1);
  EXPECT_EQ(find_mismatch(R"({"drift": [{"postId": "4", "ratings": 1, "posts": 12, "sql": 1}]})", found), "") << found;
  EXPECT_EQ(http.get("/api/admin/diagnostics").json(), found);
}

TEST_F(Adoption, RedisAheadOfSqlIsAdopted) {
  execute(kOtherProgram);
  redis_run({"SADD", "post:liked:1", kAda, kBob, kEve});  // Eve is not in SQL
  redis_run({"SET", "post:likes:1", "4"});                // wrong besides
  redis_run({"SADD", "post:liked:2", kBob});              // Ada is in SQL only
  redis_run({"SADD", "post:liked:77", kEve, kBob});       // unknown to SQL
  redis_run({"SET", "post:likes:77", "2"});
  redis_run({"SADD", std::string("session:likes:") + kEve, "1", "77"});
  redis_run({"SADD", std::string("session:likes:") + kBob, "3", "98"});  // neither of which Bob likes
  auto trial = json({"import", "--from-database", "--dry-run"}, 0);
  EXPECT_EQ(redis_run({"DBSIZE"}).integer, 7) << trial;

  auto report = import();
  EXPECT_EQ(find_mismatch(R"({"adopted": 4, "pruned": 2, "leftTotal": 0})", report), "") << report;
  EXPECT_EQ(redis_run({"SCARD", std::string("session:likes:") + kBob}).integer, 4);  // 1, 2, 4 and 77
  EXPECT_EQ(redis_run({"SMISMEMBER", std::string("session:likes:") + kBob, "2", "3"}).elements[0].integer, 1);
  EXPECT_EQ(number("SELECT count(*) FROM post_ratings WHERE post_id = 1"), 3);
  EXPECT_EQ(number("SELECT count(*) FROM post_ratings WHERE post_id = 2"), 2);
  EXPECT_EQ(number("SELECT count(*) FROM post_ratings WHERE post_id = 77"), 2);
  EXPECT_EQ(number("SELECT likes FROM posts_new WHERE id = 1"), 3);
  EXPECT_EQ(number("SELECT likes FROM posts_new WHERE id = 2"), 2);
  EXPECT_EQ(redis_run({"GET", "post:likes:1"}).text, "3");
  EXPECT_EQ(redis_run({"SCARD", "post:liked:2"}).integer, 2);
  EXPECT_EQ(find_mismatch(R"({"adopted": 0, "differencesTotal": 0, "leftTotal": 0})", import()), "");
  EXPECT_EQ(find_mismatch(R"({"totals": {"drift": 0}})", json({"diagnose"}, 1)), "");
}

TEST_F(Adoption, AKeyOfAnotherTypeIsLeftAndSaid) {
  execute(kOtherProgram);
  redis_run({"SET", "post:liked:2", "nonsense"});
  auto report = import(1);
  EXPECT_EQ(find_mismatch(R"({"leftTotal": 1, "left": [{"postId": "2"}]})", report), "") << report;
  redis_run({"DEL", "post:liked:2"});
  EXPECT_EQ(find_mismatch(R"({"leftTotal": 0})", import()), "");
}

TEST_F(Adoption, PlainKeysMoveToTaggedOnes) {
  execute(kOtherProgram);
  import();
  {
    auto server = serve();
    HttpClient http(server->port());
    EXPECT_EQ(like(http, "3", kEve), 1);
    auto refused = hearth({"import", "--from-database", "--redis.keys=tagged"});
    EXPECT_EQ(refused.code, 1);
    EXPECT_NE(refused.errors.find("node is running"), std::string::npos) << refused.errors;
    server->kill();  // what it answered last is in the stream
  }
  redis_run({"SADD", "post:liked:4", kEve});  // another program's
  auto other = hearth({"serve", "--redis.keys=tagged", "--listen=127.0.0.1:0"});
  EXPECT_NE(other.errors.find("hearth import --from-database"), std::string::npos) << other.errors;

  // The lease of the server that was killed lasts for a while.
  execute("UPDATE outbox_cursors SET lease_until = now() - interval '1 second'");
  more.push_back("--redis.keys=tagged");
  auto report = import();
  EXPECT_EQ(find_mismatch(R"({"leftTotal": 0, "moved": 5})", report), "") << report;
  EXPECT_EQ(number("SELECT count(*) FROM post_ratings WHERE post_id = 3"), 1);
  EXPECT_EQ(number("SELECT count(*) FROM post_ratings WHERE post_id = 4"), 2);
  for (const auto& key : redis_run({"KEYS", "*"}).elements) {
    bool is_plain = key.text.starts_with("post:") || key.text.starts_with("session:") || key.text.starts_with("hearth:outbox:");
    EXPECT_TRUE(!is_plain || key.text.contains('{')) << key.text;
  }
  EXPECT_EQ(find_mismatch(R"({"leftTotal": 0, "moved": 0, "pruned": 0, "differencesTotal": 0})", import()), "");
  auto server = serve();
  HttpClient http(server->port());
  EXPECT_EQ(likes(http, "1"), 2);
  EXPECT_EQ(likes(http, "3"), 1);
  EXPECT_EQ(likes(http, "4"), 2);
  EXPECT_EQ(like(http, "4", kAda), 3);
}

TEST_F(Adoption, PlainKeysOfAnotherProgramMoveAtTheFirstImport) {
  execute(kOtherProgram);
  redis_run({"SADD", "post:liked:1", kEve});
  redis_run({"SET", "post:likes:1", "1"});
  redis_run({"SADD", std::string("session:likes:") + kEve, "1"});
  more.push_back("--redis.keys=tagged");
  auto report = import();
  EXPECT_EQ(find_mismatch(R"({"leftTotal": 0, "moved": 1, "adopted": 1})", report), "") << report;
  EXPECT_EQ(number("SELECT count(*) FROM post_ratings WHERE post_id = 1"), 3);
  EXPECT_EQ(redis_run({"EXISTS", "post:liked:1", "post:likes:1", std::string("session:likes:") + kEve}).integer, 0);
}

TEST_F(Adoption, AMoveThatEndedInTheMiddleIsFinished) {
  execute(kOtherProgram);
  import();
  execute("UPDATE live_control SET is_tagged = true");  // and Redis was not told
  more.push_back("--redis.keys=tagged");
  auto report = import();
  EXPECT_EQ(find_mismatch(R"({"leftTotal": 0, "moved": 4})", report), "") << report;
  EXPECT_EQ(redis_run({"EXISTS", "post:liked:1", "post:liked:2", "post:liked:4", "post:liked:99"}).integer, 0);
  auto server = serve();
  HttpClient http(server->port());
  EXPECT_EQ(likes(http, "1"), 2);
  more = {"--redis.keys=plain"};
  auto refused = hearth({"import", "--from-database"});
  EXPECT_NE(refused.errors.find("no way back"), std::string::npos) << refused.errors;
}

TEST_F(Adoption, PlainKeysOnAClusterMove) {
  execute(kOtherProgram);
  redis::RedisCluster cluster;
  auto run = [&](const std::vector<std::string_view>& words) {
    return cluster.node(cluster.primary_of(redis::slot_of(words[1]))).run(words);
  };
  has_redis = false;
  more = {"--redis-url=" + cluster.url()};
  for (const char* post : {"1", "2", "3", "4", "99"}) {
    run({"SADD", std::string("post:liked:") + post, kEve});
    run({"SET", std::string("post:likes:") + post, "1"});
  }
  run({"SADD", std::string("session:likes:") + kEve, "1", "2", "3", "4", "99"});
  auto report = import();
  EXPECT_EQ(find_mismatch(R"({"leftTotal": 0, "moved": 5, "adopted": 5})", report), "") << report;
  EXPECT_EQ(number("SELECT count(*) FROM post_ratings"), 10);
  EXPECT_EQ(number("SELECT likes FROM posts_new WHERE id = 1"), 3);
  EXPECT_EQ(run({"EXISTS", "post:liked:3"}).integer, 0);
  EXPECT_EQ(run({"EXISTS", std::string("session:likes:") + kEve}).integer, 0);
  EXPECT_EQ(find_mismatch(R"({"totals": {"drift": 0}})", json({"diagnose"}, 1)), "");
}

TEST_F(Adoption, FromOneRedisToACluster) {
  execute(kOtherProgram);
  import();
  {
    auto server = serve();
    HttpClient http(server->port());
    EXPECT_EQ(like(http, "3", kEve), 1);
    server->terminate();
  }
  redis::RedisCluster cluster;
  has_redis = false;
  more = {"--redis-url=" + cluster.url()};
  EXPECT_EQ(find_mismatch(R"({"leftTotal": 0, "moved": 0, "loaded": 5})", import()), "");
  auto server = serve();
  HttpClient http(server->port());
  EXPECT_EQ(likes(http, "3"), 1);
  EXPECT_EQ(like(http, "1", kEve), 3);
}

TEST_F(Adoption, ImportRunsWhileClientsLike) {
  execute(kOtherProgram);
  for (int i = 100; i < 200; ++i) execute("INSERT INTO posts_new (id) VALUES (" + std::to_string(i) + ")");
  import();
  auto server = serve();
  std::atomic<int> answered = 0;
  std::vector<std::jthread> clients;
  for (int client = 0; client < 2; ++client) {
    clients.emplace_back([&, client](std::stop_token is_over) {
      HttpClient http(server->port());
      for (int i = 0; !is_over.stop_requested(); ++i) {
        char session[64];
        std::snprintf(session, sizeof session, "%08x-%04x-4222-8333-444444444444", i, client);
        like(http, std::to_string(100 + i % 100), session);
        ++answered;
      }
    });
  }
  ASSERT_TRUE(redis::eventually([&] { return answered >= 100; }));
  for (int round = 0; round < 2; ++round) {
    auto report = import();
    EXPECT_EQ(find_mismatch(R"({"leftTotal": 0, "differencesTotal": 0})", report), "") << report;
  }
  clients.clear();
  HttpClient http(server->port());
  ASSERT_EQ(http.post("/api/admin/flush", "").status, 200);
  EXPECT_EQ(number("SELECT count(*) FROM post_ratings"), 5 + answered);
  EXPECT_EQ(number("SELECT sum(likes)::bigint FROM posts_new"), 4 + answered);
  EXPECT_EQ(find_mismatch(R"({"totals": {"drift": 0, "duplicateRatings": 0}})", json({"diagnose"}, 1)), "");
}

TEST_F(Adoption, MemoryOverAnAdoptedDatabase) {
  has_redis = false;
  execute(kOtherProgram);
  auto report = import();
  EXPECT_EQ(find_mismatch(R"({"entered": 4, "duplicatesRemoved": 1, "differencesTotal": 2, "leftTotal": 0, "verified": 4})", report), "")
      << report;
  auto server = serve();
  HttpClient http(server->port());
  EXPECT_EQ(like(http, "1", kEve), 3);
  auto refused = hearth({"import", "--from-database"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.errors.find("stop it"), std::string::npos) << refused.errors;
  ASSERT_EQ(http.post("/api/admin/flush", "").status, 200);
  EXPECT_EQ(number("SELECT likes FROM posts_new WHERE id = 1"), 3);
  server->terminate();
  EXPECT_EQ(find_mismatch(R"({"differencesTotal": 0, "leftTotal": 0})", import()), "");
}

TEST_F(Adoption, NamesWithUpperCaseAreQuoted) {
  execute(
      "CREATE SCHEMA \"App\"; CREATE TABLE \"App\".\"Story\" (\"storyId\" bigint PRIMARY KEY, \"likeCount\" bigint, \"readCount\" integer);"
      "INSERT INTO \"App\".\"Story\" VALUES (7, 9, 3), (8, NULL, 4);"
      "CREATE TABLE \"StoryRating\" (\"storyId\" bigint, \"sessionId\" varchar(40), \"createdAt\" timestamp DEFAULT now());"
      "INSERT INTO \"StoryRating\" VALUES (7, 'ada'), (7, 'ada'), (7, 'bob');"
      "CREATE TABLE \"Comment\" (\"commentId\" text, \"storyId\" bigint); INSERT INTO \"Comment\" VALUES ('c', 70)");
  posts_table = "App.Story";
  more = {"--ledger.posts_id_column=storyId",     "--ledger.posts_likes_column=likeCount",     "--ledger.ratings_table=StoryRating",
          "--ledger.ratings_post_column=storyId", "--ledger.ratings_session_column=sessionId", "--ledger.ratings_created_column=createdAt",
          "--ledger.comments_table=Comment",      "--ledger.comments_id_column=commentId",     "--ledger.comments_post_column=storyId"};
  EXPECT_EQ(find_mismatch(R"({"totals": {"duplicateRatings": 1, "drift": 2, "orphanedRatings": 0, "orphanedComments": 1}})",
                          json({"diagnose"}, 1)),
            "");
  EXPECT_EQ(find_mismatch(
                R"({"duplicatesRemoved": 1, "differences": [{"postId": "7", "was": 9, "now": 2}, {"postId": "8", "was": null, "now": 0}]})",
                import()),
            "");
  auto server = serve();
  HttpClient http(server->port());
  EXPECT_EQ(like(http, "8", "eve"), 1);
  ASSERT_EQ(http.post("/api/admin/flush", "").status, 200);
  EXPECT_EQ(number("SELECT \"likeCount\" FROM \"App\".\"Story\" WHERE \"storyId\" = 8"), 1);
  EXPECT_EQ(number("SELECT \"readCount\" FROM \"App\".\"Story\" WHERE \"storyId\" = 8"), 4);
}

TEST_F(Adoption, WhatDoesNotFitIsRefusedWithTheSetting) {
  execute(kOtherProgram);
  struct Refusal {
    std::vector<std::string> arguments;
    std::string message;
  };
  const std::vector<Refusal> cases = {
      {{"--ledger.ratings_table=nowhere"}, "ledger.ratings_table"},
      {{"--ledger.ratings_session_column=who"}, "ledger.ratings_session_column"},
      {{"--ledger.posts_likes_column=title"}, "ledger.posts_likes_column"},
      {{"--keep-duplicates"}, "1 duplicate"},
  };
  auto before = its_tables();
  for (const auto& [arguments, message] : cases) {
    std::vector<std::string> all = {"import", "--from-database"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    auto refused = hearth(all);
    EXPECT_EQ(refused.code, 1) << message;
    EXPECT_NE(refused.errors.find(message), std::string::npos) << refused.errors;
  }
  EXPECT_EQ(its_tables(), before);
  execute("ALTER TABLE post_ratings ALTER session_id DROP NOT NULL; UPDATE post_ratings SET session_id = NULL WHERE id = 4");
  auto refused = hearth({"import", "--from-database"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.errors.find("1 ratings have no post_id or no session_id"), std::string::npos) << refused.errors;
  EXPECT_EQ(run_hearth({"import", "--from-database", "--data=" + (folder.path() / "data").string()}).code, 2) << "no database is named";
}

TEST_F(Adoption, TablesOfHearthMayStandInASchemaOfTheirOwn) {
  execute(kOtherProgram);
  execute("CREATE TABLE users (id serial PRIMARY KEY)");
  auto refused = hearth({"import", "--from-database"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.errors.find("search_path"), std::string::npos) << refused.errors;
  url += (url.contains('?') ? "&" : "?") + std::string("options=-csearch_path%3Dhearth,public");
  EXPECT_EQ(find_mismatch(R"({"entered": 4, "leftTotal": 0})", import()), "");
  EXPECT_EQ(number("SELECT count(*) FROM hearth.post_counts"), 5);
  auto server = serve();
  HttpClient http(server->port());
  EXPECT_EQ(like(http, "1", kEve), 3);
}

}  // namespace
}  // namespace hearth::tests
