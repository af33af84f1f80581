#include "hearth/content/content.h"

#include <gtest/gtest.h>

#include "hearth/content/username.h"

namespace hearth::content {
namespace {

const UserId kAda = UserId::parse("ada", "userId").value();

TEST(Username, LettersOfAnyScriptAndDigitsAndThreeSignsAreAllowed) {
  for (std::string_view name : {"a", "lucia_nature", "Ada.Lovelace-1815", "_", "José", "Ñandú", "Ωmega", "мир", "東京", "مرحبا", "आनंद"}) {
    EXPECT_TRUE(is_valid_username(name)) << name;
  }
  EXPECT_TRUE(is_valid_username(std::string(64, 'a')));
}

TEST(Username, EverythingElseIsRefused) {
  const std::string_view bad[] = {"",
                                  "a b",
                                  "a/b",
                                  "a@b",
                                  "a\tb",
                                  std::string_view("a\0b", 3),
                                  "a\xC2\xA0z",         // no-break space
                                  "e\xCC\x81",          // a combining accent
                                  "a\xE2\x80\x8B",      // zero-width space
                                  "a\xE2\x80\xAEz",     // right-to-left override
                                  "\xF0\x9F\x98\x80",   // an emoji
                                  "\xC3",               // half a letter
                                  "\xC0\xAF",           // a slash in overlong form
                                  "\xED\xA0\x80",       // a surrogate
                                  "\xF4\x90\x80\x80"};  // above Unicode
  for (std::string_view name : bad) EXPECT_FALSE(is_valid_username(name)) << name;
  EXPECT_FALSE(is_valid_username(std::string(65, 'a')));
}

TEST(Username, CaseIsFoldedInLatinGreekAndCyrillic) {
  struct Case {
    std::string_view text, folded;
  };
  for (auto [text, folded] : {Case{"LuCia_1", "lucia_1"}, Case{"ÑANDÚ", "ñandú"}, Case{"ŁÓDŹ", "łódź"}, Case{"ĽŇŤ", "ľňť"},
                              Case{"ΆΛΦΑΣ", "άλφασ"}, Case{"ЁЛКА", "ёлка"}, Case{"東京", "東京"}, Case{"straße", "straße"}}) {
    EXPECT_EQ(fold_username(text), folded);
    EXPECT_EQ(fold_username(folded), folded);
  }
}

TEST(UserDraftCheck, NamesTheFieldThatBreaksALimit) {
  UserDraft good{.id = kAda,
                 .username = "ada",
                 .display_name = std::string(256, 'x'),
                 .bio = std::string(2'000, 'x'),
                 .profile_image_url = "https://example.org/ada.png"};
  EXPECT_TRUE(check(good));

  struct Case {
    std::string_view field;
    std::function<void(UserDraft&)> spoil;
  };
  const Case cases[] = {{"username", [](auto& draft) { draft.username = "ada lovelace"; }},
                        {"displayName", [](auto& draft) { draft.display_name = std::string(257, 'x'); }},
                        {"displayName", [](auto& draft) { draft.display_name = std::string("a\0b", 3); }},
                        {"bio", [](auto& draft) { draft.bio = std::string(2'001, 'x'); }},
                        {"profileImageUrl", [](auto& draft) { draft.profile_image_url = "ftp://example.org/ada.png"; }}};
  for (const auto& [field, spoil] : cases) {
    UserDraft draft = good;
    spoil(draft);
    auto checked = check(draft);
    ASSERT_FALSE(checked) << field;
    EXPECT_EQ(checked.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(checked.error().field, field);
  }
}

TEST(PostDraftCheck, NamesTheFieldThatBreaksALimit) {
  PostDraft good{.author = kAda,
                 .content = std::string(10'000, 'x'),
                 .image_url = "HTTPS://example.org/" + std::string(2'028, 'x'),
                 .media_urls = std::vector<std::string>(10, "http://example.org/ä?b=c#d")};
  ASSERT_EQ(good.image_url->size(), kUrlBytesMax);
  EXPECT_TRUE(check(good));

  struct Case {
    std::string_view field;
    std::function<void(PostDraft&)> spoil;
  };
  const Case cases[] = {{"content", [](auto& draft) { draft.content->push_back('x'); }},
                        {"imageUrl", [](auto& draft) { draft.image_url->push_back('x'); }},
                        {"mediaUrls", [](auto& draft) { draft.media_urls.emplace_back("http://example.org/"); }},
                        {"mediaUrls", [](auto& draft) { draft.media_urls[3] = "/relative"; }}};
  for (const auto& [field, spoil] : cases) {
    PostDraft draft = good;
    spoil(draft);
    auto checked = check(draft);
    ASSERT_FALSE(checked) << field;
    EXPECT_EQ(checked.error().field, field);
  }
}

TEST(PostDraftCheck, OnlyWebAddressesAreUrls) {
  for (std::string url : {"", "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "http://", "https:///path", "http://?q",
                          "http:/example.org", "http://exa mple.org", "http://example.org/\n", "http://example.org/\"", "example.org"}) {
    EXPECT_FALSE(check(PostDraft{.author = kAda, .image_url = url})) << url;
  }
}

TEST(PostCursor, TextLeadsBackToTheCursor) {
  PostCursor cursor{UtcMicros(std::chrono::microseconds(1'700'000'000'123'456)), "a_b-1"};
  EXPECT_EQ(parse_cursor(to_text(cursor)).value(), cursor);
  PostCursor early{UtcMicros(std::chrono::microseconds(-5)), "x"};
  EXPECT_EQ(parse_cursor(to_text(early)).value(), early);
}

TEST(PostCursor, ForeignTextIsRefused) {
  for (std::string_view text : {"", "_", "12", "12_", "x_y", "12-y", "12_with space", "99999999999999999999_x"}) {
    auto parsed = parse_cursor(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().field, "cursor");
  }
}

}  // namespace
}  // namespace hearth::content
