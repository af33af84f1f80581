#include "tests/support/job_tables.h"

#include <stdexcept>
#include <utility>

#include "hearth/drivers/postgres/connection.h"
#include "hearth/drivers/sqlite/connection.h"

namespace hearth::tests {
namespace {

template <typename Work>
auto within_sqlite(const std::filesystem::path& file, std::string_view sql, Work work) {
  auto connection = sqlite::Connection::open({.path = file});
  if (!connection) throw std::runtime_error(connection.error().message);
  sqlite3_stmt* handle = nullptr;
  if (sqlite3_prepare_v2(connection->handle(), sql.data(), static_cast<int>(sql.size()), &handle, nullptr) != SQLITE_OK) {
    throw std::runtime_error(sqlite3_errmsg(connection->handle()) + (": " + std::string(sql)));
  }
  sqlite::Statement statement(handle);
  try {
    return work(statement);
  } catch (const sqlite::Failure& failure) {
    throw std::runtime_error(failure.what() + (": " + std::string(sql)));
  }
}

template <typename Work>
auto within_postgres(const std::string& url, std::string_view sql, Work work) {
  try {
    auto connection = postgres::Connection::connect({.url = url});
    return work(connection);
  } catch (const postgres::Failure& failure) {
    throw std::runtime_error(failure.what() + (": " + std::string(sql)));
  }
}

}  // namespace

JobTables JobTables::of_postgres(std::string url) {
  JobTables tables;
  tables.url_ = std::move(url);
  return tables;
}

JobTables JobTables::of_sqlite(const std::filesystem::path& data) {
  JobTables tables;
  tables.file_ = data / "content.db";
  return tables;
}

std::int64_t JobTables::number(std::string_view sql) const {
  if (url_) return postgres_number(*url_, sql);
  return within_sqlite(file_, sql, [&](sqlite::Statement& statement) {
    if (!statement.query().next()) throw std::runtime_error("no row: " + std::string(sql));
    return statement.integer(0);
  });
}

std::vector<std::string> JobTables::texts(std::string_view sql) const {
  std::vector<std::string> found;
  if (url_) {
    within_postgres(*url_, sql, [&](postgres::Connection& connection) {
      auto rows = connection.query(sql);
      while (rows.next()) found.push_back(rows.string(0));
    });
  } else {
    within_sqlite(file_, sql, [&](sqlite::Statement& statement) {
      statement.query();
      while (statement.next()) found.push_back(statement.string(0));
    });
  }
  return found;
}

std::size_t JobTables::change(std::string_view sql) const {
  if (url_) return change_postgres(*url_, sql);
  return within_sqlite(file_, sql, [](sqlite::Statement& statement) { return static_cast<std::size_t>(statement.run()); });
}

std::string JobTables::micros(std::string_view column) const {
  if (!url_) return std::string(column);
  return "(extract(epoch FROM " + std::string(column) + ") * 1000000)::bigint";
}

std::string JobTables::time(std::int64_t micros) const {
  if (!url_) return std::to_string(micros);
  return "('1970-01-01 UTC'::timestamptz + " + std::to_string(micros) + " * interval '1 microsecond')";
}

std::int64_t JobTables::now() const {
  return number(url_ ? "SELECT " + micros("clock_timestamp()")
                     : "SELECT CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000");
}

}  // namespace hearth::tests
