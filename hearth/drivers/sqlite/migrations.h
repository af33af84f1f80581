#pragma once

// Numbered, append-only schema changes. The text of each file is compiled in from migrations/sqlite/<database>/.

#include <span>
#include <string_view>

#include "hearth/base/result.h"
#include "hearth/drivers/sqlite/connection.h"

namespace hearth::sqlite {

// Brings the database to the newest schema, one transaction a step; PRAGMA user_version counts the steps done.
// Returns how many were applied. Fails if the file was written by a newer Hearth.
Result<int> migrate(Connection& connection, std::span<const std::string_view> steps);

// How many steps were ever applied.
Result<int> schema_version(Connection& connection);

}  // namespace hearth::sqlite
