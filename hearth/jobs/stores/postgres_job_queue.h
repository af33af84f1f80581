#pragma once

// PostgreSQL's job_queue.h.
//
// Each call is one transaction of one statement over arrays, of the functions in migrations/postgres/004_jobs.sql, which other
// programs may call too; only jobs whose completion has an effect are ended one by one. Times are the database's.

#include "hearth/drivers/postgres/database.h"
#include "hearth/jobs/job_queue.h"
#include "hearth/jobs/job_signal.h"
#include "hearth/jobs/stores/postgres_enqueue_groups.h"

namespace hearth::jobs {

class PostgresJobQueue final : public JobQueue {
 public:
  // `signal` is told of every job that may be claimed, once it has committed.
  PostgresJobQueue(postgres::Database& database, JobSignal& signal) : database_(database), signal_(signal), groups_(database, signal) {}

  Task<Result<std::vector<EnqueuedJob>>> enqueue(std::vector<JobDraft> drafts) override;
  Result<void> enqueue_in(SqlTransaction transaction, const JobDraft& draft) override;
  Task<Result<Claim>> claim(ClaimRequest request) override;
  Task<Result<std::vector<Result<Ended>>>> end(std::vector<Ending> endings) override;
  Task<Result<std::vector<Result<Renewed>>>> renew(std::vector<LeaseRenewal> renewals) override;
  Task<Result<std::size_t>> take_over_expired(std::size_t limit) override;

 private:
  postgres::Database& database_;
  JobSignal& signal_;
  EnqueueGroups groups_;
};

}  // namespace hearth::jobs
