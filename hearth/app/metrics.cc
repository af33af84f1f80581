#include "hearth/app/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <fstream>
#include <vector>

#include "hearth/app/wiring.h"

#include <unistd.h>

namespace hearth::app {
namespace {

class Families {
 public:
  void counter(const char* name, const char* help, double value) { add(name, help, prometheus::MetricType::Counter).counter.value = value; }
  void gauge(const char* name, const char* help, double value) { add(name, help, prometheus::MetricType::Gauge).gauge.value = value; }
  std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  prometheus::ClientMetric& add(const char* name, const char* help, prometheus::MetricType type) {
    auto& family = families_.emplace_back();
    family.name = name;
    family.help = help;
    family.type = type;
    return family.metric.emplace_back();
  }
  std::vector<prometheus::MetricFamily> families_;
};

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double total_pages = 0;
  double resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE));
}

constexpr double kMicrosPerSecond = 1e6;

}  // namespace

std::string render_metrics(const Hearth& hearth, const http::Server::Stats& server) {
  Families families;
  families.gauge("hearth_http_connections", "Open connections.", static_cast<double>(server.connections));
  families.counter("hearth_http_requests_total", "Requests answered.", static_cast<double>(server.requests));
  families.counter("hearth_http_refused_connections_total", "Connections over the limit.", static_cast<double>(server.refused_connections));

  auto likes = hearth.like_store.stats();
  families.counter("hearth_likes_changes_total", "Likes given and taken back.", static_cast<double>(likes.changes));
  families.gauge("hearth_likes_resident_posts", "Posts in memory.", static_cast<double>(likes.posts));
  families.gauge("hearth_likes_resident_sessions", "Sessions in memory.", static_cast<double>(likes.sessions));
  families.gauge("hearth_likes_memory_bytes", "Memory of likes, as live.memory_limit counts it.", static_cast<double>(likes.bytes));
  families.gauge("hearth_likes_cold_posts", "Posts that the ledger knows and memory does not hold.", static_cast<double>(likes.cold_posts));
  families.counter("hearth_likes_loads_total", "Posts loaded from the ledger.", static_cast<double>(likes.loads));
  families.counter("hearth_likes_evictions_total", "Posts that left memory.", static_cast<double>(likes.evictions));

  auto journal = hearth.journal->stats();
  families.gauge("hearth_outbox_bytes", "Bytes that consumers of the outbox have not passed.", static_cast<double>(journal.backlog_bytes));
  families.counter("hearth_journal_commits_total", "Batches committed.", static_cast<double>(journal.commits));
  families.counter("hearth_journal_failed_commits_total", "Batches lost to a failed commit.", static_cast<double>(journal.failed_commits));
  families.counter("hearth_journal_commit_seconds_total", "Time spent committing.",
                   static_cast<double>(journal.commit_micros) / kMicrosPerSecond);
  families.gauge("hearth_journal_accepting", "1 while changes are accepted.", hearth.journal->is_accepting() ? 1 : 0);

  auto flusher = hearth.flusher.stats();
  families.counter("hearth_flusher_batches_total", "Transactions written to the ledger.", static_cast<double>(flusher.batches));
  families.counter("hearth_flusher_events_total", "Events moved to the ledger.", static_cast<double>(flusher.events));
  families.counter("hearth_flusher_posts_total", "Counts written to the ledger.", static_cast<double>(flusher.posts));
  families.counter("hearth_flusher_rows_total", "Ratings written to and deleted from the ledger.", static_cast<double>(flusher.rows));
  families.counter("hearth_flusher_gaps_total", "Posts recounted because changes were missing.", static_cast<double>(flusher.gaps));
  families.counter("hearth_flusher_seconds_total", "Time spent flushing.", static_cast<double>(flusher.micros) / kMicrosPerSecond);
  families.gauge("hearth_process_resident_bytes", "Memory of the process.", resident_bytes());
  return families.text();
}

}  // namespace hearth::app
