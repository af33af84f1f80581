#pragma once

// The one place where everything is connected: constructs, owns, starts and stops.
//
// Hearth is the stores and what follows them; Service is Hearth behind HTTP.

#include <atomic>
#include <memory>
#include <string>

#include "hearth/api/content_routes.h"
#include "hearth/api/jobs_routes.h"
#include "hearth/api/likes_routes.h"
#include "hearth/api/operations_routes.h"
#include "hearth/api/ratelimit_routes.h"
#include "hearth/api/routes.h"
#include "hearth/api/views_routes.h"
#include "hearth/app/adoption/diagnoser.h"
#include "hearth/app/background_jobs.h"
#include "hearth/app/config.h"
#include "hearth/app/data_folder.h"
#include "hearth/app/dataset/dataset_routes.h"
#include "hearth/app/limits.h"
#include "hearth/app/live.h"
#include "hearth/app/scheduled_reconcile.h"
#include "hearth/app/sql.h"
#include "hearth/app/views.h"
#include "hearth/auth/authenticator.h"
#include "hearth/base/clock.h"
#include "hearth/content/rank.h"
#include "hearth/http/router.h"
#include "hearth/http/server.h"
#include "hearth/likes/like_reconciler.h"
#include "hearth/likes/like_service.h"

namespace hearth::app {

// SQL alone, for commands beside a server.
Result<std::unique_ptr<Sql>> open_sql(const Config& config, const Clock& clock, const std::string& vfs = {});

// The stores that the configuration names, and the work behind them.
class Hearth {
 public:
  // Locks the data folder, opens the stores, and brings SQL and live state together. The scheduled comparison is not started. `vfs`: for
  // tests.
  static Result<std::unique_ptr<Hearth>> open(const Config& config, const Clock& clock, const std::string& vfs = {});
  ~Hearth();

  // Answers what is waiting, brings SQL up to date and closes. Nothing may be asked of the services any more: the
  // io_contexts that asked have ended, and still exist, because what could not be answered is taken apart on them.
  void stop();

  // Loads the demo data if its post is not there yet.
  Result<void> load_demo();
  // Whether it can serve; an error says why not.
  Result<void> is_ready() const;
  // Whether nothing is missing while it serves; an error says what is.
  Result<void> is_whole() const;

  const Clock& clock;
  DataFolder folder;
  const std::unique_ptr<Sql> sql;
  const std::unique_ptr<Live> live;
  const std::unique_ptr<content::RankCandidates> rank;
  likes::LikeService likes;
  Views views;
  likes::LikeReconciler reconciler;
  const std::unique_ptr<adoption::SqlDiagnosis> sql_diagnosis;
  adoption::Diagnoser diagnoser;
  ScheduledReconcile scheduled_reconcile;
  std::unique_ptr<Limits> limits;                   // never null
  std::unique_ptr<BackgroundJobs> background_jobs;  // never null

 private:
  Hearth(const Config& config, const Clock& clock, DataFolder folder, std::unique_ptr<Sql> sql, std::unique_ptr<Live> live);
  Task<Result<void>> sync_likes(PostId post);

  bool is_stopped_ = false;
};

// Hearth behind HTTP.
class Service {
 public:
  static Result<std::unique_ptr<Service>> open(const Config& config, Hearth& hearth);

  void start() { server_->start(); }
  // Takes what may change while it serves: the rules of limits.
  void reload() { hearth_.limits->reload(); }
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
  api::JobsApi jobs_;
  api::KeyedAnswers keyed_answers_;
  api::ViewsApi views_;
  api::RateLimitApi ratelimit_;
  dataset::DatasetApi dataset_;
  std::unique_ptr<http::Server> server_;
  std::atomic<bool> is_draining_{false};
};

}  // namespace hearth::app
