#include "hearth/jobs/stores/sqlite_job_claim.h"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hearth/jobs/stores/rate_log.h"
#include "hearth/jobs/stores/rules.h"
#include "hearth/jobs/stores/sqlite_job_rows.h"

namespace hearth::jobs {
namespace {

// ?1: whether the jobs have a url. The first job of the first type after ?2.
#define HEARTH_WAITING "FROM background_jobs INDEXED BY background_jobs_pending WHERE status = 'pending' AND has_url = ?1 "
constexpr char kNextType[] = "SELECT job_type, priority, scheduled_for, id " HEARTH_WAITING
                             "AND job_type > ?2 ORDER BY job_type, priority DESC, scheduled_for, id LIMIT 1";
// Of type ?2, the first job of the highest priority below ?3.
constexpr char kNextPriority[] = "SELECT priority, scheduled_for, id " HEARTH_WAITING
                                 "AND job_type = ?2 AND priority < ?3 ORDER BY priority DESC, scheduled_for, id LIMIT 1";
// Of one type and priority, those after (?4, ?5) that are due at ?6.
constexpr char kNextJobs[] = "SELECT scheduled_for, id " HEARTH_WAITING
                             "AND job_type = ?2 AND priority = ?3 AND (scheduled_for, id) > (?4, ?5) AND scheduled_for <= ?6 "
                             "ORDER BY scheduled_for, id LIMIT ?7";

constexpr char kSettings[] =
    "SELECT job_type, is_paused, rate_count, rate_window_ms, rate_state FROM job_types WHERE is_paused OR rate_count IS NOT NULL";
constexpr char kKeepRate[] = "UPDATE job_types SET rate_state = ?2 WHERE job_type = ?1";
// One statement for all of them: it costs more than a row. ?1: their ids, ?4: what their lease tokens begin with.
constexpr char kTake[] =
    "UPDATE background_jobs SET status = 'processing', attempts = attempts + 1, started_at = ?2, progress = NULL, debounce_key = NULL, "
    "worker_id = ?3, lease_token = ?4 || printf('%012x', id & 281474976710655), lease_ms = ?5, lease_expires_at = ?6, "
    "updated_at = max(?2, updated_at + 1) WHERE id IN (SELECT value FROM json_each(?1)) "
    "RETURNING id, job_type, payload, url, attempts, max_attempts, scheduled_for, lease_token";

struct Waiting {
  UtcMicros due;
  std::int64_t id;
  friend auto operator<=>(const Waiting&, const Waiting&) = default;
};

// A type that the claim may take jobs of, and how many more.
struct Type {
  std::string name;
  std::size_t left;
  std::optional<RateLog> rate;
  std::size_t started = 0;
};

// The jobs of one type and priority, of which the first ones have been read.
struct Line {
  Type* type;
  int priority;
  std::vector<Waiting> read;
  std::size_t taken = 0;
  bool is_read_to_the_end = false;  // of what is due
};

class Claimer {
 public:
  Claimer(sqlite::Connection& connection, const ClaimRequest& request, UtcMicros now)
      : connection_(connection), request_(request), now_(now) {}

  Claim claim() {
    read_settings();
    request_.types.empty() ? find_any_lines() : find_lines_of(request_.types);
    std::ranges::sort(lines_, std::greater(), &Line::priority);
    std::vector<std::int64_t> chosen;
    for (std::span<Line> rest = lines_; !rest.empty() && chosen.size() < request_.limit;) {
      auto lower = std::ranges::find_if(rest, [&](const Line& line) { return line.priority < rest.front().priority; });
      auto level = static_cast<std::size_t>(lower - rest.begin());
      choose(rest.first(level), chosen);
      rest = rest.subspan(level);
    }
    Claim claim{.jobs = take(chosen)};
    keep_rates();
    claim.next_due_in = next_due_in();
    return claim;
  }

 private:
  struct Setting {
    bool is_paused = false;
    std::optional<RateLog> rate;
  };

  void read_settings() {
    auto& row = connection_.statement(kSettings).query();
    while (row.next()) {
      Setting& setting = settings_[row.string(0)];
      setting.is_paused = row.boolean(1);
      if (row.is_null(2)) continue;
      TypeSettings::Rate rate{.count = static_cast<int>(row.integer(2)), .window = std::chrono::milliseconds(row.integer(3))};
      setting.rate.emplace(rate, row.text(4), now_);
    }
  }

  // Null: none of it may be taken, or it was asked for before.
  Type* type_of(std::string_view name, std::size_t limit) {
    auto setting = settings_.find(name);
    if (limit == 0 || (setting != settings_.end() && setting->second.is_paused)) return nullptr;
    if (std::ranges::any_of(types_, [&](const auto& type) { return type->name == name; })) return nullptr;
    auto type = std::make_unique<Type>(std::string(name), limit, std::nullopt);
    if (setting != settings_.end() && setting->second.rate) {
      type->rate = setting->second.rate;
      type->left = std::min(type->left, type->rate->free());
    }
    return types_.emplace_back(std::move(type)).get();
  }

  void find_lines_of(std::span<const TypeLimit> limits) {
    for (const TypeLimit& limit : limits) {
      if (Type* type = type_of(limit.type, limit.limit)) find_lines_below(*type, kPriorityMax + 1);
    }
  }

  void find_any_lines() {
    std::string name;
    while (true) {
      auto& row = connection_.statement(kNextType).query(request_.takes_webhooks, name);
      if (!row.next()) return;
      name = row.string(0);
      auto priority = static_cast<int>(row.integer(1));
      Waiting first{time_of(row.integer(2)), row.integer(3)};
      row.reset();
      if (std::ranges::find(request_.except, name) != request_.except.end()) continue;
      Type* type = type_of(name, std::numeric_limits<std::size_t>::max());
      if (type == nullptr) continue;
      add_line(*type, priority, first);
      find_lines_below(*type, priority);
    }
  }

  // Each step is one look into the index, however many jobs a line has.
  void find_lines_below(Type& type, int priority) {
    while (priority > 0) {
      auto& row = connection_.statement(kNextPriority).query(request_.takes_webhooks, type.name, priority);
      if (!row.next()) return;
      priority = static_cast<int>(row.integer(0));
      add_line(type, priority, {time_of(row.integer(1)), row.integer(2)});
      row.reset();
    }
  }

  void add_line(Type& type, int priority, Waiting first) {
    lines_.push_back({.type = &type, .priority = priority, .read = {first}, .is_read_to_the_end = first.due > now_});
  }

  // The next job of the line, due or not; null if it has none that is due any more. `more`: how many to read, if it must.
  const Waiting* head(Line& line, std::size_t more) {
    if (line.taken == line.read.size() && !line.is_read_to_the_end) {
      Waiting last = line.read.back();
      auto& row = connection_.statement(kNextJobs).query(request_.takes_webhooks, line.type->name, line.priority, micros(last.due), last.id,
                                                         micros(now_), more);
      while (row.next()) line.read.push_back({time_of(row.integer(0)), row.integer(1)});
      line.is_read_to_the_end = line.read.size() - line.taken < more;
    }
    return line.taken < line.read.size() ? &line.read[line.taken] : nullptr;
  }

  // Chooses what was due first in these lines of one priority.
  void choose(std::span<Line> level, std::vector<std::int64_t>& chosen) {
    while (chosen.size() < request_.limit) {
      Line* first = nullptr;
      const Waiting* first_head = nullptr;
      for (Line& line : level) {
        if (line.type->left == 0) continue;
        std::size_t wanted = std::min(request_.limit - chosen.size(), line.type->left);
        const Waiting* next = head(line, wanted / level.size() + 2);
        if (next == nullptr || next->due > now_ || (first != nullptr && *next > *first_head)) continue;
        first = &line;
        first_head = next;
      }
      if (first == nullptr) return;
      chosen.push_back(first_head->id);
      ++first->taken;
      --first->type->left;
      ++first->type->started;
    }
  }

  std::vector<ClaimedJob> take(const std::vector<std::int64_t>& chosen) {
    if (chosen.empty()) return {};
    std::map<std::int64_t, ClaimedJob> taken;  // the statement takes them in an order of its own
    UtcMicros expires = now_ + request_.lease;
    auto& row = connection_.statement(kTake).query(to_json(chosen), micros(now_), request_.worker, new_lease_prefix(),
                                                   request_.lease.count(), micros(expires));
    while (row.next()) {
      taken.emplace(row.integer(0), ClaimedJob{.id = JobId(row.integer(0)),
                                               .type = row.string(1),
                                               .payload = row.string(2),
                                               .url = row.optional_string(3),
                                               .attempts = static_cast<int>(row.integer(4)),
                                               .max_attempts = static_cast<int>(row.integer(5)),
                                               .scheduled_for = time_of(row.integer(6)),
                                               .started_at = now_,
                                               .lease_token = row.string(7),
                                               .lease_expires_at = expires});
    }
    std::vector<ClaimedJob> jobs;
    jobs.reserve(chosen.size());
    for (std::int64_t id : chosen) jobs.push_back(std::move(taken.at(id)));
    return jobs;
  }

  void keep_rates() {
    for (const auto& type : types_) {
      if (!type->rate || type->started == 0) continue;
      type->rate->add(type->started);
      connection_.statement(kKeepRate).run(type->name, type->rate->state());
    }
  }

  std::optional<std::chrono::milliseconds> next_due_in() {
    std::optional<UtcMicros> next;
    for (Line& line : lines_) {
      UtcMicros due;
      if (const Waiting* waiting = head(line, 1)) {
        due = waiting->due;
      } else if (auto later = first_later(line)) {
        due = *later;
      } else {
        continue;
      }
      if (line.type->rate && line.type->rate->free() == 0) due = std::max(due, line.type->rate->next_free());
      next = std::min(next.value_or(due), due);
    }
    if (!next) return std::nullopt;
    return std::chrono::ceil<std::chrono::milliseconds>(std::max(*next, now_) - now_);
  }

  // The first job of a line whose due ones are all taken, and gone from its index.
  std::optional<UtcMicros> first_later(const Line& line) {
    auto& row = connection_.statement(kNextPriority).query(request_.takes_webhooks, line.type->name, line.priority + 1);
    if (!row.next()) return std::nullopt;
    bool is_of_line = row.integer(0) == line.priority;
    UtcMicros due = time_of(row.integer(1));
    row.reset();
    if (!is_of_line) return std::nullopt;
    return due;
  }

  sqlite::Connection& connection_;
  const ClaimRequest& request_;
  const UtcMicros now_;
  std::map<std::string, Setting, std::less<>> settings_;
  std::vector<std::unique_ptr<Type>> types_;  // lines point at them
  std::vector<Line> lines_;
};

}  // namespace

Claim claim(sqlite::Connection& connection, const ClaimRequest& request, UtcMicros now) {
  return Claimer(connection, request, now).claim();
}

}  // namespace hearth::jobs
