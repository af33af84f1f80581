#pragma once

// What every ContentStore promises (content_store.h), as tests.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hearth/content/content_under_test.h"

namespace hearth::content {

class ContentStoreConformance : public ContentConformance {
 protected:
  Result<PutUser> put(UserDraft draft, std::size_t node = 0) { return run(store(node).put_user(std::move(draft))); }
  Result<CreatedPost> create(PostDraft draft, std::optional<IdempotencyKey> key = {}, std::size_t node = 0) {
    return run(store(node).create_post(std::move(draft), std::move(key)));
  }
};

TEST_P(ContentStoreConformance, AUserIsCreatedThenUpdatedThenUnchanged) {
  UserDraft draft{
      .id = user_id("u1"), .username = "Ada", .display_name = "Ada L.", .bio = "Numbers.", .profile_image_url = "https://x.org/a"};
  auto created = put(draft);
  ASSERT_TRUE(created);
  EXPECT_EQ(created->change, Change::kCreated);
  EXPECT_EQ(created->user.created_at, clock.now());
  EXPECT_EQ(run(pages().user(user_id("u1"))).value(), created->user);

  clock.advance(std::chrono::seconds(5));
  EXPECT_EQ(put(draft)->change, Change::kUnchanged);

  draft.bio.reset();
  draft.username = "ADA";  // its own name in another case
  auto updated = put(draft);
  ASSERT_TRUE(updated);
  EXPECT_EQ(updated->change, Change::kUpdated);
  EXPECT_EQ(updated->user.created_at, created->user.created_at);
  content->restart();
  EXPECT_EQ(run(pages().user(user_id("u1"))).value(), updated->user);
  EXPECT_FALSE(run(pages().user(user_id("u1")))->bio);
}

TEST_P(ContentStoreConformance, AUsernameOfAnotherIsAConflictWhateverTheCase) {
  ASSERT_TRUE(put({.id = user_id("u1"), .username = "Lucía"}));
  auto second = put({.id = user_id("u2"), .username = "LUCÍA"});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  EXPECT_EQ(second.error().field, "username");
  EXPECT_EQ(run(pages().user(user_id("u2"))).error().code, ErrorCode::kNotFound);

  ASSERT_TRUE(put({.id = user_id("u1"), .username = "someone_else"}));
  EXPECT_TRUE(put({.id = user_id("u2"), .username = "LUCÍA"})) << "a name that was given up is free";
}

TEST_P(ContentStoreConformance, OneOf64WhoWantAUsernameAtOnceGetsIt) {
  constexpr int kWriters = 64;
  std::atomic<int> won = 0;
  std::atomic<int> conflicts = 0;
  std::vector<std::jthread> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.emplace_back([&, i] {
      auto result = put({.id = user_id("u" + std::to_string(i)), .username = i % 2 ? "Wanted" : "wanted"}, i / 2);
      if (result) ++won;
      if (!result && result.error().code == ErrorCode::kConflict) ++conflicts;
    });
  }
  writers.clear();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(conflicts, kWriters - 1);
  EXPECT_EQ(content->count("SELECT count(*) FROM users"), 1);
}

TEST_P(ContentStoreConformance, OneOf64UsersWhoRenameThemselvesTheSameAtOnceGetsTheName) {
  constexpr int kWriters = 64;
  for (int i = 0; i < kWriters; ++i) add_user("u" + std::to_string(i));
  std::atomic<int> won = 0;
  std::atomic<int> conflicts = 0;
  std::vector<std::jthread> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.emplace_back([&, i] {
      // In a transaction with another draft, which the refusal leaves alone.
      auto changes = run(store(i).put_all({UserDraft{.id = user_id("u" + std::to_string(i)), .username = i % 2 ? "Wanted" : "wanted"},
                                           UserDraft{.id = user_id("new" + std::to_string(i)), .username = "new" + std::to_string(i)}}));
      ASSERT_TRUE(changes);
      if ((*changes)[0]) ++won;
      if (!(*changes)[0] && (*changes)[0].error().code == ErrorCode::kConflict) ++conflicts;
      EXPECT_TRUE((*changes)[1]);
    });
  }
  writers.clear();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(conflicts, kWriters - 1);
  EXPECT_EQ(content->count("SELECT count(*) FROM users"), 2 * kWriters);
}

TEST_P(ContentStoreConformance, APostIsReadBackAsItWasWritten) {
  add_user("ada");
  auto created = create({.id = post_id("p1"),
                         .author = user_id("ada"),
                         .content = "¡Hola!\nSecond line",
                         .image_url = "https://x.org/i.png",
                         .media_urls = {"https://x.org/1", "https://x.org/2"}});
  ASSERT_TRUE(created);
  EXPECT_FALSE(created->replayed);
  EXPECT_EQ(created->post.author_username, "ada");
  EXPECT_EQ(created->post.created_at, clock.now());
  content->restart();
  EXPECT_EQ(run(pages().post(post_id("p1"))).value(), created->post);
}

TEST_P(ContentStoreConformance, APostWithoutIdGetsOneThatSortsByTime) {
  add_user("ada");
  std::vector<std::string> ids;
  for (int i = 0; i < 50; ++i) {
    ids.push_back(create({.author = user_id("ada")})->post.id.str());
    clock.advance(std::chrono::microseconds(1 << (i / 2)));
  }
  EXPECT_TRUE(std::ranges::is_sorted(ids));
  EXPECT_EQ(std::ranges::adjacent_find(ids), ids.end());
  EXPECT_EQ(ids[0].size(), 36u);
  EXPECT_EQ(ids[0][14], '7') << "a UUID of version 7";
}

TEST_P(ContentStoreConformance, APostOfAnUnknownAuthorOrWithATakenIdIsRefused) {
  auto orphan = create({.author = user_id("nobody")});
  ASSERT_FALSE(orphan);
  EXPECT_EQ(orphan.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(orphan.error().field, "authorId");

  add_user("ada");
  add_post("p1");
  auto again = create({.id = post_id("p1"), .author = user_id("ada"), .content = "other"});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kConflict);
  EXPECT_EQ(again.error().field, "id");
  EXPECT_FALSE(run(pages().post(post_id("p1")))->content);
}

TEST_P(ContentStoreConformance, OneOf64WhoCreateTheSameIdAtOnceSucceeds) {
  add_user("ada");
  std::atomic<int> won = 0;
  std::vector<std::jthread> writers;
  for (int i = 0; i < 64; ++i) {
    writers.emplace_back([&, i] { won += create({.id = post_id("p1"), .author = user_id("ada")}, {}, i).has_value() ? 1 : 0; });
  }
  writers.clear();
  EXPECT_EQ(won, 1);
}

TEST_P(ContentStoreConformance, ARepeatedKeyGetsTheFirstAnswerAlsoAfterARestart) {
  add_user("ada");
  IdempotencyKey key{std::string("\0\xff", 2), std::string("\xfe\0", 2)};  // hashes: of any bytes
  PostDraft draft{
      .author = user_id("ada"), .content = "once", .image_url = "https://x.org/i", .media_urls = {"http://x.org/1", "http://x.org/2"}};
  auto first = create(draft, key);
  ASSERT_TRUE(first);
  ASSERT_TRUE(put({.id = user_id("ada"), .username = "renamed"}));
  content->restart();
  clock.advance(std::chrono::minutes(9));
  auto second = create(draft, key);
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->replayed);
  EXPECT_EQ(second->post, first->post) << "the first answer, although the author has another name by now";
  EXPECT_EQ(content->count("SELECT count(*) FROM posts"), 1);
}

TEST_P(ContentStoreConformance, ARepeatedKeyGetsTheFirstRefusalToo) {
  PostDraft draft{.author = user_id("ada")};
  auto first = create(draft, IdempotencyKey{"scope", "request"});
  add_user("ada");
  auto second = create(draft, IdempotencyKey{"scope", "request"});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, first.error().code);
  EXPECT_EQ(second.error().message, first.error().message);
  EXPECT_EQ(second.error().field, "authorId");
}

TEST_P(ContentStoreConformance, AKeyWithAnotherRequestIsRefused) {
  add_user("ada");
  ASSERT_TRUE(create({.author = user_id("ada")}, IdempotencyKey{"scope", "one"}));
  auto other = create({.author = user_id("ada")}, IdempotencyKey{"scope", "two"});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kIdempotencyKeyReused);
  EXPECT_TRUE(create({.author = user_id("ada")}, IdempotencyKey{"other scope", "two"}));
  EXPECT_EQ(content->count("SELECT count(*) FROM posts"), 2);
}

TEST_P(ContentStoreConformance, AKeyIsForgottenAfterTenMinutesAndItsRecordPruned) {
  add_user("ada");
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(create({.author = user_id("ada")}, IdempotencyKey{"scope" + std::to_string(i), "request"}));
  clock.advance(kIdempotencyKept);
  auto again = create({.author = user_id("ada")}, IdempotencyKey{"scope0", "another request"});
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->replayed);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(create({.author = user_id("ada")}, IdempotencyKey{"new" + std::to_string(i), "request"}));
  EXPECT_EQ(content->count("SELECT count(*) FROM idempotency_keys"), 11);
}

TEST_P(ContentStoreConformance, SixtyFourWithOneKeyAtOnceMakeOnePost) {
  add_user("ada");
  std::atomic<int> replayed = 0;
  std::vector<std::jthread> writers;
  for (int i = 0; i < 64; ++i) {
    writers.emplace_back(
        [&, i] { replayed += create({.author = user_id("ada")}, IdempotencyKey{"scope", "request"}, i)->replayed ? 1 : 0; });
  }
  writers.clear();
  EXPECT_EQ(replayed, 63);
  EXPECT_EQ(content->count("SELECT count(*) FROM posts"), 1);
}

TEST_P(ContentStoreConformance, ManyDraftsSucceedOrFailEachByItself) {
  auto changes = run(store().put_all({UserDraft{.id = user_id("ada"), .username = "ada"},           //
                                      UserDraft{.id = user_id("eve"), .username = "ADA"},           // taken
                                      UserDraft{.id = user_id("bob"), .username = "b o b"},         // breaks a limit
                                      PostDraft{.id = post_id("p1"), .author = user_id("ada")},     //
                                      PostDraft{.id = post_id("p2"), .author = user_id("nobody")},  // no such author
                                      PostDraft{.author = user_id("ada")},                          // no id
                                      PostDraft{.id = post_id("p1"), .author = user_id("ada"), .content = "new"}}));
  ASSERT_TRUE(changes);
  ASSERT_EQ(changes->size(), 7u);
  EXPECT_EQ((*changes)[0].value(), Change::kCreated);
  EXPECT_EQ((*changes)[1].error().field, "username");
  EXPECT_EQ((*changes)[2].error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ((*changes)[3].value(), Change::kCreated);
  EXPECT_EQ((*changes)[4].error().field, "authorId");
  EXPECT_EQ((*changes)[5].error().field, "id");
  EXPECT_EQ((*changes)[6].value(), Change::kUpdated);
  EXPECT_EQ(run(pages().post(post_id("p1")))->content, "new");
  EXPECT_EQ(content->count("SELECT count(*) FROM posts"), 1);
}

TEST_P(ContentStoreConformance, TwoImportsOfTheSameAtOnceAndInOppositeOrdersCreateEachOnce) {
  std::vector<Draft> users;
  std::vector<Draft> posts;
  for (int i = 0; i < 100; ++i) {
    users.emplace_back(
        UserDraft{.id = user_id("u" + std::to_string(i)), .username = "user" + std::to_string(i), .created_at = clock.now()});
    posts.emplace_back(PostDraft{.id = post_id("p" + std::to_string(i)), .author = user_id("u0"), .created_at = clock.now()});
  }
  std::vector<Draft> drafts[2] = {users, users};
  std::ranges::reverse(drafts[1]);
  drafts[0].insert(drafts[0].end(), posts.begin(), posts.end());
  drafts[1].insert(drafts[1].end(), posts.rbegin(), posts.rend());

  std::atomic<int> created = 0;
  std::atomic<int> unchanged = 0;
  std::vector<std::jthread> importers;
  for (std::size_t node : {0, 1}) {
    importers.emplace_back([&, node] {
      auto changes = run(store(node).put_all(drafts[node]));
      ASSERT_TRUE(changes) << changes.error().message;
      for (const auto& change : *changes) ++(change.value() == Change::kCreated ? created : unchanged);
    });
  }
  importers.clear();
  EXPECT_EQ(created, 200);
  EXPECT_EQ(unchanged, 200);
}

TEST_P(ContentStoreConformance, ManyDraftsAgainChangeNothing) {
  std::vector<Draft> drafts{
      UserDraft{.id = user_id("ada"), .username = "ada", .bio = "x", .created_at = clock.now() - std::chrono::minutes(5)},
      PostDraft{.id = post_id("p1"), .author = user_id("ada"), .content = "c", .media_urls = {"http://x.org"}}};
  ASSERT_TRUE(run(store().put_all(drafts)));
  auto before = run(pages().post(post_id("p1")));
  clock.advance(std::chrono::minutes(1));
  auto changes = run(store().put_all(drafts));
  ASSERT_TRUE(changes);
  EXPECT_EQ((*changes)[0].value(), Change::kUnchanged);
  EXPECT_EQ((*changes)[1].value(), Change::kUnchanged);
  EXPECT_EQ(run(pages().post(post_id("p1"))).value(), before.value());
}

}  // namespace hearth::content
