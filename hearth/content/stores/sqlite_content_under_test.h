#pragma once

// For tests: a content.db in a folder of its own.

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "hearth/content/content_under_test.h"
#include "hearth/content/stores/content_database.h"
#include "hearth/content/stores/outbox_cursor.h"
#include "hearth/content/stores/sqlite_content_export.h"
#include "hearth/content/stores/sqlite_content_jobs.h"
#include "hearth/content/stores/sqlite_content_pages.h"
#include "hearth/content/stores/sqlite_content_store.h"
#include "hearth/content/stores/sqlite_rank.h"
#include "hearth/drivers/sqlite/temporary_folder.h"

namespace hearth::content {

class SqliteContentUnderTest final : public ContentUnderTest {
 public:
  explicit SqliteContentUnderTest(const Clock& clock) : clock_(clock) { open(); }

  ContentStore& store(std::size_t = 0) override { return *store_; }
  ContentPages& pages() override { return *pages_; }
  std::unique_ptr<RankCandidates> rank(ReadDirty read_dirty) override {
    return std::make_unique<SqliteRank>(*database_, std::move(read_dirty));
  }
  ContentJobs& jobs() override { return *jobs_; }
  ContentStore& store_with(OnCreated on_created) override {
    followed_ = std::make_unique<SqliteContentStore>(*database_, clock_, nullptr, std::move(on_created));
    return *followed_;
  }
  Result<void> write(std::function<Result<void>(SqlTransaction)> work) override {
    return database_->write_blocking([&](sqlite::Connection& connection) { return work(&connection); });
  }
  Result<void> for_each(UseUser use_user, UsePost use_post) override {
    auto connection = sqlite::Connection::open({.path = folder_.path() / "content.db", .read_only = true}).value();
    return SqliteContentExport(connection).for_each(use_user, use_post);
  }
  void restart() override {
    followed_.reset();
    jobs_.reset();
    pages_.reset();
    store_.reset();
    database_.reset();
    open();
  }
  void project(const std::map<std::string, std::uint32_t>& likes) override {
    auto written = database_->write_blocking([&](sqlite::Connection& connection) -> Result<void> {
      auto& update = connection.statement("UPDATE posts SET likes = ?2, likes_version = 1 WHERE id = ?1");
      for (const auto& [id, count] : likes) update.run(id, count);
      auto cursor = read_cursor(connection, kContentConsumer);
      ++cursor.steps;
      write_cursor(connection, kContentConsumer, cursor);
      return {};
    });
    ASSERT_TRUE(written);
  }
  std::int64_t count(const char* select_count) override {
    return database_
        ->read_blocking([&](sqlite::Connection& connection) -> Result<std::int64_t> {
          auto& row = connection.statement(select_count).query();
          row.next();
          return row.integer(0);
        })
        .value();
  }

  sqlite::Database& database() { return *database_; }
  std::filesystem::path folder() const { return folder_.path(); }
  int posts_written() const { return posts_written_; }

 private:
  void open() {
    database_ = open_content_database(folder_.path() / "content.db").value();
    store_ = std::make_unique<SqliteContentStore>(*database_, clock_, [this] { ++posts_written_; });
    pages_ = std::make_unique<SqliteContentPages>(*database_);
    jobs_ = std::make_unique<SqliteContentJobs>(*database_);
  }

  const Clock& clock_;
  sqlite::TemporaryFolder folder_;
  std::atomic<int> posts_written_ = 0;
  std::unique_ptr<sqlite::Database> database_;
  std::unique_ptr<SqliteContentStore> store_;
  std::unique_ptr<SqliteContentPages> pages_;
  std::unique_ptr<SqliteContentJobs> jobs_;
  std::unique_ptr<SqliteContentStore> followed_;
};

}  // namespace hearth::content
