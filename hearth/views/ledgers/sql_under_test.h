#pragma once

// For tests: the tables of views in a fresh database, of SQLite or of PostgreSQL.

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "hearth/base/clock.h"
#include "hearth/outbox/test_loops.h"
#include "hearth/views/view_inbox.h"
#include "hearth/views/view_ledger.h"
#include "hearth/views/viewer_keys.h"

namespace hearth::views {

class SqlUnderTest {
 public:
  virtual ~SqlUnderTest() = default;

  // Of one of two nodes on the same data, or always the same where one node is all there can be.
  virtual ViewLedger& ledger(std::size_t node = 0) = 0;
  virtual ViewerKeyStore& keys(std::size_t node = 0) = 0;
  virtual std::unique_ptr<ViewInbox> make_inbox(InboxMode mode, std::chrono::hours window, const Clock& clock, std::size_t node = 0) = 0;

  // Stops all nodes and starts them again on the same data. Inboxes are made anew after it.
  virtual void restart() = 0;

  // How many transactions ended each other's wait so far; the databases run them again. Restarts.
  virtual std::int64_t deadlocks() = 0;

  // As another program would, on a connection of its own.
  virtual void execute(const std::string& sql) = 0;
  virtual std::int64_t number(const std::string& sql) = 0;

  // Makes the story or chapter.
  void add_content(const ViewedItem& item, std::uint64_t read_count) {
    bool is_story = item.kind == ViewedKind::kStory;
    execute("INSERT INTO " + std::string(is_story ? "stories (id" : "chapters (id, story_id") +
            ", read_count, created_at, updated_at) VALUES ('" + item.id.str() + (is_story ? "', " : "', 's', ") +
            std::to_string(read_count) + ", " + some_time() + ", " + some_time() + ")");
  }
  std::uint64_t read_count(const ViewedItem& item) {
    const char* table = item.kind == ViewedKind::kStory ? "stories" : "chapters";
    return static_cast<std::uint64_t>(number("SELECT read_count FROM " + std::string(table) + " WHERE id = '" + item.id.str() + "'"));
  }

 private:
  virtual std::string some_time() const = 0;
};

struct SqlMaker {
  std::string name;
  std::function<std::unique_ptr<SqlUnderTest>()> make;
};
SqlMaker sqlite_maker();
SqlMaker postgres_maker();

inline std::string name_of_sql(const testing::TestParamInfo<SqlMaker>& info) {
  return info.param.name;
}
inline void PrintTo(const SqlMaker& maker, std::ostream* out) {
  *out << maker.name;
}

}  // namespace hearth::views
