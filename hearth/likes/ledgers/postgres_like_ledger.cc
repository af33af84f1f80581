#include "hearth/likes/ledgers/postgres_like_ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <chrono>
#include <optional>
#include <span>
#include <tuple>

#include "hearth/base/hash.h"
#include "hearth/base/log.h"
#include "hearth/likes/ledgers/adopted_tables.h"
#include "hearth/likes/ledgers/outbox_tail.h"
#include "hearth/likes/ledgers/postgres_heads.h"
#include "hearth/likes/ledgers/version_chain.h"

namespace hearth::likes {
namespace {

using outbox::LikeChanged;
using postgres::Connection;
using postgres::Failure;
using postgres::Rows;

// Hearth's own tables; those that may be another program's are in Statements.
constexpr std::string_view kHeads = "SELECT post_id, likes, version FROM post_counts WHERE post_id = ANY($1)";
constexpr std::string_view kHeadsAfter =
    "SELECT post_id, likes, version FROM post_counts WHERE post_id > $1 AND version > 0 ORDER BY post_id LIMIT $2";
constexpr std::string_view kCountPosts = "SELECT count(*) FROM post_counts WHERE version > 0";
constexpr std::string_view kSetCounts =
    "UPDATE post_counts SET likes = news.likes, version = news.version FROM unnest($1, $2, $3) AS news (post, likes, version) "
    "WHERE post_id = news.post AND post_counts.version <= news.version";

constexpr std::string_view kCursors =
    "SELECT partition, position_major, position_minor, checksum FROM outbox_cursors WHERE consumer = 'ledger'";
constexpr std::string_view kAddCursor = "INSERT INTO outbox_cursors (consumer, partition) VALUES ('ledger', $1) ON CONFLICT DO NOTHING";
constexpr std::string_view kLockCursor =
    "SELECT owner, fence, position_major, position_minor FROM outbox_cursors WHERE consumer = 'ledger' AND partition = $1 FOR UPDATE";
// Who flushes is alive: a leased partition stays leased.
constexpr std::string_view kSetCursor =
    "UPDATE outbox_cursors SET position_major = $2, position_minor = $3, checksum = $4, "
    "lease_until = greatest(lease_until, clock_timestamp() + $5 * interval '1 millisecond') WHERE consumer = 'ledger' AND partition = $1";
constexpr std::string_view kPark =
    "INSERT INTO outbox_parked (partition, post_id, session_id, version, is_liked, at, reason) VALUES ($1, $2, $3, $4, $5, $6, $7)";

// Of a writer that is stopped in the middle; shorter than a lease, so that who takes the partition need not wait for it.
constexpr auto kIdleInTransactionMax = outbox::kLeaseDuration / 2;

// The trigger on ratings leaves this transaction alone.
std::string writer_settings() {
  return fmt::format("SET LOCAL hearth.flush = 'on'; SET LOCAL idle_in_transaction_session_timeout = {}", kIdleInTransactionMax.count());
}

LedgerPost read_head(const Rows& row) {
  return {row.string(0), static_cast<std::uint32_t>(row.integer(1)), static_cast<std::uint64_t>(row.integer(2))};
}

std::vector<LedgerPost> read_heads(Connection& connection, const std::vector<std::string>& posts) {
  boost::unordered_flat_map<std::string, LedgerPost, TextHash, std::equal_to<>> found;
  auto rows = connection.query(kHeads, posts);
  while (rows.next()) found.emplace(rows.text(0), read_head(rows));
  std::vector<LedgerPost> heads;
  heads.reserve(posts.size());
  for (const auto& post : posts) {
    auto at = found.find(post);
    heads.push_back(at == found.end() ? LedgerPost{.post = post} : at->second);
  }
  return heads;
}

Cursors read_cursors(Connection& connection) {
  Cursors cursors;
  auto rows = connection.query(kCursors);
  while (rows.next()) {
    outbox::Position position{static_cast<std::uint64_t>(rows.integer(1)), static_cast<std::uint64_t>(rows.integer(2))};
    if (position == outbox::Position{}) continue;  // leased, and nothing applied yet
    cursors.emplace_back(rows.integer(0), LedgerCursor{position, static_cast<std::uint64_t>(rows.integer(3))});
  }
  return cursors;
}

// Locks the partition's cursor and says where it stands. kConflict: another node has taken the partition.
Result<outbox::Position> lock_cursor(Connection& connection, outbox::Partition partition, const std::optional<outbox::Lease>& lease) {
  auto row = connection.query(kLockCursor, partition);
  if (!row.next()) {
    connection.run(kAddCursor, partition);
    row = connection.query(kLockCursor, partition);
    row.first();
  }
  if (lease && (row.text(0) != lease->owner || row.integer(1) != static_cast<std::int64_t>(lease->fence))) {
    auto owner = row.is_null(0) ? "nobody" : row.string(0);
    return fail(ErrorCode::kConflict, fmt::format("partition {} of the outbox belongs to {} now", partition, owner));
  }
  return outbox::Position{static_cast<std::uint64_t>(row.integer(2)), static_cast<std::uint64_t>(row.integer(3))};
}

void write_cursor(Connection& connection, outbox::Partition partition, const LedgerCursor& cursor, bool is_leased) {
  std::optional<std::int64_t> lease_ms;
  if (is_leased) lease_ms = outbox::kLeaseDuration.count();
  connection.run(kSetCursor, partition, cursor.position.major, cursor.position.minor, cursor.checksum, lease_ms);
}

// Makes `write` of all items, or of as many as SQL takes: parts that it refuses are halved, down to the items, for which
// `refused` is called. Returns how many were refused. REQUIRES: a transaction.
template <typename Item, typename Write, typename Refused>
std::size_t write_acceptable(Connection& connection, std::span<const Item> items, const Write& write, const Refused& refused) {
  if (items.empty()) return 0;
  try {
    connection.savepoint([&] { write(items); });
    return 0;
  } catch (const Failure& failure) {
    if (!failure.is_data_error()) throw;
    if (items.size() == 1) {
      refused(items.front(), failure);
      return 1;
    }
  }
  auto half = items.size() / 2;
  return write_acceptable(connection, items.first(half), write, refused) +
         write_acceptable(connection, items.subspan(half), write, refused);
}

}  // namespace

struct PostgresLikeLedger::Statements {
  explicit Statements(const AdoptedTables& tables);

  std::string add_ratings, remove_ratings, count_ratings, members, likes_of, audit;
  std::string remove_others, add_missing;  // making a post's ratings exactly these
  std::string set_likes;                   // of posts; empty: there is no such table
};

PostgresLikeLedger::Statements::Statements(const AdoptedTables& tables) {
  auto [table, post, session, created] = std::tie(tables.ratings.name, tables.ratings.post, tables.ratings.session, tables.ratings.created);
  add_ratings = fmt::format(
      "INSERT INTO {0} ({1}, {2}, {3}) SELECT {4}, {5}, {6} FROM unnest($1, $2, $3) AS news (post, session, at) "
      "ON CONFLICT ({1}, {2}) DO UPDATE SET {3} = excluded.{3}",
      table, post.name, session.name, created, post.from("news.post"), session.from("news.session"), tables.ratings.time_from("news.at"));
  remove_ratings = fmt::format("DELETE FROM {0} AS r USING unnest($1, $2) AS news (post, session) WHERE r.{1} = {2} AND r.{3} = {4}", table,
                               post.name, post.from("news.post"), session.name, session.from("news.session"));
  count_ratings = fmt::format("SELECT news.post, (SELECT count(*) FROM {0} AS r WHERE r.{1} = {2}) FROM unnest($1) AS news (post)", table,
                              post.name, post.from("news.post"));
  members = fmt::format("SELECT {0}::text FROM {1} WHERE {2} = {3}", session.name, table, post.name, post.from("$1::text"));
  likes_of = fmt::format("SELECT {0}::text, {1} FROM {2} WHERE {3} = {4} ORDER BY {5} DESC LIMIT $2", post.name,
                         tables.ratings.time_to(created), table, session.name, session.from("$1::text"), created);
  audit = fmt::format(
      "SELECT post_id, likes, version, (SELECT count(*) FROM {0} AS r WHERE r.{1} = {2}) FROM post_counts AS counts "
      "WHERE post_id > $1 AND version > 0 ORDER BY post_id LIMIT $2",
      table, post.name, post.from("counts.post_id"));
  remove_others = fmt::format(
      "DELETE FROM {0} AS r WHERE r.{1} = {2} AND NOT EXISTS (SELECT FROM unnest($2) AS kept (session) WHERE kept.session = r.{3}::text)",
      table, post.name, post.from("$1::text"), session.name);
  add_missing = fmt::format(
      "INSERT INTO {0} ({1}, {2}, {3}) SELECT {4}, {5}, {6} FROM unnest($2) AS kept (session) ON CONFLICT ({1}, {2}) DO NOTHING", table,
      post.name, session.name, created, post.from("$1::text"), session.from("kept.session"), tables.ratings.time_from("$3::timestamptz"));
  if (!tables.posts) return;
  const auto& posts = *tables.posts;
  set_likes = fmt::format(
      "UPDATE {0} AS p SET {1} = news.likes{2} FROM unnest($1, $2, $3) AS news (post, likes, version) WHERE p.{3} = {4} AND {5}",
      posts.name, posts.likes, posts.has_version ? ", likes_version = news.version" : "", posts.id.name, posts.id.from("news.post"),
      posts.has_version ? std::string("p.likes_version <= news.version") : fmt::format("p.{} IS DISTINCT FROM news.likes", posts.likes));
}

// Applies one batch, or one repair, in the transaction of its connection.
class PostgresLikeLedger::Writer {
 public:
  Writer(Connection& connection, const Statements& statements) : connection_(connection), statements_(statements) {}

  Result<AppliedBatch> write(const LedgerBatch& batch) {
    connection_.execute(writer_settings());
    auto position = lock_cursor(connection_, batch.partition, batch.lease);
    if (!position) return std::unexpected(position.error());
    if (batch.cursor.position < *position) {
      return fail(ErrorCode::kConflict,
                  fmt::format("partition {} of the outbox was applied further than this batch goes", batch.partition));
    }
    partition_ = batch.partition;
    for (const auto& event : batch.events) posts_[event.post].events.push_back(&event);
    for (const auto& copy : batch.copies) posts_[copy.head.post];
    lock_posts();
    write_copies(batch.copies);
    for (auto& [name, post] : posts_) collect_news(post);
    if (batch.on_gap == OnGap::kReport && has_reported_gaps()) return std::move(applied_);
    write_ratings();
    write_counts();
    write_cursor(connection_, batch.partition, batch.cursor, batch.lease.has_value());
    return std::move(applied_);
  }

  bool repair(const LedgerPost& expected, const std::vector<std::string>& sessions, std::uint64_t new_version) {
    connection_.execute(writer_settings());
    const Post& post = posts_[expected.post];
    lock_posts();
    if (post.version != expected.version) return false;
    replace_ratings({.head = {expected.post, 0, new_version}, .sessions = sessions});
    counts_.push_back({.name = expected.post, .likes = 0, .version = new_version, .is_recounted = true});
    recount();
    write_heads();
    return true;
  }

 private:
  struct Post {
    std::uint64_t version = 0;  // of the ledger
    std::vector<const LikeChanged*> events = {};
    News news = {};
    bool is_refused = false;  // some of it is parked
  };
  struct Count {
    std::string_view name;
    std::int64_t likes = 0;
    std::uint64_t version = 0;
    bool is_recounted = false;
  };

  // Locks the posts of the map, and reads their versions.
  void lock_posts() {
    std::vector<std::string_view> names;
    for (const auto& [name, post] : posts_) names.push_back(name);
    auto rows = lock_heads(connection_, std::move(names));
    while (rows.next()) posts_.find(rows.text(0))->second.version = static_cast<std::uint64_t>(rows.integer(2));
  }

  void write_copies(const std::vector<LedgerMembers>& copies) {
    for (const auto& copy : copies) {
      Post& post = posts_.find(copy.head.post)->second;
      if (copy.head.version <= post.version) continue;
      post.version = copy.head.version;
      auto write = [&](std::span<const LedgerMembers> one) { replace_ratings(one.front()); };
      auto refused = [&](const LedgerMembers& one, const Failure& failure) {
        post.is_refused = true;
        log::error("ledger", "SQL refuses the ratings of a post; they stay as they are",
                   {{"post", one.head.post}, {"reason", failure.what()}});
      };
      applied_.parked += write_acceptable(connection_, std::span(&copy, 1), write, refused);
      if (!post.is_refused) applied_.rows += copy.sessions.size();
      counts_.push_back({.name = copy.head.post, .likes = 0, .version = copy.head.version, .is_recounted = true});
    }
  }

  // Rows that stay keep their time; new ones get that of the version.
  void replace_ratings(const LedgerMembers& copy) {
    auto sessions = copy.sessions;
    std::ranges::sort(sessions);
    auto at = UtcMicros(std::chrono::microseconds(copy.head.version));
    connection_.run(statements_.remove_others, copy.head.post, sessions);
    connection_.run(statements_.add_missing, copy.head.post, sessions, at);
  }

  void collect_news(Post& post) {
    post.news = news_since(post.version, post.events);
    for (const auto* event : post.events) {
      if (event->version > post.version) rows_.push_back(event);
    }
  }

  bool has_reported_gaps() {
    for (const auto& [name, post] : posts_) {
      if (post.news.has_gap) applied_.gap_posts.emplace_back(name);
    }
    return !applied_.gap_posts.empty();
  }

  void write_ratings() {
    auto key = [](const LikeChanged* event) { return std::tie(event->post, event->session); };
    std::ranges::sort(rows_, [&](const LikeChanged* a, const LikeChanged* b) {
      return std::tie(a->post, a->session, a->version) < std::tie(b->post, b->session, b->version);
    });
    // Of a session that went to and fro only the last state is written.
    std::vector<const LikeChanged*> likes;
    std::vector<const LikeChanged*> unlikes;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (i + 1 < rows_.size() && key(rows_[i]) == key(rows_[i + 1])) continue;
      (rows_[i]->is_liked ? likes : unlikes).push_back(rows_[i]);
    }
    auto refused = [this](const LikeChanged* event, const Failure& failure) { park(*event, failure); };
    auto write = [this](std::span<const LikeChanged* const> events) { write_rows(events); };
    std::size_t parked = write_acceptable(connection_, std::span<const LikeChanged* const>(likes), write, refused) +
                         write_acceptable(connection_, std::span<const LikeChanged* const>(unlikes), write, refused);
    applied_.parked += parked;
    applied_.rows += likes.size() + unlikes.size() - parked;
  }

  // REQUIRES: all of them likes, or all unlikes.
  void write_rows(std::span<const LikeChanged* const> events) {
    std::vector<std::string_view> posts;
    std::vector<std::string_view> sessions;
    std::vector<UtcMicros> times;
    for (const auto* event : events) {
      posts.push_back(event->post);
      sessions.push_back(event->session);
      times.push_back(event->at);
    }
    if (events.front()->is_liked) {
      connection_.run(statements_.add_ratings, posts, sessions, times);
    } else {
      connection_.run(statements_.remove_ratings, posts, sessions);
    }
  }

  void park(const LikeChanged& event, const Failure& failure) {
    posts_.find(event.post)->second.is_refused = true;
    connection_.run(kPark, partition_, event.post, event.session, event.version, event.is_liked, event.at, failure.what());
    log::error("ledger", "SQL refuses a change; it is parked in outbox_parked",
               {{"post", event.post}, {"session", event.session}, {"liked", event.is_liked}, {"reason", failure.what()}});
  }

  void write_counts() {
    for (const auto& [name, post] : posts_) {
      if (post.news.newest == nullptr) continue;
      counts_.push_back({.name = name,
                         .likes = post.news.newest->likes,
                         .version = post.news.newest->version,
                         .is_recounted = post.news.has_gap || post.is_refused});
      if (post.news.has_gap) ++applied_.gaps;
    }
    recount();
    write_heads();
  }

  // Of a post with a copy and later events only the last count stays.
  void keep_newest_counts() {
    std::ranges::sort(counts_, [](const Count& a, const Count& b) { return std::tie(a.name, b.version) < std::tie(b.name, a.version); });
    auto repeated = std::ranges::unique(counts_, {}, &Count::name);
    counts_.erase(repeated.begin(), repeated.end());
  }

  void recount() {
    keep_newest_counts();
    boost::unordered_flat_map<std::string_view, Count*, TextHash, std::equal_to<>> wanted;
    std::vector<std::string_view> names;
    for (auto& count : counts_) {
      if (!count.is_recounted) continue;
      wanted.emplace(count.name, &count);
      names.push_back(count.name);
    }
    if (names.empty()) return;
    auto rows = connection_.query(statements_.count_ratings, names);
    while (rows.next()) wanted.find(rows.text(0))->second->likes = rows.integer(1);
  }

  // The rows of post_counts are locked; posts come after them.
  void write_heads() {
    applied_.posts = counts_.size();
    if (counts_.empty()) return;
    update(kSetCounts, counts_);
    if (statements_.set_likes.empty()) return;
    write_acceptable(
        connection_, std::span<const Count>(counts_), [this](std::span<const Count> some) { update(statements_.set_likes, some); },
        [](const Count& count, const Failure& failure) {
          log::error("ledger", "SQL refuses the count of a post; the table of posts keeps the old one",
                     {{"post", count.name}, {"likes", count.likes}, {"reason", failure.what()}});
        });
  }

  void update(std::string_view statement, std::span<const Count> counts) {
    std::vector<std::string_view> names;
    std::vector<std::int64_t> likes;
    std::vector<std::int64_t> versions;
    for (const auto& count : counts) {
      names.push_back(count.name);
      likes.push_back(count.likes);
      versions.push_back(static_cast<std::int64_t>(count.version));
    }
    connection_.run(statement, names, likes, versions);
  }

  Connection& connection_;
  const Statements& statements_;
  outbox::Partition partition_ = 0;
  boost::unordered_flat_map<std::string_view, Post, TextHash, std::equal_to<>> posts_;
  std::vector<const LikeChanged*> rows_;
  std::vector<Count> counts_;
  AppliedBatch applied_;
};

PostgresLikeLedger::PostgresLikeLedger(postgres::Database& database, std::unique_ptr<const Statements> statements)
    : database_(database), statements_(std::move(statements)) {}

PostgresLikeLedger::~PostgresLikeLedger() = default;

Result<std::unique_ptr<PostgresLikeLedger>> PostgresLikeLedger::open(postgres::Database& database, const LedgerNames& names) {
  auto tables = database.read_blocking([&](Connection& connection) { return find_adopted_tables(connection, names); });
  if (!tables) return std::unexpected(tables.error());
  return std::unique_ptr<PostgresLikeLedger>(new PostgresLikeLedger(database, std::make_unique<Statements>(*tables)));
}

Result<AppliedBatch> PostgresLikeLedger::apply(const LedgerBatch& batch) {
  AppliedBatch applied;
  auto written = database_.write_blocking([&](Connection& connection) -> Result<void> {
    applied = {};
    auto done = Writer(connection, *statements_).write(batch);
    if (!done) return std::unexpected(done.error());
    applied = *std::move(done);
    if (!applied.gap_posts.empty()) return fail(ErrorCode::kConflict, "copies are needed");  // takes back what was written
    return {};
  });
  if (!written && applied.gap_posts.empty()) return std::unexpected(written.error());
  return applied;
}

Result<LedgerCursor> PostgresLikeLedger::cursor(outbox::Partition partition) {
  return database_.read_blocking(
      [&](Connection& connection) -> Result<LedgerCursor> { return cursor_of(read_cursors(connection), partition); });
}

Task<Result<Cursors>> PostgresLikeLedger::cursors() {
  return database_.read([](Connection& connection) -> Result<Cursors> { return read_cursors(connection); });
}

Result<void> PostgresLikeLedger::reset_cursor(outbox::Partition partition, const outbox::Lease& lease) {
  return database_.write_blocking([&](Connection& connection) -> Result<void> {
    auto position = lock_cursor(connection, partition, lease);
    if (!position) return std::unexpected(position.error());
    write_cursor(connection, partition, {}, /*is_leased=*/true);
    return {};
  });
}

Result<std::uint64_t> PostgresLikeLedger::post_count() {
  return database_.read_blocking([](Connection& connection) -> Result<std::uint64_t> {
    return static_cast<std::uint64_t>(connection.query(kCountPosts).first().integer(0));
  });
}

Result<std::vector<LedgerPost>> PostgresLikeLedger::heads_blocking(const std::vector<std::string>& posts) {
  return database_.read_blocking([&](Connection& connection) -> Result<std::vector<LedgerPost>> { return read_heads(connection, posts); });
}

Result<std::vector<LedgerPost>> PostgresLikeLedger::heads_after(const std::string& after, std::size_t limit) {
  return database_.read_blocking([&](Connection& connection) -> Result<std::vector<LedgerPost>> {
    std::vector<LedgerPost> heads;
    auto rows = connection.query(kHeadsAfter, after, limit);
    while (rows.next()) heads.push_back(read_head(rows));
    return heads;
  });
}

Task<Result<std::vector<LedgerPost>>> PostgresLikeLedger::heads(std::vector<std::string> posts) {
  return database_.read(
      [posts = std::move(posts)](Connection& connection) -> Result<std::vector<LedgerPost>> { return read_heads(connection, posts); });
}

Task<Result<LedgerMembers>> PostgresLikeLedger::members(std::string post) {
  return database_.read([this, post = std::move(post)](Connection& connection) -> Result<LedgerMembers> {
    LedgerMembers members{.head = read_heads(connection, {post}).front(), .sessions = {}};
    auto rows = connection.query(statements_->members, post);
    members.sessions.reserve(static_cast<std::size_t>(rows.size()));
    while (rows.next()) members.sessions.push_back(rows.string(0));
    return members;
  });
}

Task<Result<std::vector<LikedPost>>> PostgresLikeLedger::likes_of(std::string session, std::size_t limit, ReadTail read_tail) {
  return database_.read([this, session = std::move(session), limit,
                         read_tail = std::move(read_tail)](Connection& connection) -> Result<std::vector<LikedPost>> {
    auto tail = read_tail();  // the first query below takes the snapshot
    if (!tail) return std::unexpected(tail.error());
    auto cursors = read_cursors(connection);
    drop_applied(*tail, cursors);
    std::vector<LikedPost> likes;
    auto rows = connection.query(statements_->likes_of, session, limit + tail->size());
    while (rows.next()) likes.push_back({rows.string(0), rows.time(1)});
    apply_tail(likes, *std::move(tail), limit);
    return likes;
  });
}

Task<Result<std::vector<AuditedPost>>> PostgresLikeLedger::audit(std::string after, std::size_t limit) {
  return database_.read([this, after = std::move(after), limit](Connection& connection) -> Result<std::vector<AuditedPost>> {
    std::vector<AuditedPost> posts;
    auto rows = connection.query(statements_->audit, after, limit);
    while (rows.next()) posts.push_back({read_head(rows), static_cast<std::uint32_t>(rows.integer(3))});
    return posts;
  });
}

Task<Result<bool>> PostgresLikeLedger::repair(LedgerPost expected, std::vector<std::string> sessions, std::uint64_t new_version) {
  return database_.write(
      [this, expected = std::move(expected), sessions = std::move(sessions), new_version](Connection& connection) -> Result<bool> {
        return Writer(connection, *statements_).repair(expected, sessions, new_version);
      });
}

}  // namespace hearth::likes
