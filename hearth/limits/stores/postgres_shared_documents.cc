#include "hearth/limits/stores/postgres_shared_documents.h"

#include <string_view>
#include <utility>

namespace hearth::limits {
namespace {

using postgres::Connection;

constexpr std::string_view kGet = "SELECT version, body FROM shared_documents WHERE name = $1 AND body IS NOT NULL";
// A row to lock, whether there is a document or not.
constexpr std::string_view kAdd = "INSERT INTO shared_documents (name, version, updated_at) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING";
constexpr std::string_view kLock = "SELECT CASE WHEN body IS NULL THEN 0 ELSE version END FROM shared_documents WHERE name = $1 FOR UPDATE";
constexpr std::string_view kPut =
    "UPDATE shared_documents SET version = version + 1, body = $2, updated_at = $3 WHERE name = $1 RETURNING version";
constexpr std::string_view kRemove =
    "UPDATE shared_documents SET version = version + 1, body = NULL, updated_at = $2 WHERE name = $1 AND body IS NOT NULL";

std::optional<SharedDocument> find(Connection& connection, const std::string& name) {
  auto row = connection.query(kGet, name);
  if (!row.next()) return std::nullopt;
  return SharedDocument{.version = static_cast<std::uint64_t>(row.integer(0)), .body = row.string(1)};
}

}  // namespace

Task<Result<std::optional<SharedDocument>>> PostgresSharedDocuments::get(std::string name) {
  co_return co_await database_.read(
      [name = std::move(name)](Connection& connection) -> Result<std::optional<SharedDocument>> { return find(connection, name); });
}

Result<std::optional<SharedDocument>> PostgresSharedDocuments::get_blocking(const std::string& name) {
  return database_.read_blocking([&](Connection& connection) -> Result<std::optional<SharedDocument>> { return find(connection, name); });
}

Task<Result<std::uint64_t>> PostgresSharedDocuments::put(std::string name, std::string body, std::optional<std::uint64_t> expected) {
  if (auto ok = check_body(body); !ok) co_return std::unexpected(ok.error());
  co_return co_await database_.write(
      [name = std::move(name), body = std::move(body), expected, now = clock_.now()](Connection& connection) -> Result<std::uint64_t> {
        connection.run(kAdd, name, now);
        auto version = static_cast<std::uint64_t>(connection.query(kLock, name).first().integer(0));
        if (expected && *expected != version) return version_conflict(name);
        return static_cast<std::uint64_t>(connection.query(kPut, name, body, now).first().integer(0));
      });
}

Task<Result<void>> PostgresSharedDocuments::remove(std::string name) {
  co_return co_await database_.write([name = std::move(name), now = clock_.now()](Connection& connection) -> Result<void> {
    connection.run(kRemove, name, now);
    return {};
  });
}

}  // namespace hearth::limits
