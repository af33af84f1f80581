#include "hearth/limits/rule_book.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <utility>

#include "hearth/base/run_to_end.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/limits/rule_json.h"

namespace hearth::limits {
namespace {

std::string rules(const std::string& name, const std::string& route = "POST /api/posts") {
  return R"({"rules": [{"name": ")" + name + R"(", "routes": [")" + route + R"("], "identity": "user", "limit": 1, "windowMs": 1000}]})";
}

class RuleBookTest : public testing::Test {
 protected:
  // What nodes share.
  struct Shared {
    std::optional<std::string> text = {};
    std::optional<Error> failure = {};
    std::function<void()> before_load_ends = [] {};
  };

  RuleDocument document() {
    return {.load = [this]() -> Task<Result<std::optional<std::string>>> {
              if (shared.failure) co_return std::unexpected(*shared.failure);
              auto text = shared.text;
              shared.before_load_ends();
              co_return text;
            },
            .save = [this](std::string text) -> Task<Result<void>> {
              if (shared.failure) co_return std::unexpected(*shared.failure);
              shared.text = std::move(text);
              co_return Result<void>{};
            },
            .remove = [this]() -> Task<Result<void>> {
              shared.text.reset();
              co_return Result<void>{};
            }};
  }

  // A node with two routes.
  struct Node {
    explicit Node(RuleBook::Options options)
        : book(std::move(options)), posts(book.add_route("POST", "/api/posts")), likes(book.add_route("PUT", "/api/posts/{postId}/like")) {}
    // The names of all rules, and where they are from.
    std::string held() const {
      auto now = book.held();
      std::string names(name_of(now.source));
      for (const auto& rule : now.set->rules()) names += " " + rule.name;
      return names;
    }
    void reload() {
      auto reloaded = run_to_end(book.reload());
      EXPECT_TRUE(reloaded) << reloaded.error().message;
    }

    RuleBook book;
    const RuleBook::Route& posts;
    const RuleBook::Route& likes;
  };

  std::unique_ptr<Node> started(RuleBook::Options options = {}) {
    options.document = document();
    auto node = std::make_unique<Node>(std::move(options));
    auto start = node->book.start();
    EXPECT_TRUE(start) << start.error().message;
    return node;
  }
  void write_file(const std::string& text) { std::ofstream(file) << text; }

  Shared shared;
  sqlite::TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "rules.json";
};

TEST_F(RuleBookTest, HoldsTheDefaultsWhereUsersHaveTokens) {
  EXPECT_EQ(started()->held(), "defaults");
  EXPECT_EQ(started({.has_user_tokens = true})->held(), "defaults create-posts likes");  // there are no views, no sign-in
}

TEST_F(RuleBookTest, HoldsTheFileInPlaceOfTheDefaults) {
  write_file(rules("from-file"));
  auto node = started({.file = file, .has_user_tokens = true});
  EXPECT_EQ(node->held(), "file from-file");
  EXPECT_TRUE(node->posts.is_limited());
  EXPECT_FALSE(node->likes.is_limited());
  ASSERT_EQ(node->posts.rules().rules.size(), 1U);
  EXPECT_EQ(node->posts.rules().rules[0]->name, "from-file");
}

TEST_F(RuleBookTest, DoesNotStartWithAFileThatIsNotInOrder) {
  for (const auto& text : {rules("r", "POST /api/post"), rules(""), std::string("{")}) {
    write_file(text);
    RuleBook book({.file = file});
    book.add_route("POST", "/api/posts");
    auto start = book.start();
    ASSERT_FALSE(start) << text;
    EXPECT_EQ(start.error().field, "ratelimit.rules_file");
    EXPECT_NE(start.error().message.find(file.string()), std::string::npos) << start.error().message;
  }
  RuleBook missing({.file = folder.path() / "none"});
  EXPECT_FALSE(missing.start());
}

TEST_F(RuleBookTest, LetsAChangedFileHold) {
  write_file(rules("old"));
  auto node = started({.file = file});
  write_file(rules("new"));
  node->reload();
  EXPECT_EQ(node->held(), "file new");
  write_file("{");
  EXPECT_FALSE(run_to_end(node->book.reload()));
  EXPECT_EQ(node->held(), "file new");
}

TEST_F(RuleBookTest, LetsWhatIsPutHoldHereAtOnceAndElsewhereAtTheNextLook) {
  auto here = started({.has_user_tokens = true});
  auto elsewhere = started();
  ASSERT_TRUE(run_to_end(here->book.put(rules("mine", "* /api/posts/{postId}/like"))));
  EXPECT_EQ(here->held(), "put mine");
  EXPECT_FALSE(here->posts.is_limited());
  EXPECT_TRUE(here->likes.is_limited());
  EXPECT_EQ(elsewhere->held(), "defaults");
  elsewhere->reload();
  EXPECT_EQ(elsewhere->held(), "put mine");

  ASSERT_TRUE(run_to_end(elsewhere->book.remove_put()));
  EXPECT_EQ(elsewhere->held(), "defaults");
  here->reload();
  EXPECT_EQ(here->held(), "defaults create-posts likes");
}

TEST_F(RuleBookTest, KeepsNothingOfWhatIsNotInOrder) {
  auto node = started();
  for (const auto& [text, field] : {std::pair(rules("r", "POST /api/post"), "rules[0].routes[0]"), std::pair(rules(""), "rules[0].name")}) {
    auto put = run_to_end(node->book.put(text));
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().field, field);
  }
  EXPECT_EQ(node->held(), "defaults");
  EXPECT_FALSE(shared.text);
}

TEST_F(RuleBookTest, HoldsWhatHeldWhileTheDocumentIsAway) {
  auto node = started();
  ASSERT_TRUE(run_to_end(node->book.put(rules("mine"))));
  shared.failure = Error{ErrorCode::kUnavailable, "away"};
  EXPECT_FALSE(run_to_end(node->book.reload()));
  EXPECT_FALSE(run_to_end(node->book.put(rules("other"))));
  EXPECT_EQ(node->held(), "put mine");
}

TEST_F(RuleBookTest, TakesRulesForRoutesThatAnotherVersionHas) {
  auto node = started();
  shared.text = rules("newer", "POST /api/what-is-to-come");
  node->reload();
  EXPECT_EQ(node->held(), "put newer");
  EXPECT_FALSE(node->posts.is_limited());
}

TEST_F(RuleBookTest, IgnoresALookThatBeganBeforeAnotherOne) {
  auto node = started();
  shared.text = rules("old");
  bool is_first = true;
  shared.before_load_ends = [&] {
    if (!std::exchange(is_first, false)) return;
    ASSERT_TRUE(run_to_end(node->book.put(rules("new"))));
  };
  node->reload();
  EXPECT_EQ(node->held(), "put new");
}

TEST_F(RuleBookTest, KeepsTheRulesOfARequestUnderWay) {
  auto node = started();
  ASSERT_TRUE(run_to_end(node->book.put(rules("old"))));
  auto under_way = node->posts.rules();
  ASSERT_TRUE(run_to_end(node->book.put(rules("new"))));
  ASSERT_TRUE(run_to_end(node->book.put(R"({"rules": []})")));
  EXPECT_FALSE(node->posts.is_limited());
  EXPECT_EQ(under_way.rules[0]->name, "old");
}

}  // namespace
}  // namespace hearth::limits
