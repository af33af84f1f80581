#include "hearth/app/dataset/exporter.h"

#include <string>

#include "hearth/app/dataset/data_line.h"

namespace hearth::app::dataset {
namespace {

// Collects lines and hands them on in large pieces.
class Output {
 public:
  explicit Output(WriteBytes write) : write_(write) {}

  std::string& lines() { return lines_; }
  Result<void> write_if_large() { return lines_.size() < kExportBytesPerWrite ? Result<void>() : write_all(); }
  Result<void> write_all() {
    if (lines_.empty()) return {};
    auto written = write_(lines_);
    lines_.clear();
    return written;
  }

 private:
  WriteBytes write_;
  std::string lines_;
};

Result<void> export_content(content::ContentExport& content, Output& output, ExportReport& report) {
  auto write_user = [&](const content::User& user) -> Result<void> {
    append_user(output.lines(), user);
    ++report.users;
    return output.write_if_large();
  };
  auto write_post = [&](const content::Post& post) -> Result<void> {
    append_post(output.lines(), post);
    ++report.posts;
    return output.write_if_large();
  };
  return content.for_each(write_user, write_post);
}

Result<void> export_stories(content::ContentExport& content, Output& output, ExportReport& report) {
  auto write_story = [&](const content::Story& story) -> Result<void> {
    append_story(output.lines(), story);
    ++report.stories;
    return output.write_if_large();
  };
  auto write_chapter = [&](const content::Chapter& chapter) -> Result<void> {
    append_chapter(output.lines(), chapter);
    ++report.chapters;
    return output.write_if_large();
  };
  return content.for_each_story(write_story, write_chapter);
}

Result<void> export_ratings(RatingExport& ratings, Output& output, ExportReport& report) {
  return ratings.for_each([&](const RatingRow& rating) -> Result<void> {
    append_rating(output.lines(), rating.post, rating.session, rating.created_at);
    ++report.ratings;
    return output.write_if_large();
  });
}

}  // namespace

Result<ExportReport> export_dataset(content::ContentExport& content, RatingExport& ratings, WriteBytes write) {
  Output output(write);
  ExportReport report;
  auto exported = export_content(content, output, report);
  if (exported) exported = export_stories(content, output, report);
  if (exported) exported = export_ratings(ratings, output, report);
  if (exported) exported = output.write_all();
  if (!exported) return std::unexpected(exported.error());
  return report;
}

}  // namespace hearth::app::dataset
