#pragma once

// What every StoryStore promises (story_store.h), as tests. For one .cc.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/run_to_end.h"
#include "hearth/content/content_export.h"
#include "hearth/content/story_store.h"

namespace hearth::content {

class StoriesUnderTest {
 public:
  virtual ~StoriesUnderTest() = default;
  // Of one of several nodes on the same data, or always the same where one node is all there can be.
  virtual StoryStore& store(std::size_t node = 0) = 0;
  // Of its export.
  virtual Result<void> for_each_story(UseStory use_story, UseChapter use_chapter) = 0;
  virtual void execute(const std::string& sql) = 0;
};

struct StoriesMaker {
  std::string name;
  std::function<std::unique_ptr<StoriesUnderTest>(const Clock&)> make;  // fresh and empty
};
inline void PrintTo(const StoriesMaker& maker, std::ostream* out) {
  *out << maker.name;
}

class StoryStoreConformance : public testing::TestWithParam<StoriesMaker> {
 protected:
  static StoryId story_id(std::string id) { return StoryId::trusted(std::move(id)); }
  static ChapterId chapter_id(std::string id) { return ChapterId::trusted(std::move(id)); }

  StoryStore& store(std::size_t node = 0) { return under_test->store(node); }
  Result<PutStory> put(StoryDraft draft) { return run_to_end(store().put_story(std::move(draft))); }
  Result<PutChapter> put(ChapterDraft draft) { return run_to_end(store().put_chapter(std::move(draft))); }
  Result<Story> story(std::string id) { return run_to_end(store().story(story_id(std::move(id)))); }
  Result<Chapter> chapter(std::string id) { return run_to_end(store().chapter(chapter_id(std::move(id)))); }
  // What a sync of views or another program makes of them.
  void count(const std::string& kind, const std::string& id, int views) {
    under_test->execute("INSERT INTO view_counts (kind, item_id, views) VALUES ('" + kind + "', '" + id + "', " + std::to_string(views) +
                        ") ON CONFLICT (kind, item_id) DO UPDATE SET views = excluded.views");
  }
  void advance() { clock.advance(std::chrono::seconds(1)); }

  SimulatedClock clock;
  std::unique_ptr<StoriesUnderTest> under_test = GetParam().make(clock);
};

TEST_P(StoryStoreConformance, AStoryIsCreatedThenUpdatedThenUnchanged) {
  StoryDraft draft{.id = story_id("s"),
                   .author = UserId::trusted("ada"),
                   .title = "Título",
                   .summary = "Of\nengines.",
                   .cover_image_url = "https://x.org/c.png"};
  auto created = put(draft);
  ASSERT_TRUE(created);
  EXPECT_EQ(created->change, Change::kCreated);
  EXPECT_EQ(created->story.created_at, clock.now());
  EXPECT_EQ(created->story.updated_at, clock.now());
  EXPECT_EQ(created->story.read_count, 0u);
  EXPECT_EQ(created->story.title, "Título");
  EXPECT_EQ(story("s").value(), created->story);

  advance();
  auto same = put(draft);
  EXPECT_EQ(same->change, Change::kUnchanged);
  EXPECT_EQ(same->story, created->story);

  auto updated = put(StoryDraft{.id = story_id("s"), .title = "Other"});
  EXPECT_EQ(updated->change, Change::kUpdated);
  EXPECT_EQ(updated->story.created_at, created->story.created_at);
  EXPECT_EQ(updated->story.updated_at, clock.now());
  EXPECT_FALSE(updated->story.author);
  EXPECT_FALSE(updated->story.summary);
  EXPECT_EQ(story("s").value(), updated->story);
}

TEST_P(StoryStoreConformance, AChapterIsCreatedThenUpdatedThenUnchanged) {
  ChapterDraft draft{.id = chapter_id("c"), .story = story_id("elsewhere"), .title = "One", .content = "Long ago", .position = 0};
  auto created = put(draft);
  ASSERT_TRUE(created);
  EXPECT_EQ(created->change, Change::kCreated);
  EXPECT_EQ(chapter("c").value(), created->chapter);
  EXPECT_EQ(created->chapter.position, 0);

  advance();
  EXPECT_EQ(put(draft)->change, Change::kUnchanged);
  draft.position.reset();
  draft.story = story_id("s");
  auto updated = put(draft);
  EXPECT_EQ(updated->change, Change::kUpdated);
  EXPECT_EQ(updated->chapter.created_at, created->chapter.created_at);
  EXPECT_EQ(updated->chapter.updated_at, clock.now());
  EXPECT_FALSE(updated->chapter.position);
  EXPECT_EQ(chapter("c").value(), updated->chapter);
}

TEST_P(StoryStoreConformance, WhatIsNotThereIsNotFound) {
  EXPECT_EQ(story("s").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(chapter("c").error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(run_to_end(store().story_of(chapter_id("c"))).value());
  auto none = run_to_end(store().stories(10, std::nullopt));
  EXPECT_TRUE(none->stories.empty());
  EXPECT_FALSE(none->next);
}

TEST_P(StoryStoreConformance, LimitsNameTheField) {
  auto field_of = [&](auto draft) {
    auto put_one = put(std::move(draft));
    return put_one ? std::string("none") : put_one.error().field;
  };
  auto text = [](std::size_t bytes) { return std::string(bytes, 'x'); };
  EXPECT_EQ(field_of(StoryDraft{.id = story_id("s"), .title = text(kTitleBytesMax + 1)}), "title");
  EXPECT_EQ(field_of(StoryDraft{.id = story_id("s"), .title = std::string("a\0b", 3)}), "title");
  EXPECT_EQ(field_of(StoryDraft{.id = story_id("s"), .summary = text(kSummaryBytesMax + 1)}), "summary");
  EXPECT_EQ(field_of(StoryDraft{.id = story_id("s"), .cover_image_url = "ftp://x.org"}), "coverImageUrl");
  EXPECT_EQ(field_of(StoryDraft{.id = story_id("s"), .read_count = ~std::uint64_t{0}}), "readCount");
  EXPECT_EQ(story("s").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(field_of(StoryDraft{.id = story_id("s"), .title = text(kTitleBytesMax), .summary = text(kSummaryBytesMax)}), "none");

  auto of = story_id("s");
  EXPECT_EQ(field_of(ChapterDraft{.id = chapter_id("c"), .story = of, .title = text(kTitleBytesMax + 1)}), "title");
  EXPECT_EQ(field_of(ChapterDraft{.id = chapter_id("c"), .story = of, .content = text(kChapterContentBytesMax + 1)}), "content");
  EXPECT_EQ(field_of(ChapterDraft{.id = chapter_id("c"), .story = of, .position = -1}), "position");
  EXPECT_EQ(field_of(ChapterDraft{.id = chapter_id("c"), .story = of, .position = kPositionMax + 1}), "position");
  EXPECT_EQ(field_of(ChapterDraft{.id = chapter_id("c"), .story = of, .content = text(kChapterContentBytesMax), .position = kPositionMax}),
            "none");
}

TEST_P(StoryStoreConformance, WhatIsCreatedBeginsWithItsViews) {
  count("story", "s", 7);
  count("chapter", "s", 9);
  EXPECT_EQ(put(StoryDraft{.id = story_id("s")})->story.read_count, 7u);
  EXPECT_EQ(put(ChapterDraft{.id = chapter_id("s"), .story = story_id("s")})->chapter.read_count, 9u);
  EXPECT_EQ(put(StoryDraft{.id = story_id("t")})->story.read_count, 0u);
  EXPECT_EQ(story("s")->read_count, 7u);
  EXPECT_EQ(chapter("s")->read_count, 9u);
}

TEST_P(StoryStoreConformance, AnImportRaisesReadCountsOnly) {
  EXPECT_EQ(put(StoryDraft{.id = story_id("s"), .read_count = 40})->story.read_count, 40u);
  advance();
  auto smaller = put(StoryDraft{.id = story_id("s"), .read_count = 30});
  EXPECT_EQ(smaller->change, Change::kUnchanged);
  EXPECT_EQ(smaller->story.read_count, 40u);
  auto larger = put(StoryDraft{.id = story_id("s"), .read_count = 41});
  EXPECT_EQ(larger->change, Change::kUpdated);
  EXPECT_EQ(larger->story.updated_at, clock.now());
  EXPECT_EQ(story("s")->read_count, 41u);
  EXPECT_EQ(put(StoryDraft{.id = story_id("s"), .title = "x"})->story.read_count, 41u);

  count("chapter", "c", 5);
  EXPECT_EQ(put(ChapterDraft{.id = chapter_id("c"), .story = story_id("s"), .read_count = 3})->chapter.read_count, 5u);
  EXPECT_EQ(put(ChapterDraft{.id = chapter_id("c"), .story = story_id("s"), .read_count = 6})->chapter.read_count, 6u);
}

TEST_P(StoryStoreConformance, AnImportGivesTheTimeAndOthersKeepIt) {
  auto then = clock.now() - std::chrono::days(9);
  EXPECT_EQ(put(StoryDraft{.id = story_id("s"), .created_at = then})->story.created_at, then);
  EXPECT_EQ(put(ChapterDraft{.id = chapter_id("c"), .story = story_id("s"), .created_at = then})->chapter.created_at, then);
  EXPECT_EQ(put(StoryDraft{.id = story_id("s")})->change, Change::kUnchanged);
  EXPECT_EQ(story("s")->created_at, then);
  EXPECT_EQ(put(StoryDraft{.id = story_id("s"), .created_at = then - std::chrono::days(1)})->change, Change::kUpdated);
  EXPECT_EQ(story("s")->created_at, then - std::chrono::days(1));
}

TEST_P(StoryStoreConformance, ManyArePutInOneTransaction) {
  put(StoryDraft{.id = story_id("old"), .title = "x"}).value();
  std::vector<AnyStoryDraft> drafts{ChapterDraft{.id = chapter_id("c"), .story = story_id("s"), .read_count = 3},
                                    StoryDraft{.id = story_id("s")}, StoryDraft{.id = story_id("old"), .title = "x"},
                                    StoryDraft{.id = story_id("s"), .title = "y"}};
  auto changes = run_to_end(store().put_all(drafts));
  ASSERT_TRUE(changes) << changes.error().message;
  EXPECT_EQ(*changes, (std::vector{Change::kCreated, Change::kCreated, Change::kUnchanged, Change::kUpdated}));
  EXPECT_EQ(chapter("c")->read_count, 3u);
  EXPECT_EQ(story("s")->title, "y");

  drafts = {StoryDraft{.id = story_id("t")}, StoryDraft{.id = story_id("u"), .cover_image_url = "ftp://x.org"}};
  EXPECT_EQ(run_to_end(store().put_all(drafts)).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(story("t").error().code, ErrorCode::kNotFound);
}

TEST_P(StoryStoreConformance, StoriesComeNewestFirstPageByPage) {
  std::vector<std::string> expected;
  for (int i = 0; i < 130; ++i) {
    if (i % 3 == 0) advance();  // some are made at the same time: then by id
    expected.push_back("s" + std::to_string(1'000 + i));
    ASSERT_TRUE(put(StoryDraft{.id = story_id(expected.back())}));
  }
  std::ranges::reverse(expected);
  for (std::size_t limit : {std::size_t{1}, std::size_t{7}, kStoriesMax}) {
    std::vector<std::string> found;
    std::optional<PostCursor> after;
    do {
      auto page = run_to_end(store().stories(limit, after)).value();
      EXPECT_LE(page.stories.size(), limit);
      for (const auto& each : page.stories) found.push_back(each.id.str());
      after = page.next;
    } while (after);
    EXPECT_EQ(found, expected) << limit;
  }
  PostCursor extreme{UtcMicros::min(), "x"};
  EXPECT_TRUE(run_to_end(store().stories(5, extreme))->stories.empty());
  extreme.created_at = UtcMicros::max();
  EXPECT_EQ(run_to_end(store().stories(5, extreme))->stories.size(), 5u);
}

TEST_P(StoryStoreConformance, TheExportGivesStoriesThenChaptersByTheBytesOfTheirIds) {
  std::vector<std::string> expected{"A", "_", "a"};
  for (int i = 0; i < 120; ++i) {
    expected.push_back("c" + std::to_string(1'000 + i));
    put(ChapterDraft{.id = chapter_id(expected.back()), .story = story_id("a"), .position = i}).value();
  }
  for (const char* id : {"a", "A", "_"}) put(StoryDraft{.id = story_id(id), .title = id, .read_count = 5}).value();
  std::vector<std::string> found;
  auto use_story = [&](const Story& each) -> Result<void> {
    EXPECT_EQ(each, story(each.id.str()).value());
    found.push_back(each.id.str());
    return {};
  };
  auto use_chapter = [&](const Chapter& each) -> Result<void> {
    if (found.size() == 60) EXPECT_EQ(each, chapter(each.id.str()).value());
    found.push_back(each.id.str());
    return {};
  };
  ASSERT_TRUE(under_test->for_each_story(use_story, use_chapter));
  EXPECT_EQ(found, expected);

  auto stopped =
      under_test->for_each_story([](const Story&) -> Result<void> { return fail(ErrorCode::kUnavailable, "full"); }, use_chapter);
  EXPECT_EQ(stopped.error().message, "full");
  EXPECT_EQ(found.size(), expected.size());
}

TEST_P(StoryStoreConformance, TheStoryOfAChapterIsKnown) {
  put(ChapterDraft{.id = chapter_id("c"), .story = story_id("s")}).value();
  EXPECT_EQ(run_to_end(store().story_of(chapter_id("c"))).value(), story_id("s"));
}

TEST_P(StoryStoreConformance, OneOfManyWhoPutAStoryAtOnceCreatesIt) {
  std::atomic<int> created = 0;
  std::vector<std::jthread> writers;
  for (std::size_t i = 0; i < 16; ++i) {
    writers.emplace_back([&, i] {
      auto made = run_to_end(store(i).put_story({.id = story_id("s"), .title = std::to_string(i), .read_count = i}));
      ASSERT_TRUE(made) << made.error().message;
      if (made->change == Change::kCreated) ++created;
    });
  }
  writers.clear();
  EXPECT_EQ(created, 1);
  EXPECT_EQ(story("s")->read_count, 15u);
}

}  // namespace hearth::content
