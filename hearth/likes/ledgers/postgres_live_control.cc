#include "hearth/likes/ledgers/postgres_live_control.h"

#include <string_view>

namespace hearth::likes {
namespace {

using postgres::Connection;

constexpr std::string_view kPropose =
    "UPDATE live_control SET deployment_id = $1, partitions = $2, is_tagged = $3 WHERE deployment_id IS NULL";
constexpr std::string_view kDeployment = "SELECT deployment_id, partitions, is_tagged FROM live_control";
constexpr std::string_view kChangeDeployment = "UPDATE live_control SET deployment_id = $1, partitions = $2, is_tagged = $3";

constexpr std::string_view kMode = "SELECT is_fallback FROM live_control";
// Nobody reports or changes likes in fallback between the look and the change of mode. The lock on the table is one that
// waiters get in turn: for the row alone, which changes share, it could wait as long as there are any.
constexpr char kLockTable[] = "LOCK TABLE live_control IN ROW EXCLUSIVE MODE";
constexpr std::string_view kLockMode = "SELECT is_fallback FROM live_control FOR UPDATE";
constexpr std::string_view kShareMode = "SELECT is_fallback FROM live_control FOR SHARE";
constexpr std::string_view kSetMode = "UPDATE live_control SET is_fallback = $1, is_closing = $2";
constexpr std::string_view kIsSomeoneHealthy =
    "SELECT EXISTS (SELECT FROM live_reports WHERE healthy_at > clock_timestamp() - $1 * interval '1 millisecond' AND node <> $2)";
constexpr std::string_view kIsInboxWaiting = "SELECT EXISTS (SELECT FROM like_inbox WHERE NOT is_drained AND NOT is_foreign)";

constexpr std::string_view kReport =
    "INSERT INTO live_reports (node, healthy_at) VALUES ($1, clock_timestamp()) "
    "ON CONFLICT (node) DO UPDATE SET healthy_at = excluded.healthy_at";
constexpr std::string_view kForgetReports = "DELETE FROM live_reports WHERE healthy_at < now() - interval '1 day'";

constexpr std::string_view kIsAdmitted = "SELECT EXISTS (SELECT FROM live_servers WHERE run_id = $1)";
constexpr std::string_view kAdmit = "INSERT INTO live_servers (run_id, admitted_at) VALUES ($1, now()) ON CONFLICT DO NOTHING";
// Every start of a server makes a row.
constexpr std::string_view kForgetServers =
    "DELETE FROM live_servers WHERE run_id NOT IN (SELECT run_id FROM live_servers ORDER BY admitted_at DESC LIMIT 1000)";

LiveMode mode_of(bool is_fallback) {
  return is_fallback ? LiveMode::kFallback : LiveMode::kLive;
}

bool is_someone_healthy(Connection& connection, std::string_view other_than) {
  return connection.query(kIsSomeoneHealthy, kFallbackAfter.count(), other_than).first().boolean(0);
}

}  // namespace

Result<Deployment> PostgresLiveControl::deployment(const Deployment& proposed) {
  return database_.write_blocking([&](Connection& connection) -> Result<Deployment> {
    connection.run(kPropose, proposed.id, proposed.partitions, proposed.is_tagged);
    auto row = connection.query(kDeployment);
    row.first();
    return Deployment{.id = row.string(0), .partitions = static_cast<int>(row.integer(1)), .is_tagged = row.boolean(2)};
  });
}

Result<void> PostgresLiveControl::change_deployment(const Deployment& to) {
  return database_.write_blocking([&](Connection& connection) -> Result<void> {
    connection.run(kChangeDeployment, to.id, to.partitions, to.is_tagged);
    return {};
  });
}

Result<LiveMode> PostgresLiveControl::mode() {
  return database_.read_blocking(
      [](Connection& connection) -> Result<LiveMode> { return mode_of(connection.query(kMode).first().boolean(0)); });
}

Result<void> PostgresLiveControl::report_healthy(const std::string& node) {
  return database_.write_blocking([&](Connection& connection) -> Result<void> {
    if (connection.query(kShareMode).first().boolean(0)) return fail(ErrorCode::kConflict, "likes are served from SQL now");
    connection.run(kReport, node);
    connection.run(kForgetReports);
    return {};
  });
}

Result<bool> PostgresLiveControl::is_healthy_elsewhere(const std::string& node) {
  return database_.read_blocking([&](Connection& connection) -> Result<bool> { return is_someone_healthy(connection, node); });
}

Result<LiveMode> PostgresLiveControl::enter_fallback() {
  return database_.write_blocking([](Connection& connection) -> Result<LiveMode> {
    connection.execute(kLockTable);
    bool is_fallback = connection.query(kLockMode).first().boolean(0);
    if (!is_fallback && is_someone_healthy(connection, /*other_than=*/"")) return LiveMode::kLive;
    connection.run(kSetMode, /*is_fallback=*/true, /*is_closing=*/false);
    return LiveMode::kFallback;
  });
}

Result<LiveMode> PostgresLiveControl::leave_fallback() {
  return database_.write_blocking([](Connection& connection) -> Result<LiveMode> {
    connection.execute(kLockTable);
    bool is_fallback = connection.query(kLockMode).first().boolean(0);
    bool is_waiting = is_fallback && connection.query(kIsInboxWaiting).first().boolean(0);
    connection.run(kSetMode, /*is_fallback=*/is_waiting, /*is_closing=*/is_waiting);
    return mode_of(is_waiting);
  });
}

Result<bool> PostgresLiveControl::is_admitted(const std::string& run_id) {
  return database_.read_blocking(
      [&](Connection& connection) -> Result<bool> { return connection.query(kIsAdmitted, run_id).first().boolean(0); });
}

Result<void> PostgresLiveControl::admit(const std::string& run_id) {
  return database_.write_blocking([&](Connection& connection) -> Result<void> {
    connection.run(kAdmit, run_id);
    connection.run(kForgetServers);
    return {};
  });
}

}  // namespace hearth::likes
