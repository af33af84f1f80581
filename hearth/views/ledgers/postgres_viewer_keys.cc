#include "hearth/views/ledgers/postgres_viewer_keys.h"

#include <string_view>

namespace hearth::views {
namespace {

using postgres::Bytes;
using postgres::Connection;

constexpr std::string_view kProposeUser =
    "INSERT INTO viewer_keys (purpose, valid_from, bytes) VALUES ('user', to_timestamp(0), $1) ON CONFLICT DO NOTHING";
constexpr std::string_view kUser = "SELECT bytes FROM viewer_keys WHERE purpose = 'user'";
constexpr std::string_view kAnonymous =
    "SELECT valid_from, bytes FROM viewer_keys WHERE purpose = 'anonymous' ORDER BY valid_from DESC LIMIT 4";
// Others may read meanwhile, and nobody adds a key.
constexpr char kLock[] = "LOCK TABLE viewer_keys IN SHARE ROW EXCLUSIVE MODE";
constexpr std::string_view kAdd = "INSERT INTO viewer_keys (purpose, valid_from, bytes) VALUES ('anonymous', $1, $2)";
constexpr std::string_view kDropOld =
    "DELETE FROM viewer_keys WHERE purpose = 'anonymous' AND valid_from NOT IN "
    "(SELECT valid_from FROM viewer_keys WHERE purpose = 'anonymous' ORDER BY valid_from DESC LIMIT 4)";

std::vector<ViewerKeyStore::Key> read_anonymous(Connection& connection) {
  std::vector<ViewerKeyStore::Key> keys;
  auto rows = connection.query(kAnonymous);
  while (rows.next()) keys.push_back({rows.time(0), rows.string(1)});
  return keys;
}

}  // namespace

Result<ViewerKeyStore::Key> PostgresViewerKeys::user_key(const std::string& proposed) {
  return database_.write_blocking([&](Connection& connection) -> Result<Key> {
    connection.run(kProposeUser, Bytes{proposed});
    return Key{.bytes = connection.query(kUser).first().string(0)};
  });
}

Result<std::vector<ViewerKeyStore::Key>> PostgresViewerKeys::anonymous_keys(const Key& proposed, UtcMicros after) {
  auto is_enough = [&](const std::vector<Key>& keys) { return !keys.empty() && keys.front().from > after; };
  return database_.write_blocking([&](Connection& connection) -> Result<std::vector<Key>> {
    auto keys = read_anonymous(connection);
    if (is_enough(keys)) return keys;
    connection.execute(kLock);
    keys = read_anonymous(connection);
    if (is_enough(keys)) return keys;
    connection.run(kAdd, proposed.from, Bytes{proposed.bytes});
    connection.run(kDropOld);
    return read_anonymous(connection);
  });
}

}  // namespace hearth::views
