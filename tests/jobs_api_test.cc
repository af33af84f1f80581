// Jobs over HTTP and by the command, on SQLite and on PostgreSQL: what tests/api/jobs.test cannot say, because it takes time,
// several workers, or somebody who looks into SQL.

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "hearth/api/jobs_routes.h"
#include "hearth/base/clock.h"
#include "hearth/drivers/sqlite/connection.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "tests/support/child_process.h"
#include "tests/support/http_client.h"
#include "tests/support/json_check.h"
#include "tests/support/server_process.h"
#include "tests/support/test_stores.h"

namespace hearth::tests {
namespace {

using boost::json::value;
using std::chrono::milliseconds;
using Steady = std::chrono::steady_clock;

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

std::string text_of(const value& object, const char* field) {
  return std::string(object.at(field).as_string());
}

class JobsApi : public testing::TestWithParam<SqlKind> {
 protected:
  JobsApi() {
    if (GetParam() == SqlKind::kPostgres) url = shared_postgres().create_database("jobs_api");
  }

  // The flags by which a server and a command find the stores.
  std::vector<std::string> stores() const {
    if (url.empty()) return {};
    return {"--database-url=" + url};
  }
  ServerOptions options(std::vector<std::string> flags = {}) const {
    for (const auto& flag : stores()) flags.push_back(flag);
    return {.data = data, .flags = flags};
  }
  CommandResult command(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "jobs");
    arguments.push_back("--data=" + data.string());
    for (const auto& flag : stores()) arguments.push_back(flag);
    return run_hearth(std::move(arguments));
  }
  // What somebody else does to background_jobs.
  void change_jobs(const char* sqlite, const char* postgres) const {
    if (!url.empty()) {
      ASSERT_GT(change_postgres(url, postgres), 0u);
      return;
    }
    auto connection = sqlite::Connection::open({.path = data / "content.db"});
    ASSERT_TRUE(connection) << connection.error().message;
    auto done = connection->transaction([&] { ASSERT_GT(connection->statement(sqlite).run(), 0); });
    ASSERT_TRUE(done) << done.error().message;
  }

  static std::string enqueue(HttpClient& http, const std::string& job) {
    auto answer = http.post("/api/jobs", job);
    EXPECT_EQ(answer.status, 201) << answer.body;
    return text_of(answer.json(), "id");
  }
  // The jobs of a claim.
  static boost::json::array claim(HttpClient& http, const std::string& body) {
    auto answer = http.post("/api/jobs/claim", body);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.json().at("jobs").as_array();
  }
  static Answer end(HttpClient& http, const std::string& id, const std::string& how, const std::string& token) {
    return http.post("/api/jobs/" + id + "/" + how, R"({"leaseToken":")" + token + "\"" + (how == "fail" ? R"(,"error":"e")" : "") + "}");
  }
  static bool comes_to(HttpClient& http, const std::string& id, std::string_view status) {
    auto deadline = Steady::now() + kPatience;
    while (Steady::now() < deadline) {
      if (get(http, "/api/jobs/" + id).at("status").as_string() == status) return true;
    }
    return false;
  }
  static value get(HttpClient& http, const std::string& target) { return http.get(target).json(); }

  sqlite::TemporaryFolder folder;
  const std::filesystem::path data = folder.path() / "data";
  std::string url;
};

// --- claims that wait ---

TEST_P(JobsApi, AWaitingClaimWakesWhenAJobIsQueued) {
  ServerProcess server(options());
  HttpClient worker(server.port());
  HttpClient producer(server.port());
  worker.connect();
  std::vector<milliseconds> times;
  for (int round = 0; round < 15; ++round) {
    worker.send(worker.compose("POST", "/api/jobs/claim", R"({"workerId":"w","jobTypes":["mail"],"waitMs":10000})"));
    // By then the claim has most likely looked and waits; where it has not, the job is there when it looks.
    for (int i = 0; i < 3; ++i) ASSERT_EQ(producer.get("/api/health/queue").status, 200);
    auto began = Steady::now();
    auto id = enqueue(producer, R"({"jobType":"mail"})");
    auto answer = worker.receive();
    times.push_back(std::chrono::duration_cast<milliseconds>(Steady::now() - began));
    ASSERT_EQ(find_mismatch(R"({"jobs":[{"id":")" + id + "\"}]}", answer.json()), "") << answer.body;
  }
  // Looking once a second would take half a second on average.
  std::ranges::sort(times);
  EXPECT_LT(times[times.size() / 2], milliseconds(200));
  EXPECT_EQ(server.terminate().code, 0);
}

TEST_P(JobsApi, AWaitingClaimTakesAJobWhenItIsDue) {
  ServerProcess server(options());
  HttpClient http(server.port());
  auto due = to_rfc3339(SystemClock().now() + milliseconds(700));
  enqueue(http, R"({"jobType":"mail","scheduledFor":")" + due + "\"}");
  EXPECT_EQ(claim(http, R"({"workerId":"w","jobTypes":["mail"]})").size(), 0u);
  auto jobs = claim(http, R"({"workerId":"w","jobTypes":["mail"],"waitMs":10000})");
  ASSERT_EQ(jobs.size(), 1u);
  auto late = parse_rfc3339(text_of(jobs[0], "startedAt"), "").value() - parse_rfc3339(due, "").value();
  EXPECT_GE(late, milliseconds(0));
  EXPECT_LT(late, milliseconds(500));
}

TEST_P(JobsApi, AWaitingClaimEndsWithNothingWhenNothingComes) {
  ServerProcess server(options());
  HttpClient http(server.port());
  auto began = Steady::now();
  EXPECT_EQ(claim(http, R"({"workerId":"w","jobTypes":["mail"],"waitMs":300})").size(), 0u);
  EXPECT_GE(Steady::now() - began, milliseconds(300));
  EXPECT_LT(Steady::now() - began, milliseconds(5'000));
}

TEST_P(JobsApi, AnEndingServerLetsGoOfWaitingClaimsAndTooManyAreRefused) {
  ServerProcess server(options());
  const std::string body = R"({"workerId":"w","jobTypes":["mail"],"waitMs":10000})";
  std::vector<HttpClient> waiting;
  auto add = [&] {
    waiting.emplace_back(server.port());
    waiting.back().connect();
    waiting.back().send(waiting.back().compose("POST", "/api/jobs/claim", body));
  };
  while (waiting.size() < api::kWaitingClaimsMax) add();
  // There is no place for another one when all of them wait. A question that came before one of them had its place.
  HttpClient http(server.port());
  auto deadline = Steady::now() + std::chrono::seconds(8);
  Answer refused;
  while (refused.status != 503 && Steady::now() < deadline) {
    refused = http.post("/api/jobs/claim", R"({"workerId":"w","jobTypes":["mail"],"waitMs":300})");
    if (refused.status != 503) add();
  }
  EXPECT_EQ(refused.status, 503) << refused.body;
  EXPECT_TRUE(refused.header("retry-after"));
  // One that does not wait needs no place.
  EXPECT_EQ(claim(http, R"({"workerId":"w","jobTypes":["mail"]})").size(), 0u);

  server.ask_to_stop();
  std::size_t let_go = 0;
  for (auto& one : waiting) {
    auto answer = one.receive();
    if (answer.status == 503) continue;  // the question had taken its place
    EXPECT_EQ(answer.body, R"({"jobs":[]})");
    ++let_go;
  }
  EXPECT_EQ(let_go, api::kWaitingClaimsMax);
  EXPECT_EQ(server.wait().code, 0) << server.errors();
}

// --- leases ---

TEST_P(JobsApi, AWorkerWhoseLeaseIsOverCannotEndTheAttemptOfAnother) {
  ServerProcess server(options());
  HttpClient http(server.port());
  auto id = enqueue(http, R"({"jobType":"mail"})");
  auto slow = claim(http, R"({"workerId":"slow","jobTypes":["mail"],"leaseMs":1000})");
  ASSERT_EQ(slow.size(), 1u);
  auto began = Steady::now();
  boost::json::array other;
  while (other.empty() && Steady::now() - began < kPatience)
    other = claim(http, R"({"workerId":"other","jobTypes":["mail"],"waitMs":5000})");
  ASSERT_EQ(other.size(), 1u);
  EXPECT_LT(Steady::now() - began, milliseconds(1'000 + 2'000));
  EXPECT_EQ(find_mismatch(R"({"id":")" + id + R"(","attempts":2})", other[0]), "");

  auto stale = text_of(slow[0], "leaseToken");
  for (const char* how : {"complete", "fail", "heartbeat"}) {
    auto answer = end(http, id, how, stale);
    EXPECT_EQ(answer.status, 409) << how << answer.body;
    EXPECT_EQ(text_of(answer.json(), "code"), "stale_lease") << how;
  }
  auto token = text_of(other[0], "leaseToken");
  EXPECT_EQ(end(http, id, "heartbeat", token).status, 200);
  EXPECT_EQ(end(http, id, "complete", token).status, 200);
  EXPECT_EQ(end(http, id, "complete", token).status, 200);
  EXPECT_EQ(end(http, id, "complete", stale).status, 409);
  EXPECT_EQ(find_mismatch(R"({"status":"completed","history":[{"attempt":1,"status":"failed","workerId":"slow"},
                              {"attempt":2,"status":"completed","workerId":"other"}]})",
                          get(http, "/api/jobs/" + id)),
            "");
  EXPECT_EQ(get(http, "/api/admin/queue/stats").at("staleRefused").as_int64(), 4);
}

TEST_P(JobsApi, AStuckJobMakesTheQueueUnhealthy) {
  ServerProcess server(options({"--jobs.workers=false"}));  // nobody takes it over
  HttpClient http(server.port());
  auto id = enqueue(http, R"({"jobType":"mail"})");
  auto jobs = claim(http, R"({"workerId":"w","jobTypes":["mail"]})");
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(http.get("/api/health/queue").status, 200);
  change_jobs("UPDATE background_jobs SET lease_expires_at = lease_expires_at - 100000000",
              "UPDATE background_jobs SET lease_expires_at = lease_expires_at - interval '100 s'");
  auto health = http.get("/api/health/queue");
  EXPECT_EQ(health.status, 503);
  EXPECT_TRUE(health.header("retry-after"));
  EXPECT_EQ(find_mismatch(R"({"healthy":false,"stuckJobs":1,"pendingJobs":0,"error":"<string>","code":"unavailable"})", health.json()), "");
  EXPECT_EQ(get(http, "/api/admin/queue/stats").at("stuck").as_int64(), 1);
  EXPECT_EQ(end(http, id, "heartbeat", text_of(jobs[0], "leaseToken")).status, 200);  // it was only slow
  EXPECT_EQ(http.get("/api/health/queue").status, 200);
}

// --- duplicates ---

TEST_P(JobsApi, OneKeyFromManyAtOnceMakesOneJob) {
  ServerProcess server(options());
  for (const char* header : {"Idempotency-Key: k1", ""}) {
    std::vector<HttpClient> clients;
    for (int i = 0; i < 16; ++i) {
      clients.emplace_back(server.port());
      clients.back().connect();
    }
    Headers headers;
    if (*header != '\0') headers.emplace_back("Idempotency-Key", "k1");
    std::string body = *header != '\0' ? R"({"jobType":"once"})" : R"({"jobType":"once","idempotencyKey":"k2"})";
    for (auto& client : clients) client.send(client.compose("POST", "/api/jobs", body, headers));
    int made = 0;
    std::string id;
    for (auto& client : clients) {
      auto answer = client.receive();
      bool is_first = answer.status == 201 && !answer.header("idempotent-replayed");
      made += is_first ? 1 : 0;
      auto its = text_of(answer.json(), "id");
      if (id.empty()) id = its;
      EXPECT_EQ(its, id);
      EXPECT_TRUE(answer.status == 201 || answer.status == 200) << answer.body;
    }
    EXPECT_EQ(made, 1) << header;
  }
}

// --- what Hearth does itself ---

TEST_P(JobsApi, ProcessRunsTenDueJobsAndAFailingOneEndsNothing) {
  ServerProcess server(options({"--jobs.workers=false"}));
  HttpClient http(server.port());
  enqueue(http,
          R"({"jobType":"process_image","payload":{"postId":"p","imageUrl":"http://127.0.0.1:9999/x.png"},"priority":10,"maxAttempts":1})");
  std::string jobs;
  for (int i = 0; i < 11; ++i)
    jobs += (i > 0 ? "," : "") + std::string(R"({"jobType":"sync_like_count","payload":{"postId":"p)") + std::to_string(i) + "\"}}";
  ASSERT_EQ(http.post("/api/jobs/bulk", "{\"jobs\":[" + jobs + "]}").status, 200);
  enqueue(http, R"({"jobType":"mail"})");                                                                            // for others
  enqueue(http, R"({"jobType":"sync_like_count","payload":{"postId":"p"},"scheduledFor":"2099-01-01T00:00:00Z"})");  // not due

  auto first = http.post("/api/queue/process", "");
  ASSERT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(first.json().at("processed").as_int64(), 10);
  int failed = 0;
  auto results = first.json().at("results").as_array();
  ASSERT_EQ(results.size(), 10u);
  for (const auto& result : results) {
    if (result.at("success").as_bool()) continue;
    ++failed;
    EXPECT_EQ(find_mismatch(R"({"jobType":"process_image","success":false,"error":"<string>"})", result), "");
  }
  EXPECT_EQ(failed, 1);
  auto second = get(http, "/api/queue/process");
  EXPECT_EQ(find_mismatch(R"({"processed":2,"results":[{"success":true},{"jobType":"sync_like_count","success":true,"error":"<absent>"}]})",
                          second),
            "");
  EXPECT_EQ(get(http, "/api/queue/process").at("processed").as_int64(), 0);
  EXPECT_EQ(find_mismatch(R"({"pending":2,"failed":0,"dead":1,"processing":0,"byType":{"mail":{"pending":1},"process_image":{"dead":1}}})",
                          get(http, "/api/admin/queue/stats")),
            "");
}

TEST_P(JobsApi, WorkersDoTheBuiltInTypesAndClaimsLeaveThemAlone) {
  ServerProcess server(options());
  HttpClient http(server.port());
  EXPECT_EQ(http.call("PUT", "/api/users/ada", R"({"username":"ada"})").status, 200);
  EXPECT_EQ(http.post("/api/posts", R"({"id":"p","authorId":"ada"})").status, 201);
  auto id = enqueue(http, R"({"jobType":"sync_like_count","payload":{"postId":"p"}})");
  EXPECT_TRUE(comes_to(http, id, "completed"));
  auto job = get(http, "/api/jobs/" + id);
  EXPECT_EQ(find_mismatch(R"({"status":"completed","completedAt":"<time>","history":[{"status":"completed"}]})", job), "");

  ASSERT_EQ(http.post("/api/admin/job-types/sync_like_count/pause", "").status, 200);
  auto paused = enqueue(http, R"({"jobType":"sync_like_count","payload":{"postId":"p"}})");
  EXPECT_EQ(claim(http, R"({"workerId":"w","limit":10})").size(), 0u);
  EXPECT_EQ(text_of(get(http, "/api/jobs/" + paused), "status"), "pending");
  EXPECT_EQ(find_mismatch(R"({"jobType":"sync_like_count","isBuiltIn":true,"isPaused":true})",
                          http.call("PUT", "/api/admin/job-types/sync_like_count", "{}").json()),
            "");
  ASSERT_EQ(http.post("/api/admin/job-types/sync_like_count/resume", "").status, 200);
  EXPECT_TRUE(comes_to(http, paused, "completed"));
}

TEST_P(JobsApi, SchedulesOfTheConfigurationAreListedWithTheirNextRun) {
  ServerProcess server(options({R"(--jobs.schedules=nightly | 0 3 * * * | Europe/Berlin | send_digest | {"to":"all"} | skip)"}));
  HttpClient http(server.port());
  EXPECT_EQ(find_mismatch(R"({"schedules":[{"name":"nightly","cron":"0 3 * * *","timeZone":"Europe/Berlin","jobType":"send_digest",
                              "payload":{"to":"all"},"catchUp":"skip","isConfigured":true,"nextRunAt":"<time>","lastRunAt":"<absent>"},
                              {"name":"sync_views","jobType":"sync_views","isConfigured":true}]})",
                          get(http, "/api/admin/schedules")),
            "");
}

// --- the command ---

TEST_P(JobsApi, TheCommandShowsAndSteersJobsWithAndWithoutAServer) {
  ServerProcess server(options({"--jobs.workers=false"}));  // nor do schedules add jobs of theirs
  HttpClient http(server.port());
  auto mail = enqueue(http, R"({"jobType":"mail","payload":{"to":"ada"},"maxAttempts":1})");
  auto jobs = claim(http, R"({"workerId":"w","jobTypes":["mail"]})");
  ASSERT_EQ(jobs.size(), 1u);
  ASSERT_EQ(
      http.post("/api/jobs/" + mail + "/fail", R"({"leaseToken":")" + text_of(jobs[0], "leaseToken") + R"(","error":"no\u001b[31m way"})")
          .status,
      200);
  auto other = enqueue(http, R"({"jobType":"other"})");
  auto check_reading = [&] {
    auto list = command({"list"});
    EXPECT_EQ(list.code, 0) << list.errors;
    EXPECT_HAS(list.output, "ID  TYPE");
    EXPECT_HAS(list.output, "no [31m way");  // what would steer the terminal is gone
    EXPECT_HAS(list.output, other + "  ");
    EXPECT_LT(list.output.find(other + "   other"), list.output.find(mail + "   mail"));
    EXPECT_EQ(command({"list", "--type=none"}).output, "no jobs\n");
    auto dead = command({"list", "--status=dead", "--search=way", "--json"});
    EXPECT_EQ(
        find_mismatch(R"({"jobs":[{"id":")" + mail + R"(","status":"dead","payload":{"to":"ada"}}]})", boost::json::parse(dead.output)),
        "");
    auto page = command({"list", "--limit=1"});
    EXPECT_HAS(page.output, "more with --cursor=" + other);
    EXPECT_HAS(command({"list", "--limit=1", "--cursor=" + other}).output, mail + "   mail");
    auto shown = command({"show", mail});
    EXPECT_HAS(shown.output, "dead");
    EXPECT_HAS(shown.output, "ATTEMPT");
    EXPECT_EQ(find_mismatch(R"({"history":[{"status":"dead"}]})", boost::json::parse(command({"show", mail, "--json"}).output)), "");
    auto stats = command({"stats"});
    EXPECT_HAS(stats.output, "dead            1");
    EXPECT_HAS(stats.output, "TYPE");
    EXPECT_EQ(find_mismatch(R"({"pending":1,"dead":1})", boost::json::parse(command({"stats", "--json"}).output)), "");
  };
  auto check_steering = [&] {
    EXPECT_EQ(command({"retry", mail}).output, "job " + mail + " is pending\n");
    auto again = command({"retry", mail});
    EXPECT_EQ(again.code, 1);
    EXPECT_HAS(again.errors, "hearth: ");
    EXPECT_EQ(again.errors.find("{"), std::string::npos) << again.errors;
    EXPECT_EQ(command({"cancel", mail}).output, "job " + mail + " is cancelled\n");
    EXPECT_EQ(command({"pause", "other"}).output, "other is paused\n");
    EXPECT_EQ(command({"resume", "other", "--json"}).output, "{\"jobType\":\"other\",\"isPaused\":false}\n");
    EXPECT_EQ(command({"show", "999999999"}).code, 1);
  };
  check_reading();
  EXPECT_EQ(server.terminate().code, 0);
  check_reading();
  check_steering();

  server.start();
  HttpClient again(server.port());
  mail = enqueue(again, R"({"jobType":"mail"})");
  jobs = claim(again, R"({"workerId":"w","jobTypes":["mail"]})");
  ASSERT_EQ(jobs.size(), 1u);
  auto token = text_of(jobs[0], "leaseToken");
  ASSERT_EQ(again.post("/api/jobs/" + mail + "/fail", R"({"leaseToken":")" + token + R"(","error":"e","isFinal":true})").status, 200);
  check_steering();
}

TEST_P(JobsApi, TheCommandSaysWhatIsWrongWithItsArguments) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{{},
                                                                                         {"destroy"},
                                                                                         {"show"},
                                                                                         {"show", "x"},
                                                                                         {"list", "7"},
                                                                                         {"pause"},
                                                                                         {"pause", "a b"},
                                                                                         {"list", "--status=lost"},
                                                                                         {"list", "--limit=0"},
                                                                                         {"list", "--cursor=x"}}) {
    auto result = command(arguments);
    EXPECT_EQ(result.code, 2) << result.output << result.errors;
    EXPECT_NE(result.errors, "");
    EXPECT_EQ(result.output, "");
  }
  EXPECT_FALSE(std::filesystem::exists(data));
  if (url.empty()) EXPECT_EQ(command({"stats"}).code, 1);  // there is no such folder, and none is made
  EXPECT_FALSE(std::filesystem::exists(data));
}

INSTANTIATE_TEST_SUITE_P(, JobsApi, testing::Values(SqlKind::kSqlite, SqlKind::kPostgres),
                         [](const auto& info) { return info.param == SqlKind::kSqlite ? "sqlite" : "postgres"; });

}  // namespace
}  // namespace hearth::tests
