#include "hearth/likes/like_service.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "hearth/likes/test_world.h"

namespace hearth::likes {
namespace {

Task<Result<bool>> starts_with_k(PostId post_id) {
  if (post_id.view() == "broken") co_return fail(ErrorCode::kUnavailable, "cannot look");
  co_return post_id.view().starts_with('k');
}

class LikeServiceTest : public testing::Test {
 protected:
  LikeService service(PostExists require_post = nullptr) {
    auto& stack = *world.stack;
    return LikeService(*stack.store, likes_by_journal(*stack.ledger, *stack.journal, *stack.flusher), std::move(require_post));
  }
  std::vector<std::string> likes_of(const std::string& session_id, std::size_t limit = kLikesPerSessionMax) {
    auto asked = service();
    std::vector<std::string> posts;
    for (const auto& like : must(run(asked.likes_of(session(session_id), limit)))) posts.push_back(like.post);
    return posts;
  }
  void toggle(const std::string& post_id, const std::string& session_id) {
    world.clock.advance(std::chrono::microseconds(1));
    world.stack->toggle(post_id, session_id);
  }

  using Names = std::vector<std::string>;
  World world;
};

TEST_F(LikeServiceTest, ASessionsLikesAreThereAtOnceAndAfterTheFlush) {
  toggle("a", "ada");
  toggle("b", "ada");
  toggle("b", "bob");
  EXPECT_EQ(likes_of("ada"), (Names{"b", "a"}));
  world.stack->flush();
  EXPECT_EQ(likes_of("ada"), (Names{"b", "a"}));
  toggle("b", "ada");
  toggle("c", "ada");
  EXPECT_EQ(likes_of("ada"), (Names{"c", "a"}));
  EXPECT_EQ(likes_of("ada", 1), (Names{"c"}));
  EXPECT_EQ(likes_of("bob"), (Names{"b"}));
  EXPECT_TRUE(likes_of("nobody").empty());
}

// Flushed a part at a time, with a restart between: the list is that of the model at every moment.
TEST_F(LikeServiceTest, ASessionsLikesAreExactWhileTheFlusherIsBehind) {
  std::mt19937_64 random(7);
  std::vector<std::string> model;  // newest first
  for (int i = 0; i < 600; ++i) {
    std::string post_id = "p" + std::to_string(random() % 30);
    toggle(post_id, random() % 3 == 0 ? "bob" : "ada");
    auto liked = world.stack->view(post_id, "ada").is_liked;
    auto known = std::find(model.begin(), model.end(), post_id);
    if (liked && known == model.end()) model.insert(model.begin(), post_id);
    if (!liked && known != model.end()) model.erase(known);
    ASSERT_EQ(likes_of("ada"), model);
    if (random() % 10 == 0) world.stack->flush();
    if (random() % 100 == 0) world.restart();
  }
}

TEST_F(LikeServiceTest, AnImportedLikeKeepsItsTime) {
  auto made = service();
  UtcMicros at(std::chrono::seconds(1'500'000'000));
  must(run(made.change({.post = post("old"), .session = session("ada"), .at = at})));
  toggle("new", "ada");
  for (int i = 0; i < 2; ++i) {
    auto likes = must(run(made.likes_of(session("ada"), 10)));
    ASSERT_EQ(likes.size(), 2u);
    EXPECT_EQ(likes[1].post, "old");
    EXPECT_EQ(likes[1].at, at);
    world.stack->flush();
  }
}

TEST_F(LikeServiceTest, PostsMustBeKnownIfThatIsWanted) {
  auto strict = service(starts_with_k);
  EXPECT_TRUE(run(strict.change({.post = post("known"), .session = session("ada")})));
  auto unknown = run(strict.change({.post = post("unknown"), .session = session("ada")}));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  auto broken = run(strict.change({.post = post("broken"), .session = session("ada")}));
  EXPECT_EQ(broken.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(world.stack->view("unknown", "ada").likes, 0u);
}

TEST_F(LikeServiceTest, UnknownPostsOfABatchFailInTheirPlace) {
  auto strict = service(starts_with_k);
  auto outcomes = run(strict.change_all({{.post = post("k1"), .session = session("ada")},
                                         {.post = post("unknown"), .session = session("ada")},
                                         {.post = post("k2"), .session = session("ada")},
                                         {.post = post("k1"), .session = session("bob")}}));
  ASSERT_EQ(outcomes.size(), 4u);
  EXPECT_EQ(must(outcomes[0]).likes, 1u);
  EXPECT_EQ(outcomes[1].error().code, ErrorCode::kNotFound);
  EXPECT_EQ(must(outcomes[2]).likes, 1u);
  EXPECT_EQ(must(outcomes[3]).likes, 2u);
}

}  // namespace
}  // namespace hearth::likes
