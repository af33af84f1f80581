#pragma once

// Schedules: jobs that are enqueued by the clock, each run once however many nodes there are.
//
// A run moves next_run_at on by compare-and-set and enqueues its job, with the idempotency key `cron:name:instant`, in one
// transaction. Thread-safe. Coroutines run on the io_context thread of their caller.

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "hearth/base/task.h"
#include "hearth/jobs/job.h"

namespace hearth::jobs {

inline constexpr std::size_t kSchedulesMax = 1'000;

// What becomes of runs that were missed while nobody was there to make them.
enum class CatchUp : std::uint8_t { kOnce, kSkip };

struct Schedule {
  std::string name;  // an id
  std::string cron;  // five fields, in `time_zone`
  std::string time_zone = "UTC";
  std::string job_type;
  std::string payload = "{}";
  CatchUp catch_up = CatchUp::kOnce;
  bool is_configured = false;                 // by the configuration, which wins at each start
  std::optional<UtcMicros> last_run_at = {};  // the moment it was due
  UtcMicros next_run_at{};
};

class Schedules {
 public:
  virtual ~Schedules() = default;

  virtual Task<Result<std::vector<Schedule>>> list() = 0;  // by name
  // Creates or replaces; last_run_at stays. next_run_at stays too if neither cron nor time_zone changed. Returns what is
  // kept. kTooLarge: kSchedulesMax.
  virtual Task<Result<Schedule>> put(Schedule schedule) = 0;
  virtual Task<Result<void>> remove(std::string name) = 0;  // kNotFound

  // Those with next_run_at up to `now`, at most `limit`.
  virtual Task<Result<std::vector<Schedule>>> due(UtcMicros now, std::size_t limit) = 0;
  // Moves next_run_at from due.next_run_at to `next`. With `runs`, enqueues the job of that moment in the same transaction,
  // and notes the run. False: another node did it, or the schedule was changed meanwhile.
  virtual Task<Result<bool>> advance(Schedule due, UtcMicros next, bool runs) = 0;
};

}  // namespace hearth::jobs
