#include "hearth/app/handlers/built_in.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "hearth/app/handlers/webhook.h"
#include "hearth/base/run_to_end.h"
#include "hearth/content/stores/content_database.h"
#include "hearth/content/stores/sqlite_content_jobs.h"
#include "hearth/content/stores/sqlite_content_pages.h"
#include "hearth/content/stores/sqlite_content_store.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/drivers/web/test_web_server.h"
#include "hearth/jobs/stores/sqlite_job_admin.h"
#include "hearth/jobs/stores/sqlite_job_queue.h"
#include "hearth/media/stores/disk_media_store.h"
#include "hearth/notifications/stores/sqlite_notification_store.h"

namespace hearth::app {
namespace {

using jobs::Completed;
using jobs::Failed;
using jobs::Outcome;
using std::chrono::milliseconds;
using std::chrono::seconds;

// The handlers on a content.db; jobs are claimed, run and ended by the test itself.
class BuiltInTest : public testing::Test {
 protected:
  BuiltInTest() {
    add_built_in_handlers(handlers, parts, [](std::string_view) { return std::nullopt; });
  }

  jobs::ClaimedJob claim_one(bool takes_webhooks = false) {
    jobs::ClaimRequest request{.worker = "test", .takes_webhooks = takes_webhooks};
    return run_to_end(queue.claim(std::move(request))).value().jobs.at(0);
  }
  jobs::ClaimedJob enqueue_and_claim(const std::string& type, const std::string& payload) {
    EXPECT_TRUE(run_to_end(queue.enqueue({{.type = type, .payload = payload}})));
    return claim_one();
  }
  Outcome handle(const jobs::ClaimedJob& job) {
    const auto* entry = job.url ? handlers.webhook() : handlers.find(job.type);
    return entry->handle({.job = job, .stop = stop.get_token(), .report_progress = [](const std::string&) {}});
  }
  // Runs a job of this type to its end.
  Outcome work(const std::string& type, const std::string& payload) {
    auto job = enqueue_and_claim(type, payload);
    auto outcome = handle(job);
    auto ended = run_to_end(queue.end({{job.id, job.lease_token, outcome}}));
    EXPECT_TRUE(ended.has_value() && ended->front().has_value());
    return outcome;
  }
  std::int64_t count(const char* select) {
    return database
        ->read_blocking([&](sqlite::Connection& connection) -> Result<std::int64_t> {
          auto& row = connection.statement(select).query();
          row.next();
          return row.integer(0);
        })
        .value();
  }
  void add_post(const char* id, std::optional<std::string> image = {}) {
    ASSERT_TRUE(run_to_end(content_store.put_user({.id = UserId::trusted("ada"), .username = "ada"})));
    ASSERT_TRUE(run_to_end(content_store.create_post(
        {.id = PostId::trusted(id), .author = UserId::trusted("ada"), .image_url = std::move(image)}, std::nullopt)));
  }

  SimulatedClock clock;
  sqlite::TemporaryFolder folder;
  std::unique_ptr<sqlite::Database> database = content::open_content_database(folder.path() / "content.db").value();
  jobs::JobSignal signal;
  jobs::SqliteJobQueue queue{*database, clock, signal};
  jobs::SqliteJobAdmin admin{*database, clock, signal};
  content::SqliteContentStore content_store{*database, clock, nullptr, image_jobs(queue)};
  content::SqliteContentJobs content_jobs{*database};
  notifications::SqliteNotificationStore notifications{*database};
  std::unique_ptr<media::DiskMediaStore> images = media::DiskMediaStore::open(folder.path() / "media").value();
  web::WebClient web;
  std::vector<std::string> synced;
  std::stop_source stop;
  BuiltInParts parts{.web = web,
                     .fetches_private = true,
                     .webhook_secret = "secret",
                     .media = *images,
                     .queue = queue,
                     .admin = admin,
                     .content = content_jobs,
                     .notifications = notifications,
                     .sync_likes = [this](PostId post) -> Task<Result<void>> {
                       synced.push_back(post.str());
                       if (post.view() == "away") co_return fail(ErrorCode::kUnavailable, "Redis is away");
                       co_return Result<void>{};
                     },
                     .sync_views = [this]() -> Task<Result<std::string>> {
                       if (are_views_away) co_return fail(ErrorCode::kUnavailable, "PostgreSQL is away");
                       co_return R"({"success":true})";
                     },
                     .clock = clock};
  bool are_views_away = false;
  jobs::JobHandlers handlers;
};

TEST_F(BuiltInTest, BringsViewsToSql) {
  EXPECT_EQ(std::get<Completed>(work("sync_views", "{}")).result, R"({"success":true})");
  are_views_away = true;
  auto outcome = work("sync_views", "{}");
  EXPECT_EQ(std::get<Failed>(outcome).error, "PostgreSQL is away");
}

TEST_F(BuiltInTest, APostWithAnImageQueuesItsWorkOnce) {
  add_post("plain");
  EXPECT_EQ(count("SELECT count(*) FROM background_jobs"), 0);
  add_post("p", "https://a.example/1.jpg");
  auto job = claim_one();
  EXPECT_EQ(job.type, "process_image");
  EXPECT_EQ(job.payload, R"({"postId":"p","imageUrl":"https://a.example/1.jpg"})");
  EXPECT_TRUE(handlers.check(job.type, job.payload));
}

TEST_F(BuiltInTest, ANotificationIsStoredWithTheEndOfItsJob) {
  auto job = enqueue_and_claim("send_notification", R"({"userId":"u","title":"Hi","body":"there"})");
  auto outcome = handle(job);
  EXPECT_EQ(count("SELECT count(*) FROM notifications"), 0) << "not before the job ends";
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(run_to_end(queue.end({{job.id, job.lease_token, outcome}})).value().front());
  EXPECT_EQ(count("SELECT count(*) FROM notifications WHERE user_id = 'u' AND title = 'Hi' AND body = 'there'"), 1);
  EXPECT_EQ(count("SELECT count(*) FROM background_jobs"), 0);
}

TEST_F(BuiltInTest, ANotificationIsPostedOnWhereThatIsConfigured) {
  parts.notification_url = "https://hooks.example/n";
  work("send_notification", R"({"userId":"u","title":"Hi"})");
  auto onward = claim_one(true);
  EXPECT_EQ(onward.url, "https://hooks.example/n");
  EXPECT_EQ(onward.payload, R"({"userId":"u","title":"Hi"})");
}

TEST_F(BuiltInTest, LikesAreSyncedOrTheAttemptFails) {
  EXPECT_TRUE(std::holds_alternative<Completed>(work("sync_like_count", R"({"postId":42})")));
  auto outcome = work("sync_like_count", R"({"postId":"away"})");
  EXPECT_EQ(std::get<Failed>(outcome).error, "Redis is away");
  EXPECT_FALSE(std::get<Failed>(outcome).is_final);
  EXPECT_EQ(synced, (std::vector<std::string>{"42", "away"}));
}

TEST_F(BuiltInTest, APayloadOfAnotherProgramThatDoesNotFitFailsForGood) {
  auto outcome = work("sync_like_count", R"({"post":1})");
  EXPECT_EQ(std::get<Failed>(outcome).error, "postId is required");
  EXPECT_TRUE(std::get<Failed>(outcome).is_final);
}

TEST_F(BuiltInTest, CleaningUpLeavesWhatIsYoungEnough) {
  work("send_notification", R"({"userId":"u","title":"old"})");
  clock.advance(std::chrono::days(8));
  work("send_notification", R"({"userId":"u","title":"young"})");
  auto outcome = work("cleanup_expired", R"({"olderThanDays":7})");
  EXPECT_EQ(std::get<Completed>(outcome).result, R"({"jobs":1,"idempotencyKeys":0,"notifications":1})");
  EXPECT_EQ(count("SELECT count(*) FROM notifications WHERE title = 'young'"), 1);
  EXPECT_EQ(count("SELECT count(*) FROM notifications"), 1);
  EXPECT_EQ(count("SELECT count(*) FROM job_history"), 2) << "the young one's and this one's";
}

TEST_F(BuiltInTest, RankingsAreReplacedWithTheEndOfTheirJob) {
  add_post("liked");
  add_post("unliked");
  ASSERT_TRUE(database->write_blocking([](sqlite::Connection& connection) -> Result<void> {
    connection.statement("UPDATE posts SET likes = 3 WHERE id = 'liked'").run();
    return {};
  }));
  EXPECT_EQ(std::get<Completed>(work("recompute_rankings", R"({"limit":10})")).result, R"({"posts":1})");
  EXPECT_EQ(count("SELECT count(*) FROM hot_posts WHERE post_id = 'liked'"), 1);
  EXPECT_EQ(count("SELECT count(*) FROM hot_posts"), 1);
}

TEST_F(BuiltInTest, WhatIsNoImageFailsForGoodAndABusyServerIsTriedAgain) {
  web::TestWebServer server([](web::TestAnswer& answer, const web::TestRequest& request) {
    request.target == "/busy" ? answer.send(503) : answer.send(request.target == "/gone" ? 404 : 200, "no image");
  });
  auto failure_of = [&](const char* path) {
    return std::get<Failed>(work("process_image", R"({"postId":"p","imageUrl":")" + server.url(path) + R"("})"));
  };
  EXPECT_TRUE(failure_of("/text").is_final);
  EXPECT_TRUE(failure_of("/gone").is_final);
  EXPECT_FALSE(failure_of("/busy").is_final);
}

TEST_F(BuiltInTest, PrivateAddressesAreNotFetchedFromUnlessThatIsAllowed) {
  bool is_asked = false;
  web::TestWebServer server([&](web::TestAnswer& answer, const web::TestRequest&) {
    is_asked = true;
    answer.send(200);
  });
  parts.fetches_private = false;
  auto outcome = work("generate_thumbnail", R"({"imageUrl":")" + server.url("/1.jpg") + R"(","sizes":[100]})");
  EXPECT_TRUE(std::get<Failed>(outcome).is_final);
  EXPECT_FALSE(is_asked);
}

class WebhookTest : public BuiltInTest {
 protected:
  Outcome post(const std::string& url) {
    EXPECT_TRUE(run_to_end(queue.enqueue({{.type = "mine", .payload = R"({"a":1})", .url = url}})));
    return handle(claim_one(true));
  }
};

TEST_F(WebhookTest, PostsTheJobSigned) {
  web::TestRequest got;
  web::TestWebServer server([&](web::TestAnswer& answer, const web::TestRequest& request) {
    got = request;
    answer.send(204);
  });
  EXPECT_EQ(std::get<Completed>(post(server.url("/hook"))).result, R"({"status":204})");
  EXPECT_EQ(got.method, "POST");
  EXPECT_EQ(got.header("content-type"), "application/json");
  EXPECT_EQ(got.body, R"({"id":")" + got.header("x-hearth-job") + R"(","jobType":"mine","attempt":1,"payload":{"a":1}})");
  EXPECT_EQ(got.header("x-hearth-timestamp"), "1700000000");
  EXPECT_EQ(got.header("x-hearth-signature"), webhook_signature("secret", "1700000000", got.body));
}

TEST_F(WebhookTest, AnswersDecideWhatBecomesOfTheJob) {
  web::TestWebServer server([](web::TestAnswer& answer, const web::TestRequest& request) {
    if (request.target == "/later") return answer.send(429, "", {{"Retry-After", "7"}});
    if (request.target == "/busy") return answer.send(503, "", {{"Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"}});
    if (request.target == "/big") return answer.send(200, std::string(100'000, 'x'));
    if (request.target == "/moved") return answer.redirect(302, "/hook");
    answer.send(500, "", {{"Retry-After", "7"}});
  });
  EXPECT_EQ(std::get<Failed>(post(server.url("/later"))).retry_after, seconds(7));
  EXPECT_EQ(std::get<Failed>(post(server.url("/busy"))).retry_after, std::nullopt);
  EXPECT_EQ(std::get<Failed>(post(server.url("/error"))).retry_after, std::nullopt);
  EXPECT_EQ(std::get<Failed>(post(server.url("/moved"))).error, "the endpoint answered 302");
  EXPECT_TRUE(std::holds_alternative<Completed>(post(server.url("/big")))) << "what it says beside is nobody's concern";
  EXPECT_FALSE(std::get<Failed>(post("http://127.0.0.1:1/nobody")).is_final);
  parts.fetches_private = false;
  EXPECT_TRUE(std::get<Failed>(post(server.url("/hook"))).is_final);
}

}  // namespace
}  // namespace hearth::app
