// sync-views: the views that are counted, into SQL.

#include <cstdio>
#include <string>
#include <utility>

#include "hearth/api/views_routes.h"
#include "hearth/app/commands/command_line.h"
#include "hearth/app/commands/running_server.h"
#include "hearth/app/wiring.h"
#include "hearth/base/json_reader.h"
#include "hearth/base/run_to_end.h"

namespace hearth::app {
namespace {

// The report as JSON: of the server that holds the data folder, or of this process.
Result<std::string> run(const Config& config) {
  SystemClock clock;
  auto hearth = Hearth::open(config, clock);
  if (hearth) {
    auto report = run_to_end((*hearth)->views.sync());
    if (!report) return std::unexpected(report.error());
    return api::to_json(*report);
  }
  auto address = DataFolder::announced(config.data);
  if (hearth.error().code != ErrorCode::kConflict || !address) return std::unexpected(hearth.error());
  return RunningServer(*address, config.auth.admin_key).post("/api/cron/sync-views", "", "application/json");
}

struct Numbers {
  std::int64_t stories = 0, chapters = 0, story_views = 0, chapter_views = 0;
};

Result<Numbers> read_numbers(std::string json) {
  Numbers numbers;
  auto read = read_json_object(json, UnknownFields::kIgnore, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    auto* number = key == "storiesProcessed"    ? &numbers.stories
                   : key == "chaptersProcessed" ? &numbers.chapters
                   : key == "storyViewsAdded"   ? &numbers.story_views
                   : key == "chapterViewsAdded" ? &numbers.chapter_views
                                                : nullptr;
    if (number == nullptr) return false;
    auto read_number = value.integer(key);
    if (!read_number) return std::unexpected(read_number.error());
    *number = *read_number;
    return true;
  });
  if (!read) return std::unexpected(read.error());
  return numbers;
}

}  // namespace

int sync_views(const Arguments& arguments) {
  CommandLine command("sync-views", "Brings the views that are counted to SQL; views go on meanwhile.");
  bool as_json = false;
  command.options().add_flag("--json", as_json, "print the report as JSON");
  int status = kDone;
  auto config = command.load(arguments, status);
  if (!config) return status;
  auto report = run(*config);
  auto numbers = report ? read_numbers(*report) : std::unexpected(report.error());
  if (!numbers) {
    complain("hearth: " + numbers.error().message);
    return kFailed;
  }
  if (as_json) {
    std::printf("%s\n", report->c_str());
  } else {
    std::printf("%lld views of %lld stories and %lld views of %lld chapters are in SQL now\n", static_cast<long long>(numbers->story_views),
                static_cast<long long>(numbers->stories), static_cast<long long>(numbers->chapter_views),
                static_cast<long long>(numbers->chapters));
  }
  return kDone;
}

}  // namespace hearth::app
