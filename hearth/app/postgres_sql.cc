#include "hearth/app/postgres_sql.h"

#include <utility>

#include "hearth/app/adoption/stores/postgres_diagnosis.h"
#include "hearth/app/dataset/stores/postgres_rating_export.h"
#include "hearth/app/metrics.h"
#include "hearth/content/stores/postgres_content_export.h"
#include "hearth/content/stores/postgres_rank.h"
#include "hearth/drivers/postgres/migrations.h"

namespace hearth::app {
namespace {

Result<std::unique_ptr<postgres::Database>> connect(const Config& config) {
  auto database = postgres::Database::open({.url = *config.database.url, .connections = config.database.connections});
  if (!database) return std::unexpected(database.error());
  if (auto reached = (*database)->ping_blocking(); !reached) {
    return fail(ErrorCode::kUnavailable, "PostgreSQL cannot be reached; see database.url: " + reached.error().message);
  }
  return *std::move(database);
}

Result<int> apply_migrations(postgres::Database& database, const likes::LedgerNames& names) {
  std::vector<std::string_view> adopted;
  if (names.ratings_table != likes::LedgerNames{}.ratings_table) adopted.emplace_back("post_ratings");
  return postgres::migrate(database, postgres::kMigrations, adopted);
}

}  // namespace

Result<int> PostgresSql::migrate(const Config& config) {
  auto database = connect(config);
  if (!database) return std::unexpected(database.error());
  return apply_migrations(**database, config.ledger);
}

Result<std::unique_ptr<PostgresSql>> PostgresSql::open(const Config& config, const Clock& clock) {
  auto database = connect(config);
  if (!database) return std::unexpected(database.error());
  if (auto migrated = apply_migrations(**database, config.ledger); !migrated) return std::unexpected(migrated.error());
  auto ledger = likes::PostgresLikeLedger::open(**database, config.ledger);
  if (!ledger) return std::unexpected(ledger.error());
  auto inbox = likes::PostgresLikeInbox::open(**database, config.ledger);
  if (!inbox) return std::unexpected(inbox.error());
  return std::unique_ptr<PostgresSql>(new PostgresSql(config, clock, *std::move(database), *std::move(ledger), *std::move(inbox)));
}

PostgresSql::PostgresSql(const Config& config, const Clock& clock, std::unique_ptr<postgres::Database> database,
                         std::unique_ptr<likes::PostgresLikeLedger> ledger, std::unique_ptr<likes::PostgresLikeInbox> inbox)
    : names_(config.ledger),
      database_(std::move(database)),
      ledger_(std::move(ledger)),
      inbox_(std::move(inbox)),
      control_(*database_),
      leases_(*database_),
      pages_(*database_),
      content_store_(*database_, clock) {}

std::unique_ptr<content::RankCandidates> PostgresSql::rank(content::ReadDirty read_dirty) {
  return std::make_unique<content::PostgresRank>(*database_, std::move(read_dirty));
}

Task<Result<void>> PostgresSql::on_repaired(std::string /*post*/) {
  co_return Result<void>{};
}

std::unique_ptr<adoption::SqlDiagnosis> PostgresSql::diagnosis() {
  return std::make_unique<adoption::PostgresDiagnosis>(*database_, names_);
}

Result<dataset::ExportReport> PostgresSql::export_to(dataset::WriteBytes write) {
  content::PostgresContentExport content(*database_);
  dataset::PostgresRatingExport ratings(*database_, names_);
  return dataset::export_dataset(content, ratings, write);
}

void PostgresSql::add_metrics(Metrics& metrics) const {
  auto database = database_->stats();
  metrics.gauge("hearth_postgres_connections", "Connections to PostgreSQL.", database.connections);
  metrics.counter("hearth_postgres_connects_total", "Connections to PostgreSQL that were made.", database.connects);
  metrics.counter("hearth_postgres_transactions_total", "Transactions, reads too.", database.transactions);
  metrics.counter("hearth_postgres_failures_total", "Transactions that failed because of the database.", database.failures);
  metrics.seconds("hearth_postgres_seconds_total", "Time of transactions, summed.", database.micros);
}

Result<void> PostgresSql::is_reachable() const {
  if (!database_->is_connected()) return fail(ErrorCode::kUnavailable, "PostgreSQL is away");
  return {};
}

}  // namespace hearth::app
