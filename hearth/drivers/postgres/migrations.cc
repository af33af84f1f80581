#include "hearth/drivers/postgres/migrations.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace hearth::postgres {

namespace {

// Any number that no other program takes for its advisory locks.
constexpr std::int64_t kLock = 0x6865'6172'7468'0001;
constexpr std::chrono::minutes kStepMax{10};

constexpr std::string_view kFirstSchema = "SELECT trim(both '\" ' from split_part(current_setting('search_path'), ',', 1))";
constexpr std::string_view kIsSchemaMissing = "SELECT $1 NOT LIKE '$%' AND NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
constexpr std::string_view kQuoted = "SELECT quote_ident($1)";
constexpr std::string_view kTable =
    "CREATE TABLE IF NOT EXISTS hearth_migrations (number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())";
constexpr std::string_view kLast = "SELECT coalesce(max(number), 0) FROM hearth_migrations";
constexpr std::string_view kDone = "INSERT INTO hearth_migrations (number) VALUES ($1)";

void make_schema(Connection& connection) {
  auto first = connection.query(kFirstSchema).first().string(0);
  if (first.empty() || !connection.query(kIsSchemaMissing, first).first().boolean(0)) return;
  connection.execute("CREATE SCHEMA " + connection.query(kQuoted, first).first().string(0));
}

void apply(Connection& connection, std::string_view step, std::span<const std::string_view> adopted) {
  for (auto table : adopted) connection.execute("SET LOCAL hearth.adopted_" + std::string(table) + " = 'on'");
  connection.execute(std::string(step));
}

Error step_error(std::size_t number, const Failure& failure) {
  auto error = to_error(failure);
  error.message = "migration " + std::to_string(number) + ": " + error.message;
  if (failure.sqlstate() != "42P07") return error;
  return {ErrorCode::kConflict, error.message +
                                    ", and it is not Hearth's: put Hearth's tables into a schema of their own with "
                                    "?options=-csearch_path%3Dhearth,public in the database URL, or name the table in ledger.*"};
}

// Applies the next step, if there is one.
Result<bool> apply_next(Connection& connection, std::span<const std::string_view> steps, std::span<const std::string_view> adopted) {
  connection.limit_statements(kStepMax);
  connection.query("SELECT pg_advisory_xact_lock($1)", kLock);
  make_schema(connection);
  connection.query(kTable);
  auto done = static_cast<std::size_t>(connection.query(kLast).first().integer(0));
  if (done > steps.size()) {
    return fail(ErrorCode::kConflict, "the database has schema version " + std::to_string(done) + " and this Hearth knows up to " +
                                          std::to_string(steps.size()) + ": use the Hearth that wrote it, or a newer one");
  }
  if (done == steps.size()) return false;
  auto number = done + 1;
  try {
    apply(connection, steps[done], adopted);
  } catch (const Failure& failure) {
    if (failure.is_connection_loss() || failure.wants_repeat() || failure.is_about_preparing()) throw;
    return std::unexpected(step_error(number, failure));
  }
  connection.run(kDone, number);
  return true;
}

}  // namespace

Result<int> migrate(Database& database, std::span<const std::string_view> steps, std::span<const std::string_view> adopted) {
  for (int applied = 0;; ++applied) {
    auto step = database.write_blocking([&](Connection& connection) { return apply_next(connection, steps, adopted); });
    if (!step) return std::unexpected(step.error());
    if (!*step) return applied;
  }
}

}  // namespace hearth::postgres
