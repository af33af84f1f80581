#include "hearth/content/stores/like_projection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "hearth/content/stores/sqlite_content_under_test.h"
#include "hearth/outbox/event.h"

namespace hearth::content {
namespace {

struct Count {
  std::uint32_t likes = 0;
  std::uint64_t version = 0;
  friend bool operator==(const Count&, const Count&) = default;
};

// A real journal; live state and ledger are maps. flush() is the ledger's flusher.
class LikeProjectionTest : public testing::Test {
 protected:
  LikeProjectionTest() { open_journal("journal.db", 0); }

  void open_journal(const char* name, outbox::Sequence above) {
    outbox::JournalOptions options;
    options.path = content.folder() / name;
    journal = outbox::Journal::open(std::move(options)).value();
    journal->start(above, nullptr);
  }

  // One batch with a change of each post; returns its number once it is durable.
  outbox::Sequence like(const std::vector<std::string>& posts) {
    std::string batch;
    for (const auto& post : posts) {
      Count& count = live[post];
      std::uint64_t previous = count.version;
      count = {count.likes + 1, ++newest_version};
      outbox::encode({.post = post, .session = "s", .version = count.version, .previous = previous, .likes = count.likes, .is_liked = true},
                     batch);
    }
    auto sequence = journal->append(batch).value();
    EXPECT_TRUE(run(journal->durable(sequence)));
    return sequence;
  }

  void add_user(const std::string& id) { content::add_user(content.store(), id); }
  void add_post(const std::string& id, const std::string& author = "ada") { content::add_post(content.store(), id, author); }

  void flush() {
    ledger = live;
    ledger_cursor = journal->durable_mark();
  }

  LikeProjection projection() {
    return {content.database(),
            *journal,
            {.cursor = [this]() -> Result<outbox::Sequence> { return ledger_cursor; },
             .counts = [this](std::vector<std::string> posts) -> Result<std::vector<PostCount>> {
               EXPECT_LE(posts.size(), kLedgerPostsPerQuestion);
               std::vector<PostCount> counts;
               for (const auto& post : posts) counts.push_back({post, ledger[post].likes, ledger[post].version});
               return counts;
             }}};
  }
  std::size_t step() { return projection().run_once().value(); }
  void catch_up() {
    while (step() > 0) {
    }
  }

  std::map<std::string, std::optional<Count>> projected() {
    return content.database()
        .read_blocking([](sqlite::Connection& connection) -> Result<std::map<std::string, std::optional<Count>>> {
          std::map<std::string, std::optional<Count>> counts;
          auto& row = connection.statement("SELECT id, likes, likes_version FROM posts").query();
          while (row.next()) {
            auto& count = counts[row.string(0)];
            if (!row.is_null(2)) count = Count{static_cast<std::uint32_t>(row.integer(1)), static_cast<std::uint64_t>(row.integer(2))};
          }
          return counts;
        })
        .value();
  }
  OutboxCursor cursor() {
    return content.database()
        .read_blocking([](sqlite::Connection& c) -> Result<OutboxCursor> { return read_cursor(c, kContentConsumer); })
        .value();
  }
  // As if the last steps had never been committed: an older cursor, the counts as they are.
  void set_cursor(const OutboxCursor& to) {
    EXPECT_TRUE(content.database().write_blocking([&](sqlite::Connection& c) -> Result<void> {
      write_cursor(c, kContentConsumer, to);
      return {};
    }));
  }

  SimulatedClock clock;
  SqliteContentUnderTest content{clock};
  std::unique_ptr<outbox::Journal> journal;
  std::uint64_t newest_version = 0;
  std::map<std::string, Count> live;
  std::map<std::string, Count> ledger;
  outbox::Sequence ledger_cursor = 0;
};

TEST_F(LikeProjectionTest, ANewPostIsProjectedOnceAndThenNothingIsWaiting) {
  add_user("ada");
  add_post("p");
  EXPECT_EQ(projected()["p"], std::nullopt);
  EXPECT_GT(step(), 0u);
  EXPECT_EQ(projected()["p"], Count{});
  EXPECT_EQ(step(), 0u);
}

TEST_F(LikeProjectionTest, FollowsTheLedgerAndIsNeverAheadOfIt) {
  add_user("ada");
  add_post("p");
  catch_up();
  auto first = like({"p", "elsewhere"});
  EXPECT_EQ(step(), 0u) << "the ledger has not applied the entry";
  flush();
  auto second = like({"p"});
  EXPECT_GT(step(), 0u);
  EXPECT_EQ(projection().cursor().value(), first);
  EXPECT_EQ(projected()["p"], (Count{1, 1}));
  flush();
  catch_up();
  EXPECT_EQ(projection().cursor().value(), second);
  EXPECT_EQ(projected()["p"], (Count{2, 3}));
}

TEST_F(LikeProjectionTest, APostCreatedAfterItWasLikedGetsItsCount) {
  add_user("ada");
  like({"p"});
  like({"p"});
  flush();
  catch_up();
  add_post("p");
  catch_up();
  EXPECT_EQ(projected()["p"], (Count{2, 2}));
}

TEST_F(LikeProjectionTest, ARepeatedStepChangesNothing) {
  add_user("ada");
  add_post("p");
  add_post("q");
  like({"p"});
  flush();
  catch_up();
  OutboxCursor before = cursor();
  like({"p", "q"});
  like({"q"});
  flush();
  catch_up();
  auto expected = projected();
  set_cursor(before);
  content.restart();
  catch_up();
  EXPECT_EQ(projected(), expected);
  EXPECT_EQ(projection().cursor().value(), ledger_cursor);
}

TEST_F(LikeProjectionTest, AnOlderCountNeverReplacesANewerOne) {
  add_user("ada");
  add_post("p");
  like({"p"});
  flush();
  auto old = ledger;
  like({"p"});
  flush();
  catch_up();
  like({"p"});
  flush();
  ledger = old;  // the ledger answers from before
  catch_up();
  EXPECT_EQ(projected()["p"], (Count{2, 2}));
}

TEST_F(LikeProjectionTest, AFailingLedgerLeavesCursorAndCountsAsTheyWere) {
  add_user("ada");
  add_post("p");
  like({"p"});
  flush();
  LikeProjection failing(content.database(), *journal,
                         {.cursor = [this]() -> Result<outbox::Sequence> { return ledger_cursor; },
                          .counts = [](const auto&) -> Result<std::vector<PostCount>> { return fail(ErrorCode::kUnavailable, "disk"); }});
  EXPECT_EQ(failing.run_once().error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(cursor().sequence, 0u);
  EXPECT_EQ(projected()["p"], std::nullopt);
}

TEST_F(LikeProjectionTest, ALostLogMakesItAskForAllPostsAgain) {
  add_user("ada");
  add_post("p");
  add_post("q");
  like({"p"});
  like({"q"});
  flush();
  catch_up();
  like({"p"});
  auto lost = like({"q"});
  flush();
  journal.reset();
  open_journal("another_journal.db", lost);  // entries that the projection has not read are gone
  EXPECT_GT(step(), 0u);
  catch_up();
  EXPECT_EQ(projected()["p"], (Count{2, 3}));
  EXPECT_EQ(projected()["q"], (Count{2, 4}));

  like({"p"});
  flush();
  catch_up();
  EXPECT_EQ(projected()["p"], (Count{3, 5})) << "it follows the new log";
}

TEST_F(LikeProjectionTest, ALedgerThatWentBackIsBelievedWhateverItsVersions) {
  add_user("ada");
  add_post("p");
  like({"p"});
  flush();
  auto old = ledger;
  auto old_cursor = ledger_cursor;
  like({"p"});
  flush();
  catch_up();
  ledger = old;  // ratings.db was restored from a copy
  ledger_cursor = old_cursor;
  catch_up();
  EXPECT_EQ(projected()["p"], (Count{1, 1}));
  flush();
  catch_up();
  EXPECT_EQ(projected()["p"], (Count{2, 2}));
}

TEST_F(LikeProjectionTest, BeingCutOffByTrimmingMakesItAskForAllPostsAgain) {
  add_user("ada");
  add_post("p");
  auto first = like({"p"});
  flush();
  catch_up();
  ASSERT_EQ(projection().cursor().value(), first);
  like({"p"});
  auto last = like({"elsewhere"});
  flush();
  journal->trim(last);
  while (journal->checksum_at(first).value() != 0) like({"elsewhere"});  // rows go with commits
  catch_up();
  EXPECT_EQ(projected()["p"], (Count{2, 2}));
}

TEST_F(LikeProjectionTest, AStepIsBoundedAndTheNextGoesOn) {
  add_user("ada");
  add_post("p0");
  std::vector<std::string> posts;
  for (std::size_t i = 0; i < kProjectedPostsPerStep; ++i) posts.push_back("p" + std::to_string(i));
  auto first = like(posts);
  auto second = like({"p0"});
  flush();
  EXPECT_GE(step(), kProjectedPostsPerStep);
  EXPECT_EQ(projection().cursor().value(), first);
  EXPECT_EQ(step(), 2u);
  EXPECT_EQ(projection().cursor().value(), second);
}

// Likes, flushes, steps, new posts, crashes that take back the cursor, and lost logs, in any order: in the end every
// post has the ledger's count, and on the way no count gets older unless the log was lost.
TEST_F(LikeProjectionTest, EndsEqualToTheLedgerWhateverTheOrderOfThings) {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    std::string user = "user" + std::to_string(seed);
    add_user(user);
    std::vector<std::string> posts;
    for (int i = 0; i < 12; ++i) posts.push_back("s" + std::to_string(seed) + "p" + std::to_string(i));
    std::size_t created = 0;
    OutboxCursor older = cursor();
    for (int i = 0; i < 60; ++i) {
      auto before = projected();
      switch (random() % 6) {
        case 0:
          if (created < posts.size()) add_post(posts[created++], user);
          break;
        case 1:
          flush();
          break;
        case 2:
          older = cursor();
          step();
          break;
        case 3:
          set_cursor({older.sequence, older.checksum, cursor().steps + 1});
          content.restart();
          break;
        default:
          like({posts[random() % posts.size()], posts[random() % posts.size()]});
          break;
      }
      for (const auto& [post, count] : projected()) {
        if (auto old = before[post]; old) {
          ASSERT_TRUE(count);
          ASSERT_GE(count->version, old->version) << post;
        }
      }
    }
    flush();
    catch_up();
    for (const auto& [post, count] : projected()) EXPECT_EQ(count, ledger[post]) << post;
  }
}

}  // namespace
}  // namespace hearth::content
