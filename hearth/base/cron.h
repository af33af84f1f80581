#pragma once

// When something is due: the five fields of cron, in UTC.
//
//   minute (0–59)  hour (0–23)  day of month (1–31)  month (1–12, jan–dec)  day of week (0–7, sun–sat; 0 and 7 are Sunday)
//
// A field is `*` or a list of values, ranges (`mon-fri`) and steps (`*/15`, `8-18/2`, `5/20`: from 5 on). As in cron, when both
// days are restricted either is enough. Seconds, `@daily` and the letters L, W and # are not taken.
//
// Debian packages no C or C++ library for this.

#include <bitset>
#include <string>
#include <string_view>

#include "hearth/base/clock.h"
#include "hearth/base/result.h"

namespace hearth {

class Cron {
 public:
  // kInvalidArgument naming `field`: it cannot be read, or no such moment ever comes (30 February).
  static Result<Cron> parse(std::string_view text, std::string_view field);

  // The first moment after `time`, on a full minute.
  UtcMicros next_after(UtcMicros time) const;

 private:
  static constexpr std::size_t kValuesMax = 60;
  using Values = std::bitset<kValuesMax>;
  struct Part;
  static Result<Values> parse_field(std::string_view text, const Part& part);

  bool is_due_on(std::chrono::sys_days day) const;

  Values minutes_;
  Values hours_;
  Values days_of_month_;
  Values months_;
  Values days_of_week_;  // 0: Sunday
  bool is_either_day_enough_ = false;
};

}  // namespace hearth
