#include "hearth/likes/like_reconciler.h"

#include <algorithm>
#include <utility>

#include "hearth/base/log.h"

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

// Makes the ledger's count that of its rows, and the live store forget the post, so that it is loaded from there. Where that
// shows another count than before, it gets a new version.
Task<Result<void>> LikeReconciler::take_from_ledger(std::string post) {
  for (int attempt = 0; attempt < kTriesMax; ++attempt) {
    if (auto flushed = co_await flush_(); !flushed) co_return flushed;
    auto members = co_await ledger_.members(post);
    if (!members) co_return std::unexpected(members.error());
    const LedgerPost& head = members->head;
    auto rows = static_cast<std::uint32_t>(members->sessions.size());
    auto version = co_await live_.reserve_version(post, head.version);
    if (!version) co_return std::unexpected(version.error());
    if (!*version) continue;  // a change is on its way to SQL
    auto is_dirty = co_await live_.is_dirty(post);
    if (!is_dirty) co_return std::unexpected(is_dirty.error());
    if (*is_dirty) continue;
    auto live = co_await clean(post, /*wants_sessions=*/false);
    if (!live) co_return std::unexpected(live.error());
    bool shows_another = head.likes != rows || (*live && (*live)->view.likes != rows);
    bool is_known = head.version != 0 || rows != 0;  // rows without a head: another program wrote them
    if (is_known && shows_another) {
      auto repaired = co_await ledger_.repair(head, members->sessions, **version);
      if (!repaired) co_return std::unexpected(repaired.error());
      if (!*repaired) continue;
    }
    auto forgotten = co_await live_.forget(post, *live ? (*live)->view.version : 0);
    if (!forgotten) co_return std::unexpected(forgotten.error());
    if (*forgotten) co_return co_await announce(std::move(post));
  }
  co_return fail(ErrorCode::kUnavailable, "the post changes too fast to be compared; try again later", "postId");
}

Task<Result<std::optional<LivePost>>> LikeReconciler::clean(std::string post, bool wants_sessions) {
  std::vector<std::string> one{std::move(post)};
  auto found = co_await live_.clean(std::move(one), wants_sessions);
  if (!found) co_return std::unexpected(found.error());
  co_return std::move(found->front());
}

Task<Result<InitializeReport>> LikeReconciler::initialize() {
  if (auto flushed = co_await flush_(); !flushed) co_return std::unexpected(flushed.error());
  InitializeReport report;
  std::string after;
  for (;;) {
    auto page = co_await ledger_.audit(after, kPostsPerPage);
    if (!page) co_return std::unexpected(page.error());
    if (page->empty()) co_return report;
    auto live = co_await clean_all(*page);
    if (!live) co_return std::unexpected(live.error());
    for (std::size_t i = 0; i < page->size(); ++i) {
      const AuditedPost& audited = (*page)[i];
      const auto& resident = (*live)[i];
      bool agrees = audited.rows == audited.head.likes &&
                    (!resident || (resident->view.likes == audited.rows && resident->view.version == audited.head.version));
      bool is_done = false;
      if (agrees) {
        auto forgotten = co_await live_.forget(audited.head.post, resident ? resident->view.version : 0);
        if (!forgotten) co_return std::unexpected(forgotten.error());
        is_done = *forgotten;
      }
      if (!is_done) {
        if (auto taken = co_await take_from_ledger(audited.head.post); !taken) co_return std::unexpected(taken.error());
      }
      ++report.posts;
      report.ratings += audited.rows;
    }
    after = page->back().head.post;
  }
}

Task<Result<std::vector<std::optional<LivePost>>>> LikeReconciler::clean_all(const std::vector<AuditedPost>& page) {
  std::vector<std::string> posts;
  posts.reserve(page.size());
  for (const auto& audited : page) posts.push_back(audited.head.post);
  co_return co_await live_.clean(std::move(posts), /*wants_sessions=*/false);
}

Task<Result<ReconcileReport>> LikeReconciler::reconcile(std::optional<PostId> post, Repairs repairs) {
  if (auto flushed = co_await flush_(); !flushed) co_return std::unexpected(flushed.error());
  ReconcileReport report;
  if (post) {
    auto one = co_await audit_one(post->str());
    if (!one) co_return std::unexpected(one.error());
    auto checked = co_await check_one(*std::move(one), /*compares_sessions=*/true, repairs, report);
    if (!checked) co_return std::unexpected(checked.error());
    if (auto announced = co_await announce(post->str()); !announced) co_return std::unexpected(announced.error());
    co_return report;
  }
  std::string after;
  for (bool more = true; more;) {
    auto page = co_await reconcile_page(after, kPostsPerPage, repairs, report);
    if (!page) co_return std::unexpected(page.error());
    more = *page;
  }
  std::string from;
  do {
    auto next = co_await reconcile_unknown(std::move(from), repairs, report);
    if (!next) co_return std::unexpected(next.error());
    from = *std::move(next);
  } while (!from.empty());
  co_return report;
}

Task<Result<bool>> LikeReconciler::reconcile_page(std::string& after, std::size_t limit, Repairs repairs, ReconcileReport& report) {
  auto page = co_await ledger_.audit(after, limit);
  if (!page) co_return std::unexpected(page.error());
  if (page->empty()) co_return false;
  after = page->back().head.post;
  auto live = co_await clean_all(*page);
  if (!live) co_return std::unexpected(live.error());
  for (std::size_t i = 0; i < page->size(); ++i) {
    const AuditedPost& audited = (*page)[i];
    const auto& resident = (*live)[i];
    // Nearly all posts: both sides say the same at the same version.
    if (resident && resident->view.version == audited.head.version && resident->view.likes == audited.rows &&
        audited.head.likes == audited.rows) {
      ++report.checked;
      continue;
    }
    auto checked = co_await check_one(audited, /*compares_sessions=*/false, repairs, report);
    if (!checked) co_return std::unexpected(checked.error());
  }
  co_return page->size() == limit;
}

// Posts of the live store that SQL does not know: another program made them there.
Task<Result<std::string>> LikeReconciler::reconcile_unknown(std::string from, Repairs repairs, ReconcileReport& report) {
  auto page = co_await live_.scan(std::move(from));
  if (!page) co_return std::unexpected(page.error());
  if (page->posts.empty()) co_return std::move(page->next);
  auto heads = co_await ledger_.heads(page->posts);
  if (!heads) co_return std::unexpected(heads.error());
  for (auto& head : *heads) {
    if (head.version != 0) continue;
    AuditedPost unknown{.head = std::move(head)};
    auto checked = co_await check_one(std::move(unknown), /*compares_sessions=*/true, repairs, report);
    if (!checked) co_return std::unexpected(checked.error());
  }
  co_return std::move(page->next);
}

Task<Result<void>> LikeReconciler::check_one(AuditedPost audited, bool compares_sessions, Repairs repairs, ReconcileReport& report) {
  Drift drift{.post = audited.head.post};
  auto verdict = co_await check(std::move(audited), compares_sessions, repairs, drift);
  if (!verdict && verdict.error().code == ErrorCode::kInternal) {  // of this post alone, as a key of it that holds something else
    log::error("reconcile", "a post could not be compared", {{"post", drift.post}, {"error", verdict.error().message}});
    verdict = Verdict::kNotRepaired;
  }
  if (!verdict) co_return std::unexpected(verdict.error());
  ++report.checked;
  if (*verdict == Verdict::kSame) co_return Result<void>{};
  ++report.drifted;
  if (*verdict == Verdict::kRepaired) ++report.repaired;
  if (report.drift.size() < kDriftListedMax) report.drift.push_back(std::move(drift));
  co_return Result<void>{};
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

Task<Result<LikeReconciler::Verdict>> LikeReconciler::check(AuditedPost audited, bool compares_sessions, Repairs repairs, Drift& drift) {
  bool has_drifted = false;
  Versions last;
  for (int attempt = 0; attempt < kTriesMax; ++attempt) {
    auto compared = co_await compare(audited, compares_sessions, last);
    if (!compared) co_return std::unexpected(compared.error());
    if (*compared == Comparison::kSame) co_return has_drifted ? Verdict::kRepaired : Verdict::kSame;
    if (*compared == Comparison::kDiffers) {
      auto live = co_await clean(audited.head.post, /*wants_sessions=*/false);
      if (!live) co_return std::unexpected(live.error());
      if (!has_drifted) drift = {audited.head.post, *live ? (*live)->view.likes : audited.rows, audited.head.likes, audited.rows};
      has_drifted = true;
      if (repairs == Repairs::kNone) co_return Verdict::kNotRepaired;
      if (auto repaired = co_await repair(audited); !repaired) co_return std::unexpected(repaired.error());
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
  auto was_dirty = co_await live_.is_dirty(head.post);
  if (!was_dirty) co_return std::unexpected(was_dirty.error());
  auto found = co_await clean(head.post, compares_sessions);
  if (!found) co_return std::unexpected(found.error());
  const auto& live = *found;
  if (!live && *was_dirty) co_return Comparison::kTryAgain;
  if (live && live->view.version != head.version) {
    Versions seen{live->view.version, head.version};
    co_return seen == std::exchange(last, seen) ? Comparison::kDiffers : Comparison::kTryAgain;
  }
  if (head.likes != audited.rows || (live && live->view.likes != audited.rows)) co_return Comparison::kDiffers;
  if (!compares_sessions || !live || !live->has_sessions) co_return Comparison::kSame;
  auto members = co_await ledger_.members(head.post);
  if (!members) co_return std::unexpected(members.error());
  if (members->head.version != head.version) co_return Comparison::kTryAgain;
  co_return same_sessions(std::move(members->sessions), live->sessions) ? Comparison::kSame : Comparison::kDiffers;
}

// Live state wins where it knows who likes the post. That SQL did not know a post is no knowledge.
Task<Result<void>> LikeReconciler::repair(const AuditedPost& audited) {
  const LedgerPost& head = audited.head;
  auto found = co_await clean(head.post, /*wants_sessions=*/true);
  if (!found) co_return std::unexpected(found.error());
  auto& live = *found;
  if (!live) {
    auto is_dirty = co_await live_.is_dirty(head.post);
    if (!is_dirty) co_return std::unexpected(is_dirty.error());
    if (*is_dirty) co_return Result<void>{};  // being changed: compared again
  }
  bool knows_nothing = live && live->view.version == 0 && live->view.likes == 0 && audited.rows > 0;
  if (!live || !live->has_sessions || knows_nothing) co_return co_await take_from_ledger(head.post);
  if (live->view.likes != live->sessions.size()) {
    if (auto recounted = co_await live_.recount(head.post); !recounted) co_return recounted;
  }
  std::uint64_t version = live->view.version;
  if (version == 0) {  // never changed through Hearth
    auto reserved = co_await live_.reserve_version(head.post, head.version);
    if (!reserved) co_return std::unexpected(reserved.error());
    if (!*reserved) co_return Result<void>{};  // being changed: compared again
    version = **reserved;
  }
  auto repaired = co_await ledger_.repair(head, std::move(live->sessions), version);
  if (!repaired) co_return std::unexpected(repaired.error());
  co_return co_await announce(head.post);
}

}  // namespace hearth::likes
