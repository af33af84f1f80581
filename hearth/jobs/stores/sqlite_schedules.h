#pragma once

// SQLite's schedules.h.

#include "hearth/drivers/sqlite/database.h"
#include "hearth/jobs/job_queue.h"
#include "hearth/jobs/job_signal.h"
#include "hearth/jobs/schedules.h"

namespace hearth::jobs {

class SqliteSchedules final : public Schedules {
 public:
  // `queue` is that of the same database.
  SqliteSchedules(sqlite::Database& database, JobQueue& queue, JobSignal& signal) : database_(database), queue_(queue), signal_(signal) {}

  Task<Result<std::vector<Schedule>>> list() override;
  Task<Result<Schedule>> put(Schedule schedule) override;
  Task<Result<void>> remove(std::string name) override;
  Task<Result<std::vector<Schedule>>> due(UtcMicros now, std::size_t limit) override;
  Task<Result<bool>> advance(Schedule due, UtcMicros next, bool runs) override;

 private:
  sqlite::Database& database_;
  JobQueue& queue_;
  JobSignal& signal_;
};

}  // namespace hearth::jobs
