#include "hearth/jobs/stores/postgres_job_rows.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <tuple>
#include <utility>

namespace hearth::jobs {
namespace {

using postgres::Connection;
using postgres::Rows;

constexpr char kFindPresent[] = HEARTH_POSTGRES_SELECT_JOB "WHERE id = ANY ($1)";
constexpr char kFindEnded[] = HEARTH_POSTGRES_SELECT_ENDED_JOB "WHERE job_id = ANY ($1) AND status IN ('completed', 'cancelled')";

// Elements of arrays are never NULL. What is not given: an empty text, 0 attempts, the year 1970, at which a job is due now.
#define HEARTH_INSERTED                                                                                                 \
  "type, payload::jsonb, nullif(url, ''), priority, coalesce(nullif(drafted.max_attempts, 0), types.max_attempts, 3), " \
  "coalesce(nullif(due, timestamptz 'epoch'), statement_timestamp()), statement_timestamp(), statement_timestamp() "
#define HEARTH_INSERTED_COLUMNS "job_type, payload, url, priority, max_attempts, scheduled_for, created_at, updated_at"
#define HEARTH_INSERTED_AS_ASKED \
  "LEFT JOIN job_types AS types ON types.job_type = drafted.type ORDER BY place RETURNING id, max_attempts, scheduled_for, created_at"
constexpr char kInsert[] = "INSERT INTO background_jobs (" HEARTH_INSERTED_COLUMNS ") SELECT " HEARTH_INSERTED
                           "FROM unnest($1, $2, $3, $4, $5, $6) WITH ORDINALITY AS drafted (type, payload, url, priority, max_attempts, "
                           "due, place) " HEARTH_INSERTED_AS_ASKED;
constexpr char kNewIds[] = "SELECT nextval('background_jobs_id_seq') FROM generate_series(1, $1)";
// Rows whose key is taken are left out by a trigger.
constexpr char kInsertKeyed[] =
    "INSERT INTO background_jobs (" HEARTH_INSERTED_COLUMNS ", id, idempotency_key) SELECT " HEARTH_INSERTED
    ", drafted.id, nullif(key, '') FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) WITH ORDINALITY AS drafted (type, "
    "payload, url, priority, max_attempts, due, id, key, place) " HEARTH_INSERTED_AS_ASKED;
constexpr char kFindKeys[] = "SELECT key, job_id FROM job_keys WHERE key = ANY ($1)";

// Those who queue a job for a key of this kind take turns: see queue_like_sync() in the migration.
constexpr char kLockDebounced[] =
    "SELECT pg_advisory_xact_lock(1751474546, bucket) FROM (SELECT DISTINCT hashtext(key) & 255 AS bucket FROM unnest($1) AS key "
    "ORDER BY bucket) AS buckets";
constexpr char kDebounce[] =
    "INSERT INTO background_jobs AS waiting (job_type, payload, url, priority, max_attempts, scheduled_for, created_at, updated_at, "
    "debounce_key) VALUES ($1, $2::text::jsonb, $3, $4, coalesce($5, (SELECT max_attempts FROM job_types WHERE job_type = $1), 3), "
    "statement_timestamp() + $6 * interval '1 millisecond', statement_timestamp(), statement_timestamp(), $7) "
    "ON CONFLICT (debounce_key) WHERE debounce_key IS NOT NULL DO UPDATE SET payload = excluded.payload, "
    "updated_at = greatest(excluded.updated_at, waiting.updated_at + interval '1 microsecond') RETURNING " HEARTH_POSTGRES_JOB;

std::string_view key_of(const JobDraft& draft) {
  return draft.idempotency_key ? std::string_view(*draft.idempotency_key) : std::string_view();
}

// Drafts as columns.
struct Columns {
  explicit Columns(std::span<const JobDraft* const> drafts) {
    for (const JobDraft* draft : drafts) {
      types.push_back(draft->type);
      payloads.push_back(draft->payload);
      urls.push_back(draft->url ? std::string_view(*draft->url) : std::string_view());
      priorities.push_back(draft->priority.value_or(default_priority(draft->type)));
      max_attempts.push_back(draft->max_attempts.value_or(0));
      due.push_back(draft->scheduled_for.value_or(UtcMicros{}));
      keys.push_back(key_of(*draft));
    }
  }

  std::vector<std::string_view> types, payloads, urls, keys;
  std::vector<std::int64_t> priorities, max_attempts;
  std::vector<UtcMicros> due;
};

// The job that became of a draft, by what the insert returned.
Job inserted_job(const JobDraft& draft, const Rows& row) {
  return Job{.id = JobId(row.integer(0)),
             .type = draft.type,
             .payload = draft.payload,
             .url = draft.url,
             .priority = draft.priority.value_or(default_priority(draft.type)),
             .max_attempts = static_cast<int>(row.integer(1)),
             .scheduled_for = row.time(2),
             .created_at = row.time(3),
             .updated_at = row.time(3),
             .idempotency_key = draft.idempotency_key};
}

// The jobs that have these keys, by key. The keys are locked.
std::map<std::string, Job, std::less<>> jobs_of_keys(Connection& connection, const std::vector<std::string_view>& keys) {
  std::map<std::int64_t, std::string> key_of;
  std::vector<std::int64_t> ids;
  auto rows = connection.query(kFindKeys, keys);
  while (rows.next()) {
    ids.push_back(rows.integer(1));
    key_of.emplace(rows.integer(1), rows.string(0));
  }
  std::map<std::string, Job, std::less<>> jobs;
  for (Job& job : find_jobs(connection, ids)) jobs.emplace(key_of.at(std::to_underlying(job.id)), std::move(job));
  return jobs;
}

struct Drafted {
  const JobDraft* draft;
  EnqueuedJob* answer;
  std::int64_t id = 0;
};

// Some of them with keys. Ids are given in the order of the drafts, and rows inserted in that of the keys.
void insert_keyed(Connection& connection, std::vector<Drafted> drafts) {
  auto new_ids = connection.query(kNewIds, drafts.size());
  for (Drafted& drafted : drafts) drafted.id = new_ids.first().integer(0);
  std::ranges::sort(drafts, {}, [](const Drafted& drafted) { return std::tuple(key_of(*drafted.draft), drafted.id); });
  std::vector<const JobDraft*> sorted;
  std::vector<std::int64_t> ids;
  for (const Drafted& drafted : drafts) {
    sorted.push_back(drafted.draft);
    ids.push_back(drafted.id);
  }
  Columns columns(sorted);
  auto rows = connection.query(kInsertKeyed, columns.types, columns.payloads, columns.urls, columns.priorities, columns.max_attempts,
                               columns.due, ids, columns.keys);
  std::vector<std::string_view> taken;
  bool has_row = rows.next();
  for (auto& [draft, answer, id] : drafts) {
    answer->is_duplicate = !has_row || rows.integer(0) != id;
    if (answer->is_duplicate) {
      taken.push_back(key_of(*draft));
    } else {
      answer->job = inserted_job(*draft, rows);
      has_row = rows.next();
    }
  }
  if (taken.empty()) return;
  auto jobs = jobs_of_keys(connection, taken);
  for (auto& [draft, answer, id] : drafts) {
    if (!answer->is_duplicate) continue;
    auto job = jobs.find(key_of(*draft));
    // Deleted by hand since the key was looked at: another run finds the key free.
    if (job == jobs.end()) throw postgres::Failure("40001", "the job of a key is gone");
    answer->job = job->second;
  }
}

// None of them with a key.
void insert_plain(Connection& connection, const std::vector<Drafted>& drafts) {
  std::vector<const JobDraft*> in_order;
  for (const Drafted& drafted : drafts) in_order.push_back(drafted.draft);
  Columns columns(in_order);
  auto rows =
      connection.query(kInsert, columns.types, columns.payloads, columns.urls, columns.priorities, columns.max_attempts, columns.due);
  for (const Drafted& drafted : drafts) drafted.answer->job = inserted_job(*drafted.draft, rows.first());
}

void insert_debounced(Connection& connection, std::vector<Drafted> drafts) {
  std::ranges::sort(drafts, {},
                    [](const Drafted& drafted) { return std::tuple(std::string_view(drafted.draft->debounce->key), drafted.answer); });
  std::vector<std::string_view> keys;
  for (const Drafted& drafted : drafts) keys.push_back(drafted.draft->debounce->key);
  connection.query(kLockDebounced, keys);
  for (const auto& [draft, answer, id] : drafts) {
    auto rows =
        connection.query(kDebounce, draft->type, draft->payload, draft->url, draft->priority.value_or(default_priority(draft->type)),
                         draft->max_attempts, draft->debounce->within.count(), draft->debounce->key);
    answer->job = job_in(rows.first());
  }
}

}  // namespace

Job job_in(const Rows& row) {
  auto json = [&](int column) -> std::optional<std::string> {
    if (row.is_null(column)) return std::nullopt;
    return without_padding(row.text(column));
  };
  return Job{.id = JobId(row.integer(0)),
             .type = row.string(1),
             .payload = without_padding(row.text(2)),
             .url = row.optional_string(3),
             .status = parse_job_status(row.text(4)).value(),
             .priority = static_cast<int>(row.integer(5)),
             .attempts = static_cast<int>(row.integer(6)),
             .max_attempts = static_cast<int>(row.integer(7)),
             .scheduled_for = row.time(8),
             .started_at = optional_time(row, 9),
             .completed_at = optional_time(row, 10),
             .failed_at = optional_time(row, 11),
             .error_message = row.optional_string(12),
             .result = json(13),
             .progress = json(14),
             .created_at = row.time(15),
             .updated_at = row.time(16),
             .idempotency_key = row.optional_string(17),
             .worker = row.optional_string(18),
             .lease_expires_at = optional_time(row, 19)};
}

std::optional<UtcMicros> optional_time(const Rows& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return row.time(column);
}

std::vector<Job> find_jobs(Connection& connection, const std::vector<std::int64_t>& ids) {
  std::vector<Job> jobs;
  // In this order: a job that ends between the two statements is found twice rather than not at all.
  for (const char* sql : {kFindPresent, kFindEnded}) {
    auto rows = connection.query(sql, ids);
    while (rows.next()) jobs.push_back(job_in(rows));
  }
  return jobs;
}

std::string without_padding(std::string_view json) {
  std::string compact;
  compact.reserve(json.size());
  bool is_in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    char c = json[i];
    if (c == ' ' && !is_in_string) continue;
    compact += c;
    if (c == '"') is_in_string = !is_in_string;
    if (c == '\\' && i + 1 < json.size()) compact += json[++i];  // only strings have any
  }
  return compact;
}

bool names_nul(std::string_view json) {
  for (auto at = json.find('\\'); at != std::string_view::npos; at = json.find('\\', at + 2)) {
    if (json.substr(at).starts_with("\\u0000")) return true;
  }
  return false;
}

std::vector<EnqueuedJob> insert_jobs(Connection& connection, std::span<const JobDraft* const> drafts) {
  std::vector<EnqueuedJob> answers(drafts.size());
  std::vector<Drafted> news, debounced;
  bool has_keys = false;
  for (std::size_t i = 0; i < drafts.size(); ++i) {
    (drafts[i]->debounce ? debounced : news).push_back({drafts[i], &answers[i]});
    has_keys = has_keys || drafts[i]->idempotency_key;
  }
  if (!news.empty()) has_keys ? insert_keyed(connection, std::move(news)) : insert_plain(connection, news);
  if (!debounced.empty()) insert_debounced(connection, std::move(debounced));
  return answers;
}

std::vector<EnqueuedJob> insert_jobs(Connection& connection, std::span<const JobDraft> drafts) {
  std::vector<const JobDraft*> pointers;
  for (const JobDraft& draft : drafts) pointers.push_back(&draft);
  return insert_jobs(connection, std::span<const JobDraft* const>(pointers));
}

Result<void> check_storable(const JobDraft& draft) {
  if (names_nul(draft.payload)) return invalid("payload", "payload must not contain the character U+0000, which PostgreSQL cannot keep");
  return {};
}

Error to_draft_error(const postgres::Failure& failure) {
  // Numbers beyond all bounds, halves of characters: JSON by its grammar, and yet no jsonb.
  if (failure.is_of_class("22")) return {ErrorCode::kInvalidArgument, "payload cannot be kept by PostgreSQL", "payload"};
  return to_error(failure);
}

}  // namespace hearth::jobs
