#pragma once

// A thread that runs one step again and again: work that follows requests rather than answering them.
//
// The step returns whether more work is waiting (then it runs again at once) or fails (then it runs again after a
// growing delay with jitter, and the failure is logged once until it succeeds). Otherwise it runs after `period`, or as
// soon as wake() is called. stop() finishes the running step and joins; it is safe twice and before start().
//
// Tests call the step itself and never sleep.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "hearth/base/result.h"

namespace hearth {

class BackgroundTask {
 public:
  using Step = std::function<Result<bool>()>;  // true: run again at once

  struct Options {
    std::string name;  // the log's component
    std::chrono::milliseconds period{1000};
    std::chrono::milliseconds retry_first{100};
    std::chrono::milliseconds retry_max{10'000};
  };

  BackgroundTask(Options options, Step step);
  ~BackgroundTask();

  void start();
  void wake();
  void stop();

 private:
  void run();
  void wait(std::chrono::milliseconds delay);

  const Options options_;
  const Step step_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace hearth
