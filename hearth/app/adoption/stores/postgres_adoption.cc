#include "hearth/app/adoption/stores/postgres_adoption.h"

#include <fmt/format.h>

#include <chrono>
#include <string_view>
#include <utility>

#include "hearth/likes/ledgers/adopted_tables.h"
#include "hearth/likes/ledgers/postgres_heads.h"

namespace hearth::app::adoption {
namespace {

using likes::PostsTable;
using likes::RatingsTable;
using postgres::Connection;
using postgres::Failure;

constexpr std::chrono::hours kIndexingMax{4};  // of all ratings
constexpr std::chrono::minutes kPageMax{5};
constexpr std::string_view kHasTable = "SELECT to_regclass($1) IS NOT NULL";
constexpr std::string_view kHasCounts = "SELECT to_regclass('post_counts') IS NOT NULL";

// The trigger on ratings leaves this transaction alone.
constexpr char kOwnWriter[] = "SET LOCAL hearth.flush = 'on'";

// The rows of a pair but the oldest one; ctid: the table may have no key.
constexpr std::string_view kSurplus =
    "(SELECT ctid AS place, row_number() OVER (PARTITION BY {1}, {2} ORDER BY {3}, ctid) AS place_in_pair FROM {0}) AS pairs";

std::string surplus_of(const RatingsTable& ratings) {
  return fmt::format(kSurplus, ratings.name, ratings.post.name, ratings.session.name, ratings.created);
}

// The condition that begins a page. Two texts, so that the plan of each uses the index.
std::string behind(const likes::IdColumn& column, const std::string& after) {
  return after.empty() ? std::string("$1 = ''") : fmt::format("{} > {}", column.name, column.from("$1::text"));
}

std::uint64_t number(const postgres::Rows& row, int column) {
  return static_cast<std::uint64_t>(row.integer(column));
}

struct Rated {
  std::vector<std::string> unknown;  // to post_counts
  RatedPage page;
};

Rated read_rated(Connection& connection, const RatingsTable& ratings, const std::string& after, std::size_t limit) {
  bool has_counts = connection.query(kHasCounts).first().boolean(0);
  auto known =
      has_counts ? std::string("EXISTS (SELECT FROM post_counts WHERE post_id = page.post AND version > 0)") : std::string("false");
  auto rows = connection.query(
      fmt::format("SELECT page.post, page.ratings, {3} FROM (SELECT {1}::text AS post, count(*) AS ratings, {1} AS id FROM {0} "
                  "WHERE {2} AND {1} IS NOT NULL GROUP BY {1} ORDER BY {1} LIMIT $2) AS page ORDER BY page.id",
                  ratings.name, ratings.post.name, behind(ratings.post, after), known),
      after, limit);
  Rated rated;
  while (rows.next()) {
    rated.page.last = rows.string(0);
    rated.page.ratings += number(rows, 1);
    if (!rows.boolean(2)) rated.unknown.push_back(rows.string(0));
  }
  rated.page.posts = static_cast<std::uint64_t>(rows.size());
  return rated;
}

// With the posts locked nobody flushes their ratings: what is counted is what is there.
std::uint64_t enter(Connection& connection, const RatingsTable& ratings, const std::vector<std::string>& posts) {
  connection.execute(kOwnWriter);
  likes::lock_heads(connection, {posts.begin(), posts.end()});
  return connection.run(
      fmt::format("UPDATE post_counts AS c SET likes = counted.likes, version = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint "
                  "FROM (SELECT wanted.post, (SELECT count(*) FROM {0} AS r WHERE r.{1} = {2}) AS likes FROM unnest($1) AS wanted (post)) "
                  "AS counted WHERE c.post_id = counted.post AND c.version = 0",
                  ratings.name, ratings.post.name, ratings.post.from("wanted.post")),
      posts);
}

PostsPage read_posts(Connection& connection, const RatingsTable& ratings, const PostsTable& posts, const std::string& after,
                     std::size_t limit) {
  auto rows = connection.query(
      fmt::format(
          "SELECT page.post, page.likes, (SELECT count(*) FROM {3} AS r WHERE r.{4} = {5}) FROM "
          "(SELECT {1}::text AS post, {2}::bigint AS likes, {1} AS id FROM {0} WHERE {6} ORDER BY {1} LIMIT $2) AS page ORDER BY page.id",
          posts.name, posts.id.name, posts.likes, ratings.name, ratings.post.name, ratings.post.from("page.post"), behind(posts.id, after)),
      after, limit);
  PostsPage page;
  while (rows.next()) {
    page.last = rows.string(0);
    std::optional<std::int64_t> was;
    if (!rows.is_null(1)) was = rows.integer(1);
    if (was != rows.integer(2)) page.mended.push_back({.post = rows.string(0), .was = was, .now = rows.integer(2)});
  }
  return page;
}

void mend(Connection& connection, const RatingsTable& ratings, const PostsTable& posts, MendedPost& post) {
  std::vector<std::string> one{post.post};
  auto rows = connection.query(
      fmt::format(
          "UPDATE {0} AS p SET {1} = counted.likes{2} FROM unnest($1) AS wanted (post) JOIN post_counts AS c ON c.post_id = wanted.post "
          "CROSS JOIN LATERAL (SELECT count(*) AS likes FROM {3} AS r WHERE r.{4} = {5}) AS counted "
          "WHERE p.{6} = {7} RETURNING counted.likes",
          posts.name, posts.likes, posts.has_version ? ", likes_version = c.version" : "", ratings.name, ratings.post.name,
          ratings.post.from("wanted.post"), posts.id.name, posts.id.from("wanted.post")),
      one);
  if (rows.next()) post.now = rows.integer(0);
}

// Posts that refuse their count do not hold up the others.
void mend_all(Connection& connection, const RatingsTable& ratings, const PostsTable& posts, std::vector<MendedPost>& mended) {
  std::vector<std::string_view> names;
  for (const auto& post : mended) names.push_back(post.post);
  likes::lock_heads(connection, std::move(names));
  for (auto& post : mended) {
    try {
      connection.savepoint([&] { mend(connection, ratings, posts, post); });
    } catch (const Failure& failure) {
      if (!failure.is_data_error()) throw;
      post.refusal = failure.what();
    }
  }
}

}  // namespace

Result<bool> PostgresAdoption::has_table(postgres::Database& database, const std::string& name) {
  return database.read_blocking(
      [&](Connection& connection) -> Result<bool> { return connection.query(kHasTable, name).first().boolean(0); });
}

Result<bool> PostgresAdoption::is_counted() {
  return database_.read_blocking([&](Connection& connection) -> Result<bool> {
    auto ratings = likes::find_ratings_table(connection, names_);
    if (!ratings) return std::unexpected(ratings.error());
    auto row = connection.query(
        fmt::format("SELECT EXISTS (SELECT FROM post_counts WHERE version > 0) OR NOT EXISTS (SELECT FROM {0} AS r WHERE NOT EXISTS "
                    "(SELECT FROM like_inbox AS o WHERE o.post_id = r.{1}::text AND o.session_id = r.{2}::text))",
                    ratings->name, ratings->post.name, ratings->session.name));
    return row.first().boolean(0);
  });
}

Result<void> PostgresAdoption::check() {
  return database_.read_blocking([&](Connection& connection) -> Result<void> {
    connection.limit_statements(kIndexingMax);
    auto ratings = likes::find_ratings_table(connection, names_);
    if (!ratings) return std::unexpected(ratings.error());
    auto posts = likes::find_posts_table(connection, names_);
    if (!posts) return std::unexpected(posts.error());
    if (auto insertable = likes::check_insertable(*ratings, names_); !insertable) return insertable;
    auto rows = connection.query(
        fmt::format("SELECT count(*) FROM {0} WHERE {1} IS NULL OR {2} IS NULL", ratings->name, ratings->post.name, ratings->session.name));
    auto nameless = rows.first().integer(0);
    if (nameless == 0) return {};
    return fail(ErrorCode::kConflict,
                fmt::format("{}: {} ratings have no {} or no {}, and nobody can say what they are; delete them first", names_.ratings_table,
                            nameless, names_.ratings_post_column, names_.ratings_session_column));
  });
}

Result<PostgresAdoption::Uniqueness> PostgresAdoption::uniqueness() {
  return database_.read_blocking([&](Connection& connection) -> Result<Uniqueness> {
    connection.limit_statements(kIndexingMax);
    auto ratings = likes::find_ratings_table(connection, names_);
    if (!ratings) return std::unexpected(ratings.error());
    if (ratings->has_unique_pair) return Uniqueness{.has_index = true};
    auto rows = connection.query("SELECT count(*) FROM " + surplus_of(*ratings) + " WHERE place_in_pair > 1");
    return Uniqueness{.has_index = false, .surplus = number(rows.first(), 0)};
  });
}

Result<std::uint64_t> PostgresAdoption::make_unique() {
  return database_.write_blocking([&](Connection& connection) -> Result<std::uint64_t> {
    connection.limit_statements(kIndexingMax);
    connection.execute(kOwnWriter);
    auto ratings = likes::find_ratings_table(connection, names_);
    if (!ratings) return std::unexpected(ratings.error());
    if (ratings->has_unique_pair) return 0;
    connection.execute("LOCK TABLE " + ratings->name + " IN SHARE ROW EXCLUSIVE MODE");
    auto removed = connection.run(fmt::format("DELETE FROM {} AS r USING {} WHERE r.ctid = pairs.place AND pairs.place_in_pair > 1",
                                              ratings->name, surplus_of(*ratings)));
    connection.execute(fmt::format("CREATE UNIQUE INDEX ON {} ({}, {})", ratings->name, ratings->post.name, ratings->session.name));
    return removed;
  });
}

Result<RatedPage> PostgresAdoption::enter_posts(const std::string& after, std::size_t limit) {
  auto rated = database_.read_blocking([&](Connection& connection) -> Result<Rated> {
    connection.limit_statements(kPageMax);
    auto ratings = likes::find_ratings_table(connection, names_);
    if (!ratings) return std::unexpected(ratings.error());
    return read_rated(connection, *ratings, after, limit);
  });
  if (!rated) return std::unexpected(rated.error());
  rated->page.entered = rated->unknown.size();
  if (mode_ == Mode::kDryRun || rated->unknown.empty()) return std::move(rated->page);
  auto entered = database_.write_blocking([&](Connection& connection) -> Result<std::uint64_t> {
    connection.limit_statements(kPageMax);
    auto ratings = likes::find_ratings_table(connection, names_);
    if (!ratings) return std::unexpected(ratings.error());
    return enter(connection, *ratings, rated->unknown);
  });
  if (!entered) return std::unexpected(entered.error());
  rated->page.entered = *entered;
  return std::move(rated->page);
}

Result<PostsPage> PostgresAdoption::mend_posts(const std::string& after, std::size_t limit) {
  std::optional<likes::RatingsTable> ratings;
  std::optional<likes::PostsTable> posts;
  auto page = database_.read_blocking([&](Connection& connection) -> Result<PostsPage> {
    connection.limit_statements(kPageMax);
    auto found_ratings = likes::find_ratings_table(connection, names_);
    if (!found_ratings) return std::unexpected(found_ratings.error());
    auto found_posts = likes::find_posts_table(connection, names_);
    if (!found_posts) return std::unexpected(found_posts.error());
    if (!*found_posts) return PostsPage{};
    ratings = *std::move(found_ratings);
    posts = **std::move(found_posts);
    return read_posts(connection, *ratings, *posts, after, limit);
  });
  if (!page || page->mended.empty() || mode_ == Mode::kDryRun) return page;
  auto mended = database_.write_blocking([&](Connection& connection) -> Result<std::vector<MendedPost>> {
    connection.limit_statements(kPageMax);
    auto list = page->mended;  // the work may run again
    mend_all(connection, *ratings, *posts, list);
    return list;
  });
  if (!mended) return std::unexpected(mended.error());
  page->mended = *std::move(mended);
  return page;
}

}  // namespace hearth::app::adoption
