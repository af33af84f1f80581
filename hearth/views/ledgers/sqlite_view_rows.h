#pragma once

// How often items were viewed, as rows of content.db: what the ledger and the inbox share.

#include <cstdint>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/drivers/sqlite/connection.h"
#include "hearth/views/view_ledger.h"

namespace hearth::views {

inline std::int64_t micros(UtcMicros time) {
  return time.time_since_epoch().count();
}
inline UtcMicros time_of(std::int64_t micros_since_1970) {
  return UtcMicros(std::chrono::microseconds(micros_since_1970));
}

// Of view_counts, or read_count where that is larger.
SqlTotal read_total(sqlite::Connection& connection, const ViewedItem& item);

// Makes these the totals, of content too. REQUIRES: a transaction.
void write_total(sqlite::Connection& connection, const ViewedItem& item, std::uint64_t views, std::uint64_t direct, UtcMicros at);

// Numbers that are not below those there replace them, and days become the sums of their hours. REQUIRES: a transaction.
void write_hours(sqlite::Connection& connection, const ViewedItem& item, const std::vector<HourViews>& hours);

// The rows of (hour, views) of a query, to its end.
std::vector<HourViews> hours_in(sqlite::Statement& rows);

}  // namespace hearth::views
