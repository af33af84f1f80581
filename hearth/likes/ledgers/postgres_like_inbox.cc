#include "hearth/likes/ledgers/postgres_like_inbox.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "hearth/base/log.h"
#include "hearth/likes/inbox_changes.h"
#include "hearth/likes/ledgers/adopted_tables.h"
#include "hearth/likes/ledgers/outbox_tail.h"
#include "hearth/likes/ledgers/postgres_heads.h"

namespace hearth::likes {
namespace {

using postgres::Bytes;
using postgres::Connection;
using postgres::Failure;

// An operation `o` of a post with the head `c` counts until the ledger has caught up with it.
constexpr std::string_view kCounts = "(NOT o.is_drained OR o.version > coalesce(c.version, 0))";

// Shared with other changes. Who wants to change the mode is next; see PostgresLiveControl.
constexpr char kShareMode[] = "LOCK TABLE live_control IN SHARE MODE";
constexpr std::string_view kMode = "SELECT is_fallback AND NOT is_closing, clock_timestamp() FROM live_control";

// Waits for others that use the key, and then sees what they left. A key that is too old is as good as new.
constexpr std::string_view kClaimKeys =
    "INSERT INTO inbox_keys AS kept (scope, request, created_at) SELECT scope, request, clock_timestamp() "
    "FROM unnest($1, $2) AS wanted (scope, request) ORDER BY scope ON CONFLICT (scope) DO UPDATE SET "
    "request = CASE WHEN kept.created_at <= now() - $3 * interval '1 second' THEN excluded.request ELSE kept.request END, "
    "likes = CASE WHEN kept.created_at <= now() - $3 * interval '1 second' THEN NULL ELSE kept.likes END, "
    "created_at = CASE WHEN kept.created_at <= now() - $3 * interval '1 second' THEN excluded.created_at ELSE kept.created_at END "
    "RETURNING scope, request, is_liked, likes, version, changed";
constexpr std::string_view kAnswerKeys =
    "UPDATE inbox_keys SET post_id = made.post, is_liked = made.is_liked, likes = made.likes, version = made.version, "
    "changed = made.changed FROM unnest($1, $2, $3, $4, $5, $6) AS made (scope, post, is_liked, likes, version, changed) "
    "WHERE inbox_keys.scope = made.scope";
constexpr std::string_view kDropClaims = "DELETE FROM inbox_keys WHERE scope = ANY($1) AND likes IS NULL";
// A key that another transaction holds is left to it: nobody waits.
constexpr std::string_view kPruneKeys =
    "DELETE FROM inbox_keys WHERE scope IN (SELECT scope FROM inbox_keys WHERE created_at <= now() - $1 * interval '1 second' "
    "ORDER BY created_at LIMIT 1000 FOR UPDATE SKIP LOCKED)";
constexpr std::string_view kAnsweredKeys =
    "SELECT scope, request, created_at, post_id, is_liked, likes, version, changed FROM inbox_keys "
    "WHERE likes IS NOT NULL AND created_at > now() - $1 * interval '1 second'";

// Only drained ones: a node may have read one that waits, and must not bring it after a newer one that another node drains.
constexpr std::string_view kDropOlder =
    "DELETE FROM like_inbox AS o USING unnest($1, $2) AS made (post, session) "
    "WHERE o.post_id = made.post AND o.session_id = made.session AND NOT o.is_foreign AND o.is_drained";
constexpr std::string_view kAppend =
    "INSERT INTO like_inbox (post_id, session_id, is_liked, at, is_foreign, likes, version) "
    "SELECT post, session, is_liked, at, false, likes, version FROM unnest($1, $2, $3, $4, $5, $6) WITH ORDINALITY "
    "AS made (post, session, is_liked, at, likes, version, place) ORDER BY place";

constexpr std::string_view kOperations =
    "SELECT id, post_id, session_id, is_liked, at, is_foreign FROM like_inbox WHERE NOT is_drained ORDER BY id LIMIT $1";
constexpr std::string_view kDropForeign = "DELETE FROM like_inbox WHERE id = ANY($1) AND is_foreign";
constexpr std::string_view kMarkDrained = "UPDATE like_inbox SET is_drained = true WHERE id = ANY($1)";
constexpr std::string_view kDropCaughtUp =
    "DELETE FROM like_inbox AS o USING post_counts AS c WHERE o.is_drained AND c.post_id = o.post_id AND c.version >= o.version";

// Both leave Hearth's own writers alone, who set hearth.flush.
struct FollowingTrigger {
  std::string_view name;
  std::string_view function;
};
constexpr FollowingTrigger kTriggers[] = {{"hearth_note_rating", "note_rating"},             // into the inbox
                                          {"hearth_queue_like_sync", "queue_rated_posts"}};  // a job for each post
constexpr std::string_view kHasTrigger =
    "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass($1) AND tgname = $2 AND NOT tgisinternal)";
constexpr std::string_view kQuotedFunction = "SELECT quote_ident(current_schema()) || '.' || $1, quote_literal($2), quote_literal($3)";

// The tables as sync_post_like_count() needs to know them.
constexpr std::string_view kNameTables =
    "INSERT INTO ledger_tables AS kept (ratings, ratings_post, posts, posts_id, posts_likes) "
    "SELECT (SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace "
    "WHERE pg_class.oid = to_regclass($1)), $2, (SELECT format('%I.%I', nspname, relname) FROM pg_class "
    "JOIN pg_namespace AS n ON n.oid = relnamespace WHERE pg_class.oid = to_regclass($3)), $4, $5 "
    "ON CONFLICT (only_row) DO UPDATE SET ratings = excluded.ratings, ratings_post = excluded.ratings_post, posts = excluded.posts, "
    "posts_id = excluded.posts_id, posts_likes = excluded.posts_likes "
    "WHERE (kept.ratings, kept.ratings_post, kept.posts, kept.posts_id, kept.posts_likes) IS DISTINCT FROM "
    "(excluded.ratings, excluded.ratings_post, excluded.posts, excluded.posts_id, excluded.posts_likes)";

constexpr auto kKeptSeconds = std::chrono::duration_cast<std::chrono::seconds>(kIdempotencyKept).count();

std::vector<std::string> distinct_posts(const std::vector<LikeChange>& changes) {
  std::set<std::string> posts;
  for (const auto& change : changes) posts.insert(change.post.str());
  return {posts.begin(), posts.end()};
}

// Takes the keys of the changes and fills in the answers that they have. Returns those that have none yet.
std::vector<std::string> claim_keys(Connection& connection, const std::vector<LikeChange>& changes, InboxChanges& made) {
  std::map<std::string, std::string> wanted;
  for (const auto& change : changes) {
    if (change.idempotency) wanted.emplace(change.idempotency->scope, change.idempotency->request);
  }
  if (wanted.empty()) return {};
  connection.run(kPruneKeys, kKeptSeconds);
  std::vector<Bytes> scopes;
  std::vector<Bytes> requests;
  for (const auto& [scope, request] : wanted) {
    scopes.push_back({scope});
    requests.push_back({request});
  }
  std::vector<std::string> claimed;
  auto rows = connection.query(kClaimKeys, scopes, requests, kKeptSeconds);
  while (rows.next()) {
    if (rows.is_null(3)) {
      claimed.push_back(rows.string(0));
      continue;
    }
    LikeOutcome outcome{.is_liked = rows.boolean(2),
                        .likes = static_cast<std::uint32_t>(rows.integer(3)),
                        .version = static_cast<std::uint64_t>(rows.integer(4)),
                        .changed = rows.boolean(5)};
    made.answers.emplace(rows.string(0), InboxChanges::KeptAnswer{rows.string(1), outcome});
  }
  return claimed;
}

void write_answers(Connection& connection, const std::vector<AnsweredKey>& answered, const std::vector<std::string>& claimed) {
  if (claimed.empty()) return;
  std::vector<Bytes> scopes;
  std::vector<std::string_view> posts;
  std::vector<std::uint8_t> liked;
  std::vector<std::int64_t> likes;
  std::vector<std::int64_t> versions;
  std::vector<std::uint8_t> changed;
  for (const auto& [post, key, outcome, at] : answered) {
    scopes.push_back({key.scope});
    posts.push_back(post.view());
    liked.push_back(outcome.is_liked);
    likes.push_back(outcome.likes);
    versions.push_back(static_cast<std::int64_t>(outcome.version));
    changed.push_back(outcome.changed);
  }
  connection.run(kAnswerKeys, scopes, posts, liked, likes, versions, changed);
  std::vector<Bytes> all;
  for (const auto& scope : claimed) all.push_back({scope});
  connection.run(kDropClaims, all);
}

void append(Connection& connection, const std::vector<InboxChanges::Operation>& operations) {
  std::vector<std::string_view> posts;
  std::vector<std::string_view> sessions;
  std::vector<std::uint8_t> liked;
  std::vector<UtcMicros> times;
  std::vector<std::int64_t> likes;
  std::vector<std::int64_t> versions;
  for (const auto& operation : operations) {
    posts.push_back(operation.post);
    sessions.push_back(operation.session);
    liked.push_back(operation.is_liked);
    times.push_back(operation.at);
    likes.push_back(operation.after.likes);
    versions.push_back(static_cast<std::int64_t>(operation.after.version));
  }
  connection.run(kDropOlder, posts, sessions);
  connection.run(kAppend, posts, sessions, liked, times, likes, versions);
}

// Makes the triggers that are not there.
void follow_ratings(Connection& connection, const RatingsTable& table, const LedgerNames& names) {
  for (const auto& [trigger, function] : kTriggers) {
    if (connection.query(kHasTrigger, table.name, trigger).first().boolean(0)) continue;
    auto quoted = connection.query(kQuotedFunction, function, names.ratings_post_column, names.ratings_session_column);
    quoted.first();
    connection.execute(
        fmt::format("CREATE TRIGGER {} AFTER INSERT OR DELETE OR UPDATE OF {}, {} ON {} FOR EACH ROW "
                    "WHEN (current_setting('hearth.flush', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION {}({}, {})",
                    trigger, table.post.name, table.session.name, table.name, quoted.text(0), quoted.text(1), quoted.text(2)));
  }
}

void name_tables(Connection& connection, const AdoptedTables& tables, const LedgerNames& names) {
  std::optional<std::string_view> posts;
  if (tables.posts) posts = tables.posts->name;
  connection.run(kNameTables, tables.ratings.name, names.ratings_post_column, posts, names.posts_id_column, names.posts_likes_column);
}

}  // namespace

struct PostgresLikeInbox::Statements {
  explicit Statements(const RatingsTable& ratings);

  std::string posts;          // of $1: likes and version by the ledger; the newest operation's likes, version and whether it is foreign
  std::string count;          // likes of the post $1 by ratings and operations, and the highest version of these
  std::string are_liked;      // of the pairs of $1 and $2
  std::string likes_of;       // of the session $1, by the ratings
  std::string operations_of;  // of the session $1
};

PostgresLikeInbox::Statements::Statements(const RatingsTable& ratings) {
  posts = fmt::format(
      "SELECT wanted.post, c.likes, c.version, newest.likes, newest.version, newest.is_foreign FROM unnest($1) AS wanted (post) "
      "LEFT JOIN post_counts AS c ON c.post_id = wanted.post LEFT JOIN LATERAL (SELECT o.likes, o.version, o.is_foreign "
      "FROM like_inbox AS o WHERE o.post_id = wanted.post AND {} ORDER BY o.id DESC LIMIT 1) AS newest ON true",
      kCounts);
  count = fmt::format(
      "WITH newest AS (SELECT DISTINCT ON (o.session_id) o.session_id, o.is_liked FROM like_inbox AS o "
      "LEFT JOIN post_counts AS c ON c.post_id = o.post_id WHERE o.post_id = $1 AND {0} ORDER BY o.session_id, o.id DESC) "
      "SELECT (SELECT count(*) FROM newest WHERE is_liked) + (SELECT count(*) FROM {1} AS r WHERE r.{2} = {3} "
      "AND NOT EXISTS (SELECT FROM newest WHERE newest.session_id = r.{4}::text)), "
      "(SELECT max(o.version) FROM like_inbox AS o LEFT JOIN post_counts AS c ON c.post_id = o.post_id WHERE o.post_id = $1 AND {0})",
      kCounts, ratings.name, ratings.post.name, ratings.post.from("$1::text"), ratings.session.name);
  are_liked = fmt::format(
      "SELECT wanted.post, wanted.session, coalesce((SELECT o.is_liked FROM like_inbox AS o WHERE o.post_id = wanted.post "
      "AND o.session_id = wanted.session AND {0} ORDER BY o.id DESC LIMIT 1), "
      "EXISTS (SELECT FROM {1} AS r WHERE r.{2} = {3} AND r.{4} = {5})) "
      "FROM unnest($1, $2) AS wanted (post, session) LEFT JOIN post_counts AS c ON c.post_id = wanted.post",
      kCounts, ratings.name, ratings.post.name, ratings.post.from("wanted.post"), ratings.session.name,
      ratings.session.from("wanted.session"));
  likes_of =
      fmt::format("SELECT {0}::text, {1} FROM {2} WHERE {3} = {4} ORDER BY {5} DESC LIMIT $2", ratings.post.name,
                  ratings.time_to(ratings.created), ratings.name, ratings.session.name, ratings.session.from("$1::text"), ratings.created);
  operations_of = fmt::format(
      "SELECT o.post_id, o.is_liked, o.at FROM like_inbox AS o LEFT JOIN post_counts AS c ON c.post_id = o.post_id "
      "WHERE o.session_id = $1 AND {} ORDER BY o.id",
      kCounts);
}

// Ledger and inbox together.
class PostgresLikeInbox::Reader {
 public:
  Reader(Connection& connection, const Statements& statements) : connection_(connection), statements_(statements) {}

  std::map<std::string, InboxChanges::Post, std::less<>> posts(const std::vector<std::string>& names) {
    std::map<std::string, InboxChanges::Post, std::less<>> found;
    auto rows = connection_.query(statements_.posts, names);
    while (rows.next()) {
      InboxChanges::Post post{static_cast<std::uint32_t>(rows.integer(1)), static_cast<std::uint64_t>(rows.integer(2))};
      bool has_operation = !rows.is_null(5);
      auto version = static_cast<std::uint64_t>(rows.integer(4));
      if (has_operation && !rows.boolean(5) && version >= post.version) {
        post = {static_cast<std::uint32_t>(rows.integer(3)), version};
      } else if (has_operation) {
        auto counted = connection_.query(statements_.count, rows.text(0));
        post.likes = static_cast<std::uint32_t>(counted.first().integer(0));
        post.version = std::max(post.version, static_cast<std::uint64_t>(counted.integer(1)));
      }
      found.emplace(rows.string(0), post);
    }
    return found;
  }

  std::set<std::pair<std::string, std::string>> liked(const std::vector<std::string_view>& posts,
                                                      const std::vector<std::string_view>& sessions) {
    std::set<std::pair<std::string, std::string>> found;
    auto rows = connection_.query(statements_.are_liked, posts, sessions);
    while (rows.next()) {
      if (rows.boolean(2)) found.emplace(rows.string(0), rows.string(1));
    }
    return found;
  }

  std::vector<LikedPost> likes_of(const std::string& session, std::size_t limit) {
    std::vector<TailEvent> tail;
    auto operations = connection_.query(statements_.operations_of, session);
    while (operations.next())
      tail.push_back({.position = {}, .post = operations.string(0), .is_liked = operations.boolean(1), .at = operations.time(2)});
    std::vector<LikedPost> likes;
    auto rows = connection_.query(statements_.likes_of, session, limit + tail.size());
    while (rows.next()) likes.push_back({rows.string(0), rows.time(1)});
    apply_tail(likes, std::move(tail), limit);
    return likes;
  }

  Result<InboxChanges> change_all(const std::vector<LikeChange>& changes) {
    InboxChanges made;
    auto claimed = claim_keys(connection_, changes, made);
    connection_.execute(kShareMode);
    auto mode = connection_.query(kMode);
    if (!mode.first().boolean(0)) return fail(ErrorCode::kConflict, "the live store is about to serve again, or does already");
    auto names = distinct_posts(changes);
    lock_heads(connection_, {names.begin(), names.end()});
    made.posts = posts(names);
    std::vector<std::string_view> pair_posts;
    std::vector<std::string_view> pair_sessions;
    for (const auto& change : changes) {
      pair_posts.push_back(change.post.view());
      pair_sessions.push_back(change.session.view());
    }
    made.liked = liked(pair_posts, pair_sessions);
    made.make(changes, mode.time(1));
    if (!made.operations.empty()) append(connection_, made.operations);
    write_answers(connection_, made.answered, claimed);
    return made;
  }

 private:
  Connection& connection_;
  const Statements& statements_;
};

PostgresLikeInbox::PostgresLikeInbox(postgres::Database& database, std::unique_ptr<const Statements> statements)
    : database_(database), statements_(std::move(statements)) {}

PostgresLikeInbox::~PostgresLikeInbox() = default;

Result<std::unique_ptr<PostgresLikeInbox>> PostgresLikeInbox::open(postgres::Database& database, const LedgerNames& names) {
  auto tables = database.write_blocking([&](Connection& connection) -> Result<AdoptedTables> {
    auto found = find_adopted_tables(connection, names);
    if (!found) return found;
    name_tables(connection, *found, names);
    try {
      connection.savepoint([&] { follow_ratings(connection, found->ratings, names); });
    } catch (const Failure& failure) {
      if (!failure.is_of_class("42")) throw;
      log::warning("inbox", "no triggers can be put on the ratings: what other programs write there is seen by the reconciler only",
                   {{"table", names.ratings_table}, {"reason", failure.what()}});
    }
    return found;
  });
  if (!tables) return std::unexpected(tables.error());
  return std::unique_ptr<PostgresLikeInbox>(new PostgresLikeInbox(database, std::make_unique<Statements>(tables->ratings)));
}

Task<std::vector<Result<LikeOutcome>>> PostgresLikeInbox::change_all(std::vector<LikeChange> changes) {
  auto count = changes.size();
  if (count == 0) co_return std::vector<Result<LikeOutcome>>();
  auto made = co_await database_.write([this, changes = std::move(changes)](Connection& connection) -> Result<InboxChanges> {
    return Reader(connection, *statements_).change_all(changes);
  });
  if (!made) co_return std::vector<Result<LikeOutcome>>(count, std::unexpected(made.error()));
  co_return std::move(made->outcomes);
}

Task<Result<LikeOutcome>> PostgresLikeInbox::change(LikeChange change) {
  std::vector<LikeChange> changes;
  changes.push_back(std::move(change));
  auto outcomes = co_await change_all(std::move(changes));
  co_return std::move(outcomes.front());
}

Task<Result<std::vector<LikeView>>> PostgresLikeInbox::read(std::vector<PostId> posts, std::optional<SessionId> session) {
  return database_.read(
      [this, posts = std::move(posts), session = std::move(session)](Connection& connection) -> Result<std::vector<LikeView>> {
        Reader reader(connection, *statements_);
        std::vector<std::string> names;
        for (const auto& post : posts) names.push_back(post.str());
        auto known = reader.posts(names);
        std::set<std::pair<std::string, std::string>> liked;
        if (session) liked = reader.liked({names.begin(), names.end()}, std::vector<std::string_view>(names.size(), session->view()));
        std::vector<LikeView> views;
        for (const auto& name : names) {
          const auto& post = known.find(name)->second;
          views.push_back({.likes = post.likes, .version = post.version, .is_liked = session && liked.contains({name, session->str()})});
        }
        return views;
      });
}

Task<Result<std::vector<LikedPost>>> PostgresLikeInbox::likes_of(std::string session, std::size_t limit) {
  return database_.read([this, session = std::move(session), limit](Connection& connection) -> Result<std::vector<LikedPost>> {
    return Reader(connection, *statements_).likes_of(session, limit);
  });
}

Result<std::vector<InboxOperation>> PostgresLikeInbox::operations(std::size_t limit) {
  return database_.read_blocking([&](Connection& connection) -> Result<std::vector<InboxOperation>> {
    std::vector<InboxOperation> operations;
    auto rows = connection.query(kOperations, limit);
    while (rows.next()) {
      operations.push_back({.id = static_cast<std::uint64_t>(rows.integer(0)),
                            .post = rows.string(1),
                            .session = rows.string(2),
                            .is_liked = rows.boolean(3),
                            .at = rows.time(4),
                            .origin = rows.boolean(5) ? InboxOrigin::kForeign : InboxOrigin::kFallback});
    }
    return operations;
  });
}

Result<void> PostgresLikeInbox::remove(const std::vector<std::uint64_t>& ids) {
  return database_.write_blocking([&](Connection& connection) -> Result<void> {
    std::vector<std::int64_t> numbers(ids.begin(), ids.end());
    connection.run(kDropForeign, numbers);
    connection.run(kMarkDrained, numbers);
    connection.run(kDropCaughtUp);
    return {};
  });
}

Result<std::vector<AnsweredKey>> PostgresLikeInbox::answered_keys() {
  return database_.read_blocking([](Connection& connection) -> Result<std::vector<AnsweredKey>> {
    std::vector<AnsweredKey> answered;
    auto rows = connection.query(kAnsweredKeys, kKeptSeconds);
    while (rows.next()) {
      answered.push_back({.post = PostId::trusted(rows.string(3)),
                          .key = {rows.string(0), rows.string(1)},
                          .outcome = {.is_liked = rows.boolean(4),
                                      .likes = static_cast<std::uint32_t>(rows.integer(5)),
                                      .version = static_cast<std::uint64_t>(rows.integer(6)),
                                      .changed = rows.boolean(7)},
                          .at = rows.time(2)});
    }
    return answered;
  });
}

}  // namespace hearth::likes
