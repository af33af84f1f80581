#pragma once

// SQL, whichever it is: the files of the data folder (sqlite_sql.h) or PostgreSQL (postgres_sql.h).
//
// Thread-safe.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hearth/app/adoption/sql_diagnosis.h"
#include "hearth/app/config.h"
#include "hearth/app/dataset/exporter.h"
#include "hearth/base/task.h"
#include "hearth/content/content_jobs.h"
#include "hearth/content/content_pages.h"
#include "hearth/content/content_store.h"
#include "hearth/content/keyed_answers.h"
#include "hearth/content/rank.h"
#include "hearth/content/stores/like_projection.h"
#include "hearth/content/story_store.h"
#include "hearth/jobs/job_admin.h"
#include "hearth/jobs/job_queue.h"
#include "hearth/jobs/job_signal.h"
#include "hearth/jobs/schedules.h"
#include "hearth/likes/like_inbox.h"
#include "hearth/likes/like_ledger.h"
#include "hearth/likes/live_control.h"
#include "hearth/limits/shared_documents.h"
#include "hearth/notifications/notification_store.h"
#include "hearth/outbox/journal.h"
#include "hearth/outbox/partition_leases.h"
#include "hearth/views/view_inbox.h"
#include "hearth/views/view_ledger.h"
#include "hearth/views/viewer_keys.h"

namespace hearth::app {

class Metrics;

// How views are kept in SQL when they come there (views/view_inbox.h).
inline views::InboxMode inbox_mode(const Config& config) {
  bool is_switched_off = config.live.store == LiveStore::kRedis && !config.views.redis_enabled;
  return is_switched_off ? views::InboxMode::kDirect : views::InboxMode::kWaiting;
}

class Sql {
 public:
  virtual ~Sql() = default;

  virtual likes::LikeLedger& ledger() = 0;
  virtual content::ContentStore& content() = 0;
  virtual content::ContentPages& pages() = 0;
  virtual std::unique_ptr<content::RankCandidates> rank(content::ReadDirty read_dirty) = 0;

  virtual content::ContentJobs& content_jobs() = 0;
  virtual content::StoryStore& stories() = 0;
  virtual content::KeyedAnswers& keyed_answers() = 0;
  virtual views::ViewLedger& view_ledger() = 0;
  virtual views::ViewInbox& view_inbox() = 0;
  virtual views::ViewerKeyStore& viewer_keys() = 0;
  virtual limits::SharedDocuments& shared_documents() = 0;
  virtual notifications::NotificationStore& notifications() = 0;

  virtual jobs::JobQueue& job_queue() = 0;
  virtual jobs::JobAdmin& job_admin() = 0;
  virtual jobs::Schedules& schedules() = 0;
  // Told of jobs that this process enqueues; of those of others too after hear_jobs(), where there are others.
  virtual jobs::JobSignal& job_signal() = 0;
  virtual Result<void> hear_jobs() = 0;

  // posts.likes, by which SQL orders posts, where the ledger's own transactions do not keep it.
  // With a journal: what follows it, null if there is no need. `flushed` says how far the ledger has read it; `wake` is
  // called, on any thread, when posts were written. Both outlive the projection.
  virtual std::unique_ptr<content::LikeProjection> projection(outbox::Journal& journal, std::function<Result<outbox::Sequence>()> flushed,
                                                              std::function<void()> wake) = 0;
  // Without one: project() once before serving, and on_flushed() after each write to the ledger. These block.
  virtual Result<void> project() = 0;
  virtual Result<void> on_flushed(std::vector<std::string> posts) = 0;
  // The ledger's count of the post was set other than by the outbox.
  virtual Task<Result<void>> on_repaired(std::string post) = 0;

  // What nodes must agree on: who reads which partition of the outbox, and where likes are served from.
  virtual outbox::PartitionLeases& leases() = 0;
  virtual likes::LiveControl& control() = 0;
  // Likes for the live store, from when it was away and from other programs.
  virtual likes::LikeInbox& inbox() = 0;
  // Whether other nodes and programs may use this database too.
  virtual bool is_shared() const = 0;

  // kConflict: there are ratings of another program that Hearth has not counted yet. Serving would take them for none.
  virtual Result<void> is_adopted() = 0;
  // What is wrong with the likes in SQL. It outlives nothing of this.
  virtual std::unique_ptr<adoption::SqlDiagnosis> diagnosis() = 0;
  // Writes all that SQL has (dataset/exporter.h). For a thread that may block; other processes may serve meanwhile.
  virtual Result<dataset::ExportReport> export_to(dataset::WriteBytes write) = 0;

  // Whether it can be used now, without asking it. For threads that must not block.
  virtual Result<void> is_reachable() const = 0;
  virtual void add_metrics(Metrics& metrics) const = 0;
  // Finishes what was asked. Safe twice.
  virtual void stop() = 0;
};

}  // namespace hearth::app
