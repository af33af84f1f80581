#include "hearth/drivers/sqlite/migrations.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace hearth::sqlite {

namespace {

std::int64_t steps_done(Connection& connection) {
  Statement& version = connection.statement("PRAGMA user_version");
  version.query().next();
  std::int64_t done = version.integer(0);
  version.reset();
  return done;
}

}  // namespace

Result<int> schema_version(Connection& connection) {
  return Connection::guard([&] { return static_cast<int>(steps_done(connection)); });
}

Result<int> migrate(Connection& connection, std::span<const std::string_view> steps) {
  auto done = Connection::guard([&] { return steps_done(connection); });
  if (!done) return std::unexpected(done.error());
  if (*done < 0 || *done > static_cast<std::int64_t>(steps.size())) {
    return fail(ErrorCode::kConflict, "the database has schema version " + std::to_string(*done) + " and this Hearth knows up to " +
                                          std::to_string(steps.size()) + ": use the Hearth that wrote it, or a newer one");
  }
  int applied = 0;
  for (auto number = static_cast<std::size_t>(*done) + 1; number <= steps.size(); ++number, ++applied) {
    auto step = connection.transaction([&] {
      connection.execute(std::string(steps[number - 1]).c_str());
      connection.execute(("PRAGMA user_version=" + std::to_string(number)).c_str());
    });
    if (!step) return fail(step.error().code, "migration " + std::to_string(number) + ": " + step.error().message);
  }
  return applied;
}

}  // namespace hearth::sqlite
