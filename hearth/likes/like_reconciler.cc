#include "hearth/likes/like_reconciler.h"

#include <algorithm>
#include <utility>

namespace hearth::likes {
namespace {

constexpr std::size_t kPostsPerPage = 1'000;
constexpr int kTriesMax = 10;  // a post that is liked so fast that it is never at rest

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

// Makes the ledger's count that of its rows, and memory forget the post, so that it is loaded from there. Where that shows
// another count than before, it gets a new version.
Task<Result<void>> LikeReconciler::take_from_ledger(std::string post) {
  for (int attempt = 0; attempt < kTriesMax; ++attempt) {
    if (auto flushed = co_await flush_(); !flushed) co_return flushed;
    auto members = co_await ledger_.members(post);
    if (!members) co_return std::unexpected(members.error());
    const LedgerPost& head = members->head;
    auto rows = static_cast<std::uint32_t>(members->sessions.size());
    auto version = store_.reserve_version(head.version);
    if (store_.is_dirty(post)) continue;
    auto live = store_.clean_resident(post, /*wants_sessions=*/false);
    bool shows_another = head.likes != rows || (live && live->view.likes != rows);
    if (head.version != 0 && shows_another) {
      auto repaired = co_await ledger_.repair(head, members->sessions, version);
      if (!repaired) co_return std::unexpected(repaired.error());
      if (!*repaired) continue;
    }
    if (store_.forget(post)) co_return co_await announce(std::move(post));
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
      auto live = store_.clean_resident(audited.head.post, /*wants_sessions=*/false);
      bool agrees = audited.rows == audited.head.likes && (!live || live->view.likes == audited.rows);
      if (!agrees || !store_.forget(audited.head.post)) {
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
    if (!post) continue;
    if (auto announced = co_await announce(post->str()); !announced) co_return std::unexpected(announced.error());
    co_return report;
  }
}

Task<Result<void>> LikeReconciler::announce(std::string post) {
  if (!on_repaired_) co_return Result<void>{};
  co_return co_await on_repaired_(std::move(post));
}

Task<Result<AuditedPost>> LikeReconciler::audit_one(std::string post) {
  auto members = co_await ledger_.members(std::move(post));
  if (!members) co_return std::unexpected(members.error());
  co_return AuditedPost{members->head, static_cast<std::uint32_t>(members->sessions.size())};
}

Task<Result<LikeReconciler::Verdict>> LikeReconciler::check(AuditedPost audited, bool compares_sessions, Drift& drift) {
  bool has_drifted = false;
  Versions last;
  for (int attempt = 0; attempt < kTriesMax; ++attempt) {
    auto compared = co_await compare(audited, compares_sessions, last);
    if (!compared) co_return std::unexpected(compared.error());
    if (*compared == Comparison::kSame) co_return has_drifted ? Verdict::kRepaired : Verdict::kSame;
    if (*compared == Comparison::kDiffers) {
      auto live = store_.clean_resident(audited.head.post, /*wants_sessions=*/false);
      if (!has_drifted) drift = {audited.head.post, live ? live->view.likes : audited.rows, audited.head.likes, audited.rows};
      has_drifted = true;
      if (auto repaired = co_await repair(audited.head); !repaired) co_return std::unexpected(repaired.error());
    }
    if (auto flushed = co_await flush_(); !flushed) co_return std::unexpected(flushed.error());
    auto again = co_await audit_one(audited.head.post);
    if (!again) co_return std::unexpected(again.error());
    audited = std::move(*again);
  }
  co_return has_drifted ? Verdict::kNotRepaired : Verdict::kSame;
}

// Only at one version: a post that changes may be flushed between the two looks. The same two versions seen twice have
// nothing to do with a flush.
Task<Result<LikeReconciler::Comparison>> LikeReconciler::compare(const AuditedPost& audited, bool compares_sessions, Versions& last) {
  const LedgerPost& head = audited.head;
  bool was_dirty = store_.is_dirty(head.post);
  auto live = store_.clean_resident(head.post, compares_sessions);
  if (!live && was_dirty) co_return Comparison::kTryAgain;
  if (live && live->view.version != head.version) {
    Versions seen{live->view.version, head.version};
    co_return seen == std::exchange(last, seen) ? Comparison::kDiffers : Comparison::kTryAgain;
  }
  if (head.likes != audited.rows || (live && live->view.likes != audited.rows)) co_return Comparison::kDiffers;
  if (!compares_sessions || !live || !live->has_sessions) co_return Comparison::kSame;
  auto members = co_await ledger_.members(head.post);
  if (!members) co_return std::unexpected(members.error());
  if (members->head.version != head.version) co_return Comparison::kTryAgain;
  co_return same_sessions(std::move(members->sessions), std::move(live->sessions)) ? Comparison::kSame : Comparison::kDiffers;
}

Task<Result<void>> LikeReconciler::repair(const LedgerPost& head) {
  auto live = store_.clean_resident(head.post, /*wants_sessions=*/true);
  if (!live && store_.is_dirty(head.post)) co_return Result<void>{};  // being changed: compared again
  if (!live || !live->has_sessions) co_return co_await take_from_ledger(head.post);
  auto repaired = co_await ledger_.repair(head, std::move(live->sessions), live->view.version);
  if (!repaired) co_return std::unexpected(repaired.error());
  co_return co_await announce(head.post);
}

}  // namespace hearth::likes
