#pragma once

// For the conformance suites: jobs on some database, and who makes it.
//
// Time: a test says how much of it passes. On a database with a clock of its own the stored times are moved back instead, and
// its clock runs on meanwhile. So tests compare only times that one call has stored, leave minutes of room between "not yet"
// and "now", and remember no time over a pass().

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/run_to_end.h"
#include "hearth/base/sql_transaction.h"
#include "hearth/base/task.h"
#include "hearth/jobs/job_admin.h"
#include "hearth/jobs/job_queue.h"
#include "hearth/jobs/job_signal.h"
#include "hearth/jobs/schedules.h"

namespace hearth::jobs {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

template <typename T>
T run(Task<T> task) {
  return run_to_end(std::move(task));
}

// One row of job_history.
struct HistoryRow {
  JobId job{};
  std::string status;
  int attempt = 0;
  std::optional<std::string> lease_token = {};
};

class JobsUnderTest {
 public:
  virtual ~JobsUnderTest() = default;

  // Of one of several nodes on the same data, or always the same where one node is all there can be.
  virtual JobQueue& queue(std::size_t node = 0) = 0;
  virtual JobAdmin& admin(std::size_t node = 0) = 0;
  virtual Schedules& schedules(std::size_t node = 0) = 0;
  virtual JobSignal& signal(std::size_t node = 0) = 0;

  // The database's time.
  virtual UtcMicros now() = 0;
  // Lets so much of it pass, for jobs, leases, keys, history and rates. Schedules are left alone: their time is an argument.
  virtual void pass(milliseconds time) = 0;

  // A transaction on the same database.
  virtual Result<void> write(std::function<Result<void>(SqlTransaction)> work) = 0;
  // An effect that keeps `text`; notes() are those that were kept. A text is kept once: the second time the statement fails.
  virtual Effect note(std::string text) = 0;
  virtual std::vector<std::string> notes() = 0;

  // From now on the database itself refuses to store jobs of this type.
  virtual void refuse(std::string type) = 0;
  // What other programs do: an UPDATE of background_jobs that sets nothing but the payload.
  virtual Result<void> change_payload(JobId job, std::string payload) = 0;
  // All of job_history, in the order it was written.
  virtual std::vector<HistoryRow> history() = 0;
  // How many rows a table has. REQUIRES: a literal.
  virtual std::int64_t count(const char* select_count) = 0;
  // Stops all nodes and starts them again on the same data.
  virtual void restart() = 0;
};

struct JobsMaker {
  std::string name;
  std::function<std::unique_ptr<JobsUnderTest>()> make;  // fresh and empty
};
inline std::string name_of_maker(const testing::TestParamInfo<JobsMaker>& info) {
  return info.param.name;
}
inline void PrintTo(const JobsMaker& maker, std::ostream* out) {
  *out << maker.name;
}

// A database may write JSON anew.
inline std::string without_spaces(std::string json) {
  std::erase(json, ' ');
  return json;
}
inline std::vector<std::string> types_of(const std::vector<ClaimedJob>& jobs) {
  std::vector<std::string> types;
  std::ranges::transform(jobs, std::back_inserter(types), &ClaimedJob::type);
  return types;
}
inline std::vector<JobId> ids_of(const auto& jobs) {
  std::vector<JobId> ids;
  for (const auto& job : jobs) ids.push_back(job.id);
  return ids;
}

class JobsConformance : public testing::TestWithParam<JobsMaker> {
 protected:
  JobQueue& queue(std::size_t node = 0) { return jobs->queue(node); }
  JobAdmin& admin(std::size_t node = 0) { return jobs->admin(node); }

  Job add(JobDraft draft, std::size_t node = 0) { return add_all({std::move(draft)}, node).front().job; }
  Job add(std::string type) { return add(JobDraft{.type = std::move(type)}); }
  std::vector<EnqueuedJob> add_all(std::vector<JobDraft> drafts, std::size_t node = 0) {
    return run(queue(node).enqueue(std::move(drafts))).value();
  }

  Claim claim(ClaimRequest request, std::size_t node = 0) {
    request.worker = "w" + std::to_string(node);
    return run(queue(node).claim(std::move(request))).value();
  }
  std::vector<ClaimedJob> claim_jobs(std::size_t limit) { return claim({.limit = limit}).jobs; }
  // The first job that can be claimed. REQUIRES: there is one.
  ClaimedJob claim_one() { return claim({.limit = 1}).jobs.at(0); }

  Result<Ended> end(const ClaimedJob& job, Outcome outcome) {
    return end_all({{.job = job.id, .lease_token = job.lease_token, .outcome = std::move(outcome)}}).front();
  }
  std::vector<Result<Ended>> end_all(std::vector<Ending> endings) { return run(queue().end(std::move(endings))).value(); }
  Result<Renewed> renew(const ClaimedJob& job, std::optional<std::string> progress = {}) {
    return run(queue().renew({{.job = job.id, .lease_token = job.lease_token, .progress = std::move(progress)}})).value().front();
  }
  std::size_t take_over(std::size_t limit = 100) { return run(queue().take_over_expired(limit)).value(); }

  Job find(JobId id) { return run(admin().find(id)).value().job; }
  // How its attempts ended.
  std::vector<std::string> attempts(JobId id) {
    std::vector<std::string> statuses;
    for (const Attempt& attempt : run(admin().find(id)).value().attempts) statuses.push_back(attempt.status);
    return statuses;
  }
  QueueStats stats() { return run(admin().stats()).value(); }

  std::unique_ptr<JobsUnderTest> jobs = GetParam().make();
};

// What an ending or a renewal was refused with; nothing if it was not.
template <typename T>
std::optional<ErrorCode> refusal(const Result<T>& result) {
  if (result) return std::nullopt;
  return result.error().code;
}

}  // namespace hearth::jobs
