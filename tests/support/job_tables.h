#pragma once

// The tables of jobs as other programs find them, in either database.
//
// Each call has a connection of its own. Throws what the database says.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/test_stores.h"

namespace hearth::tests {

class JobTables {
 public:
  static JobTables of_postgres(std::string url);
  // content.db of this data folder.
  static JobTables of_sqlite(const std::filesystem::path& data);

  // The first column of the first row, which is a whole number and must be there.
  std::int64_t number(std::string_view sql) const;
  // The first column of each row, which is text.
  std::vector<std::string> texts(std::string_view sql) const;
  // What another program does, in a transaction of its own. Returns how many rows it changed.
  std::size_t change(std::string_view sql) const;

  // SQL: the time of a column, in microseconds since 1970.
  std::string micros(std::string_view column) const;
  // SQL: such a time, as a value for a column.
  std::string time(std::int64_t micros) const;
  // By the database's clock.
  std::int64_t now() const;
  SqlKind kind() const { return url_ ? SqlKind::kPostgres : SqlKind::kSqlite; }

 private:
  JobTables() = default;

  std::optional<std::string> url_;
  std::filesystem::path file_;
};

}  // namespace hearth::tests
