#include "hearth/app/adoption/stores/postgres_diagnosis.h"

#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <utility>

#include "hearth/likes/ledgers/adopted_tables.h"

namespace hearth::app::adoption {
namespace {

using likes::IdColumn;
using likes::PostsTable;
using likes::RatingsTable;
using postgres::Connection;

constexpr std::chrono::minutes kLookingMax{30};  // through all ratings
constexpr std::string_view kHasControl = "SELECT to_regclass('live_control') IS NOT NULL";
constexpr std::string_view kDeployment = "SELECT deployment_id, partitions, is_tagged FROM live_control WHERE deployment_id IS NOT NULL";
constexpr std::string_view kHasCounts = "SELECT to_regclass('post_counts') IS NOT NULL";

// What all posts are compared by, whatever the types of their columns.
std::string as_text(std::string_view column) {
  return fmt::format("{}::text COLLATE \"C\"", column);
}

void find_exact_duplicates(Connection& connection, const RatingsTable& ratings, Findings<DuplicateRating>& found) {
  auto rows =
      connection.query(fmt::format("SELECT {1}::text, {2}::text, count(*), count(*) OVER () FROM {0} GROUP BY {1}, {2} HAVING count(*) > 1 "
                                   "ORDER BY 3 DESC, {1}, {2} LIMIT {3}",
                                   ratings.name, ratings.post.name, ratings.session.name, kListedMax));
  std::uint64_t total = 0;
  while (rows.next()) {
    total = static_cast<std::uint64_t>(rows.integer(3));
    found.listed.push_back({.post = rows.string(0), .session = rows.string(1), .rows = static_cast<std::uint64_t>(rows.integer(2))});
  }
  found.total += total;
}

// Sessions that people would take for one: only text can differ by case and white space.
void find_lookalikes(Connection& connection, const RatingsTable& ratings, Findings<DuplicateRating>& found) {
  if (ratings.session.type != IdColumn::Type::kText) return;
  auto rows = connection.query(fmt::format(
      "SELECT post, min(session), max(session), count(*), count(*) OVER () FROM (SELECT {1}::text AS post, {2} COLLATE \"C\" AS session, "
      "lower(btrim({2}, E' \\t\\n\\r\\f\\v')) AS plain FROM {0}) AS looked GROUP BY post, plain HAVING min(session) <> max(session) "
      "ORDER BY 4 DESC, post, plain LIMIT {3}",
      ratings.name, ratings.post.name, ratings.session.name, kListedMax));
  std::uint64_t total = 0;
  while (rows.next()) {
    total = static_cast<std::uint64_t>(rows.integer(4));
    if (found.listed.size() == kListedMax) continue;
    found.listed.push_back({.post = rows.string(0),
                            .session = rows.string(1),
                            .other_session = rows.string(2),
                            .rows = static_cast<std::uint64_t>(rows.integer(3))});
  }
  found.total += total;
}

void find_orphaned_ratings(Connection& connection, const RatingsTable& ratings, const PostsTable& posts, Findings<OrphanedRatings>& found) {
  auto rows = connection.query(fmt::format(
      "SELECT r.post, r.ratings, count(*) OVER () FROM (SELECT {1}::text AS post, count(*) AS ratings FROM {0} GROUP BY {1}) AS r "
      "WHERE NOT EXISTS (SELECT FROM {2} AS p WHERE p.{3} = {4}) ORDER BY 2 DESC, 1 LIMIT {5}",
      ratings.name, ratings.post.name, posts.name, posts.id.name, posts.id.from("r.post"), kListedMax));
  while (rows.next()) {
    found.total = static_cast<std::uint64_t>(rows.integer(2));
    found.listed.push_back({.post = rows.string(0), .ratings = static_cast<std::uint64_t>(rows.integer(1))});
  }
}

void find_orphaned_comments(Connection& connection, const likes::CommentsTable& comments, const PostsTable& posts,
                            Findings<OrphanedComment>& found) {
  auto rows = connection.query(
      fmt::format("SELECT c.id, c.post, count(*) OVER () FROM (SELECT {1}::text AS id, {2}::text AS post FROM {0}) AS c "
                  "WHERE NOT EXISTS (SELECT FROM {3} AS p WHERE p.{4} = {5}) ORDER BY 1 LIMIT {6}",
                  comments.name, comments.id, comments.post, posts.name, posts.id.name, posts.id.from("c.post"), kListedMax));
  while (rows.next()) {
    found.total = static_cast<std::uint64_t>(rows.integer(2));
    found.listed.push_back({.comment = rows.string(0), .post = rows.string(1)});
  }
}

// Ratings against post_counts and the table of posts, those of the two that there are. All of them are written in one
// transaction, so that one snapshot shows the truth.
void find_drift(Connection& connection, const RatingsTable& ratings, const std::optional<PostsTable>& posts, Findings<CountDrift>& found) {
  bool has_counts = connection.query(kHasCounts).first().boolean(0);
  if (!posts && !has_counts) return;
  std::string of_posts =
      posts ? fmt::format("SELECT {} AS post, {}::bigint AS likes FROM {}", as_text(posts->id.name), posts->likes, posts->name)
            : "SELECT '' COLLATE \"C\" AS post, 0::bigint AS likes WHERE false";
  std::string of_counts = has_counts ? "SELECT post_id COLLATE \"C\" AS post, likes FROM post_counts WHERE version > 0"
                                     : "SELECT '' COLLATE \"C\" AS post, 0::bigint AS likes WHERE false";
  auto rows = connection.query(
      fmt::format("WITH r AS (SELECT {1} AS post, count(*) AS ratings FROM {0} WHERE {2} IS NOT NULL GROUP BY {2}), p AS ({3}), c AS ({4}) "
                  "SELECT coalesce(r.post, p.post, c.post), coalesce(r.ratings, 0), c.likes, p.likes, count(*) OVER () "
                  "FROM r FULL JOIN p ON p.post = r.post FULL JOIN c ON c.post = coalesce(r.post, p.post) "
                  "WHERE (p.post IS NOT NULL AND p.likes IS DISTINCT FROM coalesce(r.ratings, 0)) OR coalesce(c.likes <> "
                  "coalesce(r.ratings, 0), false) "
                  "OR ({5} AND c.likes IS NULL AND r.ratings > 0) ORDER BY 1 LIMIT {6}",
                  ratings.name, as_text(ratings.post.name), ratings.post.name, of_posts, of_counts, has_counts, kListedMax));
  while (rows.next()) {
    found.total = static_cast<std::uint64_t>(rows.integer(4));
    CountDrift drift{.post = rows.string(0), .ratings = static_cast<std::uint64_t>(rows.integer(1)), .is_for_import = true};
    if (has_counts) drift.sql = rows.integer(2);
    if (!rows.is_null(3)) drift.posts = rows.integer(3);
    found.listed.push_back(std::move(drift));
  }
}

// Why comments and ratings cannot be held to the posts; empty: they can.
std::string missing_posts(Connection& connection, const Result<std::optional<PostsTable>>& posts, const likes::LedgerNames& names) {
  if (!posts) return posts.error().message;
  if (!*posts) return "there is no table " + names.posts_table;
  bool is_empty = connection.query(fmt::format("SELECT NOT EXISTS (SELECT FROM {})", (*posts)->name)).first().boolean(0);
  return is_empty ? "the table " + names.posts_table + " is empty: the posts must be elsewhere" : std::string();
}

Result<Diagnosis> look(Connection& connection, const likes::LedgerNames& names) {
  connection.limit_statements(kLookingMax);
  Diagnosis diagnosis;
  auto ratings = likes::find_ratings_table(connection, names);
  auto posts = likes::find_posts_table(connection, names);
  auto comments = likes::find_comments_table(connection, names);
  auto no_posts = missing_posts(connection, posts, names);
  if (ratings) {
    find_exact_duplicates(connection, *ratings, diagnosis.duplicate_ratings);
    find_lookalikes(connection, *ratings, diagnosis.duplicate_ratings);
    find_drift(connection, *ratings, posts ? *posts : std::nullopt, diagnosis.drift);
    if (no_posts.empty()) find_orphaned_ratings(connection, *ratings, **posts, diagnosis.orphaned_ratings);
  } else {
    diagnosis.duplicate_ratings.not_possible = diagnosis.drift.not_possible = ratings.error().message;
  }
  diagnosis.orphaned_ratings.not_possible = ratings ? no_posts : ratings.error().message;
  if (!posts && diagnosis.drift.not_possible.empty()) diagnosis.drift.not_possible = no_posts;
  if (comments && no_posts.empty()) {
    find_orphaned_comments(connection, *comments, **posts, diagnosis.orphaned_comments);
  } else {
    diagnosis.orphaned_comments.not_possible = comments ? no_posts : comments.error().message;
  }
  return diagnosis;
}

std::vector<RatedPost> read_rated(postgres::Rows rows) {
  std::vector<RatedPost> posts;
  while (rows.next()) {
    posts.push_back({rows.string(0), static_cast<std::uint64_t>(rows.integer(1)), static_cast<std::uint64_t>(rows.integer(2))});
  }
  return posts;
}

// The version of the post that an expression names.
std::string version_of(Connection& connection, std::string_view post) {
  if (!connection.query(kHasCounts).first().boolean(0)) return "0::bigint";
  return fmt::format("coalesce((SELECT version FROM post_counts WHERE post_id = {}), 0)", post);
}

}  // namespace

Task<Result<Diagnosis>> PostgresDiagnosis::diagnose() {
  return database_.read([names = names_](Connection& connection) -> Result<Diagnosis> { return look(connection, names); });
}

Task<Result<std::vector<RatedPost>>> PostgresDiagnosis::rated_after(std::string after, std::size_t limit) {
  return database_.read([names = names_, after = std::move(after), limit](Connection& connection) -> Result<std::vector<RatedPost>> {
    auto ratings = likes::find_ratings_table(connection, names);
    if (!ratings) return std::unexpected(ratings.error());
    const auto& post = ratings->post;
    auto next = after.empty() ? std::string("$1 = ''") : fmt::format("{} > {}", post.name, post.from("$1::text"));
    return read_rated(connection.query(
        fmt::format("SELECT page.post, page.ratings, {3} FROM (SELECT {1}::text AS post, count(*) AS ratings, {1} AS id FROM {0} "
                    "WHERE {2} AND {1} IS NOT NULL GROUP BY {1} ORDER BY {1} LIMIT $2) AS page ORDER BY page.id",
                    ratings->name, post.name, next, version_of(connection, "page.post")),
        after, limit));
  });
}

Task<Result<std::optional<likes::Deployment>>> PostgresDiagnosis::deployment() {
  return database_.read([](Connection& connection) -> Result<std::optional<likes::Deployment>> {
    if (!connection.query(kHasControl).first().boolean(0)) return std::nullopt;
    auto row = connection.query(kDeployment);
    if (!row.next()) return std::nullopt;
    return likes::Deployment{.id = row.string(0), .partitions = static_cast<int>(row.integer(1)), .is_tagged = row.boolean(2)};
  });
}

Task<Result<std::vector<RatedPost>>> PostgresDiagnosis::rated(std::vector<std::string> posts) {
  return database_.read([names = names_, posts = std::move(posts)](Connection& connection) -> Result<std::vector<RatedPost>> {
    auto ratings = likes::find_ratings_table(connection, names);
    if (!ratings) return std::unexpected(ratings.error());
    return read_rated(connection.query(
        fmt::format("SELECT wanted.post, (SELECT count(*) FROM {0} AS r WHERE r.{1} = {2}), {3} "
                    "FROM unnest($1) WITH ORDINALITY AS wanted (post, place) ORDER BY wanted.place",
                    ratings->name, ratings->post.name, ratings->post.from("wanted.post"), version_of(connection, "wanted.post")),
        posts));
  });
}

}  // namespace hearth::app::adoption
