#pragma once

// What the executable can do by itself: a handler for each job type that it knows. Filled once, in the wiring, then read-only.
//
//   handlers.add<SyncLikeCount>("sync_like_count", {.concurrency = 4}, [&](const SyncLikeCount& payload, const JobRun& run) -> Outcome { …
//   });
//
// where SyncLikeCount has `static Result<SyncLikeCount> parse(std::string_view payload)`. A payload that cannot be parsed is
// refused where the job is enqueued, and fails for good where it comes by SQL.

#include <chrono>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "hearth/jobs/job_queue.h"

namespace hearth::jobs {

// One attempt, while it runs.
struct JobRun {
  const ClaimedJob& job;
  std::stop_token stop;  // the job was cancelled, has timed out or lost its lease, or Hearth stops: end soon, the outcome is not used
  std::function<void(std::string json)> report_progress;  // kept with the next heartbeat
};

struct HandlerOptions {
  int concurrency = 4;                        // of this node
  std::chrono::milliseconds timeout{60'000};  // then the attempt has failed
  std::size_t batch = 1;                      // so many are claimed at once: for short jobs, which wait here for a thread
};

// Runs on a thread of its own and may block. What it throws fails the attempt.
using Handler = std::function<Outcome(const JobRun& run)>;

class JobHandlers {
 public:
  struct Entry {
    HandlerOptions options;
    std::function<Result<void>(std::string_view payload)> check;
    Handler handle;
  };

  template <typename Payload, typename Handle>
  void add(std::string type, HandlerOptions options, Handle handle);
  // For all jobs with a url, whatever their type.
  void set_webhook(HandlerOptions options, Handler handle) { webhook_ = Entry{options, nullptr, std::move(handle)}; }

  // Null: no handler of this type; its jobs wait for outside workers.
  const Entry* find(std::string_view type) const;
  const Entry* webhook() const { return webhook_.handle ? &webhook_ : nullptr; }
  const std::map<std::string, Entry, std::less<>>& all() const { return entries_; }

  // Whether the payload fits its type; the error names the field. Unknown types take every payload.
  Result<void> check(std::string_view type, std::string_view payload) const;

 private:
  std::map<std::string, Entry, std::less<>> entries_;
  Entry webhook_;
};

// --- implementation of the templates ---

template <typename Payload, typename Handle>
void JobHandlers::add(std::string type, HandlerOptions options, Handle handle) {
  auto check = [](std::string_view payload) -> Result<void> {
    if (auto parsed = Payload::parse(payload); !parsed) return std::unexpected(parsed.error());
    return {};
  };
  auto run = [handle = std::move(handle)](const JobRun& job_run) -> Outcome {
    auto payload = Payload::parse(job_run.job.payload);
    if (!payload) return Failed{.error = payload.error().message, .is_final = true};
    return handle(*payload, job_run);
  };
  entries_[std::move(type)] = Entry{options, std::move(check), std::move(run)};
}

}  // namespace hearth::jobs
