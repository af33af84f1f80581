#include "hearth/app/postgres_sql.h"

#include <algorithm>
#include <utility>

#include "hearth/app/adoption/stores/postgres_adoption.h"
#include "hearth/app/adoption/stores/postgres_diagnosis.h"
#include "hearth/app/dataset/stores/postgres_rating_export.h"
#include "hearth/app/handlers/built_in.h"
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

// A step that creates a table of its own finds it there only if it is another program's.
Result<int> apply_migrations(postgres::Database& database, const likes::LedgerNames& names, PostgresSql::Existing existing) {
  std::vector<std::string_view> adopted;
  if (existing == PostgresSql::Existing::kAdopted) {
    for (const char* table : {"post_ratings", "comments"}) {
      auto is_there = adoption::PostgresAdoption::has_table(database, table);
      if (!is_there) return std::unexpected(is_there.error());
      if (*is_there) adopted.emplace_back(table);
    }
  }
  bool has_other_name = names.ratings_table != likes::LedgerNames{}.ratings_table;
  if (has_other_name && std::ranges::find(adopted, "post_ratings") == adopted.end()) adopted.emplace_back("post_ratings");
  auto applied = postgres::migrate(database, postgres::kMigrations, adopted);
  if (applied || applied.error().code != ErrorCode::kConflict || existing == PostgresSql::Existing::kAdopted) return applied;
  return fail(ErrorCode::kConflict,
              applied.error().message + "; `hearth import --from-database` adopts ratings and comments of another program");
}

}  // namespace

Result<int> PostgresSql::migrate(const Config& config, Existing existing) {
  auto database = connect(config);
  if (!database) return std::unexpected(database.error());
  return apply_migrations(**database, config.ledger, existing);
}

Result<std::unique_ptr<PostgresSql>> PostgresSql::open(const Config& config, const Clock& clock) {
  auto database = connect(config);
  if (!database) return std::unexpected(database.error());
  if (auto migrated = apply_migrations(**database, config.ledger, Existing::kRefused); !migrated) return std::unexpected(migrated.error());
  auto ledger = likes::PostgresLikeLedger::open(**database, config.ledger);
  if (!ledger) return std::unexpected(ledger.error());
  auto inbox = likes::PostgresLikeInbox::open(**database, config.ledger);
  if (!inbox) return std::unexpected(inbox.error());
  auto view_tables = views::PostgresViewTables::find(**database, config.views.tables);
  if (!view_tables) return std::unexpected(view_tables.error());
  return std::unique_ptr<PostgresSql>(
      new PostgresSql(config, clock, *std::move(database), *std::move(ledger), *std::move(inbox), *view_tables));
}

PostgresSql::PostgresSql(const Config& config, const Clock& clock, std::unique_ptr<postgres::Database> database,
                         std::unique_ptr<likes::PostgresLikeLedger> ledger, std::unique_ptr<likes::PostgresLikeInbox> inbox,
                         const views::PostgresViewTables& view_tables)
    : names_(config.ledger),
      url_(*config.database.url),
      listens_(config.jobs.listen),
      database_(std::move(database)),
      ledger_(std::move(ledger)),
      inbox_(std::move(inbox)),
      control_(*database_),
      leases_(*database_),
      pages_(*database_),
      job_queue_(*database_, job_signal_),
      job_admin_(*database_, job_signal_),
      schedules_(*database_, job_queue_, job_signal_),
      content_store_(*database_, clock, image_jobs(job_queue_)),
      content_jobs_(*database_),
      stories_(*database_, clock),
      keyed_answers_(*database_, clock),
      view_ledger_(*database_, view_tables),
      view_inbox_(*database_, inbox_mode(config), config.views.dedup_ttl, clock, view_tables),
      viewer_keys_(*database_),
      shared_documents_(*database_, clock),
      notifications_(*database_) {}

Result<void> PostgresSql::hear_jobs() {
  if (!listens_) return {};
  auto listener = postgres::Listener::open(url_, "hearth_jobs", [this] { job_signal_.notify(); });
  if (!listener) return std::unexpected(listener.error());
  job_listener_ = *std::move(listener);
  return {};
}

void PostgresSql::stop() {
  if (job_listener_) job_listener_->stop();
  job_signal_.close();
  database_->stop();
}

std::unique_ptr<content::RankCandidates> PostgresSql::rank(content::ReadDirty read_dirty) {
  return std::make_unique<content::PostgresRank>(*database_, std::move(read_dirty));
}

Task<Result<void>> PostgresSql::on_repaired(std::string /*post*/) {
  co_return Result<void>{};
}

Result<void> PostgresSql::is_adopted() {
  auto is_counted = adoption::PostgresAdoption(*database_, names_, adoption::Mode::kDryRun).is_counted();
  if (!is_counted) return std::unexpected(is_counted.error());
  if (*is_counted) return {};
  return fail(ErrorCode::kConflict, names_.ratings_table +
                                        ": there are ratings that Hearth has not counted; `hearth import --from-database` does, and fills "
                                        "the live store");
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
