#include "hearth/likes/ledgers/sqlite_like_inbox.h"

#include <algorithm>
#include <utility>

#include "hearth/likes/inbox_changes.h"
#include "hearth/likes/ledgers/outbox_tail.h"
#include "hearth/likes/ledgers/sqlite_rows.h"

namespace hearth::likes {
namespace {

using sqlite::Blob;
using sqlite::Connection;

// An operation counts until the ledger's version, the last parameter here, has caught up with it.
constexpr char kNewest[] =
    "SELECT likes, version FROM like_inbox WHERE post_id = ?1 AND (NOT is_drained OR version > ?2) ORDER BY id DESC LIMIT 1";
constexpr char kCounting[] = "SELECT session_id, is_liked FROM like_inbox WHERE post_id = ?1 AND (NOT is_drained OR version > ?2)";
constexpr char kIsLikedByInbox[] =
    "SELECT is_liked FROM like_inbox WHERE session_id = ?1 AND post_id = ?2 AND (NOT is_drained OR version > ?3)";
constexpr char kIsLikedByRatings[] = "SELECT 1 FROM ratings WHERE post = ?1 AND session = ?2";
constexpr char kOperationsOf[] =
    "SELECT o.post_id, o.is_liked, o.at FROM like_inbox o LEFT JOIN post_counts c ON c.post_id = o.post_id "
    "WHERE o.session_id = ?1 AND (NOT o.is_drained OR o.version > coalesce(c.version, 0)) ORDER BY o.id";

constexpr char kIsOpen[] = "SELECT is_fallback AND NOT is_closing FROM live_control";
constexpr char kAppend[] =
    "INSERT OR REPLACE INTO like_inbox (post_id, session_id, is_liked, at, likes, version) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
constexpr char kOperations[] = "SELECT id, post_id, session_id, is_liked, at FROM like_inbox WHERE NOT is_drained ORDER BY id LIMIT ?1";
constexpr char kMarkDrained[] = "UPDATE like_inbox SET is_drained = 1 WHERE id = ?1";
constexpr char kDropCaughtUp[] =
    "DELETE FROM like_inbox WHERE is_drained AND version <= (SELECT version FROM post_counts WHERE post_counts.post_id = "
    "like_inbox.post_id)";

constexpr char kFindKey[] = "SELECT request, is_liked, likes, version, changed FROM inbox_keys WHERE scope = ?1 AND created_at > ?2";
constexpr char kAnswerKey[] =
    "INSERT OR REPLACE INTO inbox_keys (scope, request, created_at, post_id, is_liked, likes, version, changed) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
constexpr char kPruneKeys[] = "DELETE FROM inbox_keys WHERE created_at <= ?1";
constexpr char kAnsweredKeys[] =
    "SELECT scope, request, created_at, post_id, is_liked, likes, version, changed FROM inbox_keys WHERE created_at > ?1";

std::int64_t micros(UtcMicros time) {
  return time.time_since_epoch().count();
}

UtcMicros time_of(std::int64_t micros_since_1970) {
  return UtcMicros(std::chrono::microseconds(micros_since_1970));
}

LikeOutcome read_outcome(const sqlite::Statement& row, int first) {
  return {.is_liked = row.boolean(first),
          .likes = static_cast<std::uint32_t>(row.integer(first + 1)),
          .version = static_cast<std::uint64_t>(row.integer(first + 2)),
          .changed = row.boolean(first + 3)};
}

// Ledger and inbox together.
struct KnownPost {
  FoundPost ledger;
  InboxChanges::Post now;
};

bool is_rated(Connection& connection, const FoundPost& ledger, std::string_view session) {
  return StoredSession(session).with([&](const auto& stored) {
    auto& rating = connection.statement(kIsLikedByRatings).query(ledger.id, stored);
    bool rated = rating.next();
    rating.reset();
    return rated;
  });
}

// The ledger's likes with what the operations make of them.
std::uint32_t count_likes(Connection& connection, const FoundPost& ledger, std::string_view post) {
  std::uint32_t likes = ledger.likes;
  auto& operation = connection.statement(kCounting).query(post, ledger.version);
  while (operation.next()) {
    bool was_liked = is_rated(connection, ledger, operation.text(0));
    if (operation.boolean(1) && !was_liked) ++likes;
    if (!operation.boolean(1) && was_liked) --likes;
  }
  return likes;
}

KnownPost read_post(Connection& connection, std::string_view post) {
  auto ledger = find_post(connection, post);
  KnownPost known{.ledger = ledger, .now = {ledger.likes, ledger.version}};
  auto& newest = connection.statement(kNewest).query(post, ledger.version);
  bool has_operation = newest.next();
  InboxChanges::Post after;
  if (has_operation) after = {static_cast<std::uint32_t>(newest.integer(0)), static_cast<std::uint64_t>(newest.integer(1))};
  newest.reset();
  if (!has_operation) return known;
  if (after.version >= ledger.version) {
    known.now = after;
  } else {  // the ledger got changes that the live store had made before
    known.now.likes = count_likes(connection, ledger, post);
  }
  return known;
}

bool is_liked(Connection& connection, const FoundPost& ledger, std::string_view post, std::string_view session) {
  auto& operation = connection.statement(kIsLikedByInbox).query(session, post, ledger.version);
  bool has_operation = operation.next();
  bool liked = has_operation && operation.boolean(0);
  operation.reset();
  return has_operation ? liked : is_rated(connection, ledger, session);
}

void read_answer(Connection& connection, const IdempotencyKey& key, UtcMicros now, InboxChanges& made) {
  auto& row = connection.statement(kFindKey).query(Blob{key.scope}, micros(now - kIdempotencyKept));
  if (row.next()) made.answers.emplace(key.scope, InboxChanges::KeptAnswer{std::string(row.blob(0)), read_outcome(row, 1)});
  row.reset();
}

bool is_open(Connection& connection) {
  auto& row = connection.statement(kIsOpen).query();
  row.next();
  bool open = row.boolean(0);
  row.reset();
  return open;
}

void write(Connection& connection, const InboxChanges& made) {
  for (const auto& [post, session, liked, at, after] : made.operations) {
    connection.statement(kAppend).run(post, session, liked, micros(at), after.likes, after.version);
  }
  for (const auto& [post, key, outcome, at] : made.answered) {
    connection.statement(kAnswerKey)
        .run(Blob{key.scope}, Blob{key.request}, micros(at), post.view(), outcome.is_liked, outcome.likes, outcome.version,
             outcome.changed);
  }
}

Result<InboxChanges> make_changes(Connection& connection, const std::vector<LikeChange>& changes, UtcMicros now) {
  if (!is_open(connection)) return fail(ErrorCode::kConflict, "the live store is about to serve again, or does already");
  InboxChanges made;
  connection.statement(kPruneKeys).run(micros(now - kIdempotencyKept));
  for (const auto& change : changes) {
    if (change.idempotency) read_answer(connection, *change.idempotency, now, made);
    auto known = read_post(connection, change.post.view());
    made.posts.emplace(change.post.str(), known.now);
    if (is_liked(connection, known.ledger, change.post.view(), change.session.view()))
      made.liked.emplace(change.post.str(), change.session.str());
  }
  made.make(changes, now);
  write(connection, made);
  return made;
}

}  // namespace

Task<std::vector<Result<LikeOutcome>>> SqliteLikeInbox::change_all(std::vector<LikeChange> changes) {
  auto count = changes.size();
  auto made = co_await database_.write([changes = std::move(changes), now = clock_.now()](Connection& connection) -> Result<InboxChanges> {
    return make_changes(connection, changes, now);
  });
  if (!made) co_return std::vector<Result<LikeOutcome>>(count, std::unexpected(made.error()));
  co_return std::move(made->outcomes);
}

Task<Result<LikeOutcome>> SqliteLikeInbox::change(LikeChange change) {
  std::vector<LikeChange> changes;
  changes.push_back(std::move(change));
  auto outcomes = co_await change_all(std::move(changes));
  co_return std::move(outcomes.front());
}

Task<Result<std::vector<LikeView>>> SqliteLikeInbox::read(std::vector<PostId> posts, std::optional<SessionId> session) {
  return database_.read([posts = std::move(posts), session = std::move(session)](Connection& connection) -> Result<std::vector<LikeView>> {
    std::vector<LikeView> views;
    for (const auto& post : posts) {
      auto known = read_post(connection, post.view());
      bool liked = session && is_liked(connection, known.ledger, post.view(), session->view());
      views.push_back({.likes = known.now.likes, .version = known.now.version, .is_liked = liked});
    }
    return views;
  });
}

Task<Result<std::vector<LikedPost>>> SqliteLikeInbox::likes_of(std::string session, std::size_t limit) {
  return database_.read([session = std::move(session), limit](Connection& connection) -> Result<std::vector<LikedPost>> {
    std::vector<TailEvent> tail;
    auto& operations = connection.statement(kOperationsOf).query(session);
    while (operations.next())
      tail.push_back(
          {.position = {}, .post = operations.string(0), .is_liked = operations.boolean(1), .at = time_of(operations.integer(2))});
    std::vector<LikedPost> likes;
    StoredSession(session).with([&](const auto& stored) {
      auto& rows = connection.statement(kLikesOf).query(stored, limit + tail.size());
      while (rows.next()) likes.push_back({rows.string(0), time_of(rows.integer(1))});
    });
    apply_tail(likes, std::move(tail), limit);
    return likes;
  });
}

Result<std::vector<InboxOperation>> SqliteLikeInbox::operations(std::size_t limit) {
  return database_.read_blocking([&](Connection& connection) -> Result<std::vector<InboxOperation>> {
    std::vector<InboxOperation> operations;
    auto& rows = connection.statement(kOperations).query(limit);
    while (rows.next()) {
      operations.push_back({.id = static_cast<std::uint64_t>(rows.integer(0)),
                            .post = rows.string(1),
                            .session = rows.string(2),
                            .is_liked = rows.boolean(3),
                            .at = time_of(rows.integer(4)),
                            .origin = InboxOrigin::kFallback});
    }
    return operations;
  });
}

Result<void> SqliteLikeInbox::remove(const std::vector<std::uint64_t>& ids) {
  return database_.write_blocking([&](Connection& connection) -> Result<void> {
    for (auto id : ids) connection.statement(kMarkDrained).run(id);
    connection.statement(kDropCaughtUp).run();
    return {};
  });
}

Result<std::vector<AnsweredKey>> SqliteLikeInbox::answered_keys() {
  return database_.read_blocking([&](Connection& connection) -> Result<std::vector<AnsweredKey>> {
    std::vector<AnsweredKey> answered;
    auto& rows = connection.statement(kAnsweredKeys).query(micros(clock_.now() - kIdempotencyKept));
    while (rows.next()) {
      answered.push_back({.post = PostId::trusted(rows.string(3)),
                          .key = {std::string(rows.blob(0)), std::string(rows.blob(1))},
                          .outcome = read_outcome(rows, 4),
                          .at = time_of(rows.integer(2))});
    }
    return answered;
  });
}

}  // namespace hearth::likes
