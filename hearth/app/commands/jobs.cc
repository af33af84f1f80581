// jobs: background jobs listed, shown, retried and cancelled, types paused and resumed, and the queue counted.

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hearth/api/jobs_json.h"
#include "hearth/app/commands/command_line.h"
#include "hearth/app/commands/running_server.h"
#include "hearth/app/wiring.h"
#include "hearth/base/json_reader.h"
#include "hearth/base/run_to_end.h"
#include "hearth/jobs/job_admin.h"

namespace hearth::app {
namespace {

using jobs::JobId;
using jobs::JobSearch;

constexpr char kJson[] = "application/json";
constexpr std::size_t kErrorShown = 60;  // characters of it in a table

// What the command asks, whoever answers. Everything comes back as the JSON of the API.
class Queue {
 public:
  virtual ~Queue() = default;
  virtual Result<std::string> list(const JobSearch& search) = 0;
  virtual Result<std::string> show(JobId id) = 0;
  virtual Result<std::string> retry(JobId id) = 0;
  virtual Result<std::string> cancel(JobId id) = 0;
  virtual Result<std::string> set_paused(const std::string& type, bool is_paused) = 0;
  virtual Result<std::string> stats() = 0;
};

// --- through the server that holds the data folder ---

std::string percent_encoded(std::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (unsigned char c : text) {
    if (std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '~') {
      out += static_cast<char>(c);
    } else {
      out += {'%', kDigits[c >> 4], kDigits[c & 15]};
    }
  }
  return out;
}

class ServedQueue final : public Queue {
 public:
  explicit ServedQueue(RunningServer server) : server_(std::move(server)) {}

  Result<std::string> list(const JobSearch& search) override {
    std::string target = "/api/admin/jobs?limit=" + std::to_string(search.limit);
    if (search.status) target += "&status=" + std::string(search.has_failed ? "failed" : to_text(*search.status));
    if (search.type) target += "&type=" + percent_encoded(*search.type);
    if (search.text) target += "&q=" + percent_encoded(*search.text);
    if (search.before) target += "&cursor=" + to_text(*search.before);
    return server_.get(target);
  }
  Result<std::string> show(JobId id) override { return server_.get("/api/jobs/" + to_text(id)); }
  Result<std::string> retry(JobId id) override { return server_.post("/api/jobs/" + to_text(id) + "/retry", "", kJson); }
  Result<std::string> cancel(JobId id) override { return server_.remove("/api/jobs/" + to_text(id)); }
  Result<std::string> set_paused(const std::string& type, bool is_paused) override {
    return server_.post("/api/admin/job-types/" + percent_encoded(type) + (is_paused ? "/pause" : "/resume"), "", kJson);
  }
  Result<std::string> stats() override { return server_.get("/api/admin/queue/stats"); }

 private:
  const RunningServer server_;
};

// --- in SQL ---

template <typename T>
Result<std::string> as_json(const Result<T>& answer) {
  if (!answer) return std::unexpected(answer.error());
  return api::to_json(*answer);
}

class SqlQueue final : public Queue {
 public:
  SqlQueue(std::optional<DataFolder> folder, std::unique_ptr<Sql> sql) : folder_(std::move(folder)), sql_(std::move(sql)) {}
  ~SqlQueue() override { sql_->stop(); }

  Result<std::string> list(const JobSearch& search) override { return as_json(run_to_end(admin().search(search))); }
  Result<std::string> show(JobId id) override { return as_json(run_to_end(admin().find(id))); }
  Result<std::string> retry(JobId id) override { return as_json(run_to_end(admin().retry(id))); }
  Result<std::string> cancel(JobId id) override { return as_json(run_to_end(admin().cancel(id))); }
  Result<std::string> set_paused(const std::string& type, bool is_paused) override {
    auto set = run_to_end(admin().set_paused(type, is_paused));
    if (!set) return std::unexpected(set.error());
    return api::paused_json(type, is_paused);
  }
  Result<std::string> stats() override { return as_json(run_to_end(admin().stats())); }

 private:
  jobs::JobAdmin& admin() { return sql_->job_admin(); }

  const std::optional<DataFolder> folder_;  // of files: nobody else may open them meanwhile
  const std::unique_ptr<Sql> sql_;
};

Result<std::unique_ptr<Queue>> open_queue(const Config& config, const Clock& clock) {
  std::optional<DataFolder> folder;
  if (std::filesystem::exists(config.data)) {
    auto locked = DataFolder::lock(config.data);
    auto address = locked ? std::nullopt : DataFolder::announced(config.data);
    if (address) return std::make_unique<ServedQueue>(RunningServer(*address, config.auth.admin_key));
    if (!locked && !config.database.url) return std::unexpected(locked.error());
    if (locked && !config.database.url) folder.emplace(*std::move(locked));
  } else if (!config.database.url) {
    return fail(ErrorCode::kNotFound, "there is no data folder " + config.data.string());
  }
  auto sql = open_sql(config, clock);
  if (!sql) return std::unexpected(sql.error());
  return std::make_unique<SqlQueue>(std::move(folder), *std::move(sql));
}

// --- tables ---

// The fields of an object: strings as their text, everything else as its JSON.
using Fields = std::map<std::string, std::string, std::less<>>;
using Row = std::vector<std::string>;

std::string of(const Fields& fields, std::string_view name) {
  auto found = fields.find(name);
  return found == fields.end() ? std::string() : found->second;
}

Result<bool> keep_field(Fields& fields, std::string_view key, JsonValue& value) {
  auto text = value.is_string() ? value.string(key) : value.raw(key);
  if (!text) return std::unexpected(text.error());
  fields.emplace(key, *text);
  return true;
}

// What a server says, of which `lists` are arrays of objects.
struct Parsed {
  Fields fields;
  std::map<std::string, std::vector<Fields>, std::less<>> lists;  // of arrays of objects, and of objects of objects: with their `key`
};

Result<bool> keep_list(std::vector<Fields>& list, std::string_view name, JsonValue& value) {
  if (value.is_object()) {
    auto read = value.object(name, UnknownFields::kIgnore, [&](std::string_view key, JsonValue& item) -> Result<bool> {
      Fields& fields = list.emplace_back();
      fields.emplace("key", key);
      auto kept = item.object(key, UnknownFields::kIgnore,
                              [&](std::string_view field, JsonValue& content) { return keep_field(fields, field, content); });
      if (!kept) return std::unexpected(kept.error());
      return true;
    });
    if (!read) return std::unexpected(read.error());
    return true;
  }
  auto read = value.array(name, jobs::kJobTypesMax, [&](std::size_t, JsonValue& item) -> Result<void> {
    Fields& fields = list.emplace_back();
    return item.object(name, UnknownFields::kIgnore,
                       [&](std::string_view field, JsonValue& content) { return keep_field(fields, field, content); });
  });
  if (!read) return std::unexpected(read.error());
  return true;
}

Result<Parsed> parse(std::string json, std::string_view list) {
  Parsed parsed;
  auto read = read_json_object(json, UnknownFields::kIgnore, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    return key == list ? keep_list(parsed.lists[std::string(key)], key, value) : keep_field(parsed.fields, key, value);
  });
  if (!read) return std::unexpected(read.error());
  return parsed;
}

// For a terminal: what would steer it is blanked.
std::string shown(std::string text) {
  std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return text;
}

bool begins_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
}
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, begins_character));
}

std::string cut(std::string text, std::size_t characters) {
  if (width(text) <= characters) return text;
  std::size_t end = 0;
  for (std::size_t seen = 0; end < text.size(); ++end) {
    if (begins_character(text[end]) && seen++ == characters) break;
  }
  return text.substr(0, end) + "…";
}

void print_table(std::vector<Row> rows) {
  std::vector<std::size_t> widths;
  for (auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = shown(std::move(row[i]));
      widths[i] = std::max(widths[i], width(row[i]));
    }
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += row[i] + std::string(widths[i] - width(row[i]) + 2, ' ');
    line.erase(line.find_last_not_of(' ') + 1);
    std::printf("%s\n", line.c_str());
  }
}

std::string attempts_of(const Fields& job) {
  return of(job, "attempts") + "/" + of(job, "maxAttempts");
}

void print_jobs(const Parsed& page) {
  auto jobs = page.lists.find("jobs");
  if (jobs == page.lists.end() || jobs->second.empty()) {
    std::printf("no jobs\n");
    return;
  }
  std::vector<Row> rows{{"ID", "TYPE", "STATUS", "PRIORITY", "ATTEMPTS", "SCHEDULED FOR", "ERROR"}};
  for (const auto& job : jobs->second) {
    rows.push_back({of(job, "id"), of(job, "jobType"), of(job, "status"), of(job, "priority"), attempts_of(job), of(job, "scheduledFor"),
                    cut(of(job, "errorMessage"), kErrorShown)});
  }
  print_table(std::move(rows));
  if (auto next = of(page.fields, "nextCursor"); !next.empty()) std::printf("more with --cursor=%s\n", next.c_str());
}

void print_job(const Parsed& details) {
  const std::pair<const char*, const char*> names[] = {{"id", "id"},
                                                       {"type", "jobType"},
                                                       {"status", "status"},
                                                       {"priority", "priority"},
                                                       {"url", "url"},
                                                       {"payload", "payload"},
                                                       {"result", "result"},
                                                       {"progress", "progress"},
                                                       {"error", "errorMessage"},
                                                       {"key", "idempotencyKey"},
                                                       {"worker", "workerId"},
                                                       {"lease until", "leaseExpiresAt"},
                                                       {"created", "createdAt"},
                                                       {"scheduled for", "scheduledFor"},
                                                       {"started", "startedAt"},
                                                       {"failed", "failedAt"},
                                                       {"completed", "completedAt"}};
  std::vector<Row> rows;
  for (const auto& [name, field] : names) {
    if (auto text = of(details.fields, field); !text.empty()) rows.push_back({name, text});
  }
  rows.push_back({"attempts", attempts_of(details.fields)});
  print_table(std::move(rows));
  auto history = details.lists.find("history");
  if (history == details.lists.end() || history->second.empty()) return;
  std::vector<Row> attempts{{"ATTEMPT", "STATUS", "ENDED", "MS", "WORKER", "ERROR"}};
  for (const auto& attempt : history->second) {
    attempts.push_back({of(attempt, "attempt"), of(attempt, "status"), of(attempt, "endedAt"), of(attempt, "durationMs"),
                        of(attempt, "workerId"), cut(of(attempt, "errorMessage"), kErrorShown)});
  }
  std::printf("\n");
  print_table(std::move(attempts));
}

void print_stats(const Parsed& stats) {
  const auto& all = stats.fields;
  print_table({{"pending", of(all, "pending"), "of these " + of(all, "failed") + " after a failure"},
               {"processing", of(all, "processing"), "of these " + of(all, "stuck") + " stuck"},
               {"dead", of(all, "dead")},
               {"oldest pending", of(all, "oldestPendingAgeMs") + " ms"},
               {"stale refused", of(all, "staleRefused")}});
  auto types = stats.lists.find("byType");
  if (types == stats.lists.end() || types->second.empty()) return;
  std::vector<Row> rows{{"TYPE", "PENDING", "FAILED", "PROCESSING", "DEAD"}};
  for (const auto& type : types->second) {
    rows.push_back({of(type, "key"), of(type, "pending"), of(type, "failed"), of(type, "processing"), of(type, "dead")});
  }
  std::printf("\n");
  print_table(std::move(rows));
}

// --- what was asked ---

struct Wanted {
  std::string action;
  std::string subject = {};
  std::string status = {};
  std::string type = {};
  std::string text = {};
  std::string cursor = {};
  std::size_t limit = 50;
};

Result<JobSearch> search_of(const Wanted& wanted) {
  JobSearch search{.limit = wanted.limit};
  if (!wanted.status.empty()) {
    search.has_failed = wanted.status == "failed";
    search.status = search.has_failed ? jobs::JobStatus::kPending : jobs::parse_job_status(wanted.status);
    if (!search.status) return invalid("--status", "--status must be pending, failed, processing, completed, dead or cancelled");
  }
  if (!wanted.type.empty()) {
    if (auto checked = jobs::check_type(wanted.type, "--type"); !checked) return std::unexpected(checked.error());
    search.type = wanted.type;
  }
  if (!wanted.text.empty()) search.text = wanted.text;
  if (!wanted.cursor.empty()) {
    auto cursor = jobs::parse_job_id(wanted.cursor, "--cursor");
    if (!cursor) return std::unexpected(cursor.error());
    search.before = *cursor;
  }
  return search;
}

// One of the actions: how it asks, and how its answer is shown to people.
struct Action {
  std::string_view name;
  std::string_view subject;  // what it names; empty: nothing
  Result<std::string> (*ask)(Queue&, const Wanted&, JobId);
  std::string_view list;  // the array in its answer
  void (*print)(const Parsed&);
};

void print_change(const Parsed& job) {
  std::printf("job %s is %s\n", of(job.fields, "id").c_str(), of(job.fields, "status").c_str());
}

void print_type(const Parsed& type) {
  std::printf("%s %s\n", of(type.fields, "jobType").c_str(), of(type.fields, "isPaused") == "true" ? "is paused" : "goes on");
}

Result<std::string> list(Queue& queue, const Wanted& wanted, JobId /*id*/) {
  auto search = search_of(wanted);
  if (!search) return std::unexpected(search.error());
  return queue.list(*search);
}

constexpr Action kActions[] = {
    {"list", "", list, "jobs", print_jobs},
    {"show", "ID", [](Queue& queue, const Wanted&, JobId id) { return queue.show(id); }, "history", print_job},
    {"retry", "ID", [](Queue& queue, const Wanted&, JobId id) { return queue.retry(id); }, "", print_change},
    {"cancel", "ID", [](Queue& queue, const Wanted&, JobId id) { return queue.cancel(id); }, "", print_change},
    {"pause", "TYPE", [](Queue& queue, const Wanted& wanted, JobId) { return queue.set_paused(wanted.subject, true); }, "", print_type},
    {"resume", "TYPE", [](Queue& queue, const Wanted& wanted, JobId) { return queue.set_paused(wanted.subject, false); }, "", print_type},
    {"stats", "", [](Queue& queue, const Wanted&, JobId) { return queue.stats(); }, "byType", print_stats}};

// The id of a job, where the action names one.
Result<JobId> check_subject(const Action& action, const Wanted& wanted) {
  bool is_named = !wanted.subject.empty();
  if (is_named != !action.subject.empty()) {
    auto usage = "hearth jobs " + std::string(action.name) + (action.subject.empty() ? "" : " " + std::string(action.subject));
    return invalid("arguments", "usage: " + usage);
  }
  if (action.subject == "ID") return jobs::parse_job_id(wanted.subject, "ID");
  if (action.subject == "TYPE") {
    if (auto checked = jobs::check_type(wanted.subject, "TYPE"); !checked) return std::unexpected(checked.error());
  }
  return JobId{};
}

Result<void> run(const Config& config, const Action& action, const Wanted& wanted, JobId id, bool as_json) {
  SystemClock clock;
  auto queue = open_queue(config, clock);
  if (!queue) return std::unexpected(queue.error());
  auto answer = action.ask(**queue, wanted, id);
  if (!answer) return std::unexpected(answer.error());
  if (as_json) {
    std::printf("%s\n", answer->c_str());
    return {};
  }
  auto parsed = parse(*std::move(answer), action.list);
  if (!parsed) return std::unexpected(parsed.error());
  action.print(*parsed);
  return {};
}

int complain_of_arguments(const Error& error) {
  complain("hearth: " + error.message);
  return kWrongArguments;
}

}  // namespace

int jobs_command(const Arguments& arguments) {
  CommandLine command("jobs",
                      "Background jobs: list, show ID, retry ID (a dead one), cancel ID, pause TYPE, resume TYPE, stats. Asks the server "
                      "that holds the data folder, or SQL where there is none.");
  Wanted wanted;
  bool as_json = false;
  auto& options = command.options();
  options.add_option("ACTION", wanted.action, "list, show, retry, cancel, pause, resume or stats");
  options.add_option("SUBJECT", wanted.subject, "the id of a job, or a type of jobs");
  options.add_option("--status", wanted.status, "of list: pending, failed, processing, completed, dead or cancelled");
  options.add_option("--type", wanted.type, "of list: jobs of this type");
  options.add_option("--search", wanted.text, "of list: jobs with this text in type, payload, error or key");
  options.add_option("--limit", wanted.limit, "of list: how many")->check(CLI::Range(std::size_t{1}, jobs::kJobsPerPageMax));
  options.add_option("--cursor", wanted.cursor, "of list: the page after one that ended with it");
  options.add_flag("--json", as_json, "print the answer as JSON");
  int status = kDone;
  auto config = command.load(arguments, status);
  if (!config) return status;

  const auto* action = std::ranges::find(kActions, wanted.action, &Action::name);
  if (action == std::end(kActions)) {
    return complain_of_arguments({ErrorCode::kInvalidArgument, wanted.action.empty()
                                                                   ? "jobs needs one of list, show, retry, cancel, pause, resume, stats"
                                                                   : "jobs cannot " + wanted.action +
                                                                         "; it can list, show, retry, cancel, pause, "
                                                                         "resume, stats"});
  }
  if (auto search = search_of(wanted); !search) return complain_of_arguments(search.error());
  auto id = check_subject(*action, wanted);
  if (!id) return complain_of_arguments(id.error());
  if (auto done = run(*config, *action, wanted, *id, as_json); !done) {
    complain("hearth: " + done.error().message);
    return kFailed;
  }
  return kDone;
}

}  // namespace hearth::app
