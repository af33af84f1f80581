#include "hearth/jobs/job_runner.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <random>
#include <system_error>
#include <thread>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/base/log.h"
#include "hearth/base/run_to_end.h"
#include "hearth/base/thread_name.h"
#include "hearth/jobs/job_lane.h"

namespace hearth::jobs {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kUnendedMax = 10'000;  // outcomes that the queue has not taken yet; with more nothing is claimed
constexpr std::size_t kEndingsMax = 1'000;   // of one end(), and of one renew()
constexpr int kEndsAtOnce = 2;               // while one batch commits the next is sent
constexpr std::size_t kTakeOverMax = 1'000;  // at once
constexpr milliseconds kWatch{100};          // how exactly time-outs are kept
constexpr milliseconds kLookAgain{2};        // where another claim may have been at a job that is due
constexpr milliseconds kRestFirst{100};      // after a failure
constexpr milliseconds kRestMax{5'000};
constexpr milliseconds kLastEnds{1'000};  // for the ends of the last jobs, at least
constexpr milliseconds kForever = std::chrono::hours(24);

// Where one coroutine waits until a time comes, or until it is called.
class Alarm {
 public:
  explicit Alarm(Executor executor) : timer_(executor, kForever) {}

  void set(milliseconds from_now) { timer_.expires_after(from_now); }
  void call() {
    is_called_ = true;
    timer_.cancel();
  }
  // Whether the time has come. A call that nobody waited for ends the next wait.
  Task<bool> wait() {
    if (!is_called_) co_await timer_.async_wait(boost::asio::as_tuple(use_task));
    co_return !std::exchange(is_called_, false);
  }

 private:
  boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor> timer_;
  bool is_called_ = false;
};

// What is tried again while the database is away. The first failure is logged, and that it is over.
class Retry {
 public:
  explicit Retry(std::string_view task) : task_(task) {}

  // How long to rest: a tenth more or less, so that nodes do not come back together.
  milliseconds failed(const Error& error) {
    if (rest_ == kRestFirst) log::error("jobs", "failed, will try again", {{"task", task_}, {"error", error.message}});
    milliseconds rest = std::exchange(rest_, std::min(rest_ * 2, kRestMax));
    return rest * (90 + static_cast<int>(random_() % 21)) / 100;
  }
  void worked() {
    if (std::exchange(rest_, kRestFirst) != kRestFirst) log::info("jobs", "recovered", {{"task", task_}});
  }

 private:
  const std::string_view task_;
  milliseconds rest_ = kRestFirst;
  std::minstd_rand random_{std::random_device{}()};
};

struct Counters {
  std::atomic<std::uint64_t> claimed = 0, completed = 0, failed = 0, snoozed = 0, stale = 0, timed_out = 0, taken_over = 0;
};

// One call of process(), while it waits for its jobs.
struct Visit {
  explicit Visit(Executor executor) : alarm(executor) {}

  Alarm alarm;
  std::vector<ProcessedJob> ended;
  std::vector<ProcessedJob> running;
};

struct Held final : HeldJob {
  Held(ClaimedJob claimed, SteadyTime end_of_lease, JobLane& its_lane, std::shared_ptr<Visit> its_visit)
      : HeldJob(std::move(claimed), end_of_lease), lane(its_lane), visit(std::move(its_visit)) {}

  JobLane& lane;
  const std::shared_ptr<Visit> visit;  // null, or of the call that it was claimed for, which may be over
  std::size_t place = 0;               // among all that are held
  bool is_released = false;            // no more
  bool is_renewing = false;            // it is not ended meanwhile, so that the one cannot refuse the other
  bool is_ending = false;
  bool is_lost = false;            // another attempt owns the job, or it was cancelled
  bool ends_alone = false;         // a batch with it was refused
  bool is_second_outcome = false;  // its own was refused
};
using HeldPtr = std::shared_ptr<Held>;

struct Unended {
  HeldPtr held;
  Outcome outcome;
  bool has_run = true;
};

// Lanes whose jobs the same claims bring: those with a url are claimed apart.
struct Source {
  struct Entry {
    JobLane& lane;
    bool may_have_more = true;  // of its jobs in the queue, as far as we know
  };

  Source(Executor executor, bool with_url) : takes_webhooks(with_url), alarm(executor) {}

  JobLane& lane_of(std::string_view type) {
    auto entry = std::ranges::find_if(entries, [&](const Entry& each) { return takes_webhooks || each.lane.type() == type; });
    HEARTH_ASSERT(entry != entries.end());
    return entry->lane;
  }

  // Some have come.
  void heard() {
    ++notices;
    for (Entry& entry : entries) entry.may_have_more = true;
    alarm.call();
  }
  // Some may have come that nobody told us of.
  void looks_again(milliseconds poll) {
    for (Entry& entry : entries) entry.may_have_more = true;
    alarm.set(poll);
  }
  // What a claim says about the jobs that are left. Lanes that it had no room for are asked for as soon as they have some.
  void learns(const ClaimRequest& request, const Claim& claim, bool has_heard, milliseconds poll) {
    for (Entry& entry : entries) {
      auto asked = std::ranges::find(request.types, entry.lane.type(), &TypeLimit::type);
      auto got = std::ranges::count_if(claim.jobs, [&](const ClaimedJob& job) { return takes_webhooks || job.type == entry.lane.type(); });
      bool has_all = asked != request.types.end() && static_cast<std::size_t>(got) < asked->limit && claim.jobs.size() < request.limit;
      entry.may_have_more = has_heard || !has_all;
    }
    alarm.set(claim.next_due_in ? std::clamp(*claim.next_due_in, std::min(kLookAgain, poll), poll) : poll);
  }

  const bool takes_webhooks;
  Alarm alarm;
  std::vector<Entry> entries;
  std::uint64_t notices = 0;
};

std::string seconds_text(milliseconds time) {
  auto text = std::to_string(time.count() / 1'000);
  if (auto rest = time.count() % 1'000; rest != 0) text += "." + std::to_string(1'000 + rest).substr(1);
  return text + " s";
}

}  // namespace

// A thread runs the coroutines below on its loop; each does one thing until the runner stops. What has no lock belongs to it.
class JobRunner::Impl {
 public:
  Impl(JobQueue& queue, JobSignal& signal, const JobHandlers& handlers, const Clock& clock, RunnerOptions options)
      : queue_(queue), signal_(signal), handlers_(handlers), clock_(clock), options_(std::move(options)) {}

  void start();
  void stop();
  Task<Result<std::vector<ProcessedJob>>> process(std::size_t limit, milliseconds budget);
  RunnerStats stats();

 private:
  Executor executor() { return (*loop_).get_executor(); }
  void open();
  void add_lane(Source& source, const std::string& type, const JobHandlers::Entry& entry);
  void spawn(Task<void> task);
  Task<void> shut_down();
  template <typename IsDone>
  Task<bool> until(IsDone is_done, milliseconds limit);
  void call_all();
  Task<void> rest(milliseconds time);

  Task<void> listen_loop(std::uint64_t seen);
  Task<void> claim_loop(Source& source);
  std::optional<ClaimRequest> next_request(const Source& source) const;
  Task<Result<Claim>> claim(ClaimRequest request, Source& source, std::shared_ptr<Visit> visit);
  void hold(Claim& claim, Source& source, SteadyTime lease_end, const std::shared_ptr<Visit>& visit);
  Task<void> take_over_loop();

  void collect();
  void call_enders();
  Task<void> end_loop(Alarm& alarm);
  std::vector<Unended> next_batch();
  Task<milliseconds> end(std::vector<Unended> batch);
  void settle(Unended& unended, const Result<Ended>& answer);
  void refused(Unended& unended, const Error& error);
  void release(Held& held, bool is_ok, std::string error);

  Task<void> watch_loop();
  Task<void> renew_loop();
  std::vector<HeldPtr> due_for_renewal() const;
  Task<Result<void>> renew(std::vector<HeldPtr> batch);
  void renewed(Held& held, const Result<Renewed>& answer, SteadyTime lease_end);

  Task<Result<std::vector<ProcessedJob>>> visit(std::size_t limit, milliseconds budget);
  Task<Result<std::size_t>> claim_now(std::shared_ptr<Visit> visit, std::size_t limit);

  std::size_t running() const;

  JobQueue& queue_;
  JobSignal& signal_;
  const JobHandlers& handlers_;
  const Clock& clock_;
  const RunnerOptions options_;
  Counters counters_;

  std::mutex lifecycle_;
  bool is_open_ = false;
  bool is_started_ = false;
  bool is_stopped_ = false;
  std::thread thread_;
  std::atomic<std::size_t> visits_ = 0;  // those that came before stop()

  // Borrowed, because a database may still be on its way out of it when its last answer has come.
  internal::BorrowedLoop loop_;
  std::vector<std::unique_ptr<JobLane>> lanes_;  // made before the thread, and gone after it
  std::atomic<bool> is_collect_due_ = false;

  // How far it has stopped.
  bool is_stopping_ = false;      // nothing is claimed any more
  bool are_leases_kept_ = true;   // false: handlers were interrupted
  bool are_ends_retried_ = true;  // false: what the database does not take now is lost
  bool is_over_ = false;          // every loop ends

  std::size_t claims_ = 0;     // on their way
  std::size_t endings_ = 0;    // on their way
  std::vector<HeldPtr> held_;  // all that is neither ended nor given up
  std::deque<Unended> unended_;
  Retry retry_ends_{"end jobs"};
  Source plain_{executor(), false};
  Source webhooks_{executor(), true};
  Alarm watch_{executor()};
  Alarm renew_{executor()};
  Alarm idle_{executor()};  // of shut_down()
  std::list<Alarm> enders_;
  std::list<Alarm*> resting_;
};

// --- start and stop ---

void JobRunner::Impl::start() {
  std::lock_guard lock(lifecycle_);
  if (is_stopped_ || is_started_) return;
  open();
  is_started_ = true;
  boost::asio::post(executor(), [this, seen = signal_.count()] {
    spawn(listen_loop(seen));
    spawn(claim_loop(plain_));
    spawn(claim_loop(webhooks_));
    spawn(take_over_loop());
  });
}

// With the lock held. Throws where no thread can be had.
void JobRunner::Impl::open() {
  if (is_open_) return;
  try {
    for (const auto& [type, entry] : handlers_.all()) add_lane(plain_, type, entry);
    if (handlers_.webhook() != nullptr) add_lane(webhooks_, std::string(kWebhookType), *handlers_.webhook());
    thread_ = std::thread([this] {
      name_thread("jobs");
      for (int i = 0; i < kEndsAtOnce; ++i) spawn(end_loop(enders_.emplace_back(executor())));
      spawn(watch_loop());
      spawn(renew_loop());
      (*loop_).run();
    });
  } catch (...) {
    is_stopped_ = true;
    throw;
  }
  is_open_ = true;
}

void JobRunner::Impl::add_lane(Source& source, const std::string& type, const JobHandlers::Entry& entry) {
  lanes_.push_back(std::make_unique<JobLane>(type, entry, clock_, [this] {
    if (!is_collect_due_.exchange(true)) boost::asio::post(executor(), [this] { collect(); });
  }));
  source.entries.push_back({*lanes_.back()});
}

// An exception that leaves a loop is a bug, and ends the process.
void JobRunner::Impl::spawn(Task<void> task) {
  boost::asio::co_spawn(executor(), std::move(task), [](std::exception_ptr thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
}

void JobRunner::Impl::stop() {
  std::thread thread;
  {
    std::lock_guard lock(lifecycle_);
    is_stopped_ = true;
    thread = std::exchange(thread_, {});
  }
  if (!thread.joinable()) return;
  boost::asio::post(executor(), [this] { spawn(shut_down()); });
  thread.join();

  std::vector<std::unique_ptr<JobLane>> lanes;
  {
    std::lock_guard lock(lifecycle_);
    lanes = std::exchange(lanes_, {});
  }
  lanes.clear();
  // What the last threads of the lanes have posted finds nothing any more, and must not stay in a loop that is used again.
  (*loop_).restart();
  (*loop_).poll();
}

Task<void> JobRunner::Impl::shut_down() {
  is_stopping_ = true;
  for (auto& lane : lanes_) {
    for (HeldJobPtr& job : lane->close()) unended_.push_back({std::static_pointer_cast<Held>(std::move(job)), Snoozed{}, false});
  }
  signal_.notify();  // ends our own wait
  call_all();
  auto is_quiet = [this] { return running() == 0 && claims_ == 0; };
  co_await until(is_quiet, options_.grace);

  are_leases_kept_ = false;
  renew_.call();
  for (auto& lane : lanes_) lane->interrupt();
  while (!co_await until(is_quiet, kForever)) {
  }
  collect();
  auto has_ended_all = [this] { return unended_.empty() && endings_ == 0; };
  if (!co_await until(has_ended_all, std::max(options_.grace, kLastEnds))) {
    log::warning("jobs", "outcomes could not be kept: these jobs run again when their leases are over",
                 {{"jobs", unended_.size() + endings_}});
  }
  are_ends_retried_ = false;
  for (Unended& unended : std::exchange(unended_, {})) release(*unended.held, false, "Hearth stops, and its end could not be kept");
  while (!co_await until([&] { return has_ended_all() && visits_ == 0; }, kForever)) {
  }
  is_over_ = true;
  call_all();
}

// False: not within `limit`. Who changes what it looks at calls idle_.
template <typename IsDone>
Task<bool> JobRunner::Impl::until(IsDone is_done, milliseconds limit) {
  idle_.set(limit);
  while (!is_done()) {
    if (co_await idle_.wait()) co_return is_done();
  }
  co_return true;
}

void JobRunner::Impl::call_all() {
  for (Alarm* alarm : {&plain_.alarm, &webhooks_.alarm, &watch_, &renew_, &idle_}) alarm->call();
  for (Alarm& alarm : enders_) alarm.call();
  for (Alarm* alarm : resting_) alarm->call();
}

// For so long, or until the runner stops.
Task<void> JobRunner::Impl::rest(milliseconds time) {
  Alarm alarm(executor());
  alarm.set(time);
  auto place = resting_.insert(resting_.end(), &alarm);
  co_await alarm.wait();
  resting_.erase(place);
}

// --- claims ---

Task<void> JobRunner::Impl::listen_loop(std::uint64_t seen) {
  while (true) {
    seen = co_await signal_.wait_async(seen, kForever);
    if (is_stopping_ || signal_.is_closed()) co_return;
    for (Source* source : {&plain_, &webhooks_}) source->heard();
  }
}

Task<void> JobRunner::Impl::claim_loop(Source& source) {
  Retry retry("claim jobs");
  while (!is_stopping_) {
    auto request = next_request(source);
    if (!request) {
      if (co_await source.alarm.wait()) source.looks_again(options_.poll);
      continue;
    }
    auto notices = source.notices;
    auto claimed = co_await claim(*request, source, nullptr);
    if (!claimed) {
      co_await rest(retry.failed(claimed.error()));
      continue;
    }
    retry.worked();
    source.learns(*request, *claimed, notices != source.notices, options_.poll);
  }
}

// Asks for what there is room for. None: there is no room, or nothing that is known of.
std::optional<ClaimRequest> JobRunner::Impl::next_request(const Source& source) const {
  if (unended_.size() + endings_ >= kUnendedMax) return std::nullopt;
  ClaimRequest request{.limit = 0, .takes_webhooks = source.takes_webhooks};
  bool is_worth_it = false;
  for (const auto& [lane, may_have_more] : source.entries) {
    std::size_t room = std::min(lane.room(), kJobsPerClaimMax);
    if (room == 0) continue;
    request.types.push_back({lane.type(), room});
    request.limit = std::min(request.limit + room, kJobsPerClaimMax);
    is_worth_it |= may_have_more;
  }
  if (!is_worth_it) return std::nullopt;
  return request;
}

Task<Result<Claim>> JobRunner::Impl::claim(ClaimRequest request, Source& source, std::shared_ptr<Visit> visit) {
  request.worker = options_.worker;
  request.lease = options_.lease;
  if (source.takes_webhooks) request.types.clear();
  ++claims_;
  auto lease_end = clock_.steady() + options_.lease;
  auto claimed = co_await queue_.claim(std::move(request));
  --claims_;
  idle_.call();
  if (claimed) hold(*claimed, source, lease_end, visit);
  co_return claimed;
}

void JobRunner::Impl::hold(Claim& claim, Source& source, SteadyTime lease_end, const std::shared_ptr<Visit>& visit) {
  counters_.claimed += claim.jobs.size();
  if (held_.empty()) watch_.call();
  std::map<JobLane*, std::vector<HeldJobPtr>> jobs_of;
  for (ClaimedJob& job : claim.jobs) {
    if (visit) visit->running.push_back({.id = job.id, .type = job.type});
    JobLane& lane = source.lane_of(job.type);
    auto held = std::make_shared<Held>(std::move(job), lease_end, lane, visit);
    held->place = held_.size();
    held_.push_back(held);
    if (is_stopping_) {
      unended_.push_back({std::move(held), Snoozed{}, false});
    } else {
      jobs_of[&lane].push_back(std::move(held));
    }
  }
  for (auto& [lane, jobs] : jobs_of) lane->add(jobs);
  if (is_stopping_) call_enders();
}

Task<void> JobRunner::Impl::take_over_loop() {
  Retry retry("take over jobs");
  while (!is_stopping_) {
    auto taken = co_await queue_.take_over_expired(kTakeOverMax);
    if (!taken) {
      co_await rest(retry.failed(taken.error()));
      continue;
    }
    retry.worked();
    counters_.taken_over += *taken;
    if (*taken < kTakeOverMax) co_await rest(options_.poll);
  }
}

// --- ends ---

// Of what has finished on the threads of the lanes.
void JobRunner::Impl::collect() {
  is_collect_due_ = false;
  for (auto& lane : lanes_) {
    for (auto& [job, outcome, has_run] : lane->take_finished()) {
      unended_.push_back({std::static_pointer_cast<Held>(std::move(job)), std::move(outcome), has_run});
    }
  }
  call_enders();
  for (Alarm* alarm : {&plain_.alarm, &webhooks_.alarm, &idle_}) alarm->call();
}

void JobRunner::Impl::call_enders() {
  if (unended_.empty()) return;
  for (Alarm& alarm : enders_) alarm.call();
}

Task<void> JobRunner::Impl::end_loop(Alarm& alarm) {
  while (!is_over_) {
    auto batch = next_batch();
    if (batch.empty()) {
      alarm.set(kForever);
      co_await alarm.wait();
      continue;
    }
    if (auto pause = co_await end(std::move(batch)); pause > milliseconds(0)) co_await rest(pause);
  }
}

std::vector<Unended> JobRunner::Impl::next_batch() {
  std::vector<Unended> batch;
  for (std::size_t left = unended_.size(); left > 0 && batch.size() < kEndingsMax; --left) {
    Unended next = std::move(unended_.front());
    unended_.pop_front();
    if (next.held->is_lost) {
      release(*next.held, false, "its lease was lost, or it was cancelled");
    } else if (next.held->is_renewing || (next.held->ends_alone && !batch.empty())) {
      unended_.push_back(std::move(next));
    } else {
      batch.push_back(std::move(next));
      if (batch.back().held->ends_alone) break;
    }
  }
  return batch;
}

// Returns how long to rest then. Ending again is safe: the lease token tells the queue what it has ended already.
Task<milliseconds> JobRunner::Impl::end(std::vector<Unended> batch) {
  std::vector<Ending> endings;
  endings.reserve(batch.size());
  for (const auto& [held, outcome, has_run] : batch) {
    held->is_ending = true;
    endings.push_back({.job = held->job.id, .lease_token = held->job.lease_token, .outcome = outcome});
  }
  endings_ += batch.size();
  auto answers = co_await queue_.end(std::move(endings));
  endings_ -= batch.size();
  for (Unended& unended : batch) unended.held->is_ending = false;
  for (Alarm* alarm : {&plain_.alarm, &webhooks_.alarm, &idle_}) alarm->call();

  if (answers) {
    retry_ends_.worked();
    HEARTH_ASSERT(answers->size() == batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) settle(batch[i], (*answers)[i]);
    co_return milliseconds(0);
  }
  const Error& error = answers.error();
  if (!are_ends_retried_) {
    for (Unended& unended : batch) release(*unended.held, false, error.message);
    co_return milliseconds(0);
  }
  bool is_away = error.code == ErrorCode::kUnavailable;
  if (!is_away && batch.size() == 1) {
    refused(batch.front(), error);
    co_return milliseconds(0);
  }
  for (Unended& unended : batch) {
    unended.held->ends_alone = !is_away;
    unended_.push_back(std::move(unended));
  }
  co_return is_away ? retry_ends_.failed(error) : milliseconds(0);
}

void JobRunner::Impl::settle(Unended& unended, const Result<Ended>& answer) {
  if (!answer) return refused(unended, answer.error());
  auto& [held, outcome, has_run] = unended;
  if (!has_run) return release(*held, false, "it was given back");
  if (const auto* failed = std::get_if<Failed>(&outcome)) {
    ++counters_.failed;
    log::debug("jobs", "an attempt failed", {{"type", held->job.type}, {"job", to_text(held->job.id)}, {"error", failed->error}});
    return release(*held, false, failed->error);
  }
  ++(std::holds_alternative<Completed>(outcome) ? counters_.completed : counters_.snoozed);
  release(*held, true, "");
}

void JobRunner::Impl::refused(Unended& unended, const Error& error) {
  Held& held = *unended.held;
  switch (error.code) {
    case ErrorCode::kStaleLease:
      ++counters_.stale;
      return release(held, false, error.message);
    case ErrorCode::kNotFound:
    case ErrorCode::kConflict:  // it was cancelled
      return release(held, false, error.message);
    default:
      break;
  }
  // What it changes cannot be kept: then the attempt has failed. If that cannot be kept either, its lease runs out.
  if (std::exchange(held.is_second_outcome, true)) {
    log::error("jobs", "an outcome cannot be kept", {{"type", held.job.type}, {"job", to_text(held.job.id)}, {"error", error.message}});
    return release(held, false, error.message);
  }
  unended_.push_back({unended.held, Failed{.error = error.message}, unended.has_run});
}

void JobRunner::Impl::release(Held& held, bool is_ok, std::string error) {
  HEARTH_ASSERT(held_[held.place].get() == &held);
  HeldPtr released = std::exchange(held_[held.place], std::move(held_.back()));
  if (held_[held.place]) held_[held.place]->place = held.place;
  held_.pop_back();
  held.is_released = true;
  idle_.call();
  if (Visit* visit = held.visit.get()) {
    std::erase_if(visit->running, [&](const ProcessedJob& job) { return job.id == held.job.id; });
    visit->ended.push_back({.id = held.job.id, .type = held.job.type, .is_ok = is_ok, .error = std::move(error)});
    visit->alarm.call();
  }
}

// --- leases and time-outs ---

Task<void> JobRunner::Impl::watch_loop() {
  while (!is_over_) {
    watch_.set(held_.empty() ? kForever : kWatch);
    co_await watch_.wait();
    for (auto& lane : lanes_) {
      for (HeldJobPtr& late : lane->give_up_late()) {
        ++counters_.timed_out;
        unended_.push_back(
            {std::static_pointer_cast<Held>(std::move(late)), Failed{.error = "timed out after " + seconds_text(lane->timeout())}});
      }
    }
    call_enders();
  }
}

Task<void> JobRunner::Impl::renew_loop() {
  Retry retry("renew leases");
  renew_.set(options_.heartbeat);
  while (are_leases_kept_) {
    if (!co_await renew_.wait()) continue;
    auto due = due_for_renewal();
    auto next = options_.heartbeat;
    for (std::size_t first = 0; first < due.size() && next == options_.heartbeat; first += kEndingsMax) {
      auto begin = due.begin() + static_cast<std::ptrdiff_t>(first);
      auto end = due.begin() + static_cast<std::ptrdiff_t>(std::min(first + kEndingsMax, due.size()));
      auto done = co_await renew(std::vector<HeldPtr>(begin, end));
      if (done) retry.worked();
      if (!done) next = std::min(options_.heartbeat, retry.failed(done.error()));
    }
    renew_.set(next);
  }
}

// Not those that were claimed a moment ago.
std::vector<HeldPtr> JobRunner::Impl::due_for_renewal() const {
  std::vector<HeldPtr> due;
  auto young = clock_.steady() + options_.lease - options_.heartbeat / 2;
  for (const HeldPtr& held : held_) {
    bool has_progress = held->progress.with([](const auto& progress) { return progress.has_value(); });
    if (!held->is_ending && !held->is_lost && (has_progress || held->lease_end.load() < young)) due.push_back(held);
  }
  return due;
}

Task<Result<void>> JobRunner::Impl::renew(std::vector<HeldPtr> batch) {
  std::vector<LeaseRenewal> renewals;
  std::erase_if(batch, [](const HeldPtr& held) { return held->is_ending || held->is_released; });
  for (const HeldPtr& held : batch) {
    held->is_renewing = true;
    auto progress = held->progress.with([](auto& kept) { return std::exchange(kept, std::nullopt); });
    renewals.push_back({.job = held->job.id, .lease_token = held->job.lease_token, .progress = std::move(progress)});
  }
  auto lease_end = clock_.steady() + options_.lease;
  auto answers = co_await queue_.renew(renewals);
  HEARTH_ASSERT(!answers || answers->size() == batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    batch[i]->is_renewing = false;
    if (answers) {
      renewed(*batch[i], (*answers)[i], lease_end);
    } else {
      batch[i]->progress.with([&](auto& newer) { newer = newer ? std::move(newer) : std::move(renewals[i].progress); });
    }
  }
  call_enders();
  if (!answers) co_return std::unexpected(answers.error());
  co_return Result<void>();
}

void JobRunner::Impl::renewed(Held& held, const Result<Renewed>& answer, SteadyTime lease_end) {
  if (held.is_released) return;
  if (answer && !answer->is_cancelled) {
    held.lease_end = lease_end;
    return;
  }
  std::string why = answer ? "it was cancelled" : answer.error().message;
  if (!answer) {
    bool is_lost = answer.error().code == ErrorCode::kStaleLease || answer.error().code == ErrorCode::kNotFound ||
                   answer.error().code == ErrorCode::kConflict;
    if (!is_lost) return;
    if (answer.error().code == ErrorCode::kStaleLease) ++counters_.stale;
  }
  held.is_lost = true;
  if (held.lane.give_up(held)) release(held, false, std::move(why));
}

// --- process() ---

Task<Result<std::vector<ProcessedJob>>> JobRunner::Impl::process(std::size_t limit, milliseconds budget) {
  {
    std::lock_guard lock(lifecycle_);
    if (is_stopped_) co_return fail(ErrorCode::kUnavailable, "Hearth stops");
    try {
      open();
    } catch (const std::system_error&) {
      co_return fail(ErrorCode::kUnavailable, "the threads for jobs cannot be started");
    }
    ++visits_;
  }
  co_return co_await boost::asio::co_spawn(executor(), visit(limit, budget), use_task);
}

Task<Result<std::vector<ProcessedJob>>> JobRunner::Impl::visit(std::size_t limit, milliseconds budget) {
  auto visit = std::make_shared<Visit>(executor());
  visit->alarm.set(budget);
  std::optional<Error> error;
  while (true) {
    std::size_t ended = visit->ended.size();
    std::size_t claimed = ended + visit->running.size();
    if (claimed < limit && !is_stopping_ && !error) {
      if (auto more = co_await claim_now(visit, limit - claimed); !more) error = more.error();
    }
    bool has_news = visit->ended.size() > ended;  // what ended meanwhile made room that the claim did not know of
    if (has_news) continue;
    if (visit->running.empty() || co_await visit->alarm.wait()) break;
  }
  --visits_;
  idle_.call();
  if (error && visit->ended.empty() && visit->running.empty()) co_return std::unexpected(*error);
  for (ProcessedJob& job : visit->running) {
    job.error = "it still runs";
    visit->ended.push_back(std::move(job));
  }
  co_return std::move(visit->ended);
}

// What can start at once.
Task<Result<std::size_t>> JobRunner::Impl::claim_now(std::shared_ptr<Visit> visit, std::size_t limit) {
  std::size_t claimed = 0;
  for (Source* source : {&plain_, &webhooks_}) {
    ClaimRequest request{.limit = 0, .takes_webhooks = source->takes_webhooks};
    for (const auto& [lane, may_have_more] : source->entries) {
      if (auto free = lane.free_threads(); free > 0) request.types.push_back({lane.type(), free});
      request.limit += lane.free_threads();
    }
    request.limit = std::min({request.limit, limit - claimed, kJobsPerClaimMax});
    if (request.limit == 0) continue;
    auto got = co_await claim(std::move(request), *source, visit);
    if (!got) co_return std::unexpected(got.error());
    claimed += got->jobs.size();
  }
  co_return claimed;
}

RunnerStats JobRunner::Impl::stats() {
  std::lock_guard lock(lifecycle_);
  return {.claimed = counters_.claimed,
          .completed = counters_.completed,
          .failed = counters_.failed,
          .snoozed = counters_.snoozed,
          .stale = counters_.stale,
          .timed_out = counters_.timed_out,
          .taken_over = counters_.taken_over,
          .running = running()};
}

std::size_t JobRunner::Impl::running() const {
  std::size_t all = 0;
  for (const auto& lane : lanes_) all += lane->running();
  return all;
}

JobRunner::JobRunner(JobQueue& queue, JobSignal& signal, const JobHandlers& handlers, const Clock& clock, RunnerOptions options)
    : impl_(std::make_unique<Impl>(queue, signal, handlers, clock, std::move(options))) {}

JobRunner::~JobRunner() {
  stop();
}

void JobRunner::start() {
  impl_->start();
}

void JobRunner::stop() {
  impl_->stop();
}

Task<Result<std::vector<ProcessedJob>>> JobRunner::process(std::size_t limit, std::chrono::milliseconds budget) {
  return impl_->process(limit, budget);
}

RunnerStats JobRunner::stats() const {
  return impl_->stats();
}

}  // namespace hearth::jobs
