#include "hearth/app/sqlite_sql.h"

#include <utility>

#include "hearth/app/adoption/stores/sqlite_diagnosis.h"
#include "hearth/app/dataset/stores/sqlite_rating_export.h"
#include "hearth/app/handlers/built_in.h"
#include "hearth/content/stores/content_database.h"
#include "hearth/content/stores/sqlite_content_export.h"
#include "hearth/content/stores/sqlite_rank.h"

namespace hearth::app {

Result<std::unique_ptr<SqliteSql>> SqliteSql::open(const Config& config, const Clock& clock, const std::string& vfs) {
  auto ledger = likes::SqliteLikeLedger::open(config.data / "ratings.db", vfs);
  if (!ledger) return std::unexpected(ledger.error());
  auto content = content::open_content_database(config.data / "content.db", vfs);
  if (!content) return std::unexpected(content.error());
  return std::unique_ptr<SqliteSql>(new SqliteSql(config, *std::move(ledger), *std::move(content), clock));
}

SqliteSql::SqliteSql(const Config& config, std::unique_ptr<likes::SqliteLikeLedger> ledger, std::unique_ptr<sqlite::Database> content,
                     const Clock& clock)
    : folder_(config.data),
      ledger_(std::move(ledger)),
      content_(std::move(content)),
      control_(ledger_->database(), clock),
      inbox_(ledger_->database(), clock),
      pages_(*content_),
      job_queue_(*content_, clock, job_signal_),
      job_admin_(*content_, clock, job_signal_),
      schedules_(*content_, job_queue_, job_signal_),
      content_store_(
          *content_, clock,
          [this] {
            if (on_posts_) on_posts_();
            job_signal_.notify();
          },
          image_jobs(job_queue_)),
      content_jobs_(*content_),
      stories_(*content_, clock),
      keyed_answers_(*content_, clock),
      view_ledger_(*content_),
      view_inbox_(*content_, inbox_mode(config), config.views.dedup_ttl, clock),
      viewer_keys_(*content_),
      shared_documents_(*content_, clock),
      notifications_(*content_),
      projector_(*content_, ledger_counts()),
      new_posts_task_({.name = "projection"}, [this]() -> Result<bool> {
        if (auto projected = projector_.project({}); !projected) return std::unexpected(projected.error());
        return false;
      }) {}

content::ReadCounts SqliteSql::ledger_counts() {
  return [this](std::vector<std::string> posts) -> Result<std::vector<content::PostCount>> {
    auto heads = ledger_->heads_blocking(posts);
    if (!heads) return std::unexpected(heads.error());
    std::vector<content::PostCount> counts;
    counts.reserve(heads->size());
    for (auto& head : *heads) counts.push_back({std::move(head.post), head.likes, head.version});
    return counts;
  };
}

std::unique_ptr<content::RankCandidates> SqliteSql::rank(content::ReadDirty read_dirty) {
  return std::make_unique<content::SqliteRank>(*content_, std::move(read_dirty));
}

std::unique_ptr<content::LikeProjection> SqliteSql::projection(outbox::Journal& journal, std::function<Result<outbox::Sequence>()> flushed,
                                                               std::function<void()> wake) {
  on_posts_ = std::move(wake);
  return std::make_unique<content::LikeProjection>(*content_, journal,
                                                   content::LedgerCounts{.cursor = std::move(flushed), .counts = ledger_counts()});
}

Result<void> SqliteSql::project() {
  if (auto projected = projector_.project_all(); !projected) return projected;
  on_posts_ = [this] { new_posts_task_.wake(); };
  new_posts_task_.start();
  return {};
}

Task<Result<void>> SqliteSql::on_repaired(std::string post) {
  return content_store_.distrust_likes(PostId::trusted(std::move(post)));
}

std::unique_ptr<adoption::SqlDiagnosis> SqliteSql::diagnosis() {
  return std::make_unique<adoption::SqliteDiagnosis>(ledger_->database(), *content_);
}

Result<dataset::ExportReport> SqliteSql::export_to(dataset::WriteBytes write) {
  auto content_db = sqlite::Connection::open({.path = folder_ / "content.db", .read_only = true});
  if (!content_db) return std::unexpected(content_db.error());
  auto ratings_db = sqlite::Connection::open({.path = folder_ / "ratings.db", .read_only = true});
  if (!ratings_db) return std::unexpected(ratings_db.error());
  content::SqliteContentExport content(*content_db);
  dataset::SqliteRatingExport ratings(*ratings_db);
  return dataset::export_dataset(content, ratings, write);
}

void SqliteSql::stop() {
  new_posts_task_.stop();
  job_signal_.close();
  ledger_->stop();
  content_->stop();
}

}  // namespace hearth::app
