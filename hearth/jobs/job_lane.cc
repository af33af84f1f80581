#include "hearth/jobs/job_lane.h"

#include <algorithm>
#include <exception>
#include <utility>
#include <variant>

#include "hearth/base/json_reader.h"
#include "hearth/base/log.h"
#include "hearth/base/thread_name.h"

namespace hearth::jobs {
namespace {

bool is_json(std::string_view text) {
  if (text.size() > kPayloadBytesMax) return false;
  std::string object = R"({"value":)";
  object.append(text).append("}");
  auto read = read_json_object(object, UnknownFields::kRefuse, [](std::string_view key, JsonValue& value) -> Result<bool> {
    if (auto raw = value.raw(key); !raw) return std::unexpected(raw.error());
    return true;
  });
  return read.has_value();
}

void report(HeldJob& job, std::string json) {
  if (!is_json(json)) {
    log::warning("jobs", "progress that is not JSON, or too long, was dropped", {{"type", job.job.type}, {"job", to_text(job.job.id)}});
    return;
  }
  job.progress.with([&](auto& progress) { progress = std::move(json); });
}

Outcome run_handler(const Handler& handle, HeldJob& job) {
  try {
    Outcome outcome = handle(
        {.job = job.job, .stop = job.stop.get_token(), .report_progress = [&job](std::string json) { report(job, std::move(json)); }});
    const auto* completed = std::get_if<Completed>(&outcome);
    if (completed == nullptr || !completed->result || is_json(*completed->result)) return outcome;
    return Failed{.error = "the handler's result is not JSON, or longer than " + std::to_string(kPayloadBytesMax) + " bytes"};
  } catch (const std::exception& thrown) {
    return Failed{.error = thrown.what()};
  } catch (...) {
    return Failed{.error = "the handler threw what is no exception"};
  }
}

}  // namespace

JobLane::JobLane(std::string type, const JobHandlers::Entry& entry, const Clock& clock, std::function<void()> on_change)
    : type_(std::move(type)),
      entry_(entry),
      clock_(clock),
      on_change_(std::move(on_change)),
      running_(static_cast<std::size_t>(std::max(entry.options.concurrency, 1))) {
  try {
    for (std::size_t i = 0; i < running_.size(); ++i) threads_.emplace_back([this, i] { work(i); });
  } catch (...) {
    close();
    for (auto& thread : threads_) thread.join();
    throw;
  }
}

JobLane::~JobLane() {
  close();
  for (auto& thread : threads_) thread.join();
}

std::size_t JobLane::free_threads() const {
  std::lock_guard lock(mutex_);
  std::size_t taken = running_count_ + waiting_.size();
  return running_.size() - std::min(running_.size(), taken);
}

std::size_t JobLane::room() const {
  std::lock_guard lock(mutex_);
  std::size_t batch = std::max<std::size_t>(entry_.options.batch, 1);
  std::size_t most = running_.size() + batch - 1;
  std::size_t room = most - std::min(most, running_count_ + waiting_.size());
  return waiting_.empty() || room >= batch / 2 ? room : 0;
}

std::size_t JobLane::running() const {
  std::lock_guard lock(mutex_);
  return running_count_;
}

void JobLane::add(const std::vector<HeldJobPtr>& jobs) {
  {
    std::lock_guard lock(mutex_);
    waiting_.insert(waiting_.end(), jobs.begin(), jobs.end());
  }
  jobs.size() == 1 ? changed_.notify_one() : changed_.notify_all();
}

std::vector<JobLane::Finished> JobLane::take_finished() {
  std::lock_guard lock(mutex_);
  return std::exchange(finished_, {});
}

bool JobLane::give_up(HeldJob& job) {
  {
    std::lock_guard lock(mutex_);
    if (job.state == HeldJob::State::kFinished || job.state == HeldJob::State::kGivenUp) return false;
    if (job.state == HeldJob::State::kWaiting) std::erase_if(waiting_, [&](const HeldJobPtr& waiting) { return waiting.get() == &job; });
    job.state = HeldJob::State::kGivenUp;
  }
  job.stop.request_stop();
  return true;
}

std::vector<HeldJobPtr> JobLane::give_up_late() {
  std::vector<HeldJobPtr> late;
  {
    std::lock_guard lock(mutex_);
    if (running_count_ == 0) return late;
    auto now = clock_.steady();
    for (const HeldJobPtr& job : running_) {
      if (!job || job->state != HeldJob::State::kRunning || now < job->deadline) continue;
      job->state = HeldJob::State::kGivenUp;
      late.push_back(job);
    }
  }
  for (const HeldJobPtr& job : late) job->stop.request_stop();
  return late;
}

std::vector<HeldJobPtr> JobLane::close() {
  std::vector<HeldJobPtr> waiting;
  {
    std::lock_guard lock(mutex_);
    is_closed_ = true;
    for (HeldJobPtr& job : waiting_) {
      job->state = HeldJob::State::kFinished;
      waiting.push_back(std::move(job));
    }
    waiting_.clear();
  }
  changed_.notify_all();
  return waiting;
}

void JobLane::interrupt() {
  std::vector<HeldJobPtr> interrupted;
  {
    std::lock_guard lock(mutex_);
    for (const HeldJobPtr& job : running_) {
      if (!job || job->state != HeldJob::State::kRunning) continue;
      job->state = HeldJob::State::kInterrupted;
      interrupted.push_back(job);
    }
  }
  for (const HeldJobPtr& job : interrupted) job->stop.request_stop();
}

void JobLane::work(std::size_t thread) {
  name_thread(type_);
  while (HeldJobPtr job = take(thread)) {
    put_down(thread, run_handler(entry_.handle, *job));
    on_change_();
  }
}

HeldJobPtr JobLane::take(std::size_t thread) {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return is_closed_ || !waiting_.empty(); });
    if (is_closed_) return nullptr;
    HeldJobPtr job = std::move(waiting_.front());
    waiting_.pop_front();
    auto now = clock_.steady();
    if (now < job->lease_end.load()) {
      job->state = HeldJob::State::kRunning;
      job->deadline = now + timeout();
      running_[thread] = job;
      ++running_count_;
      return job;
    }
    // This process stood still, or could not renew it. If nobody else has taken the job over yet, it is given back.
    job->state = HeldJob::State::kFinished;
    finished_.push_back({.job = std::move(job), .outcome = Snoozed{}, .has_run = false});
    lock.unlock();
    on_change_();
    lock.lock();
  }
}

void JobLane::put_down(std::size_t thread, Outcome outcome) {
  std::lock_guard lock(mutex_);
  HeldJobPtr job = std::exchange(running_[thread], nullptr);
  --running_count_;
  auto state = std::exchange(job->state, HeldJob::State::kFinished);
  if (state == HeldJob::State::kRunning) finished_.push_back({.job = std::move(job), .outcome = std::move(outcome)});
  if (state == HeldJob::State::kInterrupted) finished_.push_back({.job = std::move(job), .outcome = Snoozed{}, .has_run = false});
}

}  // namespace hearth::jobs
