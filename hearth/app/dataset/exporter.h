#pragma once

// Writes everything as NDJSON (docs/data-format.md): users, posts, stories, chapters and then ratings, each in the order of its ids, so
// that the same state gives the same bytes and what a line refers to stands before it.
//
// Users with posts, stories with chapters, and ratings are read at one moment each, not at the same moment. Likes that are
// still in the outbox and views that no sync has brought are not in SQL yet; whoever wants them flushes and syncs first.

#include <cstdint>
#include <string_view>

#include "hearth/app/dataset/rating_export.h"
#include "hearth/base/function_ref.h"
#include "hearth/base/result.h"
#include "hearth/content/content_export.h"

namespace hearth::app::dataset {

struct ExportReport {
  std::uint64_t users = 0;
  std::uint64_t posts = 0;
  std::uint64_t stories = 0;
  std::uint64_t chapters = 0;
  std::uint64_t ratings = 0;
};

// Takes the next bytes of the output: whole lines, about kExportBytesPerWrite of them. A failure ends the export.
using WriteBytes = FunctionRef<Result<void>(std::string_view bytes)>;
inline constexpr std::size_t kExportBytesPerWrite = 1u << 20;

// For a thread that may block.
Result<ExportReport> export_dataset(content::ContentExport& content, RatingExport& ratings, WriteBytes write);

}  // namespace hearth::app::dataset
