#pragma once

// Time zones by their names in the tz database, as Europe/Berlin.
//
// The database is the system's, in /usr/share/zoneinfo (Debian's package tzdata). It is looked through once and each zone read
// once, so that an update of it is seen after a restart. Its files tell changes of clocks up to 2037; the offset at the end of
// that year is kept from then on. UTC needs no database.

#include <chrono>
#include <string_view>

#include "hearth/base/clock.h"
#include "hearth/base/result.h"

namespace date {
class time_zone;
}

namespace hearth {

// Thread-safe, and cheap to copy.
class TimeZone {
 public:
  TimeZone() = default;  // UTC

  // kInvalidArgument naming `field`: there is no such zone. kUnavailable: the database cannot be read.
  static Result<TimeZone> find(std::string_view name, std::string_view field);

  // What lies between two changes of clocks. Offsets are local time less UTC.
  struct Period {
    UtcMicros begin;
    UtcMicros end;
    std::chrono::seconds offset{0};
    std::chrono::seconds offset_before{0};  // up to `begin`
  };
  Period period_of(UtcMicros time) const;

 private:
  explicit TimeZone(const date::time_zone* zone) : zone_(zone) {}

  const date::time_zone* zone_ = nullptr;  // null: UTC. It lives as long as the process.
};

}  // namespace hearth
