#include "hearth/base/time_zone.h"

#include <date/tz.h>

#include <algorithm>
#include <exception>
#include <string>

namespace hearth {
namespace {

using std::chrono::seconds;
using std::chrono::sys_days;

// Times of these years can be counted in microseconds, with an offset added.
constexpr UtcMicros kFirst = sys_days(std::chrono::year(-32'000) / 1 / 1);
constexpr UtcMicros kLast = sys_days(std::chrono::year(32'000) / 1 / 1);

date::sys_info info_at(const date::time_zone& zone, UtcMicros time) {
  return zone.get_info(std::chrono::floor<seconds>(time));
}

// Looks through it the first time, and again for as long as it cannot be read.
bool has_database() {
  try {
    return !date::get_tzdb().zones.empty();
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace

Result<TimeZone> TimeZone::find(std::string_view name, std::string_view field) {
  if (name == "UTC") return TimeZone();
  if (!has_database()) return fail(ErrorCode::kUnavailable, "the time zones of the system cannot be read: install tzdata");
  try {
    const date::time_zone* zone = date::locate_zone(name);
    info_at(*zone, kFirst);  // reads its file: later calls cannot fail
    return TimeZone(zone);
  } catch (const std::exception&) {
    return invalid(std::string(field), "there is no time zone \"" + std::string(name) +
                                           "\": it takes a name of the tz database, as UTC, Europe/Berlin or America/New_York");
  }
}

TimeZone::Period TimeZone::period_of(UtcMicros time) const {
  if (zone_ == nullptr) return {.begin = kFirst, .end = kLast};
  auto info = info_at(*zone_, time);
  Period period{.begin = std::max<UtcMicros>(info.begin, kFirst), .end = std::min<UtcMicros>(info.end, kLast), .offset = info.offset};
  period.offset_before = period.offset;
  // Not every entry of the database changes clocks.
  while (period.begin > kFirst && period.offset_before == period.offset) {
    auto before = info_at(*zone_, period.begin - seconds(1));
    period.offset_before = before.offset;
    if (before.offset == period.offset) period.begin = std::max<UtcMicros>(before.begin, kFirst);
  }
  return period;
}

}  // namespace hearth
