#pragma once

// Live state in Redis, shared by all nodes, and this node's part in bringing it to SQL.

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hearth/app/config.h"
#include "hearth/app/live.h"
#include "hearth/base/background_task.h"
#include "hearth/base/clock.h"
#include "hearth/drivers/redis/client.h"
#include "hearth/likes/stores/redis/redis_flusher.h"
#include "hearth/likes/stores/redis/redis_guard.h"
#include "hearth/likes/stores/redis/redis_tail.h"
#include "hearth/likes/stores/redis/switching_like_store.h"
#include "hearth/limits/stores/redis/redis_limiter.h"
#include "hearth/views/stores/redis/redis_view_store.h"
#include "hearth/views/stores/redis/switching_view_store.h"
#include "hearth/views/view_drainer.h"
#include "hearth/views/view_inbox.h"

namespace hearth::app {

class RedisLive final : public Live {
 public:
  // What it needs of SQL; all outlive it.
  struct Ground {
    likes::LikeLedger& ledger;
    likes::LikeInbox& inbox;
    likes::LiveControl& control;
    outbox::PartitionLeases& leases;
    views::ViewLedger& view_ledger;
    views::ViewInbox& view_inbox;
    likes::OnFlushed on_flushed;
  };
  // Asks SQL what this deployment is, and begins to connect. kConflict: the keys are laid out otherwise than configured.
  static Result<std::unique_ptr<RedisLive>> open(const Config& config, const Clock& clock, Ground ground);
  ~RedisLive() override;
  // Whether the configuration asks for tagged keys.
  static bool wants_tagged_keys(const Config& config);

  // Returns once likes are served, from Redis or, while it is away, from SQL.
  Result<void> start() override;
  void stop() override;

  likes::RedisKeys keys() const { return keys_; }
  likes::LikeLedger& ledger() { return ground_.ledger; }
  likes::LikeStore& store() override { return store_; }
  likes::LivePosts& posts() override { return posts_; }
  views::ViewStore& views() override { return views_; }
  // What is left in Redis too, where views do not use it any more.
  views::BufferedViews& buffered_views() override { return live_views_; }
  limits::Limiter* limiter() override { return &limiter_; }
  likes::LikesOf likes_of() override;
  content::ReadDirty dirty() override;
  Task<Result<void>> flush() override;
  Result<void> is_ready() const override;
  bool is_degraded() const override { return guard_.served_from() == likes::ServedFrom::kSql; }
  LiveStats stats() const override;
  void add_metrics(Metrics& metrics) const override;

 private:
  RedisLive(const Config& config, const Clock& clock, Ground ground, likes::Deployment deployment, std::unique_ptr<redis::Client> client);

  Result<bool> flush_step();
  Result<bool> drain_views();
  Result<views::SwitchingViewStore::Store> views_place() const;
  Result<void> look_at_outbox();
  Result<void> balance();
  Task<Result<std::vector<likes::LikedPost>>> likes_of_session(std::string session, std::size_t limit);
  Task<Result<std::shared_ptr<const content::DirtyPosts>>> read_dirty();
  Task<Result<bool>> is_flushed(std::vector<outbox::Position> wanted);

  const Clock& clock_;
  const Ground ground_;
  const std::string node_;
  const likes::RedisKeys keys_;
  const std::uint64_t outbox_entries_max_;
  const bool uses_redis_for_views_;
  std::unique_ptr<redis::Client> client_;
  likes::RedisLikeStore live_store_;
  likes::RedisLivePosts posts_;
  likes::RedisOutbox outbox_;
  likes::PartitionCheck check_;
  likes::RedisFlusher flusher_;
  likes::RedisTail tail_;
  likes::RedisGuard guard_;
  likes::SwitchingLikeStore store_;
  views::RedisViewStore live_views_;
  views::SwitchingViewStore views_;
  views::ViewDrainer view_drainer_;
  limits::RedisLimiter limiter_;
  BackgroundTask guard_task_;
  BackgroundTask flush_task_;
  BackgroundTask view_drain_task_;

  std::vector<outbox::HeldPartition> held_;  // the flusher's thread
  std::chrono::steady_clock::time_point next_balance_{};
  std::atomic<std::uint64_t> flush_steps_{0};  // that succeeded
  std::atomic<std::uint64_t> outbox_entries_{0};
  std::atomic<std::uint64_t> partitions_held_{0};
  bool is_stopped_ = false;
};

}  // namespace hearth::app
