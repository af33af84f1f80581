#include "hearth/base/background_task.h"

#include <algorithm>
#include <random>
#include <utility>

#include "hearth/base/log.h"
#include "hearth/base/thread_name.h"

namespace hearth {

BackgroundTask::BackgroundTask(Options options, Step step) : options_(std::move(options)), step_(std::move(step)) {}

BackgroundTask::~BackgroundTask() {
  stop();
}

void BackgroundTask::start() {
  std::lock_guard lock(mutex_);
  if (stopping_ || thread_.joinable()) return;
  thread_ = std::thread([this] {
    name_thread(options_.name);
    run();
  });
}

void BackgroundTask::wake() {
  std::lock_guard lock(mutex_);
  woken_ = true;
  changed_.notify_one();
}

void BackgroundTask::stop() {
  std::thread finished;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_one();
    finished = std::exchange(thread_, {});
  }
  if (finished.joinable()) finished.join();
}

void BackgroundTask::run() {
  std::minstd_rand random{std::random_device{}()};
  auto retry = options_.retry_first;
  bool failing = false;
  for (;;) {
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      woken_ = false;
    }
    auto more = step_();
    if (more) {
      if (failing) log::info(options_.name, "recovered");
      failing = false;
      retry = options_.retry_first;
      if (!*more) wait(options_.period);
      continue;
    }
    if (!failing) log::error(options_.name, "failed, will try again", {{"error", more.error().message}});
    failing = true;
    wait(retry + std::chrono::milliseconds(random() % static_cast<unsigned>(retry.count() / 4 + 1)));
    retry = std::min(retry * 2, options_.retry_max);
  }
}

void BackgroundTask::wait(std::chrono::milliseconds delay) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, delay, [this] { return woken_ || stopping_; });
}

}  // namespace hearth
