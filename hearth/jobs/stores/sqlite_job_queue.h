#pragma once

// SQLite's job_queue.h.

#include "hearth/base/clock.h"
#include "hearth/drivers/sqlite/database.h"
#include "hearth/jobs/job_queue.h"
#include "hearth/jobs/job_signal.h"

namespace hearth::jobs {

class SqliteJobQueue final : public JobQueue {
 public:
  // `signal` is told of every job that may be claimed, once it has committed.
  SqliteJobQueue(sqlite::Database& database, const Clock& clock, JobSignal& signal) : database_(database), clock_(clock), signal_(signal) {}

  Task<Result<std::vector<EnqueuedJob>>> enqueue(std::vector<JobDraft> drafts) override;
  Result<void> enqueue_in(SqlTransaction transaction, const JobDraft& draft) override;
  Task<Result<Claim>> claim(ClaimRequest request) override;
  Task<Result<std::vector<Result<Ended>>>> end(std::vector<Ending> endings) override;
  Task<Result<std::vector<Result<Renewed>>>> renew(std::vector<LeaseRenewal> renewals) override;
  Task<Result<std::size_t>> take_over_expired(std::size_t limit) override;

 private:
  sqlite::Database& database_;
  const Clock& clock_;
  JobSignal& signal_;
};

}  // namespace hearth::jobs
