#pragma once

// For tests: a content.db in a folder of its own, and coroutines run to their end on the calling thread.

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "hearth/base/run_to_end.h"
#include "hearth/base/task.h"
#include "hearth/content/stores/content_database.h"
#include "hearth/content/stores/sqlite_content_pages.h"
#include "hearth/content/stores/sqlite_content_store.h"
#include "hearth/drivers/sqlite/temporary_folder.h"

namespace hearth::content {

template <typename T>
T run(Task<T> task) {
  return run_to_end(std::move(task));
}

class ContentTest : public testing::Test {
 protected:
  ContentTest() { open(); }

  // Closes content.db and opens it again, as a restart does.
  void reopen() {
    pages.reset();
    store.reset();
    database.reset();
    open();
  }

  static UserId user_id(std::string_view text) { return UserId::parse(text, "userId").value(); }
  static PostId post_id(std::string_view text) { return PostId::parse(text, "postId").value(); }

  void add_user(std::string_view id) { ASSERT_TRUE(run(store->put_user({.id = user_id(id), .username = std::string(id)}))); }
  void add_post(std::string_view id, std::string_view author = "ada", std::optional<UtcMicros> at = {}) {
    ASSERT_TRUE(run(store->create_post({.id = post_id(id), .author = user_id(author), .created_at = at}, std::nullopt)));
  }

  sqlite::TemporaryFolder folder;
  SimulatedClock clock;
  std::atomic<int> posts_written = 0;
  std::unique_ptr<sqlite::Database> database;
  std::unique_ptr<SqliteContentStore> store;
  std::unique_ptr<SqliteContentPages> pages;

 private:
  void open() {
    database = open_content_database(folder.path() / "content.db").value();
    store = std::make_unique<SqliteContentStore>(*database, clock, [this] { ++posts_written; });
    pages = std::make_unique<SqliteContentPages>(*database);
  }
};

}  // namespace hearth::content
