#pragma once

// Jobs, as docs/api/openapi.yaml has them: /api/jobs/*, /api/queue/process, /api/health/queue, and in jobs_admin_routes.cc
// /api/admin/jobs, /api/admin/job-types/*, /api/admin/schedules/*, /api/admin/queue/stats.

#include <chrono>
#include <cstddef>
#include <functional>
#include <string_view>
#include <vector>

#include "hearth/api/routes.h"
#include "hearth/api/waiting_claims.h"
#include "hearth/base/clock.h"
#include "hearth/jobs/job_admin.h"
#include "hearth/jobs/job_handlers.h"
#include "hearth/jobs/job_queue.h"
#include "hearth/jobs/job_runner.h"
#include "hearth/jobs/job_signal.h"
#include "hearth/jobs/scheduler.h"
#include "hearth/jobs/schedules.h"

namespace hearth::api {

inline constexpr std::size_t kJobsPerHttpClaimMax = 100;
inline constexpr std::size_t kTypesPerClaimMax = 100;
inline constexpr std::chrono::milliseconds kClaimWaitMax{10'000};
inline constexpr std::size_t kJobsPerProcessMax = 10;
inline constexpr std::size_t kTakenOverPerProcessMax = 100;
inline constexpr std::chrono::milliseconds kProcessBudget{8'000};

struct JobsApi {
  jobs::JobQueue& queue;
  jobs::JobAdmin& admin;
  jobs::Scheduler& scheduler;
  jobs::Schedules& schedules;
  jobs::JobSignal& signal;
  const jobs::JobHandlers& handlers;
  // JobRunner::process().
  std::function<Task<Result<std::vector<jobs::ProcessedJob>>>(std::size_t limit, std::chrono::milliseconds budget)> process;
  // Whether jobs may be posted there; the error names `field`. It does not look up names.
  std::function<Result<void>(std::string_view url, std::string_view field)> check_url;
  const Clock& clock;
  WaitingClaims waiting_claims{clock};
};

// `api` outlives the router.
void add_jobs_routes(Routes& routes, JobsApi& api);
void add_jobs_admin_routes(Routes& routes, JobsApi& api);  // called by add_jobs_routes()

}  // namespace hearth::api
