#include "hearth/views/view_sync.h"

#include <utility>
#include <vector>

namespace hearth::views {
namespace {

void tally(const std::vector<CountedItem>& items, const std::vector<WrittenItem>& written, SyncReport& report) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    bool is_story = items[i].item.kind == ViewedKind::kStory;
    ++(is_story ? report.stories : report.chapters);
    (is_story ? report.story_views : report.chapter_views) += written[i].added;
  }
}

}  // namespace

Task<Result<SyncReport>> ViewSync::run() {
  for (;;) {
    auto lead = co_await flights_.join("sync");
    if (!lead) continue;  // that one may have begun before this call
    auto began = clock_.steady();
    auto report = co_await run_alone();
    if (report) report->duration = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.steady() - began);
    stats_.with([&](Stats& stats) {
      ++stats.runs;
      if (!report) {
        ++stats.failures;
        return;
      }
      stats.items += report->stories + report->chapters;
      stats.views += report->story_views + report->chapter_views;
      stats.last_success = clock_.now();
    });
    co_return report;
  }
}

// An item that is viewed meanwhile is marked anew, after `until`: so the rounds end.
Task<Result<SyncReport>> ViewSync::run_alone() {
  SyncReport report;
  auto until = clock_.now();
  for (;;) {
    auto items = co_await live_.buffered(until, kItemsPerWriteMax);
    if (!items) co_return std::unexpected(items.error());
    if (items->empty()) co_return report;
    auto at = clock_.now();
    auto written = co_await ledger_.write(*items, at);
    if (!written) co_return std::unexpected(written.error());
    tally(*items, *written, report);
    if (auto settled = co_await live_.settle(*std::move(items), *std::move(written), at); !settled) {
      co_return std::unexpected(settled.error());
    }
  }
}

ViewSync::Stats ViewSync::stats() const {
  return stats_.with([](const Stats& stats) { return stats; });
}

}  // namespace hearth::views
