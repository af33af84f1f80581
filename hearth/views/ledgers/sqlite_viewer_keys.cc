#include "hearth/views/ledgers/sqlite_viewer_keys.h"

#include "hearth/views/ledgers/sqlite_view_rows.h"

namespace hearth::views {
namespace {

using sqlite::Blob;
using sqlite::Connection;

constexpr char kProposeUser[] = "INSERT OR IGNORE INTO viewer_keys (purpose, valid_from, bytes) VALUES ('user', 0, ?1)";
constexpr char kUser[] = "SELECT bytes FROM viewer_keys WHERE purpose = 'user'";
constexpr char kAnonymous[] = "SELECT valid_from, bytes FROM viewer_keys WHERE purpose = 'anonymous' ORDER BY valid_from DESC LIMIT 4";
constexpr char kAdd[] = "INSERT INTO viewer_keys (purpose, valid_from, bytes) VALUES ('anonymous', ?1, ?2)";
constexpr char kDropOld[] =
    "DELETE FROM viewer_keys WHERE purpose = 'anonymous' AND valid_from NOT IN "
    "(SELECT valid_from FROM viewer_keys WHERE purpose = 'anonymous' ORDER BY valid_from DESC LIMIT 4)";

std::vector<ViewerKeyStore::Key> read_anonymous(Connection& connection) {
  std::vector<ViewerKeyStore::Key> keys;
  auto& rows = connection.statement(kAnonymous).query();
  while (rows.next()) keys.push_back({time_of(rows.integer(0)), std::string(rows.blob(1))});
  return keys;
}

}  // namespace

Result<ViewerKeyStore::Key> SqliteViewerKeys::user_key(const std::string& proposed) {
  return database_.write_blocking([&](Connection& connection) -> Result<Key> {
    connection.statement(kProposeUser).run(Blob{proposed});
    auto& row = connection.statement(kUser).query();
    row.next();
    Key key{.bytes = std::string(row.blob(0))};
    row.reset();
    return key;
  });
}

Result<std::vector<ViewerKeyStore::Key>> SqliteViewerKeys::anonymous_keys(const Key& proposed, UtcMicros after) {
  return database_.write_blocking([&](Connection& connection) -> Result<std::vector<Key>> {
    auto keys = read_anonymous(connection);
    if (!keys.empty() && keys.front().from > after) return keys;
    connection.statement(kAdd).run(micros(proposed.from), Blob{proposed.bytes});
    connection.statement(kDropOld).run();
    return read_anonymous(connection);
  });
}

}  // namespace hearth::views
