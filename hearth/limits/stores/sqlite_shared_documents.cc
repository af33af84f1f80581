#include "hearth/limits/stores/sqlite_shared_documents.h"

#include <utility>

namespace hearth::limits {
namespace {

using sqlite::Connection;

constexpr char kGet[] = "SELECT version, body FROM shared_documents WHERE name = ?1 AND body IS NOT NULL";
constexpr char kPut[] =
    "INSERT INTO shared_documents (name, version, body, updated_at) VALUES (?1, 1, ?2, ?3) "
    "ON CONFLICT (name) DO UPDATE SET version = version + 1, body = excluded.body, updated_at = excluded.updated_at RETURNING version";
constexpr char kRemove[] =
    "UPDATE shared_documents SET version = version + 1, body = NULL, updated_at = ?2 WHERE name = ?1 AND body IS NOT NULL";

std::optional<SharedDocument> find(Connection& connection, const std::string& name) {
  auto& row = connection.statement(kGet).query(name);
  if (!row.next()) return std::nullopt;
  SharedDocument document{.version = static_cast<std::uint64_t>(row.integer(0)), .body = row.string(1)};
  row.reset();
  return document;
}

}  // namespace

Task<Result<std::optional<SharedDocument>>> SqliteSharedDocuments::get(std::string name) {
  co_return co_await database_.read(
      [name = std::move(name)](Connection& connection) -> Result<std::optional<SharedDocument>> { return find(connection, name); });
}

Result<std::optional<SharedDocument>> SqliteSharedDocuments::get_blocking(const std::string& name) {
  return database_.read_blocking([&](Connection& connection) -> Result<std::optional<SharedDocument>> { return find(connection, name); });
}

Task<Result<std::uint64_t>> SqliteSharedDocuments::put(std::string name, std::string body, std::optional<std::uint64_t> expected) {
  if (auto ok = check_body(body); !ok) co_return std::unexpected(ok.error());
  co_return co_await database_.write(
      [name = std::move(name), body = std::move(body), expected, now = clock_.now()](Connection& connection) -> Result<std::uint64_t> {
        if (expected) {
          auto before = find(connection, name);
          if (*expected != (before ? before->version : 0)) return version_conflict(name);
        }
        auto& row = connection.statement(kPut).query(name, body, now.time_since_epoch().count());
        row.next();
        auto version = static_cast<std::uint64_t>(row.integer(0));
        row.reset();
        return version;
      });
}

Task<Result<void>> SqliteSharedDocuments::remove(std::string name) {
  co_return co_await database_.write([name = std::move(name), now = clock_.now()](Connection& connection) -> Result<void> {
    connection.statement(kRemove).run(name, now.time_since_epoch().count());
    return {};
  });
}

}  // namespace hearth::limits
