#pragma once

// Brings live state and SQL together when something other than Hearth has changed one of them.
//
// Always: first the flusher brings everything that was answered to the ledger; then both are compared at one version; then
// the repair is a compare-and-set on that version, and is tried again if a like came between. A repair that makes a new
// version reserves it in the store, so that a like that comes meanwhile has a higher one and is not taken for an old one.
// Live state wins where it knows who likes the post; the ledger's rows win over its counts.
//
// Thread-safe; likes go on meanwhile.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hearth/base/task.h"
#include "hearth/likes/like_ledger.h"
#include "hearth/likes/like_store.h"
#include "hearth/likes/live_posts.h"

namespace hearth::likes {

inline constexpr std::size_t kDriftListedMax = 1'000;

// Returns once the ledger has everything that is durable now.
using Flush = std::function<Task<Result<void>>()>;

// The ledger's count of a post was set other than by the outbox: whoever keeps a copy must look again.
using OnRepaired = std::function<Task<Result<void>>(std::string post)>;

struct Drift {
  std::string post;
  std::uint32_t live = 0;
  std::uint32_t sql = 0;      // the ledger's count
  std::uint32_t ratings = 0;  // the ledger's rows
};

struct ReconcileReport {
  std::uint64_t checked = 0;
  std::uint64_t drifted = 0;
  std::uint64_t repaired = 0;
  std::vector<Drift> drift;  // at most kDriftListedMax
};

enum class Repairs : std::uint8_t { kMade, kNone };

struct InitializeReport {
  std::uint64_t posts = 0;
  std::uint64_t ratings = 0;
};

class LikeReconciler {
 public:
  LikeReconciler(LikeStore& store, LivePosts& live, LikeLedger& ledger, Flush flush, OnRepaired on_repaired = {})
      : store_(store), live_(live), ledger_(ledger), flush_(std::move(flush)), on_repaired_(std::move(on_repaired)) {}

  // Takes the post's live state from SQL and returns its count.
  Task<Result<std::uint32_t>> sync(PostId post);
  // The same for every post.
  Task<Result<InitializeReport>> initialize();
  // Compares one post, sessions included, or the counts of all, and repairs what differs.
  Task<Result<ReconcileReport>> reconcile(std::optional<PostId> post, Repairs repairs = Repairs::kMade);
  // The next `limit` posts of SQL after `after`, which moves on; adds to `report`. False: those were the last.
  // For doing it in pieces; flush before the first.
  Task<Result<bool>> reconcile_page(std::string& after, std::size_t limit, Repairs repairs, ReconcileReport& report);
  // The same for the next posts that only the live store knows, from "" on. Returns where to go on; "" at the end.
  Task<Result<std::string>> reconcile_unknown(std::string from, Repairs repairs, ReconcileReport& report);

 private:
  enum class Verdict : std::uint8_t { kSame, kRepaired, kNotRepaired };

  // A comparison: whether it could be made, and what it said.
  enum class Comparison : std::uint8_t { kTryAgain, kSame, kDiffers };
  struct Versions {
    std::uint64_t live = 0;
    std::uint64_t ledger = 0;
    friend bool operator==(const Versions&, const Versions&) = default;
  };

  Task<Result<void>> take_from_ledger(std::string post);
  Task<Result<Comparison>> compare(const AuditedPost& audited, bool compares_sessions, Versions& last);
  Task<Result<void>> repair(const AuditedPost& audited);
  Task<Result<Verdict>> check(AuditedPost audited, bool compares_sessions, Repairs repairs, Drift& drift);
  Task<Result<void>> check_one(AuditedPost audited, bool compares_sessions, Repairs repairs, ReconcileReport& report);
  Task<Result<std::optional<LivePost>>> clean(std::string post, bool wants_sessions);
  Task<Result<std::vector<std::optional<LivePost>>>> clean_all(const std::vector<AuditedPost>& page);
  Task<Result<AuditedPost>> audit_one(std::string post);

  Task<Result<void>> announce(std::string post);

  LikeStore& store_;
  LivePosts& live_;
  LikeLedger& ledger_;
  Flush flush_;
  OnRepaired on_repaired_;
};

}  // namespace hearth::likes
