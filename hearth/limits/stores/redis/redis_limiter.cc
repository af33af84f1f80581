#include "hearth/limits/stores/redis/redis_limiter.h"

#include <algorithm>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/base/log.h"

namespace hearth::limits {

namespace scripts {
extern const char kLimit[];  // limit.lua
}

namespace {

using redis::Reply;
using redis::ScriptCall;

constexpr std::size_t kNumbersEach = 5;  // of a check, in the answer
constexpr int kRoundsMax = 5;            // of takes that others got in the way of

const redis::Script& limit_script() {
  static const redis::Script script{std::string(scripts::kLimit)};
  return script;
}

const char* word_for(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kSlidingWindow:
      return "sliding";
    case Algorithm::kGcra:
      return "gcra";
    case Algorithm::kFixedWindow:
      return "fixed";
  }
  return "";
}

// The key may hold colons; the window and what follows do not.
std::string id_of(const Check& check) {
  std::string id = check.key + ":" + std::to_string(check.window.count());
  if (check.algorithm == Algorithm::kGcra) id += ":gcra";
  if (check.algorithm == Algorithm::kFixedWindow) id += ":fixed";
  return id;
}

std::chrono::microseconds tick_of(const Check& check, std::size_t exact_entries_max) {
  if (check.algorithm != Algorithm::kSlidingWindow) return std::chrono::microseconds(0);
  return log_tick(check.limit, check.window, exact_entries_max);
}

Error refused(const redis::Failure& failure) {
  if (failure.kind == redis::Failure::Kind::kRefused && !failure.is("OOM")) {
    log::error("limits", "Redis refuses a limit; does its key hold something else?", {{"error", failure.message}});
  }
  return redis::to_error(failure);
}

bool all_allowed(const auto& answers) {
  return std::ranges::all_of(answers, [](const auto& answer) { return answer.decision.is_allowed; });
}

std::vector<Decision> decisions_of(auto&& answers) {
  std::vector<Decision> decisions;
  decisions.reserve(answers.size());
  for (auto& answer : answers) decisions.push_back(std::move(answer.decision));
  return decisions;
}

}  // namespace

RedisLimiter::RedisLimiter(redis::Client& client, redis::KeyNames names, Options options)
    : client_(client), names_(names), options_(options) {}

std::vector<RedisLimiter::Group> RedisLimiter::grouped(const std::vector<Check>& checks) const {
  std::vector<Group> groups;
  for (std::size_t i = 0; i < checks.size(); ++i) {
    // Without tags all keys are on one server.
    auto partition = names_.is_tagged() ? names_.partition_of(checks[i].key) : 0;
    auto group = std::ranges::find(groups, partition, &Group::partition);
    if (group == groups.end()) group = groups.insert(group, Group{.partition = partition, .items = {}});
    group->items.push_back(i);
  }
  return groups;
}

ScriptCall RedisLimiter::call_for(const char* mode, const Group& group, const std::vector<Check>& checks, const Answers& taken) const {
  ScriptCall call{.script = &limit_script()};
  call.keys.reserve(group.items.size());
  call.arguments.reserve(2 + 6 * group.items.size());
  call.arguments.emplace_back(mode);
  call.arguments.push_back(options_.clock ? std::to_string(options_.clock->now().time_since_epoch().count()) : "");
  for (std::size_t i : group.items) {
    const Check& check = checks[i];
    auto tick = std::max(tick_of(check, options_.exact_entries_max), std::chrono::microseconds(1));
    call.keys.push_back(names_.name("ratelimit:", group.partition, id_of(check)));
    call.arguments.emplace_back(word_for(check.algorithm));
    call.arguments.push_back(std::to_string(check.limit));
    call.arguments.push_back(std::to_string(std::chrono::microseconds(check.window).count()));
    call.arguments.push_back(std::to_string(check.cost));
    call.arguments.push_back(std::to_string(tick.count()));
    call.arguments.push_back(taken[i].taken);
  }
  return call;
}

// All groups at once. Answers are set for those that have one, also where another fails.
Task<Result<void>> RedisLimiter::run(const char* mode, const std::vector<Group>& groups, const std::vector<Check>& checks,
                                     Answers& answers) {
  std::vector<ScriptCall> calls;
  calls.reserve(groups.size());
  for (const auto& group : groups) calls.push_back(call_for(mode, group, checks, answers));
  auto replies = co_await client_.run_all(std::move(calls));

  Result<void> outcome;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const auto& items = groups[g].items;
    if (!replies[g]) {
      outcome = std::unexpected(refused(replies[g].error()));
      continue;
    }
    const auto& numbers = replies[g]->elements;
    HEARTH_ASSERT(numbers.size() == kNumbersEach * items.size());
    for (std::size_t n = 0; n < items.size(); ++n) {
      const Reply* at = &numbers[kNumbersEach * n];
      const Check& check = checks[items[n]];
      Answer& answer = answers[items[n]];
      answer.decision = {.is_allowed = at[0].integer == 1,
                         .limit = check.limit,
                         .remaining = static_cast<std::uint64_t>(at[1].integer),
                         .reset = UtcMicros(std::chrono::microseconds(at[2].integer)),
                         .tick = tick_of(check, options_.exact_entries_max)};
      if (!answer.decision.is_allowed) answer.decision.retry_after = std::chrono::microseconds(at[3].integer);
      answer.taken = at[4].text;
    }
  }
  co_return outcome;
}

// Nothing is taken anywhere before all have said that it fits; so what is given back is only what others were faster at.
Task<Result<void>> RedisLimiter::take_together(const std::vector<Group>& groups, const std::vector<Check>& checks, Answers& answers) {
  for (int round = 0; round < kRoundsMax; ++round) {
    auto tried = co_await run("try", groups, checks, answers);
    if (!tried || !all_allowed(answers)) co_return tried;
    // Told by those that fail: nothing of theirs is to be undone, as far as is known.
    for (auto& answer : answers) answer = {};
    auto taken = co_await run("take", groups, checks, answers);
    if (taken && all_allowed(answers)) co_return taken;

    std::vector<Group> held;
    for (const auto& group : groups) {
      if (std::ranges::all_of(group.items, [&](std::size_t i) { return answers[i].decision.is_allowed; })) held.push_back(group);
    }
    auto undone = co_await run("undo", held, checks, answers);
    if (!taken) co_return taken;
    if (!undone) co_return undone;
  }
  co_return Result<void>{};
}

Task<Result<std::vector<Decision>>> RedisLimiter::take(std::vector<Check> checks) {
  HEARTH_ASSERT(!checks.empty() && checks.size() <= kChecksMax);
  auto groups = grouped(checks);
  Answers answers(checks.size());
  Result<void> taken;
  if (groups.size() == 1) {
    taken = co_await run("take", groups, checks, answers);
  } else {
    taken = co_await take_together(groups, checks, answers);
  }
  if (!taken) co_return std::unexpected(taken.error());
  co_return decisions_of(std::move(answers));
}

Task<Result<std::vector<Decision>>> RedisLimiter::peek(std::vector<Check> checks) {
  HEARTH_ASSERT(!checks.empty() && checks.size() <= kChecksMax);
  auto groups = grouped(checks);
  Answers answers(checks.size());
  auto looked = co_await run("peek", groups, checks, answers);
  if (!looked) co_return std::unexpected(looked.error());
  co_return decisions_of(std::move(answers));
}

Task<Result<Decision>> RedisLimiter::refund(Check check) {
  std::vector<Check> checks;
  checks.push_back(std::move(check));
  auto groups = grouped(checks);
  Answers answers(1);
  auto refunded = co_await run("refund", groups, checks, answers);
  if (!refunded) co_return std::unexpected(refunded.error());
  co_return answers.front().decision;
}

}  // namespace hearth::limits
