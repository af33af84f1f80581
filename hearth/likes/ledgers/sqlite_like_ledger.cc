#include "hearth/likes/ledgers/sqlite_like_ledger.h"

#include <algorithm>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/likes/session_name.h"

namespace hearth::sqlite {
extern const std::span<const std::string_view> kRatingsMigrations;
}

namespace hearth::likes {
namespace {

using outbox::LikeChanged;
using sqlite::Connection;
using sqlite::Statement;

constexpr char kFindPost[] = "SELECT id, likes, version FROM post_counts WHERE post_id = ?1";
constexpr char kAddPost[] = "INSERT INTO post_counts (post_id, likes, version) VALUES (?1, 0, 0)";
constexpr char kSetCount[] = "UPDATE post_counts SET likes = ?2, version = ?3 WHERE id = ?1";
constexpr char kAddRating[] =
    "INSERT INTO ratings (post, session, created_at) VALUES (?1, ?2, ?3) "
    "ON CONFLICT (post, session) DO UPDATE SET created_at = excluded.created_at";
constexpr char kRemoveRating[] = "DELETE FROM ratings WHERE post = ?1 AND session = ?2";
constexpr char kRemoveRatings[] = "DELETE FROM ratings WHERE post = ?1";
constexpr char kCountRatings[] = "SELECT count(*) FROM ratings WHERE post = ?1";
constexpr char kSessionsOf[] = "SELECT session FROM ratings WHERE post = ?1";
constexpr char kRatingsWithTime[] = "SELECT session, created_at FROM ratings WHERE post = ?1";
constexpr char kLikesOf[] =
    "SELECT post_counts.post_id, ratings.created_at FROM ratings JOIN post_counts ON post_counts.id = ratings.post "
    "WHERE ratings.session = ?1 ORDER BY ratings.created_at DESC LIMIT ?2";
constexpr char kAudit[] =
    "SELECT post_id, likes, version, (SELECT count(*) FROM ratings WHERE ratings.post = post_counts.id) "
    "FROM post_counts WHERE post_id > ?1 ORDER BY post_id LIMIT ?2";
constexpr char kGetCursor[] = "SELECT sequence, checksum FROM outbox_cursors WHERE consumer = 'ledger'";
constexpr char kSetCursor[] = "UPDATE outbox_cursors SET sequence = ?1, checksum = ?2 WHERE consumer = 'ledger'";
constexpr char kCountPosts[] = "SELECT count(*) FROM post_counts";

constexpr std::uint32_t kRowsReservedMax = 1'000'000;  // the count may be anything if others wrote it

// A session as it is stored. Holds what it points at.
class StoredSession {
 public:
  explicit StoredSession(std::string_view session) : packed_(pack_uuid(session)), text_(session) {}
  template <typename Use>
  auto with(Use&& use) const {
    return packed_ ? use(sqlite::Blob{{packed_->data(), packed_->size()}}) : use(text_);
  }

 private:
  std::optional<UuidBytes> packed_;
  std::string_view text_;
};

std::string read_session(const Statement& row, int column) {
  if (!row.is_blob(column)) return row.string(column);
  auto bytes = row.blob(column);
  return bytes.size() == sizeof(UuidBytes) ? unpack_uuid(bytes) : std::string(bytes);
}

struct FoundPost {
  std::int64_t id = 0;  // 0: not there
  std::uint32_t likes = 0;
  std::uint64_t version = 0;
};

FoundPost find_post(Connection& connection, std::string_view post) {
  auto& row = connection.statement(kFindPost).query(post);
  FoundPost found;
  if (row.next()) found = {row.integer(0), static_cast<std::uint32_t>(row.integer(1)), static_cast<std::uint64_t>(row.integer(2))};
  row.reset();
  return found;
}

std::uint32_t count_ratings(Connection& connection, std::int64_t post) {
  auto& row = connection.statement(kCountRatings).query(post);
  row.next();
  auto count = static_cast<std::uint32_t>(row.integer(0));
  row.reset();
  return count;
}

LedgerCursor read_cursor(Connection& connection) {
  auto& row = connection.statement(kGetCursor).query();
  row.next();
  LedgerCursor cursor{static_cast<outbox::Sequence>(row.integer(0)), static_cast<std::uint64_t>(row.integer(1))};
  row.reset();
  return cursor;
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

// The events of a batch, sorted so that those of a post, and in it those of a session, lie together in outbox order.
// Rows are then written in the order of the table's key, which is what makes a large batch cheap.
std::vector<const LikeChanged*> sort_by_key(const std::vector<LikeChanged>& events) {
  std::vector<const LikeChanged*> sorted;
  sorted.reserve(events.size());
  for (const auto& event : events) sorted.push_back(&event);
  std::ranges::sort(sorted, [](const LikeChanged* a, const LikeChanged* b) {
    return std::tie(a->post, a->session, a->version) < std::tie(b->post, b->session, b->version);
  });
  return sorted;
}

// Writes the events of one post. Those that the ledger has already are skipped by their version.
class PostWriter {
 public:
  PostWriter(Connection& connection, AppliedBatch& applied) : connection_(connection), applied_(applied) {}

  void write(std::span<const LikeChanged* const> events) {
    FoundPost before = find_post(connection_, events.front()->post);
    auto [newest, covered] = news_of(events, before.version);
    if (newest == nullptr) return;
    if (before.id == 0) {
      connection_.statement(kAddPost).run(newest->post);
      before.id = sqlite3_last_insert_rowid(connection_.handle());
    }
    write_rows(before.id, events, before.version);
    std::uint32_t likes = newest->likes;
    if (covered != newest->version - before.version) {  // the chain is broken: the rows are the truth
      likes = count_ratings(connection_, before.id);
      ++applied_.gaps;
    }
    connection_.statement(kSetCount).run(before.id, likes, newest->version);
    ++applied_.posts;
  }

 private:
  // The newest event that is not known, and how far the unknown ones reach: in an unbroken chain from `known` on, the steps
  // from `previous` to `version` add up to all the way.
  struct News {
    const LikeChanged* newest = nullptr;
    std::uint64_t covered = 0;
  };
  static News news_of(std::span<const LikeChanged* const> events, std::uint64_t known) {
    News news;
    for (const auto* event : events) {
      if (event->version <= known) continue;
      news.covered += event->version - event->previous;
      if (news.newest == nullptr || event->version > news.newest->version) news.newest = event;
    }
    return news;
  }

  // Only the last event of each session is written.
  void write_rows(std::int64_t post, std::span<const LikeChanged* const> events, std::uint64_t known) {
    for (std::size_t i = 0; i < events.size(); ++i) {
      const LikeChanged& event = *events[i];
      bool is_last = i + 1 == events.size() || events[i + 1]->session != event.session;
      if (!is_last || event.version <= known) continue;
      StoredSession(event.session).with([&](const auto& session) {
        if (event.is_liked) {
          connection_.statement(kAddRating).run(post, session, event.at.time_since_epoch().count());
        } else {
          connection_.statement(kRemoveRating).run(post, session);
        }
      });
      ++applied_.rows;
    }
  }

  Connection& connection_;
  AppliedBatch& applied_;
};

}  // namespace

Result<std::unique_ptr<SqliteLikeLedger>> SqliteLikeLedger::open(std::filesystem::path path, std::string vfs) {
  auto database = sqlite::Database::open({.path = std::move(path), .vfs = std::move(vfs), .migrations = sqlite::kRatingsMigrations});
  if (!database) return std::unexpected(database.error());
  return std::unique_ptr<SqliteLikeLedger>(new SqliteLikeLedger(std::move(*database)));
}

Result<AppliedBatch> SqliteLikeLedger::apply(const LedgerBatch& batch) {
  return database_->write_blocking([&](Connection& connection) -> Result<AppliedBatch> {
    AppliedBatch applied;
    PostWriter writer(connection, applied);
    auto sorted = sort_by_key(batch.events);
    for (std::size_t begin = 0; begin < sorted.size();) {
      std::size_t end = begin + 1;
      while (end < sorted.size() && sorted[end]->post == sorted[begin]->post) ++end;
      writer.write(std::span(sorted).subspan(begin, end - begin));
      begin = end;
    }
    connection.statement(kSetCursor).run(batch.cursor.sequence, batch.cursor.checksum);
    return applied;
  });
}

Result<LedgerCursor> SqliteLikeLedger::cursor() {
  return database_->read_blocking([](Connection& connection) -> Result<LedgerCursor> { return read_cursor(connection); });
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
        auto cursor = read_cursor(connection).sequence;
        std::erase_if(*tail, [&](const TailEvent& event) { return event.sequence <= cursor; });

        std::vector<LikedPost> likes;
        StoredSession(session).with([&](const auto& stored) {
          auto& rows = connection.statement(kLikesOf).query(stored, limit + tail->size());
          while (rows.next()) likes.push_back({rows.string(0), UtcMicros(std::chrono::microseconds(rows.integer(1)))});
        });
        for (auto& event : *tail) {
          std::erase_if(likes, [&](const LikedPost& like) { return like.post == event.post; });
          if (event.is_liked) likes.push_back({std::move(event.post), event.at});
        }
        std::ranges::sort(likes, [](const LikedPost& a, const LikedPost& b) { return std::tie(b.at, a.post) < std::tie(a.at, b.post); });
        if (likes.size() > limit) likes.resize(limit);
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
        if (found.id == 0) {
          connection.statement(kAddPost).run(expected.post);
          found.id = sqlite3_last_insert_rowid(connection.handle());
        }
        std::vector<std::pair<std::string, std::int64_t>> known;
        auto& rows = connection.statement(kRatingsWithTime).query(found.id);
        while (rows.next()) known.emplace_back(read_session(rows, 0), rows.integer(1));
        std::ranges::sort(known);

        connection.statement(kRemoveRatings).run(found.id);
        for (const auto& session : sessions) {
          auto at = std::ranges::lower_bound(known, session, {}, [](const auto& entry) { return entry.first; });
          bool had_row = at != known.end() && at->first == session;
          std::int64_t created_at = had_row ? at->second : static_cast<std::int64_t>(new_version);
          StoredSession(session).with([&](const auto& stored) { connection.statement(kAddRating).run(found.id, stored, created_at); });
        }
        connection.statement(kSetCount).run(found.id, sessions.size(), new_version);
        return true;
      });
}

}  // namespace hearth::likes
