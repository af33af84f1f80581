// The built-in job types in the executable, from the request that asks for them to what they leave behind.

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/drivers/sqlite/connection.h"
#include "hearth/drivers/web/test_web_server.h"
#include "tests/support/http_client.h"
#include "tests/support/job_nodes.h"
#include "tests/support/json_check.h"

namespace hearth::tests {
namespace {

using redis::eventually;
using web::TestAnswer;
using web::TestRequest;
using web::TestWebServer;

constexpr char kSecret[] = "a-secret-of-both";
constexpr std::int64_t kDay = 86'400'000'000;

// A PNG of 8 × 4 pixels, all of one colour.
std::string small_png() {
  constexpr std::string_view kHex =
      "89504e470d0a1a0a0000000d49484452000000080000000408020000003cafe9a7000000114944415478da63382167831531504f020026cd24413a975dc20000"
      "000049454e44ae426082";
  std::string bytes;
  for (std::size_t i = 0; i < kHex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(kHex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

std::string signature_of(const std::string& timestamp, const std::string& body) {
  auto text = timestamp + "." + body;
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha256(), kSecret, sizeof kSecret - 1, reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size);
  std::string hex = "sha256=";
  for (unsigned i = 0; i < size; ++i) hex += {"0123456789abcdef"[mac[i] >> 4], "0123456789abcdef"[mac[i] & 15]};
  return hex;
}

// What other sites are: images to fetch, and endpoints to post to. What it does not know is 404.
class Site {
 public:
  // The answers to the first, second … request of a path; the last one is also that to all further ones.
  using Reply = std::function<void(TestAnswer&)>;
  void set(const std::string& path, std::vector<Reply> replies) {
    std::lock_guard lock(mutex_);
    replies_[path] = std::move(replies);
  }
  static Reply status(int status, std::vector<std::pair<std::string, std::string>> headers = {}) {
    return [status, headers](TestAnswer& answer) { answer.send(status, "said", headers); };
  }
  static Reply content(std::string bytes, std::string type) {
    return [bytes, type](TestAnswer& answer) { answer.send(200, bytes, {{"Content-Type", type}}); };
  }
  std::string url(const std::string& path) const { return server_.url(path); }
  int connections() const { return server_.connections(); }
  std::vector<TestRequest> requests_of(const std::string& path) const {
    auto all = server_.requests();
    std::erase_if(all, [&](const TestRequest& request) { return request.target != path; });
    return all;
  }

 private:
  void answer(TestAnswer& answer, const TestRequest& request) {
    Reply reply = status(404);
    {
      std::lock_guard lock(mutex_);
      auto& replies = replies_[request.target];
      if (!replies.empty()) reply = replies.front();
      if (replies.size() > 1) replies.erase(replies.begin());
    }
    reply(answer);
  }

  std::mutex mutex_;
  std::map<std::string, std::vector<Reply>> replies_;
  TestWebServer server_{[this](TestAnswer& to, const TestRequest& request) { answer(to, request); }};
};

class BuiltInJobs : public testing::TestWithParam<SqlKind> {
 protected:
  void TearDown() override {
    if (HasFailure()) std::cout << nodes.errors();
  }

  void serve(std::vector<std::string> flags = {"--fetch.allow_private=true"}) { nodes.add(std::move(flags)); }
  Answer call(const std::string& method, const std::string& target, const std::string& body = "") {
    return nodes.client().call(method, target, body);
  }
  // The id of a new job.
  std::string enqueue(const std::string& job) { return text_of(expect_answer(201, call("POST", "/api/jobs", job)), "id"); }
  boost::json::value job(const std::string& id) { return expect_answer(200, call("GET", "/api/jobs/" + id)); }
  // The job when it has ended so.
  boost::json::value wait_for(const std::string& id, const std::string& status = "completed") {
    bool is_so = eventually([&] { return text_of(job(id), "status") == status; });
    if (!is_so) throw std::runtime_error("it does not become " + status + ": " + boost::json::serialize(job(id)));
    return job(id);
  }
  std::string do_job(const std::string& job) {
    auto id = enqueue(job);
    wait_for(id);
    return id;
  }
  // The only job of a type, whatever its state.
  std::string only_job_of(const std::string& type) {
    auto ids =
        tables.texts("SELECT CAST(id AS text) FROM background_jobs WHERE job_type = '" + type +
                     "' UNION ALL SELECT CAST(job_id AS text) FROM job_history WHERE status = 'completed' AND job_type = '" + type + "'");
    if (ids.size() != 1) throw std::runtime_error(std::to_string(ids.size()) + " jobs of type " + type);
    return ids.front();
  }

  void add_post(const std::string& id, const std::string& image_url = "") {
    ASSERT_EQ(call("PUT", "/api/users/ada", R"({"username":"ada"})").status, 200);
    auto image = image_url.empty() ? "" : R"(,"imageUrl":")" + image_url + "\"";
    expect_answer(201, call("POST", "/api/posts", R"({"id":")" + id + R"(","authorId":"ada")" + image + "}"));
  }
  boost::json::array media_of(const std::string& post) {
    return expect_answer(200, call("GET", "/api/posts/" + post)).at("mediaUrls").as_array();
  }
  void like(const std::string& post, int sessions) {
    for (int i = 0; i < sessions; ++i) {
      expect_answer(200, call("PUT", "/api/posts/" + post + "/like", R"({"sessionId":"s)" + std::to_string(i) + "\"}"));
    }
  }
  void flush() { expect_answer(200, call("POST", "/api/admin/flush")); }

  std::int64_t number(const std::string& sql) const { return tables.number(sql); }

  // A stored image at this address of Hearth: of this type, and of what it says that it is.
  void expect_image(const std::string& url, const std::string& type) {
    ASSERT_TRUE(url.starts_with("/media/")) << url;
    auto answer = call("GET", url);
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(answer.header("content-type"), type);
    bool is_webp = answer.body.starts_with("RIFF") && answer.body.substr(8, 4) == "WEBP";
    bool is_jpeg = answer.body.starts_with("\xff\xd8\xff");
    EXPECT_EQ(is_webp, type == "image/webp") << url;
    EXPECT_EQ(is_jpeg, type == "image/jpeg") << url;
  }
  static void expect_signed(const TestRequest& request) {
    auto timestamp = request.header("x-hearth-timestamp");
    EXPECT_EQ(request.header("x-hearth-signature"), signature_of(timestamp, request.body));
    EXPECT_LT(std::abs(std::atoll(timestamp.c_str()) - time(nullptr)), 60);
  }

  Site site;
  JobNodes nodes{GetParam(), {}, {std::string("HEARTH_WEBHOOKS_SECRET=") + kSecret}};
  const JobTables tables = nodes.tables();
};

// --- images ---

TEST_P(BuiltInJobs, TheImageOfAPostIsFetchedEncodedAndServed) {
  site.set("/photo.png", {Site::content(small_png(), "image/png")});
  serve();
  add_post("p", site.url("/photo.png"));
  ASSERT_TRUE(eventually([&] { return media_of("p").size() == 2; }));
  std::vector<std::string> urls;
  for (const auto& url : media_of("p")) urls.emplace_back(url.as_string());
  expect_image(urls[0], "image/webp");
  expect_image(urls[1], "image/jpeg");
  EXPECT_EQ(site.requests_of("/photo.png").size(), 1u);

  auto done = job(only_job_of("process_image"));
  EXPECT_EQ(find_mismatch(R"({"status": "completed", "priority": 3, "attempts": 1, "payload": {"postId": "p"}, "idempotencyKey": "<string>",
                              "result": {"images": [{"mediaType": "image/webp", "width": 8, "height": 4},
                                                    {"mediaType": "image/jpeg", "width": 8, "height": 4}]}})",
                          done),
            "");
  EXPECT_EQ(done.at_pointer("/result/images/0/url").as_string(), urls[0]);

  // They are there after a restart, for everybody and every cache.
  nodes.kill(0);
  nodes.start(0);
  expect_image(urls[0], "image/webp");
  EXPECT_EQ(call("GET", urls[0]).header("cache-control"), "public, max-age=31536000, immutable");
  EXPECT_EQ(call("GET", "/media/0123.webp").status, 404);
  EXPECT_NE(call("GET", "/media/..%2Fcontent.db").status, 200);
}

TEST_P(BuiltInJobs, APostWithoutAnImageQueuesNothingAndAnImageIsProcessedOnceAPost) {
  site.set("/photo.png", {Site::content(small_png(), "image/png")});
  serve({"--fetch.allow_private=true", "--jobs.workers=false"});
  add_post("plain");
  EXPECT_EQ(number("SELECT count(*) FROM background_jobs"), 0);
  add_post("one", site.url("/photo.png"));
  add_post("two", site.url("/photo.png"));
  EXPECT_EQ(number("SELECT count(*) FROM background_jobs WHERE job_type = 'process_image'"), 2);
  EXPECT_EQ(number("SELECT count(DISTINCT idempotency_key) FROM background_jobs"), 2);
  // A post that is refused queues nothing.
  EXPECT_EQ(call("POST", "/api/posts", R"({"id":"one","authorId":"ada","imageUrl":"https://a.example/x.png"})").status, 409);
  EXPECT_EQ(call("POST", "/api/posts", R"({"id":"three","authorId":"nobody","imageUrl":"https://a.example/x.png"})").status / 100, 4);
  EXPECT_EQ(number("SELECT count(*) FROM background_jobs"), 2);
}

TEST_P(BuiltInJobs, NothingPrivateIsConnectedToUnlessThatIsAllowed) {
  site.set("/photo.png", {Site::content(small_png(), "image/png")});
  serve({});
  add_post("p", site.url("/photo.png"));
  auto id = only_job_of("process_image");
  auto dead = wait_for(id, "dead");
  EXPECT_EQ(dead.at("attempts").as_int64(), 1);  // trying again cannot help
  EXPECT_NE(text_of(dead, "errorMessage").find("127.0.0.1"), std::string::npos) << text_of(dead, "errorMessage");
  EXPECT_TRUE(media_of("p").empty());

  auto posted = enqueue(R"({"jobType":"posted","url":")" + site.url("/hook") + "\"}");
  wait_for(posted, "dead");
  EXPECT_EQ(site.connections(), 0);
}

TEST_P(BuiltInJobs, BadImagesFailClearlyAndForGood) {
  site.set("/text.png", {Site::content("this is no image", "image/png")});
  auto broken = small_png();
  site.set("/broken.png", {Site::content(broken.substr(0, broken.size() - 30), "image/png")});
  site.set("/busy.png", {Site::status(500), Site::content(small_png(), "image/png")});
  serve();
  expect_answer(200, call("PUT", "/api/admin/job-types/generate_thumbnail", R"({"retryBaseSeconds":1})"));
  for (const char* path : {"/text.png", "/broken.png", "/gone.png"}) {
    auto dead =
        wait_for(enqueue(R"({"jobType":"generate_thumbnail","payload":{"imageUrl":")" + site.url(path) + R"(","sizes":[4]}})"), "dead");
    EXPECT_EQ(dead.at("attempts").as_int64(), 1) << path;
    EXPECT_FALSE(text_of(dead, "errorMessage").empty()) << path;
  }
  // A server that cannot just now is asked again.
  auto busy = do_job(R"({"jobType":"generate_thumbnail","payload":{"imageUrl":")" + site.url("/busy.png") + R"(","sizes":[4]}})");
  EXPECT_EQ(job(busy).at("attempts").as_int64(), 2);
}

TEST_P(BuiltInJobs, ThumbnailsHaveTheSizesThatWereAskedFor) {
  site.set("/photo.png", {Site::content(small_png(), "image/png")});
  serve();
  auto id = do_job(R"({"jobType":"generate_thumbnail","payload":{"imageUrl":")" + site.url("/photo.png") + R"(","sizes":[4,100]}})");
  auto result = job(id).at("result");
  EXPECT_EQ(find_mismatch(R"({"thumbnails": [{"size": 4, "images": [{"width": 4, "height": 2}, {"width": 4, "height": 2}]},
                                             {"size": 100, "images": [{"width": 8, "height": 4}, {"width": 8, "height": 4}]}]})",
                          result),
            "")
      << boost::json::serialize(result);
  expect_image(std::string(result.at_pointer("/thumbnails/0/images/0/url").as_string()), "image/webp");
  expect_image(std::string(result.at_pointer("/thumbnails/0/images/1/url").as_string()), "image/jpeg");
}

// --- webhooks ---

TEST_P(BuiltInJobs, AWebhookArrivesSignedAndCompletesWithItsAnswer) {
  site.set("/hook", {Site::status(204)});
  serve();
  auto id = do_job(R"({"jobType":"order_paid","payload":{"order":7},"url":")" + site.url("/hook") + "\"}");
  EXPECT_EQ(job(id).at_pointer("/result/status").as_int64(), 204);
  auto arrived = site.requests_of("/hook");
  ASSERT_EQ(arrived.size(), 1u);
  EXPECT_EQ(arrived[0].method, "POST");
  EXPECT_EQ(arrived[0].header("content-type"), "application/json");
  EXPECT_EQ(arrived[0].header("x-hearth-job"), id);
  EXPECT_EQ(find_mismatch(R"({"id": ")" + id + R"(", "jobType": "order_paid", "attempt": 1, "payload": {"order": 7}})",
                          boost::json::parse(arrived[0].body)),
            "");
  expect_signed(arrived[0]);
  EXPECT_NE(signature_of("0", arrived[0].body), arrived[0].header("x-hearth-signature"));

  // The type whose payload says where it goes.
  do_job(R"({"jobType":"webhook","payload":{"url":")" + site.url("/hook") + R"("}})");
  EXPECT_EQ(site.requests_of("/hook").size(), 2u);
}

TEST_P(BuiltInJobs, AWebhookWaitsForAsLongAsItsEndpointAsks) {
  constexpr std::int64_t kHour = 3'600'000'000;
  site.set("/busy", {Site::status(503, {{"Retry-After", "3600"}})});
  site.set("/limited", {Site::status(429, {{"Retry-After", "1"}}), Site::status(200)});
  serve();
  auto busy = enqueue(R"({"jobType":"posted","url":")" + site.url("/busy") + "\"}");
  ASSERT_TRUE(eventually([&] { return job(busy).as_object().contains("failedAt"); }));
  EXPECT_EQ(find_mismatch(R"({"status": "pending", "attempts": 1, "errorMessage": "the endpoint answered 503"})", job(busy)), "");
  auto wait =
      number("SELECT " + tables.micros("scheduled_for") + " - " + tables.micros("failed_at") + " FROM background_jobs WHERE id = " + busy);
  EXPECT_GE(wait, kHour);
  EXPECT_LT(wait, kHour * 5 / 4);

  auto limited = do_job(R"({"jobType":"posted","url":")" + site.url("/limited") + "\"}");
  EXPECT_EQ(job(limited).at("attempts").as_int64(), 2);
  auto of_limited = [&](const std::string& column, const std::string& status) {
    return number("SELECT " + tables.micros(column) + " FROM job_history WHERE job_id = " + limited + " AND status = '" + status + "'");
  };
  EXPECT_GE(of_limited("started_at", "completed") - of_limited("ended_at", "failed"), 1'000'000);
}

TEST_P(BuiltInJobs, AWebhookThatFailsIsPostedAgainUntilItsAttemptsAreUsed) {
  site.set("/flaky", {Site::status(500), Site::status(200)});
  site.set("/moved", {Site::status(302, {{"Location", site.url("/elsewhere")}})});
  serve();
  expect_answer(200, call("PUT", "/api/admin/job-types/posted", R"({"retryBaseSeconds":1})"));
  auto flaky = do_job(R"({"jobType":"posted","url":")" + site.url("/flaky") + "\"}");
  EXPECT_EQ(find_mismatch(R"({"attempts": 2, "history": [{"attempt": 1, "status": "failed", "errorMessage": "the endpoint answered 500"},
                                                         {"attempt": 2, "status": "completed"}]})",
                          job(flaky)),
            "")
      << boost::json::serialize(job(flaky));
  for (const auto& request : site.requests_of("/flaky")) {
    expect_signed(request);
    EXPECT_EQ(request.header("x-hearth-job"), flaky);
  }

  auto gone = wait_for(enqueue(R"({"jobType":"posted","maxAttempts":2,"url":")" + site.url("/gone") + "\"}"), "dead");
  EXPECT_EQ(find_mismatch(R"({"attempts": 2, "errorMessage": "the endpoint answered 404"})", gone), "");
  EXPECT_EQ(site.requests_of("/gone").size(), 2u);
  // What is signed for one endpoint goes to no other.
  wait_for(enqueue(R"({"jobType":"posted","maxAttempts":1,"url":")" + site.url("/moved") + "\"}"), "dead");
  EXPECT_EQ(site.requests_of("/elsewhere").size(), 0u);
}

// --- notifications ---

TEST_P(BuiltInJobs, ANotificationIsStoredAndPostedOn) {
  site.set("/notify", {Site::status(500), Site::status(200)});
  serve({"--fetch.allow_private=true", "--webhooks.notifications_url=" + site.url("/notify")});
  expect_answer(200, call("PUT", "/api/admin/job-types/webhook", R"({"retryBaseSeconds":1})"));
  do_job(R"({"jobType":"send_notification","payload":{"userId":"ada","title":"Hello","body":"You are welcome"}})");
  EXPECT_EQ(number("SELECT count(*) FROM notifications"), 1);
  EXPECT_EQ(number("SELECT count(*) FROM notifications WHERE user_id = 'ada' AND title = 'Hello' AND body = 'You are welcome'"), 1);
  // Its endpoint fails at first; the notification does not come again for it.
  ASSERT_TRUE(
      eventually([&] { return number("SELECT count(*) FROM job_history WHERE job_type = 'webhook' AND status = 'completed'") == 1; }));
  auto arrived = site.requests_of("/notify");
  ASSERT_EQ(arrived.size(), 2u);
  EXPECT_EQ(
      find_mismatch(R"({"payload": {"userId": "ada", "title": "Hello", "body": "You are welcome"}})", boost::json::parse(arrived[1].body)),
      "");
  for (const auto& request : arrived) expect_signed(request);
  EXPECT_EQ(number("SELECT count(*) FROM notifications"), 1);
}

TEST_P(BuiltInJobs, APayloadThatDoesNotFitIsRefusedAndFromSqlFailsForGood) {
  serve();
  auto refused = call("POST", "/api/jobs", R"({"jobType":"send_notification","payload":{"title":"to whom?"}})");
  EXPECT_EQ(text_of(expect_answer(400, refused), "code"), "invalid_argument");
  auto now = tables.time(tables.now());
  // PostgreSQL lets programs leave out what has a usual value.
  tables.change(GetParam() == SqlKind::kPostgres
                    ? "INSERT INTO background_jobs (job_type, payload) VALUES ('send_notification', '{\"title\":\"to whom?\"}')"
                    : "INSERT INTO background_jobs (job_type, payload, scheduled_for, created_at, updated_at) VALUES ('send_notification', "
                      "'{\"title\":\"to whom?\"}', " +
                          now + ", " + now + ", " + now + ")");
  auto dead = wait_for(only_job_of("send_notification"), "dead");
  EXPECT_NE(text_of(dead, "errorMessage").find("userId"), std::string::npos) << text_of(dead, "errorMessage");
  EXPECT_EQ(dead.at("attempts").as_int64(), 1);
}

// --- likes, rankings, housekeeping ---

TEST_P(BuiltInJobs, SyncLikeCountGivesSqlBackWhatItLost) {
  serve();
  add_post("p");
  like("p", 5);
  flush();
  const std::string spoil = "UPDATE post_counts SET likes = 99 WHERE post_id = 'p'";
  const std::string look = "SELECT likes FROM post_counts WHERE post_id = 'p'";
  auto ratings = nodes.folder() / "node-0/ratings.db";
  if (GetParam() == SqlKind::kPostgres) {
    ASSERT_EQ(tables.change(spoil), 1u);
  } else {
    auto connection = sqlite::Connection::open({.path = ratings});
    ASSERT_TRUE(connection && connection->transaction([&] { connection->execute(spoil.c_str()); }));
  }
  do_job(R"({"jobType":"sync_like_count","payload":{"postId":"p"}})");
  auto likes = GetParam() == SqlKind::kPostgres ? number(look) : read_ledger(nodes.folder() / "node-0")["p"].likes;
  EXPECT_EQ(likes, 5);
  EXPECT_EQ(expect_answer(200, call("GET", "/api/posts/p/likes")).at("likes").as_int64(), 5);
}

TEST_P(BuiltInJobs, RecomputeRankingsKeepsWhatIsHotNow) {
  serve();
  for (const char* post : {"old", "new", "disliked"}) add_post(post);
  like("old", 12);
  like("new", 6);
  flush();
  ASSERT_EQ(tables.change("UPDATE posts SET created_at = " + tables.time(tables.now() - 10 * kDay) + " WHERE id = 'old'"), 1u);
  auto hot_posts = [&] { return tables.texts("SELECT post_id FROM hot_posts ORDER BY place"); };
  auto first_of = [&](const std::string& order) {
    return std::string(expect_answer(200, call("GET", "/api/rank?order=" + order)).at_pointer("/posts/0/id").as_string());
  };
  // posts.likes follows the flush.
  ASSERT_TRUE(eventually([&] { return number("SELECT CAST(sum(likes) AS bigint) FROM posts") == 18; }));
  EXPECT_EQ(job(do_job(R"({"jobType":"recompute_rankings"})")).at_pointer("/result/posts").as_int64(), 2);
  EXPECT_EQ(hot_posts(), (std::vector<std::string>{"new", "old"}));
  EXPECT_EQ(first_of("hot"), "new");
  EXPECT_EQ(first_of("likes"), "old");
  do_job(R"({"jobType":"recompute_rankings","payload":{"limit":1}})");
  EXPECT_EQ(hot_posts(), (std::vector<std::string>{"new"}));
}

TEST_P(BuiltInJobs, CleanupDeletesWhatIsOldAndNothingElse) {
  constexpr std::int64_t kOld = 2'300;  // more than goes at once
  serve();
  for (int i = 0; i < 4; ++i) do_job(R"({"jobType":"send_notification","payload":{"userId":"ada","title":"young"}})");
  auto old = tables.time(tables.now() - 31 * kDay);
  tables.change("UPDATE job_history SET ended_at = " + old + " WHERE job_id IN (SELECT min(job_id) FROM job_history)");
  tables.change("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " + std::to_string(kOld) +
                ") INSERT INTO notifications (user_id, type, title, created_at) SELECT 'ada', 'message', 'old', " + old + " FROM n");
  auto cleaned = job(do_job(R"({"jobType":"cleanup_expired","payload":{"olderThanDays":30}})"));
  EXPECT_EQ(cleaned.at_pointer("/result/notifications").as_int64(), kOld);
  EXPECT_EQ(cleaned.at_pointer("/result/jobs").as_int64(), 1);
  EXPECT_EQ(number("SELECT count(*) FROM notifications"), 4);
  EXPECT_EQ(number("SELECT count(*) FROM notifications WHERE title = 'young'"), 4);
  EXPECT_EQ(number("SELECT count(*) FROM job_history WHERE job_type = 'send_notification'"), 3);
}

INSTANTIATE_TEST_SUITE_P(, BuiltInJobs, testing::Values(SqlKind::kSqlite, SqlKind::kPostgres),
                         [](const auto& info) { return info.param == SqlKind::kSqlite ? "sqlite" : "postgres"; });

// --- beside other programs in PostgreSQL ---

using BesideOthers = BuiltInJobs;

TEST_P(BesideOthers, RatingsThatAProgramChangesAreSynchronizedByAJobAfterTwoSeconds) {
  serve();
  add_post("p");
  like("p", 2);
  flush();
  EXPECT_EQ(number("SELECT count(*) FROM background_jobs WHERE job_type = 'sync_like_count'"), 0);  // of Hearth's own flush
  ASSERT_EQ(tables.change("INSERT INTO post_ratings (post_id, session_id) VALUES ('p', 'x'), ('p', 'y'), ('p', 'z')"), 3u);
  ASSERT_EQ(tables.change("DELETE FROM post_ratings WHERE post_id = 'p' AND session_id = 's0'"), 1u);
  auto likes = [&] { return expect_answer(200, call("GET", "/api/posts/p/likes")).at("likes").as_int64(); };
  ASSERT_TRUE(eventually(
      [&] { return number("SELECT count(*) FROM job_history WHERE job_type = 'sync_like_count' AND status = 'completed'") > 0; }));
  ASSERT_TRUE(eventually([&] { return likes() == 4; }));
  flush();
  EXPECT_EQ(number("SELECT likes FROM post_counts WHERE post_id = 'p'"), 4);
  EXPECT_EQ(number("SELECT count(*) FROM post_ratings WHERE post_id = 'p'"), 4);
  EXPECT_EQ(number("SELECT likes FROM posts WHERE id = 'p'"), 4);
  // Several changes within the time are one job.
  auto [first, last] = std::pair(number("SELECT min(job_id) FROM job_history WHERE job_type = 'sync_like_count'"),
                                 number("SELECT max(job_id) FROM job_history WHERE job_type = 'sync_like_count'"));
  EXPECT_EQ(first, last);
  EXPECT_GE(number("SELECT min(" + tables.micros("scheduled_for") + " - " + tables.micros("created_at") +
                   ") FROM job_history WHERE job_type = 'sync_like_count' AND status = 'completed'"),
            2'000'000);
}

INSTANTIATE_TEST_SUITE_P(, BesideOthers, testing::Values(SqlKind::kPostgres), [](const auto&) { return "postgres"; });

// --- for schedulers that can only call a URL ---

class QueueProcess : public testing::TestWithParam<SqlKind> {
 protected:
  QueueProcess() { nodes.add({"--jobs.workers=false"}); }
  void TearDown() override {
    if (HasFailure()) std::cout << nodes.errors();
  }

  Answer as(const std::string& key, const std::string& method, const std::string& target, const std::string& body = "") {
    return nodes.client().call(method, target, body, {{"Authorization", "Bearer " + key}});
  }
  void enqueue(const std::string& job) { expect_answer(201, as("service-key", "POST", "/api/jobs", job)); }
  boost::json::value process(const std::string& method = "POST") {
    return expect_answer(200, as("cron-key", method, "/api/queue/process"));
  }

  JobNodes nodes{GetParam(), {}, {"HEARTH_SERVICE_KEY=service-key", "CRON_SECRET=cron-key"}};
  const JobTables tables = nodes.tables();
};

TEST_P(QueueProcess, RunsAtMostTenDueJobsAndGoesOnAfterOneThatFails) {
  constexpr std::int64_t kNotifications = 13;
  for (std::int64_t i = 0; i < kNotifications; ++i) {
    enqueue(R"({"jobType":"send_notification","payload":{"userId":"ada","title":")" + std::to_string(i) + "\"}}");
  }
  enqueue(R"({"jobType":"process_image","priority":10,"payload":{"postId":"p","imageUrl":"http://127.0.0.1:9999/x.png"}})");
  enqueue(R"({"jobType":"send_notification","scheduledFor":"2999-01-01T00:00:00.000Z","payload":{"userId":"ada","title":"later"}})");
  enqueue(R"({"jobType":"outside"})");
  EXPECT_EQ(tables.number("SELECT count(*) FROM job_history"), 0);

  auto first = process();
  EXPECT_EQ(first.at("processed").as_int64(), 10);
  auto results = first.at("results").as_array();
  ASSERT_EQ(results.size(), 10u);
  int failed = 0;
  for (const auto& result : results) {
    if (result.at("success").as_bool()) continue;
    ++failed;
    EXPECT_EQ(text_of(result, "jobType"), "process_image");
    EXPECT_FALSE(text_of(result, "error").empty());
  }
  EXPECT_EQ(failed, 1);
  EXPECT_EQ(tables.number("SELECT count(*) FROM notifications"), 9);
  EXPECT_EQ(process("GET").at("processed").as_int64(), kNotifications - 9);
  EXPECT_EQ(process().at("processed").as_int64(), 0);
  EXPECT_EQ(tables.number("SELECT count(DISTINCT title) FROM notifications"), kNotifications);
  EXPECT_EQ(tables.number("SELECT count(*) FROM background_jobs WHERE status = 'pending'"), 2);  // not due, and not ours
}

TEST_P(QueueProcess, IsForTheCronSecretAlone) {
  EXPECT_EQ(nodes.client().post("/api/queue/process", "").status, 401);
  EXPECT_EQ(as("another-key", "POST", "/api/queue/process").status, 401);
  EXPECT_EQ(as("service-key", "POST", "/api/queue/process").status, 403);
  EXPECT_EQ(as("cron-key", "POST", "/api/jobs", R"({"jobType":"outside"})").status, 403);
}

INSTANTIATE_TEST_SUITE_P(, QueueProcess, testing::Values(SqlKind::kSqlite, SqlKind::kPostgres),
                         [](const auto& info) { return info.param == SqlKind::kSqlite ? "sqlite" : "postgres"; });

}  // namespace
}  // namespace hearth::tests
