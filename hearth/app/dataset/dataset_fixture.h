#pragma once

// For tests: one folder with content and likes as the executable has them, to import into and export from.

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "hearth/app/dataset/exporter.h"
#include "hearth/app/dataset/importer.h"
#include "hearth/app/dataset/stores/sqlite_rating_export.h"
#include "hearth/base/run_to_end.h"
#include "hearth/content/stores/content_database.h"
#include "hearth/content/stores/sqlite_content_export.h"
#include "hearth/content/stores/sqlite_content_pages.h"
#include "hearth/content/stores/sqlite_content_store.h"
#include "hearth/content/stores/sqlite_story_store.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/likes/test_stack.h"

namespace hearth::app::dataset {

class DataFolder {
 public:
  DataFolder()
      : database(content::open_content_database(folder_.path() / "content.db").value()),
        store(*database, clock, {}),
        pages(*database),
        stories(*database, clock),
        likes(folder_.path(), clock) {}

  ImportTarget target() { return {store, pages, stories, likes.store.get()}; }

  // Imports `text` in pieces of `piece` bytes.
  ImportReport import(const std::string& text, ImportMode mode = ImportMode::kImport, std::size_t piece = 1u << 20) {
    Importer importer(target(), {.mode = mode});
    for (std::size_t at = 0; at < text.size(); at += piece) {
      if (auto fed = run_to_end(importer.feed(text.substr(at, piece))); !fed) throw std::runtime_error(fed.error().message);
    }
    if (auto finished = run_to_end(importer.finish()); !finished) throw std::runtime_error(finished.error().message);
    return importer.report();
  }

  std::string export_all() {
    likes.flush();
    std::string text;
    auto report = export_to([&](std::string_view bytes) -> Result<void> {
      text += bytes;
      return {};
    });
    if (!report) throw std::runtime_error(report.error().message);
    return text;
  }

  Result<ExportReport> export_to(WriteBytes write) {
    auto content_db = sqlite::Connection::open({.path = folder_.path() / "content.db", .read_only = true}).value();
    auto ratings_db = sqlite::Connection::open({.path = folder_.path() / "ratings.db", .read_only = true}).value();
    content::SqliteContentExport content(content_db);
    SqliteRatingExport ratings(ratings_db);
    return export_dataset(content, ratings, write);
  }

  std::uint32_t likes_of(const std::string& post) { return likes.view(post, "nobody").likes; }

 private:
  sqlite::TemporaryFolder folder_;

 public:
  SimulatedClock clock;
  std::unique_ptr<sqlite::Database> database;
  content::SqliteContentStore store;
  content::SqliteContentPages pages;
  content::SqliteStoryStore stories;
  likes::TestStack likes;
};

}  // namespace hearth::app::dataset
