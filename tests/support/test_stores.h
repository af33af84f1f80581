#pragma once

// Real Redis and PostgreSQL behind the executable, in every combination that it serves from, and likes as other programs
// find them there.
//
// Servers are started once for all tests of a binary; each TestStores begins with an empty Redis and a database of its own.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/drivers/postgres/test_server.h"
#include "hearth/drivers/redis/test_servers.h"
#include "hearth/likes/stores/redis/redis_keys.h"
#include "tests/support/sql_state.h"

namespace hearth::tests {

inline constexpr int kPartitions = 16;  // the default of live.partitions

enum class LiveKind : std::uint8_t { kMemory, kRedis, kCluster };
enum class SqlKind : std::uint8_t { kSqlite, kPostgres };

struct StoresKind {
  LiveKind live = LiveKind::kMemory;
  SqlKind sql = SqlKind::kSqlite;

  std::string name() const;  // "redis_postgres"
};

class TestStores {
 public:
  explicit TestStores(StoresKind kind);

  // For `hearth serve`.
  const std::vector<std::string>& flags() const { return flags_; }
  // Of the SQL that the server with this data folder has.
  std::map<std::string, SqlPost> ledger(const std::filesystem::path& data) const;
  std::map<std::string, std::int64_t> projection(const std::filesystem::path& data) const;

 private:
  std::vector<std::string> flags_;
  std::optional<std::string> database_;  // its URL
};

postgres::PostgresServer& shared_postgres();

// post_counts and post_ratings, at one moment. Throws if they cannot be read.
std::map<std::string, SqlPost> read_postgres_ledger(const std::string& url);
// posts.likes.
std::map<std::string, std::int64_t> read_postgres_projection(const std::string& url);
// The first column of the first row, which must be there.
std::int64_t postgres_number(const std::string& url, std::string_view sql);
// What another program does, in a transaction of its own. Returns how many rows it changed.
std::size_t change_postgres(const std::string& url, std::string_view sql);

// A post by its three keys.
struct RedisPost {
  std::int64_t likes = 0;
  std::int64_t version = 0;
  std::set<std::string> sessions = {};

  friend bool operator==(const RedisPost&, const RedisPost&) = default;
};

// Likes in Redis by the documented keys (docs/redis-keys.md).
class RedisReader {
 public:
  explicit RedisReader(const redis::RedisServer& server);
  explicit RedisReader(redis::RedisCluster& cluster);

  redis::Reply run(const std::vector<std::string_view>& words) const { return run_(words); }
  // Nothing: the post is not loaded.
  std::optional<RedisPost> post(const std::string& name) const;
  std::set<std::string> posts_of(const std::string& session) const;
  // Entries of all streams.
  std::int64_t outbox_entries() const;

 private:
  std::set<std::string> members(const std::string& key) const;

  std::function<redis::Reply(const std::vector<std::string_view>&)> run_;  // the key is the second word
  likes::RedisKeys keys_;
};

}  // namespace hearth::tests
