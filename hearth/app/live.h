#pragma once

// The live store with what follows it, whichever it is: memory (memory_live.h) or Redis (redis_live.h).

#include <chrono>
#include <memory>
#include <string>

#include "hearth/base/task.h"
#include "hearth/content/rank.h"
#include "hearth/likes/like_service.h"
#include "hearth/likes/like_store.h"
#include "hearth/likes/live_posts.h"
#include "hearth/limits/limiter.h"
#include "hearth/views/buffered_views.h"
#include "hearth/views/view_store.h"

namespace hearth::app {

class Metrics;

inline constexpr std::chrono::seconds kFlushTimeout{30};

// Numbers for /metrics; those that a live store does not have stay 0.
struct LiveStats {
  std::uint64_t changes = 0;       // likes given and taken back by this process
  std::uint64_t outbox_bytes = 0;  // waiting for SQL; of streams an estimate
  std::uint64_t outbox_entries = 0;
  std::uint64_t flush_batches = 0;
  std::uint64_t flush_events = 0;
  std::uint64_t flush_posts = 0;
  std::uint64_t flush_rows = 0;
  std::uint64_t flush_gaps = 0;
  std::uint64_t flush_micros = 0;
  bool is_degraded = false;  // answers come from SQL
};

class Live {
 public:
  virtual ~Live() = default;

  // Brings SQL and the live store together where they must be before serving, and starts what follows.
  virtual Result<void> start() = 0;
  // Brings SQL up to date and ends. Nothing may be asked of the store any more; the io_contexts that asked have ended and
  // still exist. Safe twice.
  virtual void stop() = 0;

  virtual likes::LikeStore& store() = 0;
  virtual likes::LivePosts& posts() = 0;
  virtual views::ViewStore& views() = 0;
  virtual views::BufferedViews& buffered_views() = 0;
  // Limits that the live store keeps for all nodes; null where each node has its own.
  virtual limits::Limiter* limiter() = 0;
  virtual likes::LikesOf likes_of() = 0;
  virtual content::ReadDirty dirty() = 0;
  // Returns once SQL has all that was answered before; kUnavailable if it does not get there in kFlushTimeout.
  virtual Task<Result<void>> flush() = 0;
  virtual Result<void> is_ready() const = 0;
  // Whether answers come from SQL, because the live store is away.
  virtual bool is_degraded() const = 0;
  virtual LiveStats stats() const = 0;
  // What this live store has beyond the stats.
  virtual void add_metrics(Metrics& metrics) const = 0;
};

}  // namespace hearth::app
