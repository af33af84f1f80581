#include "hearth/likes/ledgers/sqlite_like_ledger.h"

#include <algorithm>
#include <bit>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstring>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

#include "hearth/base/hash.h"
#include "hearth/likes/ledgers/outbox_tail.h"
#include "hearth/likes/ledgers/sqlite_rows.h"
#include "hearth/likes/ledgers/version_chain.h"
#include "hearth/likes/session_name.h"

namespace hearth::sqlite {
extern const std::span<const std::string_view> kRatingsMigrations;
}

namespace hearth::likes {
namespace {

using outbox::LikeChanged;
using sqlite::Connection;
using sqlite::Statement;

// A flush touches pages all over the tables; with 16 MiB it read each twice (26 against 15 µs a row in a table of 2 M).
constexpr int kWriterCacheKib = 192 * 1024;

constexpr char kPostsAfter[] = "SELECT post_id, likes, version FROM post_counts WHERE post_id > ?1 ORDER BY post_id LIMIT ?2";
constexpr char kAddPost[] = "INSERT INTO post_counts (post_id, likes, version) VALUES (?1, 0, 0)";
constexpr char kSetCount[] = "UPDATE post_counts SET likes = ?2, version = ?3 WHERE id = ?1";
constexpr char kAddRating[] =
    "INSERT INTO ratings (post, session, created_at) VALUES (?1, ?2, ?3) "
    "ON CONFLICT (post, session) DO UPDATE SET created_at = excluded.created_at";
constexpr char kRemoveRating[] = "DELETE FROM ratings WHERE post = ?1 AND session = ?2";
constexpr char kAddBySession[] =
    "INSERT INTO ratings_by_session (post, session, created_at) VALUES (?1, ?2, ?3) "
    "ON CONFLICT (session, post) DO UPDATE SET created_at = excluded.created_at";
constexpr char kRemoveBySession[] = "DELETE FROM ratings_by_session WHERE post = ?1 AND session = ?2";
constexpr char kRemovePostBySession[] = "DELETE FROM ratings_by_session WHERE post = ?1";  // reads all of it: for repairs
constexpr char kRemoveRatings[] = "DELETE FROM ratings WHERE post = ?1";
constexpr char kCountRatings[] = "SELECT count(*) FROM ratings WHERE post = ?1";
constexpr char kSessionsOf[] = "SELECT session FROM ratings WHERE post = ?1";
constexpr char kRatingsWithTime[] = "SELECT session, created_at FROM ratings WHERE post = ?1";
constexpr char kAudit[] =
    "SELECT post_id, likes, version, (SELECT count(*) FROM ratings WHERE ratings.post = post_counts.id) "
    "FROM post_counts WHERE post_id > ?1 ORDER BY post_id LIMIT ?2";
constexpr char kGetCursors[] = "SELECT partition, major, minor, checksum FROM outbox_cursors";
constexpr char kSetCursor[] = "INSERT OR REPLACE INTO outbox_cursors (partition, major, minor, checksum) VALUES (?1, ?2, ?3, ?4)";
constexpr char kCountPosts[] = "SELECT count(*) FROM post_counts";

constexpr std::uint32_t kRowsReservedMax = 1'000'000;  // the count may be anything if others wrote it

std::uint32_t count_ratings(Connection& connection, std::int64_t post) {
  auto& row = connection.statement(kCountRatings).query(post);
  row.next();
  auto count = static_cast<std::uint32_t>(row.integer(0));
  row.reset();
  return count;
}

Cursors read_cursors(Connection& connection) {
  Cursors cursors;
  auto& row = connection.statement(kGetCursors).query();
  while (row.next()) {
    outbox::Position position{static_cast<std::uint64_t>(row.integer(1)), static_cast<std::uint64_t>(row.integer(2))};
    cursors.emplace_back(row.integer(0), LedgerCursor{position, static_cast<std::uint64_t>(row.integer(3))});
  }
  return cursors;
}

void write_cursor(Connection& connection, outbox::Partition partition, const LedgerCursor& cursor) {
  connection.statement(kSetCursor).run(partition, cursor.position.major, cursor.position.minor, cursor.checksum);
}

std::vector<LedgerPost> read_heads(Connection& connection, const std::vector<std::string>& posts) {
  std::vector<LedgerPost> heads;
  heads.reserve(posts.size());
  for (const auto& post : posts) {
    auto found = find_post(connection, post);
    heads.push_back({post, found.likes, found.version});
  }
  return heads;
}

// Makes the sessions that like `post` exactly these, and its count theirs. Rows that stay keep their time; new ones get that
// of the version.
std::size_t replace_ratings(Connection& connection, FoundPost found, std::string_view post, const std::vector<std::string>& sessions,
                            std::uint64_t version) {
  if (found.id == 0) {
    connection.statement(kAddPost).run(post);
    found.id = sqlite3_last_insert_rowid(connection.handle());
  }
  std::vector<std::pair<std::string, std::int64_t>> known;
  auto& rows = connection.statement(kRatingsWithTime).query(found.id);
  while (rows.next()) known.emplace_back(read_session(rows, 0), rows.integer(1));
  std::ranges::sort(known);

  connection.statement(kRemoveRatings).run(found.id);
  connection.statement(kRemovePostBySession).run(found.id);
  for (const auto& session : sessions) {
    auto at = std::ranges::lower_bound(known, session, {}, [](const auto& entry) { return std::string_view(entry.first); });
    bool had_row = at != known.end() && at->first == session;
    std::int64_t created_at = had_row ? at->second : static_cast<std::int64_t>(version);
    StoredSession(session).with([&](const auto& stored) {
      connection.statement(kAddRating).run(found.id, stored, created_at);
      connection.statement(kAddBySession).run(found.id, stored, created_at);
    });
  }
  connection.statement(kSetCount).run(found.id, count_ratings(connection, found.id), version);
  return sessions.size();
}

// Applies one batch. Both tables of ratings are written in the order of their keys: then each page is touched once, which is
// what makes a large batch cheap.
class BatchWriter {
 public:
  explicit BatchWriter(Connection& connection) : connection_(connection) {}

  AppliedBatch write(const LedgerBatch& batch) {
    for (const auto& event : batch.events) find_or_add(event.post).events.push_back(&event);
    for (const auto& copy : batch.copies) write_copy(copy);
    for (auto& [name, post] : posts_) collect_news(name, post);
    if (batch.on_gap == OnGap::kReport && has_reported_gaps()) return std::move(applied_);
    write_ratings();
    for (auto& [name, post] : posts_) write_count(post);
    write_cursor(connection_, batch.partition, batch.cursor);
    return std::move(applied_);
  }

 private:
  struct Post {
    FoundPost before;
    std::vector<const LikeChanged*> events;
    News news;
  };
  // All that sorting and writing need, so that neither goes back to the events, which lie all over memory.
  struct Row {
    std::int64_t post;
    std::uint64_t key[2];   // the session's first 16 bytes as numbers that sort like them; of a UUID they are all of it
    std::string_view text;  // the session, where it is no UUID
    std::uint64_t version;
    std::int64_t at;
    bool is_uuid;
    bool is_liked;

    auto session() const { return std::tie(is_uuid, key[0], key[1], text); }
    static bool by_post(const Row& a, const Row& b) {
      if (a.post != b.post) return a.post < b.post;
      return a.session() == b.session() ? a.version < b.version : a.session() < b.session();
    }
    static bool by_session(const Row& a, const Row& b) { return a.session() == b.session() ? a.post < b.post : a.session() < b.session(); }
    bool is_same_rating(const Row& other) const { return post == other.post && session() == other.session(); }
  };

  Post& find_or_add(std::string_view name) { return posts_[name]; }

  void collect_news(std::string_view name, Post& post) {
    post.before = find_post(connection_, name);
    post.news = news_since(post.before.version, post.events);
    if (post.news.newest == nullptr) return;
    if (post.before.id == 0) {
      connection_.statement(kAddPost).run(name);
      post.before.id = sqlite3_last_insert_rowid(connection_.handle());
    }
    for (const auto* event : post.events) {
      if (event->version > post.before.version) rows_.push_back(row_of(post.before.id, *event));
    }
  }

  static Row row_of(std::int64_t post, const LikeChanged& event) {
    auto packed = pack_uuid(event.session);
    Row row{.post = post,
            .key = {0, 0},
            .text = packed ? std::string_view() : event.session,
            .version = event.version,
            .at = event.at.time_since_epoch().count(),
            .is_uuid = packed.has_value(),
            .is_liked = event.is_liked};
    auto bytes = packed ? std::string_view(packed->data(), packed->size()) : event.session.substr(0, sizeof row.key);
    std::memcpy(row.key, bytes.data(), bytes.size());
    for (auto& word : row.key) word = std::byteswap(word);
    return row;
  }

  bool has_reported_gaps() {
    for (const auto& [name, post] : posts_) {
      if (post.news.has_gap) applied_.gap_posts.emplace_back(name);
    }
    return !applied_.gap_posts.empty();
  }

  void write_copy(const LedgerMembers& copy) {
    FoundPost known = find_post(connection_, copy.head.post);
    if (copy.head.version <= known.version) return;
    applied_.rows += replace_ratings(connection_, known, copy.head.post, copy.sessions, copy.head.version);
    ++applied_.posts;
  }

  void write_ratings() {
    std::ranges::sort(rows_, Row::by_post);
    // Of a session that went to and fro only the last state is written.
    std::size_t kept = 0;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (i + 1 < rows_.size() && rows_[i].is_same_rating(rows_[i + 1])) continue;
      rows_[kept++] = rows_[i];
    }
    rows_.resize(kept);
    applied_.rows += kept;
    for (const Row& row : rows_) write_row(row, kAddRating, kRemoveRating);
    std::ranges::sort(rows_, Row::by_session);
    for (const Row& row : rows_) write_row(row, kAddBySession, kRemoveBySession);
  }

  void write_row(const Row& row, const char* add, const char* remove) {
    std::uint64_t bytes[2] = {std::byteswap(row.key[0]), std::byteswap(row.key[1])};
    auto write = [&](const auto& session) {
      if (row.is_liked) {
        connection_.statement(add).run(row.post, session, row.at);
      } else {
        connection_.statement(remove).run(row.post, session);
      }
    };
    if (row.is_uuid) {
      write(sqlite::Blob{{reinterpret_cast<const char*>(bytes), sizeof bytes}});
    } else {
      write(row.text);
    }
  }

  void write_count(const Post& post) {
    if (post.news.newest == nullptr) return;
    std::uint32_t likes = post.news.has_gap ? count_ratings(connection_, post.before.id) : post.news.newest->likes;
    connection_.statement(kSetCount).run(post.before.id, likes, post.news.newest->version);
    ++applied_.posts;
    if (post.news.has_gap) ++applied_.gaps;
  }

  Connection& connection_;
  boost::unordered_flat_map<std::string_view, Post, TextHash, std::equal_to<>> posts_;
  std::vector<Row> rows_;
  AppliedBatch applied_;
};

}  // namespace

Result<std::unique_ptr<SqliteLikeLedger>> SqliteLikeLedger::open(std::filesystem::path path, std::string vfs) {
  auto database = sqlite::Database::open(
      {.path = std::move(path), .vfs = std::move(vfs), .migrations = sqlite::kRatingsMigrations, .writer_cache_kib = kWriterCacheKib});
  if (!database) return std::unexpected(database.error());
  return std::unique_ptr<SqliteLikeLedger>(new SqliteLikeLedger(std::move(*database)));
}

Result<AppliedBatch> SqliteLikeLedger::apply(const LedgerBatch& batch) {
  AppliedBatch applied;
  auto written = database_->write_blocking([&](Connection& connection) -> Result<void> {
    applied = BatchWriter(connection).write(batch);
    if (!applied.gap_posts.empty()) return fail(ErrorCode::kConflict, "copies are needed");  // takes back what was written
    return {};
  });
  if (!written && applied.gap_posts.empty()) return std::unexpected(written.error());
  return applied;
}

Result<LedgerCursor> SqliteLikeLedger::cursor(outbox::Partition partition) {
  return database_->read_blocking(
      [&](Connection& connection) -> Result<LedgerCursor> { return cursor_of(read_cursors(connection), partition); });
}

Task<Result<Cursors>> SqliteLikeLedger::cursors() {
  return database_->read([](Connection& connection) -> Result<Cursors> { return read_cursors(connection); });
}

// One process holds the folder, so a lease cannot be lost.
Result<void> SqliteLikeLedger::reset_cursor(outbox::Partition partition, const outbox::Lease& /*lease*/) {
  return database_->write_blocking([&](Connection& connection) -> Result<void> {
    write_cursor(connection, partition, {});
    return {};
  });
}

Result<std::uint64_t> SqliteLikeLedger::post_count() {
  return database_->read_blocking([](Connection& connection) -> Result<std::uint64_t> {
    auto& row = connection.statement(kCountPosts).query();
    row.next();
    auto count = static_cast<std::uint64_t>(row.integer(0));
    row.reset();
    return count;
  });
}

Result<std::vector<LedgerPost>> SqliteLikeLedger::heads_blocking(const std::vector<std::string>& posts) {
  return database_->read_blocking([&](Connection& connection) -> Result<std::vector<LedgerPost>> { return read_heads(connection, posts); });
}

Result<std::vector<LedgerPost>> SqliteLikeLedger::heads_after(const std::string& after, std::size_t limit) {
  return database_->read_blocking([&](Connection& connection) -> Result<std::vector<LedgerPost>> {
    std::vector<LedgerPost> heads;
    auto& rows = connection.statement(kPostsAfter).query(after, limit);
    while (rows.next())
      heads.push_back({rows.string(0), static_cast<std::uint32_t>(rows.integer(1)), static_cast<std::uint64_t>(rows.integer(2))});
    return heads;
  });
}

Task<Result<std::vector<LedgerPost>>> SqliteLikeLedger::heads(std::vector<std::string> posts) {
  return database_->read(
      [posts = std::move(posts)](Connection& connection) -> Result<std::vector<LedgerPost>> { return read_heads(connection, posts); });
}

Task<Result<LedgerMembers>> SqliteLikeLedger::members(std::string post) {
  return database_->read([post = std::move(post)](Connection& connection) -> Result<LedgerMembers> {
    auto found = find_post(connection, post);
    LedgerMembers members{.head = {post, found.likes, found.version}, .sessions = {}};
    members.sessions.reserve(std::min(found.likes, kRowsReservedMax));
    auto& rows = connection.statement(kSessionsOf).query(found.id);
    while (rows.next()) members.sessions.push_back(read_session(rows, 0));
    return members;
  });
}

Task<Result<std::vector<LikedPost>>> SqliteLikeLedger::likes_of(std::string session, std::size_t limit, ReadTail read_tail) {
  return database_->read(
      [session = std::move(session), limit, read_tail = std::move(read_tail)](Connection& connection) -> Result<std::vector<LikedPost>> {
        auto tail = read_tail();
        if (!tail) return std::unexpected(tail.error());
        auto cursors = read_cursors(connection);
        drop_applied(*tail, cursors);
        std::vector<LikedPost> likes;
        StoredSession(session).with([&](const auto& stored) {
          auto& rows = connection.statement(kLikesOf).query(stored, limit + tail->size());
          while (rows.next()) likes.push_back({rows.string(0), UtcMicros(std::chrono::microseconds(rows.integer(1)))});
        });
        apply_tail(likes, *std::move(tail), limit);
        return likes;
      });
}

Task<Result<std::vector<AuditedPost>>> SqliteLikeLedger::audit(std::string after, std::size_t limit) {
  return database_->read([after = std::move(after), limit](Connection& connection) -> Result<std::vector<AuditedPost>> {
    std::vector<AuditedPost> posts;
    auto& rows = connection.statement(kAudit).query(after, limit);
    while (rows.next()) {
      LedgerPost head{rows.string(0), static_cast<std::uint32_t>(rows.integer(1)), static_cast<std::uint64_t>(rows.integer(2))};
      posts.push_back({std::move(head), static_cast<std::uint32_t>(rows.integer(3))});
    }
    return posts;
  });
}

Task<Result<bool>> SqliteLikeLedger::repair(LedgerPost expected, std::vector<std::string> sessions, std::uint64_t new_version) {
  return database_->write(
      [expected = std::move(expected), sessions = std::move(sessions), new_version](Connection& connection) -> Result<bool> {
        FoundPost found = find_post(connection, expected.post);
        if (found.version != expected.version) return false;
        replace_ratings(connection, found, expected.post, sessions, new_version);
        return true;
      });
}

}  // namespace hearth::likes
