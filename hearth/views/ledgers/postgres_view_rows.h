#pragma once

// How often items were viewed, as rows of PostgreSQL: what the ledger and the inbox share.
//
// Locks: rows of view_counts by the bytes of kind and id, then those of each table of content by their ids. Hours and days
// belong to who holds the item's row of view_counts.

#include <cstdint>
#include <string_view>
#include <vector>

#include "hearth/drivers/postgres/connection.h"
#include "hearth/views/ledgers/postgres_view_tables.h"
#include "hearth/views/view_ledger.h"

namespace hearth::views {

// Kinds and ids of items, as arguments of unnest(). The items outlive it.
struct ItemNames {
  explicit ItemNames(const std::vector<ViewedItem>& items);

  std::vector<std::string_view> kinds;
  std::vector<std::string_view> ids;
};

struct LockedTotal {
  std::uint64_t views = 0;  // of view_counts, or of the tables where that is larger
  std::uint64_t direct = 0;
};

// Makes the rows that are missing and locks all, until the transaction ends. In the order given. REQUIRES: each once.
std::vector<LockedTotal> lock_totals(postgres::Connection& connection, const PostgresViewTables& tables,
                                     const std::vector<ViewedItem>& items);

// Makes these the totals, of content too. REQUIRES: lock_totals() of all of them in this transaction.
void write_totals(postgres::Connection& connection, const PostgresViewTables& tables, const std::vector<ViewedItem>& items,
                  const std::vector<LockedTotal>& totals, UtcMicros at);

struct ItemHour {
  const ViewedItem* item = nullptr;
  HourViews hour = {};
};

// Numbers that are not below those there replace them, and days become the sums of their hours. REQUIRES: as write_totals().
void write_hours(postgres::Connection& connection, const std::vector<ItemHour>& hours);

// The rows of (hour, views) of an answer.
std::vector<HourViews> hours_in(postgres::Rows rows);

}  // namespace hearth::views
