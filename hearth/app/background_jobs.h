#pragma once

// Background jobs of this process: the built-in handlers and what they work with, the runner, and the schedules.

#include <memory>

#include "hearth/app/config.h"
#include "hearth/app/handlers/built_in.h"
#include "hearth/app/sql.h"
#include "hearth/base/clock.h"
#include "hearth/drivers/web/web_client.h"
#include "hearth/jobs/job_handlers.h"
#include "hearth/jobs/job_runner.h"
#include "hearth/jobs/scheduler.h"
#include "hearth/media/media_reader.h"
#include "hearth/media/media_store.h"

namespace hearth::app {

class BackgroundJobs {
 public:
  // What jobs do with other parts of the process (handlers/built_in.h).
  struct Syncs {
    std::function<Task<Result<void>>(PostId post)> likes;
    std::function<Task<Result<std::string>>()> views;
  };
  // Opens the store of images.
  static Result<std::unique_ptr<BackgroundJobs>> open(const Config& config, const Clock& clock, Sql& sql, Syncs syncs);
  ~BackgroundJobs();

  // Hears of jobs; with jobs.workers also runs them and the schedules, which become those of the configuration.
  Result<void> start();
  // Lets running handlers end for a while, and ends every wait for jobs. Safe twice.
  void stop();

  const jobs::JobHandlers& handlers() const { return handlers_; }
  jobs::Scheduler& scheduler() { return scheduler_; }
  jobs::JobRunner& runner() { return runner_; }
  media::MediaReader& images() { return images_; }

 private:
  BackgroundJobs(const Config& config, const Clock& clock, Sql& sql, Syncs syncs, std::unique_ptr<web::WebClient> web,
                 std::unique_ptr<media::MediaStore> media);

  const Config::Jobs config_;
  const std::string views_schedule_;
  Sql& sql_;
  const std::unique_ptr<web::WebClient> web_;
  const std::unique_ptr<media::MediaStore> media_;
  media::MediaReader images_;
  const BuiltInParts parts_;
  jobs::JobHandlers handlers_;
  jobs::JobRunner runner_;
  jobs::Scheduler scheduler_;
  bool is_stopped_ = false;
};

}  // namespace hearth::app
