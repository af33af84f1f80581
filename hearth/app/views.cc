#include "hearth/app/views.h"

#include <utility>

#include "hearth/base/log.h"
#include "hearth/base/run_to_end.h"

namespace hearth::app {
namespace {

constexpr std::chrono::minutes kUpkeepPeriod{1};
constexpr std::size_t kTakenUpAtOnce = 500;

Task<Result<std::optional<views::ViewedId>>> story_of(content::StoryStore& stories, views::ViewedId chapter) {
  auto story = co_await stories.story_of(content::ChapterId::trusted(chapter.str()));
  if (!story) co_return std::unexpected(story.error());
  if (!*story) co_return std::nullopt;
  co_return views::ViewedId::trusted((*story)->str());
}

}  // namespace

Views::Views(const Config& config, const Clock& clock, Sql& sql, Live& live)
    : clock_(clock),
      sql_(sql),
      live_(live),
      is_in_memory_(config.live.store == LiveStore::kMemory),
      is_switched_off_(!is_in_memory_ && !config.views.redis_enabled),
      keys_(sql.viewer_keys(), clock, config.views.dedup_ttl),
      sync_(live.buffered_views(), sql.view_ledger(), clock),
      service_(live.views(), sql.view_ledger(), keys_, clock,
               config.views.chapters_count_for_story
                   ? views::StoryOf([&sql](views::ViewedId chapter) { return story_of(sql.stories(), std::move(chapter)); })
                   : nullptr),
      upkeep_task_({.name = "views", .period = kUpkeepPeriod}, [this] { return upkeep(); }) {
  if (config.origins.contains("views.count_cache_ttl_seconds"))
    log::warning("app", "views.count_cache_ttl_seconds has no effect: totals of views are live, and none is cached");
}

Result<void> Views::start() {
  if (auto read = keys_.refresh(); !read) return read;
  if (is_in_memory_) {
    if (auto taken = take_up_inbox(); !taken) return taken;
  }
  if (is_switched_off_) {
    auto synced = run_to_end(sync());
    if (!synced)
      log::warning("views", "views that are left in Redis are not in SQL yet; the next sync brings them",
                   {{"error", synced.error().message}});
  }
  upkeep_task_.start();
  return {};
}

// Repeating it after a kill changes nothing: who was seen is known.
Result<void> Views::take_up_inbox() {
  while (true) {
    auto waiting = sql_.view_inbox().waiting(kTakenUpAtOnce);
    if (!waiting) return std::unexpected(waiting.error());
    if (waiting->empty()) return {};
    std::vector<std::uint64_t> ids;
    for (auto& [id, view] : *waiting) {
      if (auto taken = run_to_end(live_.views().view(std::move(view))); !taken) return std::unexpected(taken.error());
      ids.push_back(id);
    }
    if (auto removed = sql_.view_inbox().remove(ids); !removed) return removed;
  }
}

Result<bool> Views::upkeep() {
  if (auto read = keys_.refresh(); !read) return std::unexpected(read.error());
  return sql_.view_inbox().prune(clock_.now());
}

Task<Result<views::SyncReport>> Views::sync() {
  auto report = co_await sync_.run();
  if (!report) co_return report;
  for (bool more = true; more;) {
    auto pruned = co_await sql_.view_ledger().prune(clock_.now());
    if (!pruned) co_return std::unexpected(pruned.error());
    more = *pruned;
  }
  co_return report;
}

}  // namespace hearth::app
