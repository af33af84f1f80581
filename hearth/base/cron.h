#pragma once

// When something is due: the five fields of cron, by the clocks of a time zone.
//
//   minute (0–59)  hour (0–23)  day of month (1–31)  month (1–12, jan–dec)  day of week (0–7, sun–sat; 0 and 7 are Sunday)
//
// A field is `*` or a list of values, ranges (`mon-fri`) and steps (`*/15`, `8-18/2`, `5/20`: from 5 on). As in cron, when both
// days are restricted either is enough. Seconds, `@daily` and the letters L, W and # are not taken.
//
// Where clocks change, it depends on the hour:
//  - `*` is due whenever clocks show such a minute: what they skip is left out, what they show twice is due twice. So every
//    quarter of an hour stays that.
//  - Other hours name a time of the day, which comes once a day: what clocks skip is due at the first moment after the gap (all
//    of it once), and what they show twice only at the first time.
//
// Debian packages no C or C++ library for this.

#include <bitset>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "hearth/base/clock.h"
#include "hearth/base/result.h"
#include "hearth/base/time_zone.h"

namespace hearth {

class Cron {
 public:
  // kInvalidArgument naming `field`: it cannot be read, or no such moment ever comes (30 February).
  static Result<Cron> parse(std::string_view text, std::string_view field);

  // The first moment after `time`, on a full minute.
  UtcMicros next_after(UtcMicros time, const TimeZone& zone = {}) const;

 private:
  static constexpr std::size_t kValuesMax = 60;
  using Values = std::bitset<kValuesMax>;
  struct Part;
  static Result<Values> parse_field(std::string_view text, const Part& part);

  // What clocks show, as if it were UTC.
  using Shown = std::chrono::sys_time<std::chrono::minutes>;

  bool is_any_hour() const { return hours_.count() == 24; }
  bool is_due_on(std::chrono::sys_days day) const;
  // The first minute from `from` on and before `end`.
  std::optional<Shown> first_due(Shown from, Shown end) const;

  Values minutes_;
  Values hours_;
  Values days_of_month_;
  Values months_;
  Values days_of_week_;  // 0: Sunday
  bool is_either_day_enough_ = false;
};

}  // namespace hearth
