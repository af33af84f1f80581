// A schedule as the configuration has it, and when it runs.
//
// The first four bytes of an input say from when on, in minutes since 1970. Besides not crashing, it must hold that what was
// read reads the same when written again, and that the next run is the first minute that is due by what clocks show.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "hearth/base/assert.h"
#include "hearth/base/cron.h"
#include "hearth/base/time_zone.h"
#include "hearth/jobs/scheduler.h"

namespace hearth::jobs {
namespace {

using std::chrono::microseconds;
using std::chrono::minutes;

constexpr std::uint32_t kFromMax = 200 * 366 * 24 * 60;  // in minutes
constexpr int kMinutesLookedAt = 2'000;

std::uint32_t take_number(std::string_view& input) {
  std::uint32_t number = 0;
  for (char byte : input.substr(0, 4)) number = number << 8 | static_cast<unsigned char>(byte);
  input.remove_prefix(std::min<std::size_t>(input.size(), 4));
  return number;
}

void check_text(const Schedule& schedule) {
  auto again = parse_schedule(schedule.name + "|" + schedule.cron + "|" + schedule.time_zone + "|" + schedule.job_type + "|" +
                              schedule.payload + (schedule.catch_up == CatchUp::kSkip ? "|skip" : "|once"));
  HEARTH_ASSERT(again && again->name == schedule.name && again->cron == schedule.cron && again->time_zone == schedule.time_zone &&
                again->job_type == schedule.job_type && again->payload == schedule.payload && again->catch_up == schedule.catch_up);
}

// Minute by minute, with UTC as what a clock without changes says.
class Clocks {
 public:
  explicit Clocks(const Schedule& schedule)
      : cron_(Cron::parse(schedule.cron, "").value()),
        zone_(TimeZone::find(schedule.time_zone, "").value()),
        is_any_hour_(is_due_when_shown_each_hour()) {}

  bool is_due(UtcMicros time) const {
    auto period = zone_.period_of(time);
    auto shown = time + period.offset;
    if (is_any_hour_) return is_due_when_shown(shown);
    auto back = period.offset_before - period.offset;
    if (time == period.begin) {
      for (auto skipped = shown + back; skipped < shown; skipped += minutes(1)) {
        if (is_due_when_shown(skipped)) return true;
      }
    }
    return time >= period.begin + back && is_due_when_shown(shown);
  }

 private:
  bool is_due_when_shown(UtcMicros shown) const { return cron_.next_after(shown - microseconds(1)) == shown; }
  bool is_due_when_shown_each_hour() const {
    auto first = cron_.next_after(UtcMicros());
    auto day = std::chrono::floor<std::chrono::days>(first);
    auto of_hour = first - std::chrono::floor<std::chrono::hours>(first);
    for (int hour = 0; hour < 24; ++hour) {
      if (!is_due_when_shown(day + std::chrono::hours(hour) + of_hour)) return false;
    }
    return true;
  }

  const Cron cron_;
  const TimeZone zone_;
  const bool is_any_hour_;
};

void check_times(const Schedule& schedule, UtcMicros from) {
  UtcMicros next = next_run(schedule, from).value();
  HEARTH_ASSERT(next > from);
  HEARTH_ASSERT(next_run(schedule, next - microseconds(1)).value() == next);
  HEARTH_ASSERT(next_run(schedule, from + (next - from) / 2).value() == next || from + (next - from) / 2 == next);
  // What clocks showed long ago was not counted in whole minutes.
  if (next - std::chrono::floor<minutes>(next) != microseconds(0) || from < UtcMicros(std::chrono::days(3 * 365))) return;
  Clocks clocks(schedule);
  HEARTH_ASSERT(clocks.is_due(next));
  for (int i = 1; i <= kMinutesLookedAt && from + minutes(i) < next; ++i) HEARTH_ASSERT(!clocks.is_due(from + minutes(i)));
}

}  // namespace
}  // namespace hearth::jobs

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth::jobs;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  auto from = hearth::UtcMicros(minutes(take_number(input) % kFromMax));
  auto schedule = parse_schedule(input);
  if (!schedule) {
    HEARTH_ASSERT(!schedule.error().field.empty() && !schedule.error().message.empty());
    return 0;
  }
  check_text(*schedule);
  check_times(*schedule, from);
  return 0;
}
