#include "hearth/limits/limit_service.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/base/log.h"

namespace hearth::limits {
namespace {

std::vector<Check> checks_of(const std::vector<Ask>& asks) {
  std::vector<Check> checks;
  checks.reserve(asks.size());
  for (const auto& ask : asks) checks.push_back(ask.check);
  return checks;
}

// Which of the checks alone found no room, as Limiter::take() says it.
std::optional<std::size_t> without_room(const Error& error, std::size_t checks) {
  std::size_t index = checks;
  const char* end = error.field.data() + error.field.size();
  auto read = std::from_chars(error.field.data(), end, index);
  if (read.ec != std::errc() || read.ptr != end || index >= checks) return std::nullopt;
  return index;
}

void add_one(std::atomic<std::uint64_t>& counter, std::uint64_t count = 1) {
  counter.fetch_add(count, std::memory_order_relaxed);
}

}  // namespace

bool Answers::is_allowed() const {
  return std::ranges::all_of(decisions, &Decision::is_allowed);
}

Task<Result<Answers>> LimitService::take(std::vector<Ask> asks) {
  return run(std::move(asks), Act::kTake);
}

Task<Result<Answers>> LimitService::peek(std::vector<Ask> asks) {
  return run(std::move(asks), Act::kPeek);
}

Task<Result<Answers>> LimitService::refund(Ask ask) {
  auto decision = co_await store_.refund(ask.check);
  if (decision) {
    note_success();
    Answers answers;
    answers.decisions.push_back(*decision);
    co_return answers;
  }
  if (decision.error().code == ErrorCode::kInvalidArgument) co_return std::unexpected(decision.error());
  note_failure(decision.error());
  if (ask.on_failure == OnFailure::kLocal && &local_ != &store_) decision = co_await local_.refund(std::move(ask.check));
  if (!decision) co_return fail(ErrorCode::kUnavailable, "the store of limits is away: nothing can be given back now");
  Answers answers;
  answers.decisions.push_back(*decision);
  answers.is_degraded = true;
  co_return answers;
}

Task<Result<Answers>> LimitService::run(std::vector<Ask> asks, Act act) {
  auto decisions = co_await ask_store(checks_of(asks), act);
  if (decisions) {
    note_success();
    Answers answers;
    answers.decisions = *std::move(decisions);
    co_return answers;
  }
  if (decisions.error().code == ErrorCode::kInvalidArgument) co_return std::unexpected(decisions.error());
  note_failure(decisions.error());
  auto full = &local_ == &store_ ? without_room(decisions.error(), asks.size()) : std::nullopt;
  if (full) co_return co_await fall_back_for(*full, std::move(asks), act);
  co_return co_await fall_back(std::move(asks), act);
}

Task<Result<std::vector<Decision>>> LimitService::ask_store(std::vector<Check> checks, Act act) {
  if (act == Act::kPeek) co_return co_await store_.peek(std::move(checks));
  co_return co_await store_.take(std::move(checks));
}

// For that which found no room, and for others that find none; the store decides the rest, all or nothing. Where a policy refuses,
// the rest is only looked at.
Task<Result<Answers>> LimitService::fall_back_for(std::size_t full, std::vector<Ask> asks, Act act) {
  Answers answers;
  answers.decisions.resize(asks.size());
  answers.is_degraded = true;
  std::vector<std::size_t> rest(asks.size());
  std::iota(rest.begin(), rest.end(), std::size_t{0});
  while (true) {
    std::size_t index = rest[full];
    answers.decisions[index] = by_policy(asks[index]);
    if (!answers.decisions[index].is_allowed) act = Act::kPeek;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(full));
    if (rest.empty()) co_return answers;
    std::vector<Check> checks;
    for (std::size_t i : rest) checks.push_back(asks[i].check);
    auto decisions = co_await ask_store(std::move(checks), act);
    if (decisions) {
      for (std::size_t i = 0; i < rest.size(); ++i) answers.decisions[rest[i]] = (*decisions)[i];
      co_return answers;
    }
    if (decisions.error().code == ErrorCode::kInvalidArgument) co_return std::unexpected(decisions.error());
    note_failure(decisions.error());
    auto next = without_room(decisions.error(), rest.size());
    if (!next) co_return co_await fall_back(std::move(asks), act);
    full = *next;
  }
}

// Where one is refused by its policy, those of kLocal are only looked at: nothing is taken.
Task<Result<Answers>> LimitService::fall_back(std::vector<Ask> asks, Act act) {
  Answers answers;
  answers.is_degraded = true;
  std::vector<Check> local;
  bool has_closed = false;
  for (auto& ask : asks) {
    has_closed |= ask.on_failure == OnFailure::kClosed;
    if (ask.on_failure == OnFailure::kLocal) local.push_back(ask.check);
  }
  std::optional<std::vector<Decision>> by_local;
  if (!local.empty()) by_local = co_await ask_local(std::move(local), has_closed ? Act::kPeek : act);
  std::size_t next = 0;
  for (const auto& ask : asks) {
    bool is_local = ask.on_failure == OnFailure::kLocal;
    if (is_local && by_local) {
      add_one(by_local_);
      answers.decisions.push_back((*by_local)[next++]);
    } else {
      answers.decisions.push_back(by_policy(ask));
    }
  }
  co_return answers;
}

// Nothing: this node's memory cannot answer either.
Task<std::optional<std::vector<Decision>>> LimitService::ask_local(std::vector<Check> checks, Act act) {
  if (&local_ == &store_) co_return std::nullopt;
  auto decisions = act == Act::kTake ? co_await local_.take(std::move(checks)) : co_await local_.peek(std::move(checks));
  if (!decisions) co_return std::nullopt;
  co_return *std::move(decisions);
}

// Where no memory answers: kLocal refuses then.
Decision LimitService::by_policy(const Ask& ask) {
  bool is_open = ask.on_failure == OnFailure::kOpen;
  add_one(is_open ? by_open_ : by_closed_);
  return is_open ? open(ask.check) : closed(ask.check);
}

// As if nothing had been taken.
Decision LimitService::open(const Check& check) const {
  return {.is_allowed = true, .limit = check.limit, .remaining = check.limit, .reset = clock_.now()};
}

Decision LimitService::closed(const Check& check) const {
  return {.is_allowed = false,
          .limit = check.limit,
          .remaining = 0,
          .reset = clock_.now() + kClosedRetryAfter,
          .retry_after = kClosedRetryAfter};
}

void LimitService::note_failure(const Error& error) {
  add_one(store_failures_);
  failed_at_.store(clock_.steady().time_since_epoch().count(), std::memory_order_relaxed);
  if (is_away_.exchange(true)) return;
  log::warning("limits", "the store of limits does not answer: failure policies do", {{"error", error.message}});
}

void LimitService::note_success() {
  if (!is_away_.load(std::memory_order_relaxed)) return;
  std::chrono::steady_clock::time_point failed_at{std::chrono::steady_clock::duration(failed_at_.load(std::memory_order_relaxed))};
  if (clock_.steady() - failed_at < kOutageQuiet || !is_away_.exchange(false)) return;
  log::info("limits", "the store of limits answers again", {{"failures_so_far", store_failures_.load(std::memory_order_relaxed)}});
}

LimitService::Stats LimitService::stats() const {
  auto read = [](const std::atomic<std::uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  return {.store_failures = read(store_failures_), .by_local = read(by_local_), .by_open = read(by_open_), .by_closed = read(by_closed_)};
}

}  // namespace hearth::limits
