#pragma once

// Looking at jobs, and what people and housekeeping do with them. Beside job_queue.h, on the same tables.
//
// Promises, checked by job_admin_conformance.h. Thread-safe. Coroutines run on the io_context thread of their caller.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hearth/base/task.h"
#include "hearth/jobs/job.h"

namespace hearth::jobs {

// One ended attempt.
struct Attempt {
  int number = 0;
  std::string status;  // completed, failed, dead or cancelled
  std::optional<UtcMicros> started_at = {};
  UtcMicros ended_at{};
  std::optional<std::chrono::milliseconds> duration = {};
  std::optional<std::string> error_message = {};
  std::optional<std::string> worker = {};
};

struct JobDetails {
  Job job;
  std::vector<Attempt> attempts;  // oldest first, at most kAttemptsMax
};

struct JobSearch {
  std::optional<JobStatus> status = {};
  bool has_failed = false;  // with kPending: of those, whose last attempt failed
  std::optional<std::string> type = {};
  std::optional<std::string> text = {};  // in type, payload, error or key; or the id
  std::optional<JobId> before = {};      // the page after the one that ended with this id
  std::size_t limit = 50;                // at most kJobsPerPageMax
};
struct JobPage {
  std::vector<Job> jobs;  // newest first
  std::optional<JobId> next = {};
};

struct TypeStats {
  std::string type;
  std::uint64_t pending = 0, processing = 0, failed = 0, dead = 0;
};
struct QueueStats {
  std::uint64_t pending = 0;  // failed ones included
  std::uint64_t processing = 0;
  std::uint64_t failed = 0;  // pending, and their last attempt failed
  std::uint64_t dead = 0;
  std::uint64_t stuck = 0;                                           // processing, and their lease ended more than kStuckAfter ago
  std::uint64_t stale_refused = 0;                                   // endings and renewals that were refused because of their token, ever
  std::optional<std::chrono::milliseconds> oldest_pending_age = {};  // since it was due; 0 if none is due yet
  std::vector<TypeStats> by_type;
};
struct QueueHealth {
  std::uint64_t stuck = 0;
  std::uint64_t pending = 0;
};

// How a type is treated, on all nodes.
struct TypeSettings {
  std::string type;
  bool is_paused = false;
  // At most `rate_count` starts in any `rate_window`, together with bursts of as many; absent: no limit.
  struct Rate {
    int count = 0;
    std::chrono::milliseconds window{0};
    friend bool operator==(const Rate&, const Rate&) = default;
  };
  std::optional<Rate> rate = {};
  std::optional<int> max_attempts = {};
  std::optional<std::chrono::seconds> retry_base = {};
  std::optional<std::chrono::seconds> retry_max = {};
  friend bool operator==(const TypeSettings&, const TypeSettings&) = default;
};

class JobAdmin {
 public:
  virtual ~JobAdmin() = default;

  virtual Task<Result<JobDetails>> find(JobId id) = 0;  // kNotFound
  virtual Task<Result<JobPage>> search(JobSearch search) = 0;
  // A waiting job ends; a running one too, and its worker hears of it. Cancelling again is no error; kConflict: it ended otherwise.
  virtual Task<Result<Job>> cancel(JobId id) = 0;
  // A dead job gets all its attempts again, now. kConflict: it is not dead.
  virtual Task<Result<Job>> retry(JobId id) = 0;

  virtual Task<Result<QueueStats>> stats() = 0;
  virtual Task<Result<QueueHealth>> health() = 0;

  virtual Task<Result<std::vector<TypeSettings>>> types() = 0;  // those with settings
  virtual Task<Result<void>> set_paused(std::string type, bool is_paused) = 0;
  // All but is_paused. kTooLarge: more than kJobTypesMax types would have settings.
  virtual Task<Result<void>> configure(TypeSettings settings) = 0;

  // Deletes, at most `limit` of each: history and dead jobs that ended before `before`, and keys that are kept no longer.
  // Returns how many rows went; less than `limit`: there is no more.
  virtual Task<Result<std::size_t>> prune(UtcMicros before, std::size_t limit) = 0;
};

}  // namespace hearth::jobs
