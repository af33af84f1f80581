#include "hearth/likes/like_reconciler.h"

#include <algorithm>
#include <utility>

namespace hearth::likes {
namespace {

constexpr std::size_t kPostsPerPage = 1'000;
constexpr int kTriesMax = 10;  // a post that is liked so fast that it is never at rest

std::uint64_t next_version(std::uint64_t version, const Clock& clock) {
  return std::max(version + 1, static_cast<std::uint64_t>(clock.now().time_since_epoch().count()));
}

bool same_sessions(std::vector<std::string> a, std::vector<std::string> b) {
  std::ranges::sort(a);
  std::ranges::sort(b);
  return a == b;
}

}  // namespace

Task<Result<std::uint32_t>> LikeReconciler::sync(PostId post) {
  if (auto taken = co_await take_from_ledger(post.str()); !taken) co_return std::unexpected(taken.error());
  std::vector<PostId> one{post};
  auto views = co_await store_.read(std::move(one), std::nullopt);
  if (!views) co_return std::unexpected(views.error());
  co_return views->front().likes;
}

// Makes the ledger's count that of its rows, and memory forget the post, so that it is loaded from there.
Task<Result<void>> LikeReconciler::take_from_ledger(std::string post) {
  for (int attempt = 0; attempt < kTriesMax; ++attempt) {
    if (auto flushed = co_await flush_(); !flushed) co_return flushed;
    auto members = co_await ledger_.members(post);
    if (!members) co_return std::unexpected(members.error());
    const LedgerPost& head = members->head;
    auto rows = static_cast<std::uint32_t>(members->sessions.size());
    if (head.version != 0 && head.likes != rows) {
      auto repaired = co_await ledger_.repair(head, members->sessions, next_version(head.version, clock_));
      if (!repaired) co_return std::unexpected(repaired.error());
      if (!*repaired) continue;
    }
    if (store_.forget(post)) co_return Result<void>{};
  }
  co_return fail(ErrorCode::kUnavailable, "the post changes too fast to be compared; try again later", "postId");
}

Task<Result<InitializeReport>> LikeReconciler::initialize() {
  if (auto flushed = co_await flush_(); !flushed) co_return std::unexpected(flushed.error());
  InitializeReport report;
  std::string after;
  for (;;) {
    auto page = co_await ledger_.audit(after, kPostsPerPage);
    if (!page) co_return std::unexpected(page.error());
    if (page->empty()) co_return report;
    for (const auto& audited : *page) {
      if (audited.rows != audited.head.likes || !store_.forget(audited.head.post)) {
        if (auto taken = co_await take_from_ledger(audited.head.post); !taken) co_return std::unexpected(taken.error());
      }
      ++report.posts;
      report.ratings += audited.rows;
    }
    after = page->back().head.post;
  }
}

Task<Result<ReconcileReport>> LikeReconciler::reconcile(std::optional<PostId> post) {
  if (auto flushed = co_await flush_(); !flushed) co_return std::unexpected(flushed.error());
  ReconcileReport report;
  std::string after;
  for (;;) {
    std::vector<AuditedPost> page;
    if (post) {
      auto one = co_await audit_one(post->str());
      if (!one) co_return std::unexpected(one.error());
      page.push_back(std::move(*one));
    } else {
      auto next = co_await ledger_.audit(after, kPostsPerPage);
      if (!next) co_return std::unexpected(next.error());
      if (next->empty()) co_return report;
      page = std::move(*next);
      after = page.back().head.post;
    }
    for (auto& audited : page) {
      Drift drift{.post = audited.head.post};
      auto verdict = co_await check(std::move(audited), post.has_value(), drift);
      if (!verdict) co_return std::unexpected(verdict.error());
      ++report.checked;
      if (*verdict == Verdict::kSame) continue;
      ++report.drifted;
      if (*verdict == Verdict::kRepaired) ++report.repaired;
      if (report.drift.size() < kDriftListedMax) report.drift.push_back(std::move(drift));
    }
    if (post) co_return report;
  }
}

Task<Result<AuditedPost>> LikeReconciler::audit_one(std::string post) {
  auto members = co_await ledger_.members(std::move(post));
  if (!members) co_return std::unexpected(members.error());
  co_return AuditedPost{members->head, static_cast<std::uint32_t>(members->sessions.size())};
}

Task<Result<LikeReconciler::Verdict>> LikeReconciler::check(AuditedPost audited, bool compares_sessions, Drift& drift) {
  bool has_drifted = false;
  for (int attempt = 0; attempt < kTriesMax; ++attempt) {
    const LedgerPost& head = audited.head;
    auto live = store_.clean_resident(head.post);
    // Not in memory: the ledger's rows are the live state. Or being changed just now: compared at the next try.
    bool is_comparable = live.has_value() || !store_.is_dirty(head.post);
    std::uint32_t live_likes = live ? live->view.likes : audited.rows;
    bool knows_sessions = live && live->has_sessions;
    if (is_comparable) {
      bool same = live_likes == head.likes && head.likes == audited.rows && (!live || live->view.version == head.version);
      if (same && knows_sessions && compares_sessions) {
        auto members = co_await ledger_.members(head.post);
        if (!members) co_return std::unexpected(members.error());
        same = same_sessions(members->sessions, live->sessions);
      }
      if (same) co_return has_drifted ? Verdict::kRepaired : Verdict::kSame;
      // A difference seen once may be a flush between the two looks; the same one seen twice is drift.
      if (attempt > 0) {
        if (!has_drifted) drift = {head.post, live_likes, head.likes, audited.rows};
        has_drifted = true;
        if (knows_sessions) {
          auto repaired = co_await ledger_.repair(head, live->sessions, live->view.version);
          if (!repaired) co_return std::unexpected(repaired.error());
        } else if (auto taken = co_await take_from_ledger(head.post); !taken) {
          co_return std::unexpected(taken.error());
        }
      }
    }
    if (auto flushed = co_await flush_(); !flushed) co_return std::unexpected(flushed.error());
    auto again = co_await audit_one(head.post);
    if (!again) co_return std::unexpected(again.error());
    audited = std::move(*again);
  }
  co_return has_drifted ? Verdict::kNotRepaired : Verdict::kSame;
}

}  // namespace hearth::likes
