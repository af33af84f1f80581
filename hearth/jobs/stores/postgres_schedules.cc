#include "hearth/jobs/stores/postgres_schedules.h"

#include <string_view>
#include <utility>

#include "hearth/jobs/stores/postgres_job_rows.h"
#include "hearth/jobs/stores/rules.h"

namespace hearth::jobs {
namespace {

using postgres::Connection;
using postgres::Rows;

#define HEARTH_SCHEDULE "name, cron, time_zone, job_type, payload::text, catch_up, is_configured, last_run_at, next_run_at "
constexpr char kList[] = "SELECT " HEARTH_SCHEDULE "FROM schedules ORDER BY name";
constexpr char kDue[] = "SELECT " HEARTH_SCHEDULE "FROM schedules WHERE next_run_at <= $1 ORDER BY next_run_at LIMIT $2";
constexpr char kCount[] = "SELECT count(*) FROM schedules";
constexpr char kPut[] =
    "INSERT INTO schedules AS kept (name, cron, time_zone, job_type, payload, catch_up, is_configured, next_run_at) "
    "VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8) ON CONFLICT (name) DO UPDATE SET "
    "next_run_at = CASE WHEN kept.cron = excluded.cron AND kept.time_zone = excluded.time_zone THEN kept.next_run_at "
    "ELSE excluded.next_run_at END, cron = excluded.cron, time_zone = excluded.time_zone, job_type = excluded.job_type, "
    "payload = excluded.payload, catch_up = excluded.catch_up, is_configured = excluded.is_configured RETURNING " HEARTH_SCHEDULE;
constexpr char kRemove[] = "DELETE FROM schedules WHERE name = $1";
// Where another node is at it, this one waits, and then finds the time moved on.
constexpr char kAdvance[] =
    "UPDATE schedules SET next_run_at = $3, last_run_at = CASE WHEN $4 THEN next_run_at ELSE last_run_at END "
    "WHERE name = $1 AND next_run_at = $2 AND cron = $5 AND time_zone = $6 RETURNING " HEARTH_SCHEDULE;

Schedule schedule_in(const Rows& row) {
  return Schedule{.name = row.string(0),
                  .cron = row.string(1),
                  .time_zone = row.string(2),
                  .job_type = row.string(3),
                  .payload = without_padding(row.text(4)),
                  .catch_up = row.text(5) == "skip" ? CatchUp::kSkip : CatchUp::kOnce,
                  .is_configured = row.boolean(6),
                  .last_run_at = optional_time(row, 7),
                  .next_run_at = row.time(8)};
}

std::vector<Schedule> schedules_of(Rows rows) {
  std::vector<Schedule> schedules;
  while (rows.next()) schedules.push_back(schedule_in(rows));
  return schedules;
}

Result<Schedule> put_schedule(Connection& connection, const Schedule& schedule) {
  auto kept = connection.query(kPut, schedule.name, schedule.cron, schedule.time_zone, schedule.job_type, schedule.payload,
                               schedule.catch_up == CatchUp::kSkip ? "skip" : "once", schedule.is_configured, schedule.next_run_at);
  if (connection.query(kCount).first().integer(0) > static_cast<std::int64_t>(kSchedulesMax))
    return fail(ErrorCode::kTooLarge, "there are at most 1000 schedules");
  return schedule_in(kept.first());
}

Result<bool> advance_schedule(Connection& connection, JobQueue& queue, const Schedule& due, UtcMicros next, bool runs) {
  auto moved = schedules_of(connection.query(kAdvance, due.name, due.next_run_at, next, runs, due.cron, due.time_zone));
  if (moved.empty()) return false;
  if (!runs) return true;
  // As the schedule is now: its payload may have changed since it was found due.
  if (auto made = queue.enqueue_in(&connection, job_of(moved.front(), due.next_run_at)); !made) return std::unexpected(made.error());
  return true;
}

}  // namespace

Task<Result<std::vector<Schedule>>> PostgresSchedules::list() {
  co_return co_await database_.read(
      [](Connection& connection) -> Result<std::vector<Schedule>> { return schedules_of(connection.query(kList)); });
}

Task<Result<Schedule>> PostgresSchedules::put(Schedule schedule) {
  if (names_nul(schedule.payload))
    co_return invalid("payload", "payload must not contain the character U+0000, which PostgreSQL cannot keep");
  co_return co_await database_.write(
      [schedule = std::move(schedule)](Connection& connection) { return put_schedule(connection, schedule); });
}

Task<Result<void>> PostgresSchedules::remove(std::string name) {
  co_return co_await database_.write([name = std::move(name)](Connection& connection) -> Result<void> {
    if (connection.run(kRemove, name) == 0) return fail(ErrorCode::kNotFound, "there is no schedule " + name);
    return {};
  });
}

Task<Result<std::vector<Schedule>>> PostgresSchedules::due(UtcMicros now, std::size_t limit) {
  co_return co_await database_.read(
      [now, limit](Connection& connection) -> Result<std::vector<Schedule>> { return schedules_of(connection.query(kDue, now, limit)); });
}

Task<Result<bool>> PostgresSchedules::advance(Schedule due, UtcMicros next, bool runs) {
  auto advanced = co_await database_.write([due = std::move(due), next, runs, &queue = queue_](Connection& connection) {
    return advance_schedule(connection, queue, due, next, runs);
  });
  if (advanced && *advanced && runs) signal_.notify();
  co_return advanced;
}

}  // namespace hearth::jobs
