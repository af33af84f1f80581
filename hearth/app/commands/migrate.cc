// migrate: SQL at the newest schema, before `serve` needs it.

#include <cstdio>
#include <filesystem>

#include "hearth/app/commands/command_line.h"
#include "hearth/app/data_folder.h"
#include "hearth/app/postgres_sql.h"
#include "hearth/app/sqlite_sql.h"
#include "hearth/base/clock.h"
#include "hearth/drivers/sqlite/connection.h"
#include "hearth/drivers/sqlite/migrations.h"
#include "hearth/outbox/journal.h"

namespace hearth::app {
namespace {

// Of all files together.
Result<int> steps_applied_in(const DataFolder& folder) {
  int steps = 0;
  for (const char* name : {"journal.db", "ratings.db", "content.db"}) {
    auto file = folder.file(name);
    if (!std::filesystem::exists(file)) continue;
    auto connection = sqlite::Connection::open({.path = file, .read_only = true});
    if (!connection) return std::unexpected(connection.error());
    auto version = sqlite::schema_version(*connection);
    if (!version) return std::unexpected(version.error());
    steps += *version;
  }
  return steps;
}

Result<int> migrate_folder(const Config& config) {
  auto folder = DataFolder::lock(config.data);
  if (!folder) return std::unexpected(folder.error());
  auto before = steps_applied_in(*folder);
  if (!before) return std::unexpected(before.error());
  SystemClock clock;
  if (auto sql = SqliteSql::open(config, clock); !sql) return std::unexpected(sql.error());
  if (auto journal = outbox::Journal::open({.path = folder->file("journal.db")}); !journal) return std::unexpected(journal.error());
  auto after = steps_applied_in(*folder);
  if (!after) return std::unexpected(after.error());
  return *after - *before;
}

}  // namespace

int migrate(const Arguments& arguments) {
  CommandLine command("migrate",
                      "Brings SQL to the newest schema: PostgreSQL, or the files of the data folder. `serve` does so by itself.");
  bool as_json = false;
  command.options().add_flag("--json", as_json, "print the result as JSON");
  int status = kDone;
  auto config = command.load(arguments, status);
  if (!config) return status;

  auto applied = config->database.url ? PostgresSql::migrate(*config) : migrate_folder(*config);
  if (!applied) {
    complain("hearth: " + applied.error().message);
    return kFailed;
  }
  const char* where = config->database.url ? "the database" : config->data.c_str();
  if (as_json) {
    std::printf("{\"applied\":%d}\n", *applied);
  } else if (*applied == 0) {
    std::printf("%s has the newest schema already\n", where);
  } else {
    std::printf("%s has the newest schema now; steps applied: %d\n", where, *applied);
  }
  return kDone;
}

}  // namespace hearth::app
