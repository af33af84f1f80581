#include "hearth/likes/ledgers/sqlite_live_control.h"

namespace hearth::likes {
namespace {

using sqlite::Connection;

constexpr char kPropose[] = "UPDATE live_control SET deployment_id = ?1, partitions = ?2, is_tagged = ?3 WHERE deployment_id IS NULL";
constexpr char kDeployment[] = "SELECT deployment_id, partitions, is_tagged FROM live_control";
constexpr char kChangeDeployment[] = "UPDATE live_control SET deployment_id = ?1, partitions = ?2, is_tagged = ?3";
constexpr char kMode[] = "SELECT is_fallback FROM live_control";
constexpr char kSetMode[] = "UPDATE live_control SET is_fallback = ?1, is_closing = ?2";
constexpr char kReport[] = "INSERT OR REPLACE INTO live_reports (node, healthy_at) VALUES (?1, ?2)";
constexpr char kForgetReports[] = "DELETE FROM live_reports WHERE healthy_at <= ?1";
constexpr char kIsSomeoneHealthy[] = "SELECT EXISTS (SELECT 1 FROM live_reports WHERE healthy_at > ?1 AND node <> ?2)";
constexpr char kIsInboxWaiting[] = "SELECT EXISTS (SELECT 1 FROM like_inbox WHERE NOT is_drained)";
constexpr char kIsAdmitted[] = "SELECT EXISTS (SELECT 1 FROM live_servers WHERE run_id = ?1)";
constexpr char kAdmit[] = "INSERT OR IGNORE INTO live_servers (run_id) VALUES (?1)";
// Every start of a server makes a row.
constexpr char kForgetServers[] = "DELETE FROM live_servers WHERE id <= (SELECT max(id) FROM live_servers) - 1000";

template <typename... Args>
bool is_true(Connection& connection, const char* sql, const Args&... args) {
  auto& row = connection.statement(sql).query(args...);
  row.next();
  bool answer = row.boolean(0);
  row.reset();
  return answer;
}

LiveMode mode_of(bool is_fallback) {
  return is_fallback ? LiveMode::kFallback : LiveMode::kLive;
}

}  // namespace

bool SqliteLiveControl::is_someone_healthy(Connection& connection, const std::string& other_than) {
  return is_true(connection, kIsSomeoneHealthy, (clock_.now() - kFallbackAfter).time_since_epoch().count(), other_than);
}

Result<Deployment> SqliteLiveControl::deployment(const Deployment& proposed) {
  return database_.write_blocking([&](Connection& connection) -> Result<Deployment> {
    connection.statement(kPropose).run(proposed.id, proposed.partitions, proposed.is_tagged);
    auto& row = connection.statement(kDeployment).query();
    row.next();
    Deployment kept{.id = row.string(0), .partitions = static_cast<int>(row.integer(1)), .is_tagged = row.boolean(2)};
    row.reset();
    return kept;
  });
}

Result<void> SqliteLiveControl::change_deployment(const Deployment& to) {
  return database_.write_blocking([&](Connection& connection) -> Result<void> {
    connection.statement(kChangeDeployment).run(to.id, to.partitions, to.is_tagged);
    return {};
  });
}

Result<LiveMode> SqliteLiveControl::mode() {
  return database_.read_blocking([](Connection& connection) -> Result<LiveMode> { return mode_of(is_true(connection, kMode)); });
}

Result<void> SqliteLiveControl::report_healthy(const std::string& node) {
  return database_.write_blocking([&](Connection& connection) -> Result<void> {
    if (is_true(connection, kMode)) return fail(ErrorCode::kConflict, "likes are served from SQL now");
    auto now = clock_.now();
    connection.statement(kReport).run(node, now.time_since_epoch().count());
    connection.statement(kForgetReports).run((now - std::chrono::days(1)).time_since_epoch().count());
    return {};
  });
}

Result<bool> SqliteLiveControl::is_healthy_elsewhere(const std::string& node) {
  return database_.read_blocking([&](Connection& connection) -> Result<bool> { return is_someone_healthy(connection, node); });
}

Result<LiveMode> SqliteLiveControl::enter_fallback() {
  return database_.write_blocking([&](Connection& connection) -> Result<LiveMode> {
    bool is_fallback = is_true(connection, kMode);
    if (!is_fallback && is_someone_healthy(connection, /*other_than=*/"")) return LiveMode::kLive;
    connection.statement(kSetMode).run(/*is_fallback=*/true, /*is_closing=*/false);
    return LiveMode::kFallback;
  });
}

Result<LiveMode> SqliteLiveControl::leave_fallback() {
  return database_.write_blocking([](Connection& connection) -> Result<LiveMode> {
    bool is_waiting = is_true(connection, kMode) && is_true(connection, kIsInboxWaiting);
    connection.statement(kSetMode).run(/*is_fallback=*/is_waiting, /*is_closing=*/is_waiting);
    return mode_of(is_waiting);
  });
}

Result<bool> SqliteLiveControl::is_admitted(const std::string& run_id) {
  return database_.read_blocking([&](Connection& connection) -> Result<bool> { return is_true(connection, kIsAdmitted, run_id); });
}

Result<void> SqliteLiveControl::admit(const std::string& run_id) {
  return database_.write_blocking([&](Connection& connection) -> Result<void> {
    connection.statement(kAdmit).run(run_id);
    connection.statement(kForgetServers).run();
    return {};
  });
}

}  // namespace hearth::likes
