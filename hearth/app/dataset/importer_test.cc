#include "hearth/app/dataset/importer.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "hearth/app/dataset/dataset_fixture.h"

namespace hearth::app::dataset {
namespace {

using std::chrono::milliseconds;

std::string user_line(const std::string& id, const std::string& username) {
  return R"({"type":"user","id":")" + id + R"(","username":")" + username + R"(","createdAt":"2026-01-01T00:00:00Z"})" + "\n";
}
std::string post_line(const std::string& id, const std::string& author, const std::string& text = "x") {
  return R"({"type":"post","id":")" + id + R"(","authorId":")" + author + R"(","content":")" + text + "\"}\n";
}
std::string rating_line(const std::string& post, const std::string& session) {
  return R"({"type":"rating","postId":")" + post + R"(","sessionId":")" + session + R"(","createdAt":"2026-02-01T00:00:00Z"})" + "\n";
}

std::vector<std::uint64_t> bad_lines(const ImportReport& report) {
  std::vector<std::uint64_t> lines;
  for (const auto& bad : report.bad) lines.push_back(bad.line);
  return lines;
}

const std::string kGood = user_line("ada", "ada") + user_line("bob", "bob") + post_line("p1", "ada") + post_line("p2", "bob") +
                          rating_line("p1", "s1") + rating_line("p1", "s2") + rating_line("elsewhere", "s1");

// Bad lines of every kind among good ones.
const std::string kMixed = user_line("ada", "ada") +            // 1
                           "nonsense\n" +                       // 2: bad
                           "\n" +                               // 3: empty
                           post_line("p1", "ada") +             // 4
                           post_line("p2", "nobody") +          // 5: bad, unknown author
                           user_line("eve", "ADA") +            // 6: bad, username taken
                           post_line("p3", "eve") +             // 7: bad, its author was refused
                           rating_line("p1", "s1") +            // 8
                           rating_line("p1", "bad session") +   // 9: bad
                           post_line("late", "carol") +         // 10: bad, the author comes behind it
                           user_line("carol", "carol") +        // 11
                           std::string(kLineBytesMax + 1, ' ')  // 12: bad, too long
                           + "\n" + rating_line("p1", "s2") +   // 13
                           "\t \r\n" +                          // 14: empty
                           R"({"type":"user"})";                // 15: bad, and without newline
const std::vector<std::uint64_t> kMixedBad{2, 5, 6, 7, 9, 10, 12, 15};

TEST(Importer, EverythingGoodIsThereAfterwards) {
  DataFolder folder;
  auto report = folder.import(kGood);
  EXPECT_EQ(report.lines, 7u);
  EXPECT_EQ(report.users, 2u);
  EXPECT_EQ(report.posts, 2u);
  EXPECT_EQ(report.ratings, 3u);
  EXPECT_EQ(report.unchanged, 0u);
  EXPECT_EQ(report.bad_total, 0u);
  EXPECT_EQ(run_to_end(folder.pages.user(UserId::trusted("ada")))->username, "ada");
  EXPECT_EQ(run_to_end(folder.pages.post(PostId::trusted("p2")))->author_username, "bob");
  EXPECT_EQ(folder.likes_of("p1"), 2u);
  EXPECT_EQ(folder.likes_of("elsewhere"), 1u);
  EXPECT_TRUE(folder.likes.view("p1", "s2").is_liked);
}

TEST(Importer, AgainChangesNothing) {
  DataFolder folder;
  folder.import(kGood);
  auto before = folder.export_all();
  folder.clock.advance(std::chrono::hours(1));
  auto again = folder.import(kGood);
  EXPECT_EQ(again.unchanged, 7u);
  EXPECT_EQ(again.users + again.posts + again.ratings + again.bad_total, 0u);
  EXPECT_EQ(folder.export_all(), before);
}

TEST(Importer, WhatChangedIsUpdated) {
  DataFolder folder;
  folder.import(kGood);
  auto report = folder.import(user_line("ada", "countess") + post_line("p1", "ada", "new text") + post_line("p2", "bob"));
  EXPECT_EQ(report.users, 1u);
  EXPECT_EQ(report.posts, 1u);
  EXPECT_EQ(report.unchanged, 1u);
  auto post = run_to_end(folder.pages.post(PostId::trusted("p1"))).value();
  EXPECT_EQ(post.content, "new text");
  EXPECT_EQ(post.author_username, "countess");
}

TEST(Importer, BadLinesAreReportedWithTheirNumberAndTheRestIsImported) {
  DataFolder folder;
  auto report = folder.import(kMixed);
  EXPECT_EQ(bad_lines(report), kMixedBad);
  for (const auto& bad : report.bad) EXPECT_FALSE(bad.reason.empty());
  EXPECT_EQ(report.bad_total, kMixedBad.size());
  EXPECT_EQ(report.lines, 15u);
  EXPECT_EQ(report.users, 2u);
  EXPECT_EQ(report.posts, 1u);
  EXPECT_EQ(report.ratings, 2u);
  EXPECT_EQ(folder.likes_of("p1"), 2u);
}

TEST(Importer, ItDoesNotMatterWhereTheInputIsCut) {
  std::vector<BadLine> expected = DataFolder().import(kMixed).bad;
  for (std::size_t piece : {1'000u, 3u}) {
    DataFolder folder;
    auto report = folder.import(kMixed, ImportMode::kImport, piece);
    EXPECT_EQ(report.bad, expected) << piece;
    EXPECT_EQ(report.lines, 15u);
    EXPECT_EQ(report.ratings, 2u);
  }
}

TEST(Importer, NumbersBeginWhereThePartOfTheInputDoes) {
  DataFolder folder;
  Importer importer(folder.target(), {.first_line = 5'001});
  ASSERT_TRUE(run_to_end(importer.feed("bad\n" + user_line("ada", "ada"))));
  ASSERT_TRUE(run_to_end(importer.finish()));
  EXPECT_EQ(bad_lines(importer.report()), std::vector<std::uint64_t>{5'001});
}

TEST(Importer, ManyBadLinesAreAllCountedAndTheFirstListed) {
  DataFolder folder;
  std::string text;
  for (int i = 0; i < 1'500; ++i) text += "bad\n";
  auto report = folder.import(text);
  EXPECT_EQ(report.bad_total, 1'500u);
  ASSERT_EQ(report.bad.size(), kBadLinesListedMax);
  EXPECT_EQ(report.bad.back().line, kBadLinesListedMax);
}

TEST(Importer, CheckingFindsTheSameBadLinesAndWritesNothing) {
  DataFolder folder;
  auto before = folder.export_all();
  auto checked = folder.import(kMixed, ImportMode::kCheck);
  EXPECT_EQ(folder.export_all(), before);
  EXPECT_EQ(folder.likes_of("p1"), 0u);
  EXPECT_EQ(checked.users, 2u);
  EXPECT_EQ(checked.posts, 1u);
  EXPECT_EQ(checked.ratings, 2u);
  EXPECT_EQ(checked.bad, folder.import(kMixed).bad);
}

TEST(Importer, ANameThatWasGivenUpIsFreeFromThenOn) {
  DataFolder folder;
  folder.import(user_line("u1", "ann"));
  std::string text = user_line("u2", "ann") +  // bad: still u1's
                     user_line("u1", "ben") + user_line("u2", "Ann") + user_line("u1", "cat") + user_line("u3", "BEN") +
                     user_line("u1", "ben");  // bad: u3's by now
  auto checked = folder.import(text, ImportMode::kCheck);
  EXPECT_EQ(bad_lines(checked), (std::vector<std::uint64_t>{1, 6}));
  EXPECT_EQ(folder.import(text).bad, checked.bad);
}

// Users who take, swap and give up names that are hardly enough for all, and posts by some who may not be there: whatever comes, checking
// foresees what importing finds, also on top of what an earlier import left.
TEST(Importer, CheckingForeseesWhatImportingFinds) {
  std::mt19937_64 random(5);
  DataFolder folder;
  auto pick = [&](std::initializer_list<const char*> from) { return std::string(from.begin()[random() % from.size()]); };
  std::size_t all_bad = 0;
  for (int round = 0; round < 40; ++round) {
    std::string text;
    for (int i = 0; i < 25; ++i) {
      std::string user = "u" + std::to_string(random() % 6);
      if (random() % 2) {
        text += user_line(
            user, pick({"ann", "ANN", "ben", "Ben", "cat", "dan", "José", "JOSÉ", "eli", "fay", "gus", "hal", "ivy", "joy", "kim"}));
      } else {
        text += post_line("p" + std::to_string(random() % 10), random() % 5 == 0 ? "stranger" : user);
      }
    }
    auto checked = folder.import(text, ImportMode::kCheck);
    auto imported = folder.import(text);
    ASSERT_EQ(checked.bad, imported.bad) << "round " << round << "\n" << text;
    all_bad += imported.bad_total;
  }
  EXPECT_GT(all_bad, 100u);
}

TEST(Importer, MoreThanABatchIsImportedInOrder) {
  DataFolder folder;
  std::string text;
  for (int i = 0; i < 1'500; ++i) {
    std::string id = "u" + std::to_string(i);
    text += user_line(id, id) + post_line("p" + std::to_string(i), id) + rating_line("p" + std::to_string(i), "s") + rating_line("hot", id);
  }
  auto report = folder.import(text);
  EXPECT_EQ(report.bad_total, 0u);
  EXPECT_EQ(report.users, 1'500u);
  EXPECT_EQ(report.posts, 1'500u);
  EXPECT_EQ(report.ratings, 3'000u);
  EXPECT_EQ(folder.likes_of("hot"), 1'500u);
}

// Answers some changes and is unavailable for the others, as one whose outbox is full.
class FullLikeStore final : public likes::LikeStore {
 public:
  Task<Result<likes::LikeOutcome>> change(likes::LikeChange) override { co_return fail(ErrorCode::kInternal, "not used here"); }
  Task<Result<std::vector<likes::LikeView>>> read(std::vector<PostId>, std::optional<SessionId>) override {
    co_return fail(ErrorCode::kInternal, "not used here");
  }
  Task<std::vector<Result<likes::LikeOutcome>>> change_all(std::vector<likes::LikeChange> changes) override {
    ++calls;
    std::size_t room = accepted_per_call;
    std::vector<Result<likes::LikeOutcome>> outcomes;
    for (const auto& change : changes) {
      EXPECT_EQ(change.action, likes::LikeAction::kLike);
      if (room == 0) {
        outcomes.emplace_back(fail(ErrorCode::kUnavailable, "the outbox is full"));
        continue;
      }
      --room;
      bool is_new = liked.insert(change.post.str() + " " + change.session.str()).second;
      outcomes.emplace_back(likes::LikeOutcome{.is_liked = true, .changed = is_new});
    }
    co_return outcomes;
  }

  std::size_t accepted_per_call = 0;
  std::size_t calls = 0;
  std::set<std::string> liked;
};

TEST(Importer, StoriesAndChaptersAreImportedOnce) {
  const std::string text =
      R"({"type":"chapter","id":"c","storyId":"s","title":"Uno","position":1,"viewCount":4})"
      "\n"
      R"({"type":"story","id":"s","authorId":"nobody","title":"El río","createdAt":"2026-01-01T00:00:00Z","viewCount":70})"
      "\n";
  DataFolder folder;
  auto checked = folder.import(text, ImportMode::kCheck);
  EXPECT_EQ(checked.stories, 1u);
  EXPECT_EQ(checked.chapters, 1u);
  auto report = folder.import(text);
  EXPECT_EQ(report.stories, 1u);
  EXPECT_EQ(report.chapters, 1u);
  EXPECT_EQ(report.bad_total, 0u);
  folder.clock.advance(std::chrono::hours(1));
  EXPECT_EQ(folder.import(text).unchanged, 2u);
  auto story = run_to_end(folder.stories.story(content::StoryId::trusted("s"))).value();
  EXPECT_EQ(story.read_count, 70u);
  EXPECT_EQ(story.created_at, parse_rfc3339("2026-01-01T00:00:00Z", "").value());
  EXPECT_EQ(run_to_end(folder.stories.chapter(content::ChapterId::trusted("c")))->read_count, 4u);

  // Views only grow, and who gives no time keeps the one that is there.
  EXPECT_EQ(folder.import(R"({"type":"story","id":"s","authorId":"nobody","title":"El río","viewCount":9})").unchanged, 1u);
  EXPECT_EQ(folder.import(R"({"type":"story","id":"s","authorId":"nobody","title":"El río","viewCount":71})").stories, 1u);
  EXPECT_EQ(run_to_end(folder.stories.story(content::StoryId::trusted("s")))->read_count, 71u);
}

TEST(Importer, LongChaptersComeInBatches) {
  std::string text;
  for (int i = 0; i < 30; ++i) {
    text += R"({"type":"chapter","storyId":"s","id":"c)" + std::to_string(i) + R"(","content":")" +
            std::string(content::kChapterContentBytesMax, 'x') + "\"}\n";
  }
  DataFolder folder;
  EXPECT_EQ(folder.import(text).chapters, 30u);
  EXPECT_EQ(folder.import(text).unchanged, 30u);
}

class ImporterOfFullStoreTest : public testing::Test {
 protected:
  ImportOptions options() {
    return {.wait = [this](milliseconds delay) { return note(delay); }};
  }
  Task<void> note(milliseconds delay) {
    waits.push_back(delay);
    co_return;
  }

  DataFolder folder;
  FullLikeStore full;
  std::vector<milliseconds> waits;
};

TEST_F(ImporterOfFullStoreTest, WaitsAndGoesOnUntilAllIsIn) {
  full.accepted_per_call = 300;
  Importer importer({folder.store, folder.pages, folder.stories, &full}, options());
  std::string text;
  for (int i = 0; i < 1'000; ++i) text += rating_line("p", "s" + std::to_string(i));
  ASSERT_TRUE(run_to_end(importer.feed(text)));
  ASSERT_TRUE(run_to_end(importer.finish()));
  EXPECT_EQ(full.liked.size(), 1'000u);
  EXPECT_EQ(importer.report().ratings, 1'000u);
  EXPECT_EQ(importer.report().bad_total, 0u);
  EXPECT_EQ(waits, (std::vector<milliseconds>(3, kImportWaitFirst))) << "progress makes the next wait short again";
}

TEST_F(ImporterOfFullStoreTest, GivesUpAfterGrowingWaitsWithoutProgress) {
  Importer importer({folder.store, folder.pages, folder.stories, &full}, options());
  ASSERT_TRUE(run_to_end(importer.feed(user_line("ada", "ada") + rating_line("p", "s"))));
  auto finished = run_to_end(importer.finish());
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(finished.error().message.contains("line 2")) << finished.error().message;
  ASSERT_EQ(waits.size(), kImportAttemptsMax);
  EXPECT_EQ(waits[0], kImportWaitFirst);
  EXPECT_EQ(waits[1], 2 * kImportWaitFirst);
  EXPECT_EQ(waits.back(), kImportWaitMax);
  EXPECT_EQ(importer.report().bad_total, 0u) << "a good line is never called bad";
}

TEST_F(ImporterOfFullStoreTest, AStoppedContentDatabaseIsNotABadLine) {
  folder.database->stop();
  Importer importer(folder.target(), options());
  ASSERT_TRUE(run_to_end(importer.feed(user_line("ada", "ada"))));
  EXPECT_EQ(run_to_end(importer.finish()).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(importer.report().bad_total, 0u);
}

}  // namespace
}  // namespace hearth::app::dataset
