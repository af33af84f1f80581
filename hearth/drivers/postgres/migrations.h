#pragma once

// Numbered, append-only schema changes. The text of each file of migrations/postgres/ is compiled in.
//
// The tables of Hearth go into the first schema of the connection's search_path, which is made if it is missing.

#include <span>
#include <string_view>

#include "hearth/base/result.h"
#include "hearth/drivers/postgres/database.h"

namespace hearth::postgres {

extern const std::span<const std::string_view> kMigrations;

// Brings the database to the newest schema, one transaction a step; the table hearth_migrations lists the steps done. Nodes
// that start at once take turns. Returns how many were applied.
//
// `adopted`: of the tables that a step would create, those for which another program's is used (each step asks for the
// setting hearth.adopted_NAME).
//
// kConflict: the database was written by a newer Hearth, or a table to be created is there already and is not Hearth's.
Result<int> migrate(Database& database, std::span<const std::string_view> steps, std::span<const std::string_view> adopted = {});

}  // namespace hearth::postgres
