// A disk that fails, fills up or loses power under a serving Hearth, seen through HTTP: what cannot be made durable gets 503,
// all else goes on, nothing that was answered is lost, and it recovers by itself.

#include <gtest/gtest.h>

#include <boost/json/value.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "hearth/app/wiring.h"
#include "hearth/base/log.h"
#include "hearth/drivers/sqlite/fault_vfs.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "tests/support/child_process.h"
#include "tests/support/http_client.h"
#include "tests/support/like_load.h"
#include "tests/support/sql_state.h"

namespace hearth::tests {
namespace {

using sqlite::Fault;
using sqlite::FaultKind;

class Faults : public testing::Test {
 protected:
  Faults() {
    log::configure(log::Level::kOff, log::Format::kLogfmt);  // the faults are meant
    config.listen.port = 0;
    config.data = folder.path() / "data";
    config.flush.interval = std::chrono::milliseconds(10);
    config.http.threads = 2;
    open();
  }
  ~Faults() override { close(); }

  void open() {
    auto opened = app::Hearth::open(config, clock, disk.name());
    if (!opened) throw std::runtime_error(opened.error().message);
    hearth = *std::move(opened);
    auto serving = app::Service::open(config, *hearth);
    if (!serving) throw std::runtime_error(serving.error().message);
    service = *std::move(serving);
    service->start();
  }
  void stop_serving() { service->stop(kPatience); }
  void close() {
    if (!service) return;
    stop_serving();
    hearth->stop();
    service.reset();
    hearth.reset();
  }

  HttpClient client() { return HttpClient(service->port()); }
  static std::string path(const std::string& post) { return "/api/posts/" + post + "/like"; }
  static std::string by(const std::string& session) { return R"({"sessionId":")" + session + "\"}"; }
  Answer like(const std::string& post, const std::string& session) { return client().call("PUT", path(post), by(session)); }
  std::int64_t likes(const std::string& post) {
    auto answer = client().get("/api/posts/" + post + "/likes");
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.status == 200 ? answer.json().at("likes").as_int64() : -1;
  }

  static void expect_unavailable(const Answer& answer) {
    EXPECT_EQ(answer.status, 503) << answer.body;
    EXPECT_EQ(answer.header("retry-after"), "1");
    EXPECT_EQ(answer.json().at("code").as_string(), "unavailable");
  }
  // Asks again and again, as clients are told to, until it is so.
  static void wait_until(const std::function<bool()>& is_so) {
    auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!is_so()) ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "it does not recover";
  }
  bool is_ready() { return client().get("/readyz").status == 200; }
  Answer until_answered(const std::function<Answer()>& ask) {
    Answer answer;
    wait_until([&] { return (answer = ask()).status != 503; });
    return answer;
  }
  void expect_sql(const std::string& post, std::int64_t count) {
    EXPECT_EQ(client().post("/api/admin/flush", "").status, 200);
    auto ledger = read_ledger(config.data);
    EXPECT_EQ(ledger[post].likes, count);
    EXPECT_EQ(ledger[post].sessions.size(), static_cast<std::size_t>(count));
  }

  sqlite::TemporaryFolder folder;
  sqlite::FaultVfs disk;
  SystemClock clock;
  app::Config config;
  std::unique_ptr<app::Hearth> hearth;
  std::unique_ptr<app::Service> service;
};

// --- the journal ---

struct JournalFault {
  std::string name;
  FaultKind kind;
};

class FaultsOfTheJournal : public Faults, public testing::WithParamInterface<JournalFault> {
 protected:
  Fault fault(std::uint64_t nth, bool is_lasting) const {
    return {.kind = GetParam().kind, .files = "journal.db", .nth = nth, .is_lasting = is_lasting};
  }
};

TEST_P(FaultsOfTheJournal, ChangesGet503AndReadsOfUntouchedPostsGoOn) {
  ASSERT_EQ(like("touched", "ada").status, 200);
  ASSERT_EQ(like("untouched", "ada").status, 200);
  disk.inject(fault(1, true));

  expect_unavailable(like("touched", "bob"));
  expect_unavailable(client().post(path("touched"), by("eve"), {{"Idempotency-Key", "k"}}));
  EXPECT_EQ(likes("untouched"), 1);
  EXPECT_FALSE(is_ready());
  EXPECT_EQ(client().get("/healthz").status, 200);
  // The touched post shows what is durable, or nothing for the moment.
  auto touched = client().get("/api/posts/touched/likes");
  if (touched.status == 200) {
    EXPECT_EQ(touched.json().at("likes").as_int64(), 1);
  } else {
    expect_unavailable(touched);
  }

  disk.heal();
  wait_until([&] { return is_ready(); });
  EXPECT_EQ(until_answered([&] { return like("touched", "bob"); }).json().at("newCount").as_int64(), 2);
  // The key did not count while the disk failed, and counts once now.
  auto keyed = [&] { return client().post(path("touched"), by("eve"), {{"Idempotency-Key", "k"}}); };
  EXPECT_EQ(until_answered(keyed).json().at("newCount").as_int64(), 3);
  EXPECT_EQ(keyed().header("idempotent-replayed"), "true");
  EXPECT_EQ(likes("untouched"), 1);
  expect_sql("touched", 3);

  close();
  open();
  EXPECT_EQ(likes("touched"), 3);
}

// A fault at the first, the second, … operation until one is so late that it is not met any more. Each change is repeated until it
// is answered, and then must be there for good.
TEST_P(FaultsOfTheJournal, OneFaultAtAnyPlaceLosesNothingThatWasAnswered) {
  for (std::uint64_t nth = 1; nth < 200; ++nth) {
    auto post = "p" + std::to_string(nth);
    auto met_before = disk.faults_met();
    disk.inject(fault(nth, false));
    for (int i = 0; i < 6; ++i) {
      auto session = "s" + std::to_string(i);
      auto key = Headers{{"Idempotency-Key", post + session}};
      auto toggled = until_answered([&] { return client().post(path(post), by(session), key); });
      ASSERT_EQ(toggled.status, 200) << toggled.body;
      EXPECT_TRUE(toggled.json().at("isLiked").as_bool());
      EXPECT_EQ(toggled.json().at("newCount").as_int64(), i + 1);
    }
    auto unliked = until_answered([&] { return client().call("DELETE", path(post), by("s0")); });
    EXPECT_EQ(unliked.json().at("newCount").as_int64(), 5);
    bool was_met = disk.faults_met() > met_before;
    disk.heal();
    EXPECT_EQ(until_answered([&] { return client().get("/api/posts/" + post + "/likes"); }).json().at("likes").as_int64(), 5);
    if (nth % 8 == 1 || !was_met) {
      expect_sql(post, 5);
      close();
      open();
      for (auto i = nth; i > 0 && i + 8 > nth; --i) EXPECT_EQ(likes("p" + std::to_string(i)), 5) << i;
    }
    if (!was_met) return;
  }
  ADD_FAILURE() << "every fault was met: the workload is longer than thought";
}

INSTANTIATE_TEST_SUITE_P(, FaultsOfTheJournal,
                         testing::Values(JournalFault{"AWriteFails", FaultKind::kWriteError},
                                         JournalFault{"AWriteIsTorn", FaultKind::kTornWrite},
                                         JournalFault{"TheDiskIsFull", FaultKind::kDiskFull},
                                         JournalFault{"ASyncFails", FaultKind::kSyncError}),
                         [](const auto& info) { return info.param.name; });

// --- the other files ---

TEST_F(Faults, LikesGoOnWhileTheLedgerCannotBeWrittenUntilTheOutboxIsFull) {
  close();
  config.outbox.bytes_max = 64 << 10;
  open();
  disk.inject({.kind = FaultKind::kDiskFull, .files = "ratings.db", .is_lasting = true});

  std::int64_t answered = 0;
  Answer refused;
  HttpClient http = client();
  wait_until([&] {
    refused = http.call("PUT", path("p"), by("s" + std::to_string(answered)));
    if (refused.status == 200) ++answered;
    return refused.status != 200;
  });
  expect_unavailable(refused);
  EXPECT_GT(answered, 100);
  EXPECT_EQ(likes("p"), answered);  // reads go on

  disk.heal();
  auto accepted = until_answered([&] { return http.call("PUT", path("p"), by("one more")); });
  EXPECT_EQ(accepted.status, 400);  // an id has no space: refused for what it is, whatever the outbox
  accepted = until_answered([&] { return http.call("PUT", path("p"), by("one-more")); });
  EXPECT_EQ(accepted.json().at("newCount").as_int64(), answered + 1);
  expect_sql("p", answered + 1);
}

TEST_F(Faults, LikesGoOnWhileContentCannotBeWritten) {
  ASSERT_EQ(client().call("PUT", "/api/users/ada", R"({"username":"ada"})").status, 200);
  disk.inject({.kind = FaultKind::kWriteError, .files = "content.db", .is_lasting = true});
  auto create = [&] { return client().post("/api/posts", R"({"id":"p","authorId":"ada"})", {{"Idempotency-Key", "k"}}); };
  expect_unavailable(create());
  EXPECT_EQ(client().get("/api/posts/p").status, 404);
  EXPECT_EQ(like("p", "bob").json().at("newCount").as_int64(), 1);
  disk.heal();
  EXPECT_EQ(until_answered(create).status, 201);
  EXPECT_EQ(create().header("idempotent-replayed"), "true");
  EXPECT_EQ(client().get("/api/posts/p").json().at("likes").as_int64(), 1);
  expect_sql("p", 1);
  EXPECT_EQ(read_projection(config.data).at("p"), 1);
}

// --- power cuts ---

TEST_F(Faults, APowerCutUnderLoadTakesNothingThatWasAnsweredOrShown) {
  auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::vector<std::string> posts;
  for (int i = 0; i < 16; ++i) posts.push_back("post-" + std::to_string(i));
  LikeLoad load(posts, 4, random(), true);
  for (int round = 0; round < 12 && !HasFailure(); ++round) {
    load.start(service->port());
    load.wait_for_answers(1 + random() % 200);
    disk.cut();
    stop_serving();
    load.join();
    close();
    disk.revert(round % 3 == 0 ? std::nullopt : std::optional(random()));
    disk.thaw();
    open();
    load.settle_and_compare(service->port());
    load.compare_with_sql(service->port(), config.data);
    for (const auto& failure : load.failures()) ADD_FAILURE() << "round " << round << ": " << failure;
  }
}

}  // namespace
}  // namespace hearth::tests
