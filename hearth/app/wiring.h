#pragma once

// The one place where everything is connected: constructs, owns, starts and stops.
//
// Hearth is the stores and what follows them; Service is Hearth behind HTTP.

#include <atomic>
#include <memory>
#include <string>

#include "hearth/api/content_routes.h"
#include "hearth/api/likes_routes.h"
#include "hearth/api/operations_routes.h"
#include "hearth/api/routes.h"
#include "hearth/app/config.h"
#include "hearth/app/data_folder.h"
#include "hearth/app/dataset/dataset_routes.h"
#include "hearth/auth/authenticator.h"
#include "hearth/base/background_task.h"
#include "hearth/base/clock.h"
#include "hearth/content/stores/like_projection.h"
#include "hearth/content/stores/sqlite_content_pages.h"
#include "hearth/content/stores/sqlite_content_store.h"
#include "hearth/content/stores/sqlite_rank.h"
#include "hearth/drivers/sqlite/database.h"
#include "hearth/http/router.h"
#include "hearth/http/server.h"
#include "hearth/likes/ledgers/sqlite_like_ledger.h"
#include "hearth/likes/like_flusher.h"
#include "hearth/likes/like_reconciler.h"
#include "hearth/likes/like_service.h"
#include "hearth/likes/stores/memory_like_store.h"
#include "hearth/likes/stores/memory_live_posts.h"
#include "hearth/outbox/journal.h"

namespace hearth::app {

// The stores of one data folder and the work behind them.
class Hearth {
 public:
  // Locks the folder, opens its files and brings the ledger up to the journal's end. `vfs`: for tests.
  static Result<std::unique_ptr<Hearth>> open(const Config& config, const Clock& clock, const std::string& vfs = {});
  ~Hearth();

  // Answers what is waiting, brings the ledger up to date and closes. Nothing may be asked of the services any more: the
  // io_contexts that asked have ended, and still exist, because what could not be answered is taken apart on them.
  void stop();

  // Loads the demo data if its post is not there yet.
  Result<void> load_demo();
  // Returns once SQL has all that is durable now; kUnavailable if it does not get there in kFlushTimeout.
  Task<Result<void>> flush();
  Result<void> is_ready() const;

  const Clock& clock;
  DataFolder folder;
  std::unique_ptr<outbox::Journal> journal;
  std::unique_ptr<likes::SqliteLikeLedger> ledger;
  std::unique_ptr<sqlite::Database> content;
  likes::LikeFlusher flusher;
  likes::MemoryLikeStore like_store;
  likes::MemoryLivePosts live_posts;
  content::SqliteContentPages pages;
  content::LikeProjection projection;
  BackgroundTask flush_task;
  BackgroundTask projection_task;
  BackgroundTask housekeeping_task;
  content::SqliteContentStore content_store;
  content::SqliteRank rank;
  likes::LikeService likes;
  likes::LikeReconciler reconciler;

 private:
  Hearth(const Config& config, const Clock& clock, DataFolder folder, std::unique_ptr<outbox::Journal> journal,
         std::unique_ptr<likes::SqliteLikeLedger> ledger, std::unique_ptr<sqlite::Database> content);
  Result<void> recover();
  Result<void> drain();
  Result<bool> flush_when_due();
  Result<bool> project();
  Result<bool> keep_house();
  void pass();

  const std::uint64_t outbox_bytes_max_;
  std::atomic<bool> is_flush_wanted_{false};
  std::chrono::steady_clock::time_point flush_rest_until_{};
  std::atomic<outbox::Sequence> projected_{0};
  std::atomic<outbox::Sequence> passed_{0};
  std::chrono::steady_clock::time_point last_prune_{};
  bool is_stopped_ = false;
};

// Hearth behind HTTP.
class Service {
 public:
  static Result<std::unique_ptr<Service>> open(const Config& config, Hearth& hearth);

  void start() { server_->start(); }
  // Answers what was accepted.
  void stop(std::chrono::milliseconds grace);
  std::uint16_t port() const { return server_->port(); }
  const http::Router& router() const { return router_; }

 private:
  Service(const Config& config, Hearth& hearth, std::unique_ptr<auth::Authenticator> authenticator);

  Hearth& hearth_;
  std::unique_ptr<auth::Authenticator> authenticator_;
  http::Router router_;
  api::Routes routes_;
  api::LikesApi likes_;
  api::ContentApi content_;
  api::OperationsApi operations_;
  dataset::DatasetApi dataset_;
  std::unique_ptr<http::Server> server_;
  std::atomic<bool> is_draining_{false};
};

}  // namespace hearth::app
