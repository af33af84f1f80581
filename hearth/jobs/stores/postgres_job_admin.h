#pragma once

// PostgreSQL's job_admin.h.

#include "hearth/drivers/postgres/database.h"
#include "hearth/jobs/job_admin.h"
#include "hearth/jobs/job_signal.h"

namespace hearth::jobs {

class PostgresJobAdmin final : public JobAdmin {
 public:
  PostgresJobAdmin(postgres::Database& database, JobSignal& signal) : database_(database), signal_(signal) {}

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
  postgres::Database& database_;
  JobSignal& signal_;
};

}  // namespace hearth::jobs
