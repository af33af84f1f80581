#pragma once

// SQLite's job_admin.h.

#include "hearth/base/clock.h"
#include "hearth/drivers/sqlite/database.h"
#include "hearth/jobs/job_admin.h"
#include "hearth/jobs/job_signal.h"

namespace hearth::jobs {

class SqliteJobAdmin final : public JobAdmin {
 public:
  SqliteJobAdmin(sqlite::Database& database, const Clock& clock, JobSignal& signal) : database_(database), clock_(clock), signal_(signal) {}

  Task<Result<JobDetails>> find(JobId id) override;
  Task<Result<JobPage>> search(JobSearch search) override;
  Task<Result<Job>> cancel(JobId id) override;
  Task<Result<Job>> retry(JobId id) override;
  Task<Result<QueueStats>> stats() override;
  Task<Result<QueueHealth>> health() override;
  Task<Result<std::vector<TypeSettings>>> types() override;
  Task<Result<void>> set_paused(std::string type, bool is_paused) override;
  Task<Result<void>> configure(TypeSettings settings) override;
  Task<Result<std::size_t>> prune(UtcMicros before, std::size_t limit) override;

 private:
  sqlite::Database& database_;
  const Clock& clock_;
  JobSignal& signal_;
};

}  // namespace hearth::jobs
