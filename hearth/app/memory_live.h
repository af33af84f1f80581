#pragma once

// Live state in this process: the journal, likes in memory, and what follows the journal into SQL.

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "hearth/app/config.h"
#include "hearth/app/live.h"
#include "hearth/app/sql.h"
#include "hearth/base/background_task.h"
#include "hearth/base/clock.h"
#include "hearth/likes/like_flusher.h"
#include "hearth/likes/stores/memory_like_store.h"
#include "hearth/likes/stores/memory_live_posts.h"
#include "hearth/outbox/journal.h"

namespace hearth::app {

class MemoryLive final : public Live {
 public:
  // Opens the journal in `folder`, which is this process's alone. `vfs`: for tests.
  static Result<std::unique_ptr<MemoryLive>> open(const std::filesystem::path& folder, const Config& config, const Clock& clock, Sql& sql,
                                                  const std::string& vfs = {});
  ~MemoryLive() override;

  Result<void> start() override;
  void stop() override;

  likes::LikeStore& store() override { return store_; }
  likes::LivePosts& posts() override { return posts_; }
  likes::LikesOf likes_of() override;
  content::ReadDirty dirty() override;
  Task<Result<void>> flush() override;
  Result<void> is_ready() const override;
  LiveStats stats() const override;
  void add_metrics(Metrics& metrics) const override;

 private:
  MemoryLive(std::unique_ptr<outbox::Journal> journal, const Config& config, const Clock& clock, Sql& sql);
  content::LedgerCounts ledger_counts();
  Result<void> drain();
  Result<bool> flush_when_due();
  Result<bool> project();
  Result<bool> keep_house();
  void pass();

  const Clock& clock_;
  Sql& sql_;
  const std::uint64_t outbox_bytes_max_;
  std::unique_ptr<outbox::Journal> journal_;
  likes::LikeFlusher flusher_;
  likes::MemoryLikeStore store_;
  likes::MemoryLivePosts posts_;
  BackgroundTask flush_task_;
  BackgroundTask projection_task_;
  BackgroundTask housekeeping_task_;
  std::unique_ptr<content::LikeProjection> projection_;  // null where the ledger's transactions keep posts.likes

  std::atomic<bool> is_flush_wanted_{false};
  std::chrono::steady_clock::time_point flush_rest_until_{};
  std::atomic<outbox::Sequence> projected_{0};
  std::atomic<outbox::Sequence> passed_{0};
  std::chrono::steady_clock::time_point last_prune_{};
  bool is_started_ = false;
  bool is_stopped_ = false;
};

}  // namespace hearth::app
