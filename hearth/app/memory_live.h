#pragma once

// Live state in this process: the journal, likes and views in memory, and what follows the journal into SQL and views.db.
//
// Of a database that several could write to, one Hearth with one journal owns the likes: it holds the lease of the
// journal's partition while it runs. Another one is refused at its start. A lease that was lost is not taken again: what
// is flushed is refused by its fence, and the node is not ready.

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
#include "hearth/likes/inbox_drainer.h"
#include "hearth/likes/like_flusher.h"
#include "hearth/likes/stores/memory_like_store.h"
#include "hearth/likes/stores/memory_live_posts.h"
#include "hearth/outbox/journal.h"
#include "hearth/views/stores/memory_view_store.h"
#include "hearth/views/stores/views_file.h"
#include "hearth/views/view_flusher.h"

namespace hearth::app {

class MemoryLive final : public Live {
 public:
  // Opens the journal and views.db in `folder`, which is this process's alone. `vfs`: for tests.
  static Result<std::unique_ptr<MemoryLive>> open(const std::filesystem::path& folder, const Config& config, const Clock& clock, Sql& sql,
                                                  const std::string& vfs = {});
  ~MemoryLive() override;

  Result<void> start() override;
  void stop() override;

  likes::LikeStore& store() override { return store_; }
  likes::LivePosts& posts() override { return posts_; }
  views::ViewStore& views() override { return view_store_; }
  views::BufferedViews& buffered_views() override { return view_store_; }
  limits::Limiter* limiter() override { return nullptr; }
  likes::LikesOf likes_of() override;
  content::ReadDirty dirty() override;
  Task<Result<void>> flush() override;
  Result<void> is_ready() const override;
  bool is_degraded() const override { return false; }
  LiveStats stats() const override;
  void add_metrics(Metrics& metrics) const override;

 private:
  // Tells both stores of batches that are lost.
  class Listeners final : public outbox::JournalListener {
   public:
    Listeners(outbox::JournalListener& likes, outbox::JournalListener& views) : likes_(likes), views_(views) {}
    void on_lost(outbox::Sequence first) override {
      likes_.on_lost(first);
      views_.on_lost(first);
    }

   private:
    outbox::JournalListener& likes_;
    outbox::JournalListener& views_;
  };

  MemoryLive(std::unique_ptr<outbox::Journal> journal, std::unique_ptr<views::ViewsFile> views_file, std::string owner,
             const Config& config, const Clock& clock, Sql& sql);
  Result<void> claim_journal_partition();
  Result<void> check_alone();
  Result<void> check_followed(const std::string& last_owner);
  Result<void> renew_lease();
  Result<void> drain();
  Result<bool> flush_step();
  Result<bool> flush_when_due();
  Result<bool> flush_views_when_due();
  Result<bool> project();
  Result<bool> keep_house();
  void pass();
  void trim();

  const Clock& clock_;
  Sql& sql_;
  const std::uint64_t outbox_bytes_max_;
  std::unique_ptr<outbox::Journal> journal_;
  std::unique_ptr<views::ViewsFile> views_file_;
  const std::string owner_;  // of the lease, where one is needed
  likes::LikeFlusher flusher_;
  likes::MemoryLikeStore store_;
  likes::MemoryLivePosts posts_;
  likes::InboxDrainer drainer_;
  views::ViewFlusher view_flusher_;
  views::MemoryViewStore view_store_;
  Listeners listeners_;
  BackgroundTask flush_task_;
  BackgroundTask view_flush_task_;
  BackgroundTask projection_task_;
  BackgroundTask housekeeping_task_;
  BackgroundTask inbox_task_;
  std::unique_ptr<content::LikeProjection> projection_;  // null where the ledger's transactions keep posts.likes

  std::chrono::steady_clock::time_point renewal_due_{};
  std::atomic<bool> is_lease_lost_{false};
  std::atomic<bool> is_flush_wanted_{false};
  std::chrono::steady_clock::time_point flush_rest_until_{};
  std::atomic<bool> is_view_flush_wanted_{false};
  std::chrono::steady_clock::time_point view_flush_rest_until_{};
  std::atomic<outbox::Sequence> projected_{0};
  std::atomic<outbox::Sequence> passed_{0};  // by all that follow likes
  std::chrono::steady_clock::time_point last_prune_{};
  bool is_started_ = false;
  bool is_stopped_ = false;
};

}  // namespace hearth::app
