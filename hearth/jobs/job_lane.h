#pragma once

// The jobs of one type that this process holds, and the threads that run them.
//
// A job that was claimed waits in its lane until a thread is free; it does not start once its lease is over. What became of
// it is fetched by who ends jobs. One that is given up does not start, or is asked to stop and its outcome is dropped; its
// thread is busy until the handler returns.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/guarded.h"
#include "hearth/jobs/job_handlers.h"
#include "hearth/jobs/job_queue.h"

namespace hearth::jobs {

using SteadyTime = std::chrono::steady_clock::time_point;

// One attempt, from its claim to its end.
struct HeldJob {
  HeldJob(ClaimedJob claimed, SteadyTime end_of_lease) : job(std::move(claimed)), lease_end(end_of_lease) {}

  const ClaimedJob job;
  std::stop_source stop;
  std::atomic<SteadyTime> lease_end;  // by our clock, counted from when we asked: not after the database's
  Guarded<std::optional<std::string>> progress;

  // Of the lane, under its lock.
  enum class State : std::uint8_t {
    kWaiting,
    kRunning,
    kInterrupted,  // runs, and is given back when its handler returns
    kGivenUp,      // its outcome is dropped
    kFinished,
  };
  State state = State::kWaiting;
  SteadyTime deadline{};
};
using HeldJobPtr = std::shared_ptr<HeldJob>;  // of a thread of the lane and of who ends it

class JobLane {
 public:
  struct Finished {
    HeldJobPtr job;
    Outcome outcome;
    bool has_run = true;  // false: it did not start, because its lease was over, or was interrupted
  };

  // Starts the threads; throws std::system_error if it cannot. `on_change` is called on them when something has finished
  // or a thread has become free.
  JobLane(std::string type, const JobHandlers::Entry& entry, const Clock& clock, std::function<void()> on_change);
  // Closes it and waits for the handlers that run.
  ~JobLane();

  const std::string& type() const { return type_; }
  std::chrono::milliseconds timeout() const { return entry_.options.timeout; }

  // How many more may be added that start at once; and how many to claim now, those that will wait included: 0 while enough
  // of them wait.
  std::size_t free_threads() const;
  std::size_t room() const;
  // How many handlers run.
  std::size_t running() const;

  void add(const std::vector<HeldJobPtr>& jobs);
  std::vector<Finished> take_finished();

  // False: it has finished, or was given up before.
  bool give_up(HeldJob& job);
  // Gives up those that run for longer than they may, and returns them.
  std::vector<HeldJobPtr> give_up_late();

  // Returns those that wait; from now on none starts.
  std::vector<HeldJobPtr> close();
  // Asks those that run to stop.
  void interrupt();

 private:
  void work(std::size_t thread);
  // Waits for a job to run; null once it is closed.
  HeldJobPtr take(std::size_t thread);
  void put_down(std::size_t thread, Outcome outcome);

  const std::string type_;
  const JobHandlers::Entry& entry_;
  const Clock& clock_;
  const std::function<void()> on_change_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<HeldJobPtr> waiting_;
  std::vector<HeldJobPtr> running_;  // by thread; null: it is free
  std::size_t running_count_ = 0;
  std::vector<Finished> finished_;
  bool is_closed_ = false;
  std::vector<std::thread> threads_;  // last: they use the rest
};

}  // namespace hearth::jobs
