#include "hearth/outbox/postgres_partition_leases.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace hearth::outbox {
namespace {

using postgres::Connection;

constexpr std::string_view kLive =
    "INSERT INTO nodes (node, alive_at) VALUES ($1, now()) ON CONFLICT (node) DO UPDATE SET alive_at = excluded.alive_at";
constexpr std::string_view kForgetDead = "DELETE FROM nodes WHERE alive_at < now() - interval '1 day'";
constexpr std::string_view kCountLiving = "SELECT count(*) FROM nodes WHERE alive_at > now() - $1 * interval '1 millisecond'";
constexpr std::string_view kAddRows =
    "INSERT INTO outbox_cursors (consumer, partition) SELECT 'ledger', p FROM generate_series($1, $2) AS p ON CONFLICT DO NOTHING";
constexpr std::string_view kHeld =
    "SELECT partition, fence FROM outbox_cursors WHERE consumer = 'ledger' AND owner = $1 AND partition BETWEEN 0 AND $2 - 1 "
    "ORDER BY partition";
// Free: nobody's, or its owner has not been heard of.
constexpr std::string_view kLockFree =
    "SELECT partition FROM outbox_cursors WHERE consumer = 'ledger' AND partition BETWEEN 0 AND $2 - 1 "
    "AND (owner IS NULL OR (owner <> $1 AND lease_until < now())) ORDER BY partition LIMIT $3 FOR UPDATE SKIP LOCKED";
constexpr std::string_view kLockOwn =
    "SELECT partition FROM outbox_cursors WHERE consumer = 'ledger' AND owner = $1 AND partition = ANY($2) ORDER BY partition "
    "FOR UPDATE SKIP LOCKED";
constexpr std::string_view kRenew =
    "UPDATE outbox_cursors SET lease_until = now() + $2 * interval '1 millisecond' WHERE consumer = 'ledger' AND partition = ANY($1)";
constexpr std::string_view kGiveBack =
    "UPDATE outbox_cursors SET owner = NULL, lease_until = NULL WHERE consumer = 'ledger' AND partition = ANY($1)";
constexpr std::string_view kTake =
    "UPDATE outbox_cursors SET owner = $1, fence = fence + 1, lease_until = now() + $3 * interval '1 millisecond' "
    "WHERE consumer = 'ledger' AND partition = ANY($2) RETURNING partition, fence";
constexpr std::string_view kLockOne =
    "SELECT owner, owner IS NOT NULL AND owner <> $1 AND lease_until > now() FROM outbox_cursors WHERE consumer = 'ledger' AND partition = "
    "$2 "
    "FOR UPDATE";
constexpr std::string_view kOwner = "SELECT owner FROM outbox_cursors WHERE consumer = 'ledger' AND partition = $1";
constexpr std::string_view kGiveBackAll =
    "UPDATE outbox_cursors SET owner = NULL, lease_until = NULL WHERE consumer = 'ledger' AND owner = $1";
constexpr std::string_view kDie = "DELETE FROM nodes WHERE node = $1";

using Held = std::vector<HeldPartition>;
using Partitions = std::vector<std::int64_t>;

Partitions read_partitions(postgres::Rows rows) {
  Partitions partitions;
  while (rows.next()) partitions.push_back(rows.integer(0));
  return partitions;
}

Held read_held(const std::string& owner, postgres::Rows rows) {
  Held held;
  while (rows.next()) held.push_back({static_cast<Partition>(rows.integer(0)), {owner, static_cast<std::uint64_t>(rows.integer(1))}});
  return held;
}

Partitions numbers_of(const Held& held) {
  Partitions numbers;
  for (const auto& one : held) numbers.push_back(one.partition);
  return numbers;
}

Held take(Connection& connection, const std::string& owner, const Partitions& partitions) {
  return read_held(owner, connection.query(kTake, owner, partitions, kLeaseDuration.count()));
}

std::size_t share_of(Connection& connection, Partition count) {
  auto living = connection.query(kCountLiving, kLeaseDuration.count()).first().integer(0);
  return static_cast<std::size_t>((count + living - 1) / living);
}

// Of what is held only rows that nobody flushes now can be given back or need renewal.
void keep_share(Connection& connection, const std::string& owner, Held& held, std::size_t share) {
  auto idle = read_partitions(connection.query(kLockOwn, owner, numbers_of(held)));
  auto surplus = std::min(idle.size(), held.size() - std::min(share, held.size()));
  Partitions given_back(idle.end() - static_cast<std::ptrdiff_t>(surplus), idle.end());
  idle.resize(idle.size() - surplus);
  connection.run(kRenew, idle, kLeaseDuration.count());
  if (given_back.empty()) return;
  connection.run(kGiveBack, given_back);
  std::erase_if(held, [&](const HeldPartition& one) { return std::ranges::find(given_back, one.partition) != given_back.end(); });
}

}  // namespace

Result<Held> PostgresPartitionLeases::balance(const std::string& owner, Partition count) {
  return database_.write_blocking([&](Connection& connection) -> Result<Held> {
    connection.run(kLive, owner);
    connection.run(kForgetDead);
    connection.run(kAddRows, 0, count - 1);
    auto share = share_of(connection, count);
    auto held = read_held(owner, connection.query(kHeld, owner, count));
    keep_share(connection, owner, held, share);
    if (held.size() < share) {
      auto free = read_partitions(connection.query(kLockFree, owner, count, share - held.size()));
      auto taken = take(connection, owner, free);
      held.insert(held.end(), taken.begin(), taken.end());
    }
    std::ranges::sort(held, {}, &HeldPartition::partition);
    return held;
  });
}

Result<HeldPartition> PostgresPartitionLeases::seize(const std::string& owner, Partition partition) {
  return database_.write_blocking([&](Connection& connection) -> Result<HeldPartition> {
    connection.run(kAddRows, partition, partition);
    return take(connection, owner, {partition}).front();
  });
}

Result<HeldPartition> PostgresPartitionLeases::claim(const std::string& owner, Partition partition) {
  return database_.write_blocking([&](Connection& connection) -> Result<HeldPartition> {
    connection.run(kAddRows, partition, partition);
    auto row = connection.query(kLockOne, owner, partition);
    if (row.first().boolean(1)) {
      return fail(ErrorCode::kConflict, "partition " + std::to_string(partition) + " of the outbox is held by " + row.string(0));
    }
    return take(connection, owner, {partition}).front();
  });
}

Result<std::string> PostgresPartitionLeases::last_owner(Partition partition) {
  return database_.read_blocking([&](Connection& connection) -> Result<std::string> {
    auto row = connection.query(kOwner, partition);
    return row.next() ? row.string(0) : std::string();
  });
}

Result<void> PostgresPartitionLeases::release(const std::string& owner) {
  return database_.write_blocking([&](Connection& connection) -> Result<void> {
    connection.run(kGiveBackAll, owner);
    connection.run(kDie, owner);
    return {};
  });
}

}  // namespace hearth::outbox
