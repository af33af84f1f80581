#pragma once

// SQL in PostgreSQL, which other nodes and other programs may use too.

#include <memory>
#include <string>
#include <vector>

#include "hearth/app/config.h"
#include "hearth/app/sql.h"
#include "hearth/base/clock.h"
#include "hearth/content/stores/postgres_content_jobs.h"
#include "hearth/content/stores/postgres_content_pages.h"
#include "hearth/content/stores/postgres_content_store.h"
#include "hearth/content/stores/postgres_keyed_answers.h"
#include "hearth/content/stores/postgres_story_store.h"
#include "hearth/drivers/postgres/database.h"
#include "hearth/drivers/postgres/listener.h"
#include "hearth/jobs/stores/postgres_job_admin.h"
#include "hearth/jobs/stores/postgres_job_queue.h"
#include "hearth/jobs/stores/postgres_schedules.h"
#include "hearth/likes/ledgers/postgres_like_inbox.h"
#include "hearth/likes/ledgers/postgres_like_ledger.h"
#include "hearth/likes/ledgers/postgres_live_control.h"
#include "hearth/limits/stores/postgres_shared_documents.h"
#include "hearth/notifications/stores/postgres_notification_store.h"
#include "hearth/outbox/postgres_partition_leases.h"
#include "hearth/views/ledgers/postgres_view_inbox.h"
#include "hearth/views/ledgers/postgres_view_ledger.h"
#include "hearth/views/ledgers/postgres_viewer_keys.h"

namespace hearth::app {

class PostgresSql final : public Sql {
 public:
  // Tables of the names that Hearth would give its own: refused, or taken over if Hearth can use them.
  enum class Existing : std::uint8_t { kRefused, kAdopted };
  // Brings the schema up to date and returns how many steps that took.
  static Result<int> migrate(const Config& config, Existing existing = Existing::kRefused);
  // Connects and brings the schema up to date. kUnavailable: the server cannot be reached.
  static Result<std::unique_ptr<PostgresSql>> open(const Config& config, const Clock& clock);

  postgres::Database& database() { return *database_; }
  likes::LikeLedger& ledger() override { return *ledger_; }
  content::ContentStore& content() override { return content_store_; }
  content::ContentPages& pages() override { return pages_; }
  content::ContentJobs& content_jobs() override { return content_jobs_; }
  content::StoryStore& stories() override { return stories_; }
  content::KeyedAnswers& keyed_answers() override { return keyed_answers_; }
  views::ViewLedger& view_ledger() override { return view_ledger_; }
  views::ViewInbox& view_inbox() override { return view_inbox_; }
  views::ViewerKeyStore& viewer_keys() override { return viewer_keys_; }
  limits::SharedDocuments& shared_documents() override { return shared_documents_; }
  notifications::NotificationStore& notifications() override { return notifications_; }
  jobs::JobQueue& job_queue() override { return job_queue_; }
  jobs::JobAdmin& job_admin() override { return job_admin_; }
  jobs::Schedules& schedules() override { return schedules_; }
  jobs::JobSignal& job_signal() override { return job_signal_; }
  Result<void> hear_jobs() override;
  std::unique_ptr<content::RankCandidates> rank(content::ReadDirty read_dirty) override;
  // The ledger's transactions write posts.likes too, a repair as well.
  std::unique_ptr<content::LikeProjection> projection(outbox::Journal&, std::function<Result<outbox::Sequence>()>,
                                                      std::function<void()>) override {
    return nullptr;
  }
  Result<void> project() override { return {}; }
  Result<void> on_flushed(std::vector<std::string>) override { return {}; }
  Task<Result<void>> on_repaired(std::string post) override;
  outbox::PartitionLeases& leases() override { return leases_; }
  likes::LiveControl& control() override { return control_; }
  likes::LikeInbox& inbox() override { return *inbox_; }
  bool is_shared() const override { return true; }
  std::unique_ptr<adoption::SqlDiagnosis> diagnosis() override;
  Result<void> is_adopted() override;
  Result<dataset::ExportReport> export_to(dataset::WriteBytes write) override;
  Result<void> is_reachable() const override;
  void add_metrics(Metrics& metrics) const override;
  void stop() override;

 private:
  PostgresSql(const Config& config, const Clock& clock, std::unique_ptr<postgres::Database> database,
              std::unique_ptr<likes::PostgresLikeLedger> ledger, std::unique_ptr<likes::PostgresLikeInbox> inbox,
              const views::PostgresViewTables& view_tables);

  const likes::LedgerNames names_;
  const std::string url_;
  const bool listens_;
  const std::unique_ptr<postgres::Database> database_;
  const std::unique_ptr<likes::PostgresLikeLedger> ledger_;
  const std::unique_ptr<likes::PostgresLikeInbox> inbox_;
  likes::PostgresLiveControl control_;
  outbox::PostgresPartitionLeases leases_;
  content::PostgresContentPages pages_;
  jobs::JobSignal job_signal_;
  jobs::PostgresJobQueue job_queue_;
  jobs::PostgresJobAdmin job_admin_;
  jobs::PostgresSchedules schedules_;
  content::PostgresContentStore content_store_;
  content::PostgresContentJobs content_jobs_;
  content::PostgresStoryStore stories_;
  content::PostgresKeyedAnswers keyed_answers_;
  views::PostgresViewLedger view_ledger_;
  views::PostgresViewInbox view_inbox_;
  views::PostgresViewerKeys viewer_keys_;
  limits::PostgresSharedDocuments shared_documents_;
  notifications::PostgresNotificationStore notifications_;
  std::unique_ptr<postgres::Listener> job_listener_;
};

}  // namespace hearth::app
