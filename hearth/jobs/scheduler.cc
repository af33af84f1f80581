#include "hearth/jobs/scheduler.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <string>
#include <utility>

#include "hearth/base/cron.h"
#include "hearth/base/ids.h"
#include "hearth/base/json_reader.h"
#include "hearth/base/log.h"
#include "hearth/base/run_to_end.h"
#include "hearth/base/time_zone.h"

namespace hearth::jobs {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr minutes kOnTime{1};    // a run that is not later was not missed
constexpr hours kUnreadable{1};  // until a schedule is looked at again that cannot be read
constexpr std::string_view kForm = "a schedule has the form NAME | CRON | TIME ZONE | JOB TYPE | PAYLOAD | once or skip";

struct Times {
  Cron cron;
  TimeZone zone;

  UtcMicros next_after(UtcMicros time) const { return cron.next_after(time, zone); }
};

Result<Times> times_of(const Schedule& schedule) {
  auto cron = Cron::parse(schedule.cron, "cron");
  if (!cron) return std::unexpected(cron.error());
  auto zone = TimeZone::find(schedule.time_zone, "timeZone");
  if (!zone) return std::unexpected(zone.error());
  return Times{*std::move(cron), *zone};
}

// The last moment up to `now`. REQUIRES: `due` is one. Looks back in growing steps, so that years cost no more than days.
UtcMicros last_moment(const Times& times, UtcMicros due, UtcMicros now) {
  UtcMicros last = due;
  UtcMicros next = times.next_after(due);
  for (minutes back{1}; now - back > due; back *= 2) {
    auto first = times.next_after(now - back);
    if (first > now) continue;
    next = first;
    break;
  }
  for (; next <= now; next = times.next_after(next)) last = next;
  return last;
}

Result<void> check(const Schedule& schedule) {
  if (!is_valid_id(schedule.name)) return invalid("name", invalid_id_message("name"));
  if (auto times = times_of(schedule); !times) return std::unexpected(times.error());
  if (auto job = check(JobDraft{.type = schedule.job_type, .payload = schedule.payload}); !job) return job;
  std::string payload = schedule.payload;
  auto read = read_json_object(payload, UnknownFields::kIgnore, [](std::string_view, JsonValue&) -> Result<bool> { return false; });
  if (!read) return invalid("payload", "payload must be a JSON object: " + read.error().message);
  if (schedule.job_type != kWebhookType) return {};
  if (auto url = url_in_payload(schedule.payload); !url) return std::unexpected(url.error());
  return {};
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r\n";
  auto first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

// The text up to the next bar, which is taken off with it.
std::string take_part(std::string_view& text) {
  auto bar = std::min(text.find('|'), text.size());
  std::string part(trimmed(text.substr(0, bar)));
  text.remove_prefix(std::min(bar + 1, text.size()));
  return part;
}

// Takes a last part off that is one of these words. A payload, which may have bars of its own, ends with a brace.
CatchUp take_catch_up(std::string_view& text) {
  auto bar = text.rfind('|');
  auto last = trimmed(bar == std::string_view::npos ? text : text.substr(bar + 1));
  if (last != "once" && last != "skip") return CatchUp::kOnce;
  text = text.substr(0, bar == std::string_view::npos ? 0 : bar);
  return last == "once" ? CatchUp::kOnce : CatchUp::kSkip;
}

}  // namespace

Result<UtcMicros> next_run(const Schedule& schedule, UtcMicros time) {
  auto times = times_of(schedule);
  if (!times) return std::unexpected(times.error());
  return times->next_after(time);
}

Result<Schedule> parse_schedule(std::string_view text) {
  if (std::ranges::count(text, '|') < 3) return invalid("schedules", std::string(kForm));
  Schedule schedule;
  schedule.is_configured = true;
  schedule.name = take_part(text);
  schedule.cron = take_part(text);
  schedule.time_zone = take_part(text);
  schedule.job_type = take_part(text);
  schedule.catch_up = take_catch_up(text);
  if (auto payload = trimmed(text); !payload.empty()) schedule.payload = payload;
  if (auto checked = check(schedule); !checked) return std::unexpected(checked.error());
  return schedule;
}

Scheduler::Scheduler(Schedules& schedules, const Clock& clock)
    : schedules_(schedules), clock_(clock), task_({.name = "scheduler"}, [this] { return step(); }) {}

Task<Result<Schedule>> Scheduler::put(Schedule schedule) {
  if (auto checked = check(schedule); !checked) co_return std::unexpected(checked.error());
  schedule.last_run_at.reset();
  schedule.next_run_at = next_run(schedule, clock_.now()).value();
  co_return co_await schedules_.put(std::move(schedule));
}

Task<Result<void>> Scheduler::configure(std::vector<Schedule> schedules) {
  std::set<std::string> names;
  for (const Schedule& schedule : schedules) {
    if (auto checked = check(schedule); !checked) co_return std::unexpected(checked.error());
    if (!names.insert(schedule.name).second) co_return invalid("schedules", "two schedules have the name " + schedule.name);
  }
  auto kept = co_await schedules_.list();
  if (!kept) co_return std::unexpected(kept.error());
  for (const Schedule& old : *kept) {
    if (!old.is_configured || names.contains(old.name)) continue;
    auto removed = co_await schedules_.remove(old.name);
    if (!removed && removed.error().code != ErrorCode::kNotFound) co_return removed;  // another node may have removed it
  }
  for (Schedule& schedule : schedules) {
    schedule.is_configured = true;
    if (auto made = co_await put(std::move(schedule)); !made) co_return std::unexpected(made.error());
  }
  co_return Result<void>();
}

Result<bool> Scheduler::step() {
  return run_to_end(run_due());
}

Task<Result<bool>> Scheduler::run_due() {
  UtcMicros now = clock_.now();
  // All of them, so that those that cannot run keep none from running.
  auto due = co_await schedules_.due(now, kSchedulesMax);
  if (!due) co_return std::unexpected(due.error());
  std::optional<Error> failure;
  for (Schedule& schedule : *due) {
    auto name = schedule.name;
    auto done = co_await run(std::move(schedule), now);
    if (!done) failure = Error{done.error().code, "schedule " + name + ": " + done.error().message};
  }
  if (failure) co_return std::unexpected(*std::move(failure));
  co_return due->size() == kSchedulesMax;
}

// False: another node did it, or the schedule was changed.
Task<Result<bool>> Scheduler::run(Schedule due, UtcMicros now) {
  auto times = times_of(due);
  if (!times) {
    log::error("scheduler", "a schedule cannot be read, and does not run", {{"schedule", due.name}, {"error", times.error().message}});
    co_return co_await schedules_.advance(std::move(due), now + kUnreadable, false);
  }
  UtcMicros last = last_moment(*times, due.next_run_at, now);
  UtcMicros next = times->next_after(now);
  if (due.catch_up == CatchUp::kSkip && now - last > kOnTime) co_return co_await schedules_.advance(std::move(due), next, false);
  if (last != due.next_run_at) {
    auto moved = co_await schedules_.advance(due, last, false);
    if (!moved || !*moved) co_return moved;
    due.next_run_at = last;
  }
  co_return co_await schedules_.advance(std::move(due), next, true);
}

}  // namespace hearth::jobs
