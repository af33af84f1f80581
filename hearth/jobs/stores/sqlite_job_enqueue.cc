#include "hearth/jobs/stores/sqlite_job_enqueue.h"

#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "hearth/jobs/stores/sqlite_job_rows.h"

namespace hearth::jobs {
namespace {

constexpr char kFindKey[] = "SELECT job_id FROM job_keys WHERE key = ?1 AND (ended_at IS NULL OR ended_at > ?2)";
constexpr char kTakeKey[] =
    "INSERT INTO job_keys (key, job_id) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET job_id = excluded.job_id, ended_at = NULL";
// An older job, which is dead, may still have had it.
constexpr char kTakeKeyAway[] =
    "UPDATE background_jobs SET idempotency_key = NULL, updated_at = max(?2, updated_at + 1) WHERE idempotency_key = ?1";
constexpr char kFindMaxAttempts[] = "SELECT max_attempts FROM job_types WHERE job_type = ?1";
constexpr char kInsertKeyed[] =
    "INSERT INTO background_jobs (created_at, updated_at, job_type, payload, url, priority, max_attempts, scheduled_for, idempotency_key, "
    "debounce_key) VALUES (?1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
constexpr char kFindDebounced[] = "SELECT id FROM background_jobs WHERE debounce_key = ?1";
constexpr char kReplacePayload[] = "UPDATE background_jobs SET payload = ?2, updated_at = max(?3, updated_at + 1) WHERE id = ?1";

// Jobs without keys are inserted by statements of sixteen rows, as many as there are, and of one: what a statement costs
// besides its rows is as much as a row.
#define HEARTH_ROW "(?1, ?1, ?, ?, ?, ?, ?, ?)"
#define HEARTH_FOUR_ROWS HEARTH_ROW ", " HEARTH_ROW ", " HEARTH_ROW ", " HEARTH_ROW
#define HEARTH_INSERT \
  "INSERT INTO background_jobs (created_at, updated_at, job_type, payload, url, priority, max_attempts, scheduled_for) VALUES "
constexpr std::size_t kManyRows = 16;
constexpr char kInsertOne[] = HEARTH_INSERT HEARTH_ROW;
constexpr char kInsertMany[] = HEARTH_INSERT HEARTH_FOUR_ROWS ", " HEARTH_FOUR_ROWS ", " HEARTH_FOUR_ROWS ", " HEARTH_FOUR_ROWS;

using Row = std::tuple<std::string_view, std::string_view, std::optional<std::string_view>, int, int, std::int64_t>;

Row row_of(const Job& job) {
  return {job.type, job.payload, job.url, job.priority, job.max_attempts, micros(job.scheduled_for)};
}

// Gives the jobs their ids: one statement gives them in the order of its rows.
template <std::size_t... Value>
void insert_rows(sqlite::Connection& connection, const char* sql, std::span<EnqueuedJob*> answers, std::index_sequence<Value...>) {
  constexpr std::size_t kValues = std::tuple_size_v<Row>;
  std::array<Row, sizeof...(Value) / kValues> rows;
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = row_of(answers[i]->job);
  connection.statement(sql).run(micros(answers.front()->job.created_at), std::get<Value % kValues>(rows[Value / kValues])...);
  auto id = sqlite3_last_insert_rowid(connection.handle()) - static_cast<std::int64_t>(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) answers[i]->job.id = JobId(++id);
}

class Enqueuer {
 public:
  Enqueuer(sqlite::Connection& connection, UtcMicros now) : connection_(connection), now_(now) {}

  std::vector<EnqueuedJob> enqueue(std::span<const JobDraft* const> drafts) {
    std::vector<EnqueuedJob> answers(drafts.size());
    for (std::size_t i = 0; i < drafts.size(); ++i) {
      const JobDraft& draft = *drafts[i];
      if (draft.idempotency_key || draft.debounce) {
        insert_plain();
        answers[i] = insert_keyed(draft);
      } else {
        answers[i].job = new_job(draft);
        plain_.push_back(&answers[i]);
      }
    }
    insert_plain();
    return answers;
  }

 private:
  Job new_job(const JobDraft& draft) {
    return {.type = draft.type,
            .payload = draft.payload,
            .url = draft.url,
            .priority = draft.priority.value_or(default_priority(draft.type)),
            .max_attempts = draft.max_attempts ? *draft.max_attempts : max_attempts_of(draft.type),
            .scheduled_for = draft.debounce ? now_ + draft.debounce->within : draft.scheduled_for.value_or(now_),
            .created_at = now_,
            .updated_at = now_,
            .idempotency_key = draft.idempotency_key};
  }

  int max_attempts_of(std::string_view type) {
    auto [known, is_new] = max_attempts_.emplace(type, kAttemptsDefault);
    if (!is_new) return known->second;
    auto& row = connection_.statement(kFindMaxAttempts).query(type);
    if (row.next()) {
      if (auto attempts = optional_integer(row, 0)) known->second = static_cast<int>(*attempts);
      row.reset();
    }
    return known->second;
  }

  // Those that have gathered.
  void insert_plain() {
    constexpr std::size_t kValues = std::tuple_size_v<Row>;
    std::span<EnqueuedJob*> left = plain_;
    for (; left.size() >= kManyRows; left = left.subspan(kManyRows)) {
      insert_rows(connection_, kInsertMany, left, std::make_index_sequence<kManyRows * kValues>());
    }
    for (; !left.empty(); left = left.subspan(1)) insert_rows(connection_, kInsertOne, left, std::make_index_sequence<kValues>());
    plain_.clear();
  }

  EnqueuedJob insert_keyed(const JobDraft& draft) {
    if (draft.idempotency_key) {
      if (auto taken_by = job_of_key(*draft.idempotency_key)) {
        // What a key names is not pruned; a job that somebody deleted by hand leaves its key free.
        if (auto job = find_job(connection_, *taken_by)) return {*std::move(job), true};
      }
    }
    if (draft.debounce) {
      if (auto job = replace_payload(draft)) return {*std::move(job), false};
    }
    Job job = new_job(draft);
    if (job.idempotency_key) connection_.statement(kTakeKeyAway).run(*job.idempotency_key, micros(now_));
    std::optional<std::string_view> debounce_key;
    if (draft.debounce) debounce_key = draft.debounce->key;
    connection_.statement(kInsertKeyed)
        .run(micros(now_), job.type, job.payload, job.url, job.priority, job.max_attempts, micros(job.scheduled_for), job.idempotency_key,
             debounce_key);
    job.id = JobId(sqlite3_last_insert_rowid(connection_.handle()));
    if (job.idempotency_key) connection_.statement(kTakeKey).run(*job.idempotency_key, std::to_underlying(job.id));
    return {std::move(job), false};
  }

  std::optional<JobId> job_of_key(const std::string& key) {
    auto& row = connection_.statement(kFindKey).query(key, micros(now_ - kIdempotencyKeyKept));
    if (!row.next()) return std::nullopt;
    auto id = JobId(row.integer(0));
    row.reset();
    return id;
  }

  // The job that waits with this key, if there is one: with the new payload.
  std::optional<Job> replace_payload(const JobDraft& draft) {
    auto& row = connection_.statement(kFindDebounced).query(draft.debounce->key);
    if (!row.next()) return std::nullopt;
    std::int64_t id = row.integer(0);
    row.reset();
    connection_.statement(kReplacePayload).run(id, draft.payload, micros(now_));
    return find_present_job(connection_, JobId(id));
  }

  sqlite::Connection& connection_;
  const UtcMicros now_;
  std::map<std::string_view, int> max_attempts_;  // by type
  std::vector<EnqueuedJob*> plain_;               // answers whose jobs are not inserted yet
};

}  // namespace

std::vector<EnqueuedJob> insert_jobs(sqlite::Connection& connection, std::span<const JobDraft* const> drafts, UtcMicros now) {
  return Enqueuer(connection, now).enqueue(drafts);
}

}  // namespace hearth::jobs
