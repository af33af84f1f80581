#include "hearth/jobs/stores/sqlite_schedules.h"

#include <utility>

#include "hearth/jobs/stores/rules.h"
#include "hearth/jobs/stores/sqlite_job_rows.h"

namespace hearth::jobs {
namespace {

#define HEARTH_SELECT_SCHEDULE \
  "SELECT name, cron, time_zone, job_type, payload, catch_up, is_configured, last_run_at, next_run_at FROM schedules "
constexpr char kList[] = HEARTH_SELECT_SCHEDULE "ORDER BY name";
constexpr char kFind[] = HEARTH_SELECT_SCHEDULE "WHERE name = ?1";
constexpr char kDue[] = HEARTH_SELECT_SCHEDULE "WHERE next_run_at <= ?1 ORDER BY next_run_at LIMIT ?2";
constexpr char kCount[] = "SELECT count(*) FROM schedules";
constexpr char kPut[] =
    "INSERT INTO schedules (name, cron, time_zone, job_type, payload, catch_up, is_configured, next_run_at) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (name) DO UPDATE SET "
    "next_run_at = iif(cron = excluded.cron AND time_zone = excluded.time_zone, next_run_at, excluded.next_run_at), cron = excluded.cron, "
    "time_zone = excluded.time_zone, job_type = excluded.job_type, payload = excluded.payload, catch_up = excluded.catch_up, "
    "is_configured = excluded.is_configured";
constexpr char kRemove[] = "DELETE FROM schedules WHERE name = ?1";
constexpr char kAdvance[] =
    "UPDATE schedules SET next_run_at = ?3, last_run_at = iif(?4, next_run_at, last_run_at) WHERE name = ?1 AND next_run_at = ?2";

Schedule schedule_in(const sqlite::Statement& row) {
  return Schedule{.name = row.string(0),
                  .cron = row.string(1),
                  .time_zone = row.string(2),
                  .job_type = row.string(3),
                  .payload = row.string(4),
                  .catch_up = row.text(5) == "skip" ? CatchUp::kSkip : CatchUp::kOnce,
                  .is_configured = row.boolean(6),
                  .last_run_at = optional_time(row, 7),
                  .next_run_at = time_of(row.integer(8))};
}

std::vector<Schedule> schedules_of(sqlite::Statement& row) {
  std::vector<Schedule> schedules;
  while (row.next()) schedules.push_back(schedule_in(row));
  return schedules;
}

std::optional<Schedule> find(sqlite::Connection& connection, const std::string& name) {
  auto found = schedules_of(connection.statement(kFind).query(name));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

std::size_t count(sqlite::Connection& connection) {
  auto& row = connection.statement(kCount).query();
  row.next();
  auto count = static_cast<std::size_t>(row.integer(0));
  row.reset();
  return count;
}

Result<Schedule> put_schedule(sqlite::Connection& connection, const Schedule& schedule) {
  connection.statement(kPut).run(schedule.name, schedule.cron, schedule.time_zone, schedule.job_type, schedule.payload,
                                 schedule.catch_up == CatchUp::kSkip ? "skip" : "once", schedule.is_configured,
                                 micros(schedule.next_run_at));
  if (count(connection) > kSchedulesMax) return fail(ErrorCode::kTooLarge, "there are at most 1000 schedules");
  return find(connection, schedule.name).value();
}

Result<bool> advance_schedule(sqlite::Connection& connection, JobQueue& queue, const Schedule& due, UtcMicros next, bool runs) {
  if (connection.statement(kAdvance).run(due.name, micros(due.next_run_at), micros(next), runs) == 0) return false;
  if (!runs) return true;
  // As the schedule is now: its payload may have changed since it was found due.
  Schedule kept = find(connection, due.name).value();
  JobDraft draft = job_of(kept, due.next_run_at);
  if (auto made = queue.enqueue_in(&connection, draft); !made) return std::unexpected(made.error());
  return true;
}

}  // namespace

Task<Result<std::vector<Schedule>>> SqliteSchedules::list() {
  co_return co_await database_.read(
      [](sqlite::Connection& connection) -> Result<std::vector<Schedule>> { return schedules_of(connection.statement(kList).query()); });
}

Task<Result<Schedule>> SqliteSchedules::put(Schedule schedule) {
  co_return co_await database_.write(
      [schedule = std::move(schedule)](sqlite::Connection& connection) { return put_schedule(connection, schedule); });
}

Task<Result<void>> SqliteSchedules::remove(std::string name) {
  co_return co_await database_.write([name = std::move(name)](sqlite::Connection& connection) -> Result<void> {
    if (connection.statement(kRemove).run(name) == 0) return fail(ErrorCode::kNotFound, "there is no schedule " + name);
    return {};
  });
}

Task<Result<std::vector<Schedule>>> SqliteSchedules::due(UtcMicros now, std::size_t limit) {
  co_return co_await database_.read([now, limit](sqlite::Connection& connection) -> Result<std::vector<Schedule>> {
    return schedules_of(connection.statement(kDue).query(micros(now), limit));
  });
}

Task<Result<bool>> SqliteSchedules::advance(Schedule due, UtcMicros next, bool runs) {
  auto advanced = co_await database_.write([due = std::move(due), next, runs, &queue = queue_](sqlite::Connection& connection) {
    return advance_schedule(connection, queue, due, next, runs);
  });
  if (advanced && *advanced && runs) signal_.notify();
  co_return advanced;
}

}  // namespace hearth::jobs
