#pragma once

// SQL in the data folder: ratings.db and content.db.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hearth/app/config.h"
#include "hearth/app/sql.h"
#include "hearth/base/background_task.h"
#include "hearth/base/clock.h"
#include "hearth/content/stores/like_projector.h"
#include "hearth/content/stores/sqlite_content_jobs.h"
#include "hearth/content/stores/sqlite_content_pages.h"
#include "hearth/content/stores/sqlite_content_store.h"
#include "hearth/content/stores/sqlite_keyed_answers.h"
#include "hearth/content/stores/sqlite_story_store.h"
#include "hearth/drivers/sqlite/database.h"
#include "hearth/jobs/stores/sqlite_job_admin.h"
#include "hearth/jobs/stores/sqlite_job_queue.h"
#include "hearth/jobs/stores/sqlite_schedules.h"
#include "hearth/likes/ledgers/sqlite_like_inbox.h"
#include "hearth/likes/ledgers/sqlite_like_ledger.h"
#include "hearth/likes/ledgers/sqlite_live_control.h"
#include "hearth/limits/stores/sqlite_shared_documents.h"
#include "hearth/notifications/stores/sqlite_notification_store.h"
#include "hearth/outbox/sole_partition_leases.h"
#include "hearth/views/ledgers/sqlite_view_inbox.h"
#include "hearth/views/ledgers/sqlite_view_ledger.h"
#include "hearth/views/ledgers/sqlite_viewer_keys.h"

namespace hearth::app {

class SqliteSql final : public Sql {
 public:
  // Opens the files in the data folder and brings them to the newest schema. `vfs`: for tests.
  static Result<std::unique_ptr<SqliteSql>> open(const Config& config, const Clock& clock, const std::string& vfs = {});

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
  Result<void> hear_jobs() override { return {}; }
  std::unique_ptr<content::RankCandidates> rank(content::ReadDirty read_dirty) override;
  std::unique_ptr<content::LikeProjection> projection(outbox::Journal& journal, std::function<Result<outbox::Sequence>()> flushed,
                                                      std::function<void()> wake) override;
  Result<void> project() override;
  Result<void> on_flushed(std::vector<std::string> posts) override { return projector_.project(std::move(posts)); }
  Task<Result<void>> on_repaired(std::string post) override;
  outbox::PartitionLeases& leases() override { return leases_; }
  likes::LiveControl& control() override { return control_; }
  likes::LikeInbox& inbox() override { return inbox_; }
  bool is_shared() const override { return false; }
  std::unique_ptr<adoption::SqlDiagnosis> diagnosis() override;
  Result<void> is_adopted() override { return {}; }
  Result<dataset::ExportReport> export_to(dataset::WriteBytes write) override;
  Result<void> is_reachable() const override { return {}; }
  void add_metrics(Metrics& /*metrics*/) const override {}
  void stop() override;

 private:
  SqliteSql(const Config& config, std::unique_ptr<likes::SqliteLikeLedger> ledger, std::unique_ptr<sqlite::Database> content,
            const Clock& clock);

  content::ReadCounts ledger_counts();

  const std::filesystem::path folder_;
  std::unique_ptr<likes::SqliteLikeLedger> ledger_;
  std::unique_ptr<sqlite::Database> content_;
  outbox::SolePartitionLeases leases_;
  likes::SqliteLiveControl control_;
  likes::SqliteLikeInbox inbox_;
  std::function<void()> on_posts_;  // set before requests are served
  content::SqliteContentPages pages_;
  jobs::JobSignal job_signal_;
  jobs::SqliteJobQueue job_queue_;
  jobs::SqliteJobAdmin job_admin_;
  jobs::SqliteSchedules schedules_;
  content::SqliteContentStore content_store_;
  content::SqliteContentJobs content_jobs_;
  content::SqliteStoryStore stories_;
  content::SqliteKeyedAnswers keyed_answers_;
  views::SqliteViewLedger view_ledger_;
  views::SqliteViewInbox view_inbox_;
  views::SqliteViewerKeys viewer_keys_;
  limits::SqliteSharedDocuments shared_documents_;
  notifications::SqliteNotificationStore notifications_;
  content::LikeProjector projector_;
  BackgroundTask new_posts_task_;
};

}  // namespace hearth::app
