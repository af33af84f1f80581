#include "tests/support/test_stores.h"

#include <stdexcept>
#include <utility>

#include "hearth/drivers/postgres/connection.h"

namespace hearth::tests {
namespace {

redis::RedisServer& emptied_redis() {
  static redis::RedisServer server;
  server.run({"FLUSHALL"});
  return server;
}

redis::RedisCluster& emptied_cluster() {
  static redis::RedisCluster cluster;
  for (std::size_t i = 0; i < redis::RedisCluster::kPrimaries; ++i) {
    cluster.node(cluster.primary_of(static_cast<std::uint16_t>(i * redis::kSlots / redis::RedisCluster::kPrimaries + 1))).run({"FLUSHALL"});
  }
  return cluster;
}

// Runs `work` in a transaction with one snapshot.
template <typename Work>
void within_snapshot(const std::string& url, Work work) {
  try {
    auto connection = postgres::Connection::connect({.url = url});
    connection.begin(postgres::Connection::Access::kRead);
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    work(connection);
    connection.commit();
  } catch (const postgres::Failure& failure) {
    throw std::runtime_error(failure.what());
  }
}

std::int64_t number(const redis::Reply& reply) {
  return reply.is_nil() ? 0 : std::stoll(reply.text);
}

}  // namespace

std::string StoresKind::name() const {
  constexpr const char* kLive[] = {"memory", "redis", "cluster"};
  constexpr const char* kSql[] = {"sqlite", "postgres"};
  return std::string(kLive[static_cast<int>(live)]) + "_" + kSql[static_cast<int>(sql)];
}

postgres::PostgresServer& shared_postgres() {
  static postgres::PostgresServer server;
  return server;
}

TestStores::TestStores(StoresKind kind) {
  if (kind.live == LiveKind::kRedis) flags_.push_back("--redis-url=" + emptied_redis().url());
  if (kind.live == LiveKind::kCluster) flags_.push_back("--redis-url=" + emptied_cluster().url());
  if (kind.sql == SqlKind::kPostgres) {
    database_ = shared_postgres().create_database("stores");
    flags_.push_back("--database-url=" + *database_);
  }
}

std::map<std::string, SqlPost> TestStores::ledger(const std::filesystem::path& data) const {
  return database_ ? read_postgres_ledger(*database_) : read_ledger(data);
}

std::map<std::string, std::int64_t> TestStores::projection(const std::filesystem::path& data) const {
  return database_ ? read_postgres_projection(*database_) : read_projection(data);
}

// --- PostgreSQL ---

std::map<std::string, SqlPost> read_postgres_ledger(const std::string& url) {
  std::map<std::string, SqlPost> posts;
  within_snapshot(url, [&](postgres::Connection& connection) {
    auto counts = connection.query("SELECT post_id, likes, version FROM post_counts");
    while (counts.next()) posts[counts.string(0)] = {.likes = counts.integer(1), .version = counts.integer(2)};
    auto ratings = connection.query("SELECT post_id, session_id FROM post_ratings");
    while (ratings.next()) posts[ratings.string(0)].sessions.insert(ratings.string(1));
  });
  return posts;
}

std::map<std::string, std::int64_t> read_postgres_projection(const std::string& url) {
  std::map<std::string, std::int64_t> likes;
  within_snapshot(url, [&](postgres::Connection& connection) {
    auto posts = connection.query("SELECT id, likes FROM posts");
    while (posts.next()) likes[posts.string(0)] = posts.integer(1);
  });
  return likes;
}

std::int64_t postgres_number(const std::string& url, std::string_view sql) {
  try {
    return postgres::Connection::connect({.url = url}).query(sql).first().integer(0);
  } catch (const postgres::Failure& failure) {
    throw std::runtime_error(failure.what());
  }
}

std::size_t change_postgres(const std::string& url, std::string_view sql) {
  try {
    return postgres::Connection::connect({.url = url}).run(sql);
  } catch (const postgres::Failure& failure) {
    throw std::runtime_error(failure.what());
  }
}

// --- Redis ---

RedisReader::RedisReader(const redis::RedisServer& server)
    : run_([&server](const auto& words) { return server.run(words); }), keys_(likes::KeyLayout::kPlain, kPartitions) {}

RedisReader::RedisReader(redis::RedisCluster& cluster)
    : run_([&cluster](const auto& words) { return cluster.node(cluster.primary_of(redis::slot_of(words[1]))).run(words); }),
      keys_(likes::KeyLayout::kTagged, kPartitions) {}

std::set<std::string> RedisReader::members(const std::string& key) const {
  std::set<std::string> found;
  for (const auto& member : run_({"SMEMBERS", key}).elements) found.insert(member.text);
  return found;
}

std::optional<RedisPost> RedisReader::post(const std::string& name) const {
  auto partition = keys_.partition_of(name);
  auto version = run_({"GET", keys_.version(partition, name)});
  if (version.is_nil()) return std::nullopt;
  return RedisPost{.likes = number(run_({"GET", keys_.likes(partition, name)})),
                   .version = number(version),
                   .sessions = members(keys_.liked(partition, name))};
}

std::set<std::string> RedisReader::posts_of(const std::string& session) const {
  std::set<std::string> found;
  for (outbox::Partition partition = 0; partition < (keys_.is_tagged() ? kPartitions : 1); ++partition) {
    found.merge(members(keys_.session(partition, session)));
  }
  return found;
}

std::int64_t RedisReader::outbox_entries() const {
  std::int64_t entries = 0;
  for (outbox::Partition partition = 0; partition < kPartitions; ++partition) {
    entries += run_({"XLEN", keys_.stream(partition)}).integer;
  }
  return entries;
}

}  // namespace hearth::tests
