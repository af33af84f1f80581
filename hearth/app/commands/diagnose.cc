// diagnose: what is wrong with likes in SQL and the live store.

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "hearth/app/adoption/stores/postgres_diagnosis.h"
#include "hearth/app/commands/command_line.h"
#include "hearth/app/commands/running_server.h"
#include "hearth/app/redis_guest.h"
#include "hearth/app/wiring.h"
#include "hearth/base/run_to_end.h"
#include "hearth/likes/stores/redis/redis_look.h"

namespace hearth::app {
namespace {

using adoption::Diagnosis;

constexpr std::chrono::seconds kSettling{1};  // other nodes bring to SQL what was answered, twice a second

// The address of the server that holds the data folder, if one does.
std::optional<std::string> server_of(const Config& config) {
  if (!std::filesystem::exists(config.data)) return std::nullopt;
  auto folder = DataFolder::lock(config.data);
  return folder ? std::nullopt : DataFolder::announced(config.data);
}

Task<Result<void>> settle() {
  std::this_thread::sleep_for(kSettling);  // run_to_end: nobody else is on this thread
  co_return Result<void>{};
}

Result<Diagnosis> diagnose_database(const Config& config) {
  auto database = postgres::Database::open({.url = *config.database.url, .connections = 2});
  if (!database) return std::unexpected(database.error());
  if (auto reached = (*database)->ping_blocking(); !reached) return std::unexpected(reached.error());
  adoption::PostgresDiagnosis sql(**database, config.ledger);
  if (config.live.store == LiveStore::kMemory) return run_to_end(adoption::Diagnoser(sql, {}).diagnose());

  auto deployment = run_to_end(sql.deployment());
  if (!deployment) return std::unexpected(deployment.error());
  auto client = visit_redis(config);
  if (!client) {
    auto diagnosis = run_to_end(adoption::Diagnoser(sql, {}).diagnose());
    if (diagnosis) diagnosis->drift.not_possible = "live state cannot be compared: " + client.error().message;
    return diagnosis;
  }
  likes::RedisLook look(**client, keys_of(config, *deployment));
  adoption::Diagnoser diagnoser(sql, {.counts = [&](std::vector<std::string> posts) { return look.counts(std::move(posts)); },
                                      .scan = [&](std::string from) { return look.scan(std::move(from)); },
                                      .settle = settle});
  auto diagnosis = run_to_end(diagnoser.diagnose());
  (*client)->stop();
  return diagnosis;
}

// Through the server that holds the data folder; or SQL and Redis are only read; or, of a folder that nobody serves from, its
// files are opened as a server would.
Result<std::string> diagnose_as_json(const Config& config) {
  if (auto address = server_of(config)) return RunningServer(*address, config.auth.admin_key).get("/api/admin/diagnostics");
  if (config.database.url) {
    auto diagnosis = diagnose_database(config);
    if (!diagnosis) return std::unexpected(diagnosis.error());
    return adoption::to_json(*diagnosis);
  }
  SystemClock clock;
  auto hearth = Hearth::open(config, clock);
  if (!hearth) return std::unexpected(hearth.error());
  auto diagnosis = run_to_end((*hearth)->diagnoser.diagnose());
  if (!diagnosis) return std::unexpected(diagnosis.error());
  return adoption::to_json(*diagnosis);
}

}  // namespace

int diagnose(const Arguments& arguments) {
  CommandLine command(
      "diagnose",
      "Looks for duplicate ratings, counts that differ, and ratings and comments of posts that do not exist. Changes nothing. "
      "Exits with 1 if something was found.");
  bool as_json = false;
  command.options().add_flag("--json", as_json, "print the findings as JSON");
  int status = kDone;
  auto config = command.load(arguments, status);
  if (!config) return status;
  auto json = diagnose_as_json(*config);
  auto read = json ? adoption::read_diagnosis(*json) : Result<adoption::DiagnosisText>(std::unexpected(json.error()));
  if (!read) {
    complain("hearth: " + read.error().message);
    return kFailed;
  }
  std::printf("%s", as_json ? (*json + "\n").c_str() : read->text.c_str());
  return read->found == 0 ? kDone : kFailed;
}

}  // namespace hearth::app
