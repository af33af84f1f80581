// reconcile: live state and SQL compared, and brought together where they differ.

#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "hearth/api/likes_routes.h"
#include "hearth/app/commands/command_line.h"
#include "hearth/app/commands/running_server.h"
#include "hearth/app/wiring.h"
#include "hearth/base/json_reader.h"
#include "hearth/base/json_writer.h"
#include "hearth/base/run_to_end.h"

namespace hearth::app {
namespace {

using likes::Drift;
using likes::ReconcileReport;
using likes::Repairs;

template <typename Number>
Result<bool> take_number(JsonValue& value, std::string_view field, Number& target) {
  auto number = value.integer(field);
  if (!number) return std::unexpected(number.error());
  target = static_cast<Number>(*number);
  return true;
}

Result<bool> take_drift(JsonValue& value, std::vector<Drift>& drift) {
  auto read = value.array("drift", likes::kDriftListedMax, [&](std::size_t, JsonValue& item) -> Result<void> {
    Drift& one = drift.emplace_back();
    return item.object("drift", UnknownFields::kIgnore, [&](std::string_view key, JsonValue& field) -> Result<bool> {
      if (key == "live") return take_number(field, key, one.live);
      if (key == "sql") return take_number(field, key, one.sql);
      if (key == "ratings") return take_number(field, key, one.ratings);
      if (key != "postId") return false;
      auto post = field.string(key);
      if (!post) return std::unexpected(post.error());
      one.post = *post;
      return true;
    });
  });
  if (!read) return std::unexpected(read.error());
  return true;
}

Result<ReconcileReport> parse_report(std::string json) {
  ReconcileReport report;
  auto read = read_json_object(json, UnknownFields::kIgnore, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "checked") return take_number(value, key, report.checked);
    if (key == "drifted") return take_number(value, key, report.drifted);
    if (key == "repaired") return take_number(value, key, report.repaired);
    if (key == "drift") return take_drift(value, report.drift);
    return false;
  });
  if (!read) return std::unexpected(read.error());
  return report;
}

Result<ReconcileReport> ask_server(const RunningServer& server, const std::optional<PostId>& post, Repairs repairs) {
  std::string body;
  JsonWriter json(body);
  json.begin_object().field("dryRun", repairs == Repairs::kNone);
  if (post) json.field("postId", post->view());
  json.end_object();
  auto answer = server.post("/api/admin/counters/reconcile", std::move(body), "application/json");
  if (!answer) return std::unexpected(answer.error());
  return parse_report(*std::move(answer));
}

// Through the server that holds the data folder, or in this process.
Result<ReconcileReport> run(const Config& config, const std::optional<PostId>& post, Repairs repairs) {
  SystemClock clock;
  auto hearth = Hearth::open(config, clock);
  if (hearth) return run_to_end((*hearth)->reconciler.reconcile(post, repairs));
  auto address = DataFolder::announced(config.data);
  if (hearth.error().code != ErrorCode::kConflict || !address) return std::unexpected(hearth.error());
  return ask_server(RunningServer(*address, config.auth.admin_key), post, repairs);
}

void print_text(const ReconcileReport& report, Repairs repairs) {
  for (const auto& drift : report.drift)
    std::printf("%s: live %u, SQL %u, ratings %u\n", drift.post.c_str(), drift.live, drift.sql, drift.ratings);
  if (report.drifted > report.drift.size()) std::printf("… and %zu more\n", static_cast<std::size_t>(report.drifted) - report.drift.size());
  std::printf("compared %llu posts: %llu differed, %llu repaired%s\n", static_cast<unsigned long long>(report.checked),
              static_cast<unsigned long long>(report.drifted), static_cast<unsigned long long>(report.repaired),
              repairs == Repairs::kNone ? "; nothing was changed" : "");
}

}  // namespace

int reconcile(const Arguments& arguments) {
  CommandLine command("reconcile", "Compares live state with SQL and repairs what differs; likes go on meanwhile.");
  std::string named;
  bool all = false;
  bool is_dry_run = false;
  bool as_json = false;
  auto* post_option = command.options().add_option("--post", named, "one post, with the sessions that like it")->type_name("ID");
  command.options().add_flag("--all", all, "all posts, by their counts; this is what it does without --post")->excludes(post_option);
  command.options().add_flag("--dry-run", is_dry_run, "repair nothing");
  command.options().add_flag("--json", as_json, "print the report as JSON");
  int status = kDone;
  auto config = command.load(arguments, status);
  if (!config) return status;
  std::optional<PostId> post;
  if (post_option->count() > 0) {
    auto id = PostId::parse(named, "--post");
    if (!id) {
      complain(id.error().message);
      return kWrongArguments;
    }
    post = *std::move(id);
  }

  auto repairs = is_dry_run ? Repairs::kNone : Repairs::kMade;
  auto report = run(*config, post, repairs);
  if (!report) {
    complain("hearth: " + report.error().message);
    return kFailed;
  }
  if (as_json) {
    std::printf("%s\n", api::to_json(*report).c_str());
  } else {
    print_text(*report, repairs);
  }
  return is_dry_run || report->repaired == report->drifted ? kDone : kFailed;
}

}  // namespace hearth::app
