#include "hearth/app/dataset/data_line.h"

#include <gtest/gtest.h>

namespace hearth::app::dataset {
namespace {

using std::chrono::microseconds;

Result<DataLine> parse(std::string line) {
  return parse_line(line);
}

TEST(DataLine, AUserWithAllFieldsIsReadBackAsItWasWritten) {
  content::User user{.id = UserId::trusted("u1"),
                     .username = "Lucía",
                     .display_name = "Lucía \"F\"",
                     .bio = "Line one\nline two",
                     .profile_image_url = "https://example.org/l.png",
                     .created_at = UtcMicros(microseconds(1'700'000'000'123'456))};
  std::string line;
  append_user(line, user);
  EXPECT_TRUE(line.ends_with(R"("createdAt":"2023-11-14T22:13:20.123456Z"})"
                             "\n"));
  auto read = parse(line);
  ASSERT_TRUE(read) << read.error().message;
  const auto& draft = std::get<content::UserDraft>(*read);
  EXPECT_EQ((content::User{draft.id, draft.username, draft.display_name, draft.bio, draft.profile_image_url, draft.created_at.value()}),
            user);
}

TEST(DataLine, APostWithAllFieldsIsReadBackAsItWasWritten) {
  content::Post post{.id = PostId::trusted("p1"),
                     .author = UserId::trusted("u1"),
                     .author_username = "not written",
                     .content = "¡Hola!",
                     .image_url = "https://example.org/i.png",
                     .media_urls = {"https://example.org/1", "https://example.org/2"},
                     .created_at = UtcMicros(microseconds(1'700'000'000'123'000))};
  std::string line;
  append_post(line, post);
  EXPECT_TRUE(line.ends_with(R"("createdAt":"2023-11-14T22:13:20.123Z"})"
                             "\n"));
  auto read = parse(line);
  ASSERT_TRUE(read) << read.error().message;
  const auto& draft = std::get<content::PostDraft>(*read);
  EXPECT_EQ(draft.id, post.id);
  EXPECT_EQ(draft.author, post.author);
  EXPECT_EQ(draft.content, post.content);
  EXPECT_EQ(draft.image_url, post.image_url);
  EXPECT_EQ(draft.media_urls, post.media_urls);
  EXPECT_EQ(draft.created_at, post.created_at);
}

TEST(DataLine, ARatingIsReadBackAsItWasWritten) {
  std::string line;
  append_rating(line, "p1", "s1", "2026-01-31T12:00:00.000Z");
  auto read = parse(line);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(std::get<Rating>(*read),
            (Rating{PostId::trusted("p1"), SessionId::trusted("s1"), parse_rfc3339("2026-01-31T12:00:00Z", "").value()}));
}

TEST(DataLine, AStoryAndAChapterAreReadBackAsTheyWereWritten) {
  content::Story story{.id = content::StoryId::trusted("s"),
                       .author = UserId::trusted("ada"),
                       .title = "El río\n",
                       .summary = "",
                       .cover_image_url = "https://x.org/c.png",
                       .read_count = content::kReadCountMax,
                       .created_at = parse_rfc3339("2026-01-31T12:00:00.000001Z", "").value()};
  std::string line;
  append_story(line, story);
  auto read = parse(line);
  ASSERT_TRUE(read) << read.error().message;
  const auto& draft = std::get<content::StoryDraft>(*read);
  EXPECT_EQ(draft.id, story.id);
  EXPECT_EQ(draft.author, story.author);
  EXPECT_EQ(draft.title, story.title);
  EXPECT_EQ(draft.summary, story.summary);
  EXPECT_EQ(draft.cover_image_url, story.cover_image_url);
  EXPECT_EQ(draft.read_count, story.read_count);
  EXPECT_EQ(draft.created_at, story.created_at);

  content::Chapter chapter{.id = content::ChapterId::trusted("c"),
                           .story = story.id,
                           .title = "Uno",
                           .content = std::string(content::kChapterContentBytesMax, '"'),
                           .position = 0,
                           .created_at = story.created_at};
  line.clear();
  append_chapter(line, chapter);
  EXPECT_LE(line.size(), kLineBytesMax);
  read = parse(line);
  ASSERT_TRUE(read) << read.error().message;
  const auto& part = std::get<content::ChapterDraft>(*read);
  EXPECT_EQ(part.id, chapter.id);
  EXPECT_EQ(part.story, chapter.story);
  EXPECT_EQ(part.title, chapter.title);
  EXPECT_EQ(part.content, chapter.content);
  EXPECT_EQ(part.position, 0);
  EXPECT_EQ(part.read_count, 0u);
  EXPECT_EQ(part.created_at, chapter.created_at);

  auto short_one = std::get<content::StoryDraft>(parse(R"({"type":"story","id":"s","viewCount":null})").value());
  EXPECT_FALSE(short_one.read_count);
  EXPECT_FALSE(short_one.created_at);
}

TEST(DataLine, TheTypeMayStandAnywhereAndNullIsAsIfAbsent) {
  auto user = parse(R"({"username":"ada","bio":null,"id":"u1","displayName":null,"createdAt":null,"type":"user"})");
  ASSERT_TRUE(user) << user.error().message;
  EXPECT_FALSE(std::get<content::UserDraft>(*user).bio);
  EXPECT_FALSE(std::get<content::UserDraft>(*user).created_at);
  EXPECT_FALSE(std::get<Rating>(parse(R"({"sessionId":"s","type":"rating","postId":"p"})").value()).at);
}

TEST(DataLine, WhatIsWrongIsNamed) {
  struct Case {
    std::string line;
    std::string_view field;
  };
  const Case cases[] = {
      {R"(not json)", ""},
      {R"([1,2])", ""},
      {R"({"type":"user")", ""},
      {R"({"type":"user","id":"u","username":"a"} {})", ""},
      {"{\"type\":\"user\",\"id\":\"u\",\"username\":\"\xff\"}", ""},
      {R"({"id":"u","username":"a"})", "type"},
      {R"({"type":"comment","id":"u"})", "type"},
      {R"({"type":7})", "type"},
      {R"({"type":"user","type":"user","id":"u","username":"a"})", "type"},
      {R"({"type":"user","id":"u","username":"a","userName":"a"})", "userName"},
      {R"({"type":"user","username":"a"})", "id"},
      {R"({"type":"user","id":"has space","username":"a"})", "id"},
      {R"({"type":"user","id":"u"})", "username"},
      {R"({"type":"user","id":"u","username":""})", "username"},
      {R"({"type":"user","id":"u","username":"a","bio":5})", "bio"},
      {R"({"type":"user","id":"u","username":"a","profileImageUrl":"/a.png"})", "profileImageUrl"},
      {R"({"type":"user","id":"u","username":"a","createdAt":"yesterday"})", "createdAt"},
      {R"({"type":"user","id":"u","username":"a","postId":"p"})", "postId"},
      {R"({"type":"user","id":"u","username":"a","mediaUrls":[]})", "mediaUrls"},
      {R"({"type":"post","authorId":"u"})", "id"},
      {R"({"type":"post","id":"p"})", "authorId"},
      {R"({"type":"post","id":"p","authorId":"u","likes":3})", "likes"},
      {R"({"type":"post","id":"p","authorId":"u","mediaUrls":"http://x.org"})", "mediaUrls"},
      {R"({"type":"post","id":"p","authorId":"u","mediaUrls":[1]})", "mediaUrls"},
      {R"({"type":"post","id":"p","authorId":"u","imageUrl":"javascript:1"})", "imageUrl"},
      {R"({"type":"post","id":"p","authorId":"u","content":")" + std::string(10'001, 'x') + "\"}", "content"},
      {R"({"type":"post","id":"p","authorId":"u","createdAt":"2026-02-30T00:00:00Z"})", "createdAt"},
      {R"({"type":"story","title":"t"})", "id"},
      {R"({"type":"story","id":"s","authorId":"has space"})", "authorId"},
      {R"({"type":"story","id":"s","viewCount":-1})", "viewCount"},
      {R"({"type":"story","id":"s","viewCount":"7"})", "viewCount"},
      {R"({"type":"story","id":"s","viewCount":1000000000000001})", "viewCount"},
      {R"({"type":"story","id":"s","position":1})", "position"},
      {R"({"type":"story","id":"s","coverImageUrl":"/c.png"})", "coverImageUrl"},
      {R"({"type":"chapter","id":"c"})", "storyId"},
      {R"({"type":"chapter","id":"c","storyId":"s","position":-1})", "position"},
      {R"({"type":"chapter","id":"c","storyId":"s","summary":"x"})", "summary"},
      {R"({"type":"chapter","id":"c","storyId":"s","title":")" + std::string(501, 'x') + "\"}", "title"},
      {R"({"type":"rating","sessionId":"s"})", "postId"},
      {R"({"type":"rating","postId":"p"})", "sessionId"},
      {R"({"type":"rating","postId":"p","sessionId":""})", "sessionId"},
      {R"({"type":"rating","postId":"p","sessionId":")" + std::string(129, 's') + "\"}", "sessionId"},
      {R"({"type":"rating","postId":"p","sessionId":"s","createdAt":1})", "createdAt"},
      {R"({"type":"rating","postId":"p","sessionId":"s","id":"r"})", "id"},
  };
  for (const auto& [line, field] : cases) {
    auto read = parse(line);
    ASSERT_FALSE(read) << line;
    EXPECT_FALSE(read.error().message.empty()) << line;
    EXPECT_LT(read.error().message.size(), 300u) << "a reason is short whatever the line";
    if (!field.empty()) EXPECT_TRUE(read.error().message.contains(field)) << line << "\n" << read.error().message;
  }
}

}  // namespace
}  // namespace hearth::app::dataset
