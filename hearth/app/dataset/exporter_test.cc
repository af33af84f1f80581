#include "hearth/app/dataset/exporter.h"

#include <gtest/gtest.h>

#include <string>

#include "hearth/app/dataset/dataset_fixture.h"
#include "hearth/app/dataset/generator.h"

namespace hearth::app::dataset {
namespace {

std::string generated() {
  std::string text;
  auto write = [&](std::string_view bytes) -> Result<void> {
    text += bytes;
    return {};
  };
  EXPECT_TRUE(generate({.posts = 60, .sessions = 80, .likes = 2'000, .seed = 3, .uuid_post_ids = true}, write));
  return text;
}

TEST(Exporter, AnEmptyFolderGivesNothing) {
  EXPECT_EQ(DataFolder().export_all(), "");
}

TEST(Exporter, ImportingTheExportElsewhereGivesTheSameExport) {
  DataFolder source;
  ASSERT_EQ(
      source
          .import(
              generated() +
              R"({"type":"user","id":"lu","username":"Lucía","displayName":"L\u0001\n","bio":"","createdAt":"2026-01-01T00:00:00.000001Z"})"
              "\n"
              R"({"type":"post","id":"!odd%id","authorId":"lu","imageUrl":"https://x.org","mediaUrls":["https://x.org/1","https://x.org/2"]})"
              "\n"
              R"({"type":"story","id":"s","authorId":"lu","title":"El río","createdAt":"2026-01-01T00:00:00.000001Z","viewCount":12})"
              "\n"
              R"({"type":"story","id":"S"})"
              "\n"
              R"({"type":"chapter","id":"c","storyId":"elsewhere","content":"Érase","position":0,"viewCount":3})"
              "\n"
              R"({"type":"rating","postId":"elsewhere","sessionId":"not-a-uuid"})")
          .bad_total,
      0u);
  std::string first = source.export_all();
  EXPECT_LT(first.find(R"("id":"S")"), first.find(R"("id":"s")"));
  EXPECT_NE(first.find(R"("viewCount":12})"), std::string::npos);
  source.clock.advance(std::chrono::hours(1));
  DataFolder target;
  EXPECT_EQ(target.import(first).bad_total, 0u);
  EXPECT_EQ(target.export_all(), first);
  EXPECT_EQ(target.likes_of("elsewhere"), 1u);
  auto again = target.import(first);
  EXPECT_EQ(again.unchanged, again.lines);
}

TEST(Exporter, CountsWhatItWrites) {
  DataFolder folder;
  folder.import(generated());
  folder.likes.flush();
  std::size_t lines = 0;
  auto report = folder.export_to([&](std::string_view bytes) -> Result<void> {
    lines += static_cast<std::size_t>(std::ranges::count(bytes, '\n'));
    return {};
  });
  ASSERT_TRUE(report);
  EXPECT_EQ(report->users, 2u);
  EXPECT_EQ(report->posts, 60u);
  EXPECT_EQ(report->ratings, 2'000u);
  EXPECT_EQ(lines, 2'062u);
}

TEST(Exporter, AnUnlikedPostHasNoRating) {
  DataFolder folder;
  folder.import(R"({"type":"rating","postId":"p","sessionId":"s"})");
  folder.likes.flush();
  folder.likes.toggle("p", "s");
  EXPECT_EQ(folder.export_all(), "");
}

TEST(Exporter, AFailedWriteEndsIt) {
  DataFolder folder;
  folder.import(generated());
  auto report = folder.export_to([](std::string_view) -> Result<void> { return fail(ErrorCode::kUnavailable, "disk full"); });
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().message, "disk full");
}

}  // namespace
}  // namespace hearth::app::dataset
