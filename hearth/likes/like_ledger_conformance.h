#pragma once

// What every LikeLedger promises (like_ledger.h), as tests.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "hearth/likes/like_ledger.h"
#include "hearth/likes/like_ledger_under_test.h"
#include "hearth/likes/test_stack.h"

namespace hearth::likes {

class LikeLedgerConformance : public testing::TestWithParam<LikeLedgerMaker> {
 protected:
  // An event that follows the post's last one, as the live store makes them.
  outbox::LikeChanged event(const std::string& post_id, const std::string& session_id, bool is_liked) {
    auto& last = last_[post_id];
    outbox::LikeChanged made{.post = keep(post_id),
                             .session = keep(session_id),
                             .version = last.version + 10,
                             .previous = last.version,
                             .likes = last.likes + (is_liked ? 1 : -1u),
                             .is_liked = is_liked,
                             .at = UtcMicros(std::chrono::microseconds(++micros_))};
    last = {made.version, made.likes};
    return made;
  }
  AppliedBatch apply(std::vector<outbox::LikeChanged> events) {
    return must(ledger().apply({.events = std::move(events), .cursor = {{.major = ++sequence_}, 7}}));
  }

  LikeLedger& ledger() { return under_test->ledger(); }
  LedgerPost head(const std::string& post_id) { return must(run(ledger().heads({post_id}))).front(); }
  std::vector<std::string> sessions(const std::string& post_id) {
    auto members = must(run(ledger().members(post_id)));
    EXPECT_EQ(members.head.likes, members.sessions.size());
    std::ranges::sort(members.sessions);
    return members.sessions;
  }
  std::vector<std::string> likes_of(const std::string& session_id, std::size_t limit = 100, std::vector<TailEvent> tail = {}) {
    auto likes = must(run(ledger().likes_of(session_id, limit, [tail] { return tail; })));
    std::vector<std::string> posts;
    for (const auto& like : likes) posts.push_back(like.post);
    return posts;
  }
  std::vector<AuditedPost> audit(const std::string& after, std::size_t limit) { return must(run(ledger().audit(after, limit))); }

  using Names = std::vector<std::string>;
  std::unique_ptr<LikeLedgerUnderTest> under_test = GetParam().make();

 private:
  struct Last {
    std::uint64_t version = 0;
    std::uint32_t likes = 0;
  };
  std::string_view keep(const std::string& text) { return *kept_.insert(text).first; }

  std::set<std::string> kept_;  // what the events point at
  std::map<std::string, Last> last_;
  std::int64_t micros_ = 1'700'000'000'000'000;
  outbox::Sequence sequence_ = 0;
};

TEST_P(LikeLedgerConformance, AnEmptyLedgerKnowsNothing) {
  EXPECT_EQ(head("p").version, 0u);
  EXPECT_EQ(head("p").likes, 0u);
  EXPECT_TRUE(sessions("p").empty());
  EXPECT_TRUE(likes_of("ada").empty());
  EXPECT_TRUE(audit("", 10).empty());
  EXPECT_EQ(must(ledger().cursor(outbox::kJournalPartition)).position.major, 0u);
  EXPECT_EQ(must(ledger().post_count()), 0u);
}

TEST_P(LikeLedgerConformance, ABatchBringsCountsRowsAndTheCursor) {
  auto applied = apply({event("p", "ada", true), event("q", "ada", true), event("p", "bob", true)});
  EXPECT_EQ(applied.posts, 2u);
  EXPECT_EQ(applied.rows, 3u);
  EXPECT_EQ(applied.gaps, 0u);
  EXPECT_EQ(head("p").likes, 2u);
  EXPECT_EQ(head("p").version, 20u);
  EXPECT_EQ(sessions("p"), (Names{"ada", "bob"}));
  EXPECT_EQ(must(ledger().cursor(outbox::kJournalPartition)).position.major, 1u);
  EXPECT_EQ(must(ledger().cursor(outbox::kJournalPartition)).checksum, 7u);
  EXPECT_EQ(must(ledger().post_count()), 2u);
}

TEST_P(LikeLedgerConformance, EverythingIsThereAfterARestart) {
  apply({event("p", "ada", true)});
  under_test->restart();
  EXPECT_EQ(sessions("p"), (Names{"ada"}));
  EXPECT_EQ(must(ledger().cursor(outbox::kJournalPartition)).position.major, 1u);
}

TEST_P(LikeLedgerConformance, AReplayChangesNothing) {
  std::vector<outbox::LikeChanged> first = {event("p", "ada", true), event("p", "bob", true), event("q", "ada", true)};
  std::vector<outbox::LikeChanged> second = {event("p", "ada", false), event("q", "eve", true)};
  apply(first);
  apply(second);
  auto before = likes_of("ada");
  // Both again, then only the older one, then both in one.
  auto both = first;
  both.insert(both.end(), second.begin(), second.end());
  for (const auto& replay : {first, second, both, first}) {
    auto applied = apply(replay);
    EXPECT_EQ(applied.posts, 0u);
    EXPECT_EQ(applied.rows, 0u);
    EXPECT_EQ(applied.gaps, 0u);
    EXPECT_EQ(sessions("p"), (Names{"bob"}));
    EXPECT_EQ(sessions("q"), (Names{"ada", "eve"}));
    EXPECT_EQ(head("p").version, second[0].version);
    EXPECT_EQ(likes_of("ada"), before);
  }
}

TEST_P(LikeLedgerConformance, AReplayWithNewEventsBehindItBringsOnlyThose) {
  std::vector<outbox::LikeChanged> events = {event("p", "ada", true), event("p", "bob", true)};
  apply(events);
  events.push_back(event("p", "ada", false));
  events.push_back(event("p", "eve", true));
  auto applied = apply(events);
  EXPECT_EQ(applied.rows, 2u);
  EXPECT_EQ(applied.gaps, 0u);
  EXPECT_EQ(sessions("p"), (Names{"bob", "eve"}));
}

TEST_P(LikeLedgerConformance, AnOlderVersionNeverOverwritesANewerOne) {
  auto like = event("p", "ada", true);
  auto unlike = event("p", "ada", false);
  apply({unlike});
  apply({like});
  EXPECT_EQ(head("p").version, unlike.version);
  EXPECT_TRUE(sessions("p").empty());
}

TEST_P(LikeLedgerConformance, ManyChangesOfOneSessionAreOneRow) {
  std::vector<outbox::LikeChanged> events;
  for (int i = 0; i < 101; ++i) events.push_back(event("p", "ada", i % 2 == 0));
  for (int i = 0; i < 100; ++i) events.push_back(event("p", "bob", i % 2 == 0));
  auto applied = apply(events);
  EXPECT_EQ(applied.posts, 1u);
  EXPECT_LE(applied.rows, 2u);
  EXPECT_EQ(sessions("p"), (Names{"ada"}));
}

TEST_P(LikeLedgerConformance, AGapInTheChainIsRecounted) {
  apply({event("p", "ada", true), event("p", "bob", true)});
  event("p", "eve", true);  // lost
  auto applied = apply({event("p", "zoe", true)});
  EXPECT_EQ(applied.gaps, 1u);
  EXPECT_EQ(head("p").likes, 3u);
  EXPECT_EQ(sessions("p"), (Names{"ada", "bob", "zoe"}));
}

TEST_P(LikeLedgerConformance, AGapWithinABatchIsRecountedToo) {
  auto first = event("p", "ada", true);
  event("p", "eve", true);  // lost
  auto applied = apply({first, event("p", "zoe", true)});
  EXPECT_EQ(applied.gaps, 1u);
  EXPECT_EQ(head("p").likes, 2u);
  EXPECT_EQ(sessions("p"), (Names{"ada", "zoe"}));
}

TEST_P(LikeLedgerConformance, AnEmptyBatchMovesOnlyTheCursor) {
  apply({event("p", "ada", true)});
  apply({});
  EXPECT_EQ(must(ledger().cursor(outbox::kJournalPartition)).position.major, 2u);
  EXPECT_EQ(sessions("p"), (Names{"ada"}));
}

TEST_P(LikeLedgerConformance, HeadsAnswerInTheOrderAsked) {
  apply({event("p", "ada", true), event("q", "ada", true), event("q", "bob", true)});
  auto heads = must(run(ledger().heads({"q", "unknown", "p", "q"})));
  ASSERT_EQ(heads.size(), 4u);
  EXPECT_EQ(heads[0].post, "q");
  EXPECT_EQ(heads[0].likes, 2u);
  EXPECT_EQ(heads[1].post, "unknown");
  EXPECT_EQ(heads[1].version, 0u);
  EXPECT_EQ(heads[2].likes, 1u);
  EXPECT_EQ(heads[3].likes, 2u);
}

TEST_P(LikeLedgerConformance, ASessionsLikesAreNewestFirstAndBounded) {
  apply({event("a", "ada", true), event("c", "ada", true), event("b", "ada", true), event("x", "bob", true)});
  EXPECT_EQ(likes_of("ada"), (Names{"b", "c", "a"}));
  EXPECT_EQ(likes_of("ada", 2), (Names{"b", "c"}));
  auto at = must(run(ledger().likes_of("bob", 1, [] { return std::vector<TailEvent>(); }))).front().at;
  EXPECT_EQ(at.time_since_epoch().count(), 1'700'000'000'000'004);
}

TEST_P(LikeLedgerConformance, ASessionsLikesIncludeTheTail) {
  apply({event("a", "ada", true), event("b", "ada", true), event("c", "ada", true)});  // at cursor 1
  auto at = [](int micros) { return UtcMicros(std::chrono::microseconds(1'700'000'000'000'100 + micros)); };
  std::vector<TailEvent> tail = {
      {.position = {.major = 1}, .post = "c", .is_liked = false, .at = at(0)},  // the ledger is behind this already
      {.position = {.major = 2}, .post = "b", .is_liked = false, .at = at(1)},
      {.position = {.major = 3}, .post = "d", .is_liked = true, .at = at(2)},
      {.position = {.major = 3}, .post = "e", .is_liked = true, .at = at(3)},
      {.position = {.major = 4}, .post = "d", .is_liked = false, .at = at(4)},
      {.position = {.major = 5}, .post = "a", .is_liked = false, .at = at(5)},
      {.position = {.major = 6}, .post = "a", .is_liked = true, .at = at(6)}};
  EXPECT_EQ(likes_of("ada", 100, tail), (Names{"a", "e", "c"}));
  EXPECT_EQ(likes_of("ada", 1, tail), (Names{"a"}));
}

TEST_P(LikeLedgerConformance, UnlikesInTheTailMakeRoomForOlderLikes) {
  apply({event("a", "ada", true), event("b", "ada", true), event("c", "ada", true)});
  std::vector<TailEvent> tail = {{.position = {.major = 2}, .post = "c", .is_liked = false, .at = {}},
                                 {.position = {.major = 3}, .post = "b", .is_liked = false, .at = {}}};
  EXPECT_EQ(likes_of("ada", 1, tail), (Names{"a"}));
}

TEST_P(LikeLedgerConformance, AFailedTailFailsTheList) {
  auto likes = run(ledger().likes_of("ada", 10, [] { return Result<std::vector<TailEvent>>(fail(ErrorCode::kUnavailable, "no tail")); }));
  ASSERT_FALSE(likes);
  EXPECT_EQ(likes.error().code, ErrorCode::kUnavailable);
}

TEST_P(LikeLedgerConformance, AuditPagesInTheOrderOfIds) {
  apply({event("b", "ada", true), event("c", "ada", true), event("a", "ada", true), event("a", "bob", true), event("d", "ada", true)});
  auto page = audit("", 3);
  ASSERT_EQ(page.size(), 3u);
  EXPECT_EQ(page[0].head.post, "a");
  EXPECT_EQ(page[0].head.likes, 2u);
  EXPECT_EQ(page[0].rows, 2u);
  EXPECT_EQ(page[2].head.post, "c");
  page = audit("c", 3);
  ASSERT_EQ(page.size(), 1u);
  EXPECT_EQ(page[0].head.post, "d");
  EXPECT_TRUE(audit("d", 3).empty());
}

TEST_P(LikeLedgerConformance, ARepairMakesThePostExactlyThis) {
  apply({event("p", "ada", true), event("p", "bob", true)});
  ASSERT_TRUE(must(run(ledger().repair(head("p"), {"bob", "eve"}, 500))));
  EXPECT_EQ(sessions("p"), (Names{"bob", "eve"}));
  EXPECT_EQ(head("p").version, 500u);
  EXPECT_EQ(head("p").likes, 2u);
  auto bobs = must(run(ledger().likes_of("bob", 1, [] { return std::vector<TailEvent>(); })));
  EXPECT_EQ(bobs.front().at.time_since_epoch().count(), 1'700'000'000'000'002) << "a row that stays keeps its time";
  EXPECT_TRUE(likes_of("ada").empty());
}

TEST_P(LikeLedgerConformance, ARepairMayKeepTheVersion) {
  apply({event("p", "ada", true)});
  auto before = head("p");
  ASSERT_TRUE(must(run(ledger().repair(before, {"ada", "eve"}, before.version))));
  EXPECT_EQ(sessions("p"), (Names{"ada", "eve"}));
  EXPECT_EQ(head("p").version, before.version);
  EXPECT_EQ(head("p").likes, 2u);
}

TEST_P(LikeLedgerConformance, ARepairOfAnotherVersionIsRefused) {
  apply({event("p", "ada", true)});
  LedgerPost seen = head("p");
  apply({event("p", "bob", true)});
  EXPECT_FALSE(must(run(ledger().repair(seen, {}, 500))));
  EXPECT_EQ(sessions("p"), (Names{"ada", "bob"}));
  EXPECT_EQ(head("p").version, 20u);
}

TEST_P(LikeLedgerConformance, ARepairCanMakeAnUnknownPost) {
  ASSERT_TRUE(must(run(ledger().repair({.post = "p"}, {"ada"}, 500))));
  EXPECT_EQ(sessions("p"), (Names{"ada"}));
  EXPECT_FALSE(must(run(ledger().repair({.post = "p"}, {}, 600)))) << "it is known now";
}

TEST_P(LikeLedgerConformance, EachPartitionHasItsOwnCursor) {
  EXPECT_TRUE(must(run(ledger().cursors())).empty());
  apply({event("p", "ada", true)});
  must(ledger().apply({.partition = 3, .events = {event("q", "ada", true)}, .cursor = {{.major = 17, .minor = 4}, 8}}));
  auto cursors = must(run(ledger().cursors()));
  EXPECT_EQ(cursors.size(), 2u);
  auto third = must(ledger().cursor(3));
  EXPECT_EQ(third.position, (outbox::Position{17, 4}));
  EXPECT_EQ(third.checksum, 8u);
  EXPECT_EQ(must(ledger().cursor(4)).position, outbox::Position{});
  EXPECT_EQ(must(ledger().cursor(outbox::kJournalPartition)).position.major, 1u);
}

TEST_P(LikeLedgerConformance, ASessionsTailIsComparedWithTheCursorOfItsPartition) {
  must(ledger().apply({.partition = 0, .events = {event("a", "ada", true)}, .cursor = {{.major = 100}, 1}}));
  must(ledger().apply({.partition = 1, .events = {event("b", "ada", true)}, .cursor = {{.major = 5, .minor = 1}, 1}}));
  std::vector<TailEvent> tail = {{.partition = 0, .position = {100, 0}, .post = "a", .is_liked = false, .at = {}},
                                 {.partition = 1, .position = {5, 2}, .post = "b", .is_liked = false, .at = {}}};
  EXPECT_EQ(likes_of("ada", 100, tail), (Names{"a"}));
}

TEST_P(LikeLedgerConformance, AReportedGapWritesNothingAndNamesThePosts) {
  apply({event("p", "ada", true)});
  event("p", "eve", true);  // lost
  std::vector<outbox::LikeChanged> events = {event("q", "ada", true), event("p", "zoe", true)};
  auto applied = must(ledger().apply({.events = events, .cursor = {{.major = 2}, 7}, .on_gap = OnGap::kReport}));
  EXPECT_EQ(applied.gap_posts, (Names{"p"}));
  EXPECT_EQ(sessions("p"), (Names{"ada"}));
  EXPECT_EQ(head("q").version, 0u);
  EXPECT_EQ(must(ledger().cursor(outbox::kJournalPartition)).position.major, 1u);
}

TEST_P(LikeLedgerConformance, ACopyStandsForThePostsEventsUpToItsVersion) {
  apply({event("p", "ada", true), event("p", "bob", true)});
  event("p", "eve", true);  // lost
  auto known_by_copy = event("p", "bob", false);
  auto after_copy = event("p", "zoe", true);
  LedgerMembers copy{.head = {"p", 2, known_by_copy.version}, .sessions = {"eve", "ada"}};
  auto applied = must(
      ledger().apply({.events = {known_by_copy, after_copy}, .copies = {copy}, .cursor = {{.major = 2}, 7}, .on_gap = OnGap::kReport}));
  EXPECT_TRUE(applied.gap_posts.empty());
  EXPECT_EQ(sessions("p"), (Names{"ada", "eve", "zoe"}));
  EXPECT_EQ(head("p").version, after_copy.version);
  EXPECT_TRUE(likes_of("bob").empty());
  auto adas = must(run(ledger().likes_of("ada", 1, [] { return std::vector<TailEvent>(); })));
  EXPECT_EQ(adas.front().at.time_since_epoch().count(), 1'700'000'000'000'001) << "a row that stays keeps its time";
}

TEST_P(LikeLedgerConformance, ACopyThatIsNotNewerChangesNothing) {
  apply({event("p", "ada", true), event("p", "bob", true)});
  auto applied =
      must(ledger().apply({.events = {}, .copies = {{.head = {"p", 0, head("p").version}, .sessions = {}}}, .cursor = {{.major = 2}, 7}}));
  EXPECT_EQ(applied.posts, 0u);
  EXPECT_EQ(sessions("p"), (Names{"ada", "bob"}));
}

TEST_P(LikeLedgerConformance, ACopyCanBringAnUnknownPostAndOneThatNobodyLikesAnyMore) {
  apply({event("q", "ada", true)});
  must(ledger().apply({.events = {},
                       .copies = {{.head = {"p", 1, 50}, .sessions = {"ada"}}, {.head = {"q", 0, 60}, .sessions = {}}},
                       .cursor = {{.major = 2}, 7}}));
  EXPECT_EQ(sessions("p"), (Names{"ada"}));
  EXPECT_EQ(head("p").version, 50u);
  EXPECT_TRUE(sessions("q").empty());
  EXPECT_EQ(head("q").version, 60u);
}

TEST_P(LikeLedgerConformance, HeadsArePagedInTheOrderOfIds) {
  apply({event("b", "ada", true), event("B", "ada", true), event("a", "ada", true), event("a-1", "ada", true)});
  auto names = [&](const std::string& after, std::size_t limit) {
    Names found;
    for (const auto& one : must(ledger().heads_after(after, limit))) found.push_back(one.post);
    return found;
  };
  EXPECT_EQ(names("", 3), (Names{"B", "a", "a-1"}));
  EXPECT_EQ(names("a-1", 3), (Names{"b"}));
  EXPECT_TRUE(names("b", 3).empty());
}

// What a ledger promises that several nodes write to: a LikeLedgerUnderTest with leases().
class LeasedLikeLedgerConformance : public LikeLedgerConformance {
 protected:
  outbox::PartitionLeases& leases() { return *under_test->leases(); }
  Result<AppliedBatch> flush(const outbox::HeldPartition& held, std::uint64_t position, std::vector<outbox::LikeChanged> events) {
    return ledger().apply(
        {.partition = held.partition, .events = std::move(events), .cursor = {{.major = position}, 7}, .lease = held.lease});
  }
  static ErrorCode code_of(const Result<AppliedBatch>& refused) {
    EXPECT_FALSE(refused);
    return refused ? ErrorCode::kInternal : refused.error().code;
  }
};

TEST_P(LeasedLikeLedgerConformance, WhoHasLostThePartitionWritesNothing) {
  auto first = must(leases().seize("node-1", 2));
  must(flush(first, 1, {event("p", "ada", true)}));
  auto second = must(leases().seize("node-2", 2));
  auto late = event("p", "bob", true);
  EXPECT_EQ(code_of(flush(first, 2, {late})), ErrorCode::kConflict);
  EXPECT_EQ(sessions("p"), (Names{"ada"}));
  EXPECT_FALSE(ledger().reset_cursor(2, first.lease));
  EXPECT_EQ(must(ledger().cursor(2)).position.major, 1u);
  must(flush(second, 2, {late}));
  EXPECT_EQ(sessions("p"), (Names{"ada", "bob"}));
}

TEST_P(LeasedLikeLedgerConformance, WhoHasLostThePartitionAndGotItAgainNeedsTheNewLease) {
  auto first = must(leases().seize("node-1", 2));
  must(leases().seize("node-2", 2));
  auto again = must(leases().seize("node-1", 2));
  EXPECT_GT(again.lease.fence, first.lease.fence);
  EXPECT_EQ(code_of(flush(first, 1, {event("p", "ada", true)})), ErrorCode::kConflict);
  must(flush(again, 1, {}));
}

TEST_P(LeasedLikeLedgerConformance, ABatchThatIsBehindTheCursorIsRefused) {
  auto held = must(leases().seize("node-1", 2));
  must(flush(held, 10, {}));
  EXPECT_EQ(code_of(flush(held, 9, {event("p", "ada", true)})), ErrorCode::kConflict);
  EXPECT_EQ(head("p").version, 0u);
  must(ledger().reset_cursor(2, held.lease));
  EXPECT_EQ(must(ledger().cursor(2)).position, outbox::Position{});
  must(flush(held, 9, {}));
}

}  // namespace hearth::likes
