#include "hearth/app/metrics.h"

#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <fstream>

#include "hearth/app/wiring.h"

namespace hearth::app {
namespace {

constexpr double kMicrosPerSecond = 1e6;

std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total_pages = 0;
  std::uint64_t resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t unix_seconds(UtcMicros at) {
  return static_cast<std::uint64_t>(std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count());
}

}  // namespace

void Metrics::counter(const char* name, const char* help, std::uint64_t value) {
  add(name, help, prometheus::MetricType::Counter).counter.value = static_cast<double>(value);
}

void Metrics::gauge(const char* name, const char* help, std::uint64_t value) {
  add(name, help, prometheus::MetricType::Gauge).gauge.value = static_cast<double>(value);
}

void Metrics::seconds(const char* name, const char* help, std::uint64_t micros) {
  add(name, help, prometheus::MetricType::Counter).counter.value = static_cast<double>(micros) / kMicrosPerSecond;
}

std::string Metrics::text() const {
  return prometheus::TextSerializer().Serialize(families_);
}

prometheus::ClientMetric& Metrics::add(const char* name, const char* help, prometheus::MetricType type) {
  auto& family = families_.emplace_back();
  family.name = name;
  family.help = help;
  family.type = type;
  return family.metric.emplace_back();
}

std::string render_metrics(const Hearth& hearth, const http::Server::Stats& server) {
  Metrics metrics;
  metrics.gauge("hearth_http_connections", "Open connections.", server.connections);
  metrics.counter("hearth_http_requests_total", "Requests answered.", server.requests);
  metrics.counter("hearth_http_refused_connections_total", "Connections over the limit.", server.refused_connections);

  auto live = hearth.live->stats();
  metrics.counter("hearth_likes_changes_total", "Likes given and taken back.", live.changes);
  metrics.gauge("hearth_degraded", "1 while likes are answered from SQL, because the live store is away.", live.is_degraded ? 1 : 0);
  metrics.gauge("hearth_outbox_bytes", "Bytes that consumers of the outbox have not passed.", live.outbox_bytes);
  metrics.gauge("hearth_outbox_entries", "Entries that consumers of the outbox have not passed.", live.outbox_entries);
  metrics.counter("hearth_flusher_batches_total", "Transactions written to the ledger.", live.flush_batches);
  metrics.counter("hearth_flusher_events_total", "Events moved to the ledger.", live.flush_events);
  metrics.counter("hearth_flusher_posts_total", "Counts written to the ledger.", live.flush_posts);
  metrics.counter("hearth_flusher_rows_total", "Ratings written to and deleted from the ledger.", live.flush_rows);
  metrics.counter("hearth_flusher_gaps_total", "Posts recounted because changes were missing.", live.flush_gaps);
  metrics.seconds("hearth_flusher_seconds_total", "Time spent flushing.", live.flush_micros);
  hearth.live->add_metrics(metrics);
  metrics.gauge("hearth_sql_reachable", "1 while SQL can be used.", hearth.sql->is_reachable() ? 1 : 0);
  hearth.sql->add_metrics(metrics);

  auto drift = hearth.scheduled_reconcile.stats();
  metrics.counter("hearth_drift_found_total", "Posts whose live state and SQL differed in a scheduled comparison.", drift.found);
  metrics.counter("hearth_drift_repaired_total", "Posts that were brought together again.", drift.repaired);
  metrics.gauge("hearth_drift_last", "Posts that differed in the last scheduled comparison.", drift.last);
  metrics.gauge("hearth_drift_over_threshold", "1 if those were more than reconcile.drift_threshold.",
                drift.is_last_over_threshold ? 1 : 0);

  auto syncs = hearth.views.stats();
  metrics.counter("hearth_views_sync_runs_total", "Times that this node brought views to SQL.", syncs.runs);
  metrics.counter("hearth_views_sync_failures_total", "Of them, those that failed.", syncs.failures);
  metrics.counter("hearth_views_synced_items_total", "Stories and chapters whose views were brought to SQL.", syncs.items);
  metrics.counter("hearth_views_synced_total", "Views that were added in SQL.", syncs.views);
  metrics.gauge("hearth_views_synced_at_seconds", "When this node last did so, in seconds since 1970; 0: not since it started.",
                syncs.last_success ? unix_seconds(*syncs.last_success) : 0);
  hearth.limits->add_metrics(metrics);

  auto jobs = hearth.background_jobs->runner().stats();
  metrics.counter("hearth_jobs_claimed_total", "Jobs that this node took.", jobs.claimed);
  metrics.counter("hearth_jobs_completed_total", "Of them, completed.", jobs.completed);
  metrics.counter("hearth_jobs_failed_total", "Attempts of this node that failed.", jobs.failed);
  metrics.counter("hearth_jobs_snoozed_total", "Attempts that put their job off.", jobs.snoozed);
  metrics.counter("hearth_jobs_stale_total", "Outcomes that were refused, because another attempt owned the job.", jobs.stale);
  metrics.counter("hearth_jobs_timed_out_total", "Attempts that took too long.", jobs.timed_out);
  metrics.counter("hearth_jobs_taken_over_total", "Attempts of dead workers that this node ended.", jobs.taken_over);
  metrics.gauge("hearth_jobs_running", "Jobs that run on this node now.", jobs.running);
  metrics.gauge("hearth_process_resident_bytes", "Memory of the process.", resident_bytes());
  return metrics.text();
}

}  // namespace hearth::app
