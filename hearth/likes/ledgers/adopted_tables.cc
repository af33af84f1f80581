#include "hearth/likes/ledgers/adopted_tables.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <vector>

namespace hearth::likes {
namespace {

using postgres::AdoptedColumn;
using postgres::AdoptedTable;
using postgres::Connection;
using postgres::find_table;
using postgres::quoted;

// A unique index, without conditions, on exactly these two columns.
constexpr std::string_view kIsUnique =
    "SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = to_regclass($1) AND indisunique AND indpred IS NULL AND indexprs IS NULL "
    "AND indisvalid AND indnkeyatts = 2 AND (SELECT array_agg(attname::text) FROM pg_attribute "
    "WHERE attrelid = indrelid AND attnum = ANY(indkey[0:1])) @> ARRAY[$2, $3])";

constexpr std::string_view kTimeTypes = " timestamptz timestamp ";
constexpr std::string_view kCountTypes = " int4 int8 ";

// The first column that an insert would have to name beside Hearth's own three.
std::string column_without_value(const AdoptedTable& table, const LedgerNames& names) {
  std::array<std::string_view, 3> given = {names.ratings_post_column, names.ratings_session_column, names.ratings_created_column};
  for (const AdoptedColumn& column : table.columns) {
    if (column.must_be_given && std::ranges::find(given, column.name) == given.end()) return column.name;
  }
  return {};
}

Result<void> check_unique(const RatingsTable& ratings, const LedgerNames& names) {
  if (ratings.has_unique_pair) return {};
  return fail(ErrorCode::kConflict,
              fmt::format("{}: there is no unique index on ({}, {}); `hearth import --from-database` removes duplicates and makes it",
                          names.ratings_table, names.ratings_post_column, names.ratings_session_column));
}

}  // namespace

std::string RatingsTable::time_from(std::string_view time) const {
  return has_zone ? std::string(time) : fmt::format("({} AT TIME ZONE 'UTC')", time);
}

std::string RatingsTable::time_to(std::string_view time) const {
  return time_from(time);  // the same operator goes both ways
}

Result<RatingsTable> find_ratings_table(Connection& connection, const LedgerNames& names) {
  auto table = find_table(connection, "ledger.ratings", names.ratings_table);
  if (!table) return invalid("ledger.ratings_table", "ledger.ratings_table: there is no table " + names.ratings_table);
  auto post = table->id_column("post", names.ratings_post_column);
  if (!post) return std::unexpected(post.error());
  auto session = table->id_column("session", names.ratings_session_column);
  if (!session) return std::unexpected(session.error());
  auto created = table->column("created", names.ratings_created_column, kTimeTypes);
  if (!created) return std::unexpected(created.error());
  auto unique = connection.query(kIsUnique, table->quoted, names.ratings_post_column, names.ratings_session_column);
  return RatingsTable{.name = table->quoted,
                      .post = *std::move(post),
                      .session = *std::move(session),
                      .created = quoted((*created)->name),
                      .has_zone = (*created)->type == "timestamptz",
                      .has_unique_pair = unique.first().boolean(0),
                      .column_without_value = column_without_value(*table, names)};
}

Result<std::optional<PostsTable>> find_posts_table(Connection& connection, const LedgerNames& names) {
  auto table = find_table(connection, "ledger.posts", names.posts_table);
  if (!table) {
    if (names.posts_table == LedgerNames{}.posts_table) return std::nullopt;
    return invalid("ledger.posts_table", "ledger.posts_table: there is no table " + names.posts_table);
  }
  auto id = table->id_column("id", names.posts_id_column);
  if (!id) return std::unexpected(id.error());
  auto likes = table->column("likes", names.posts_likes_column, kCountTypes);
  if (!likes) return std::unexpected(likes.error());
  return PostsTable{
      .name = table->quoted, .id = *std::move(id), .likes = quoted((*likes)->name), .has_version = table->find("likes_version") != nullptr};
}

Result<CommentsTable> find_comments_table(Connection& connection, const LedgerNames& names) {
  auto table = find_table(connection, "ledger.comments", names.comments_table);
  if (!table) return invalid("ledger.comments_table", "ledger.comments_table: there is no table " + names.comments_table);
  auto id = table->id_column("id", names.comments_id_column);
  if (!id) return std::unexpected(id.error());
  auto post = table->id_column("post", names.comments_post_column);
  if (!post) return std::unexpected(post.error());
  return CommentsTable{.name = table->quoted, .id = id->name, .post = post->name};
}

Result<void> check_insertable(const RatingsTable& ratings, const LedgerNames& names) {
  if (ratings.column_without_value.empty()) return {};
  return fail(ErrorCode::kConflict, fmt::format("{}: the column {} is NOT NULL and has no default, so that Hearth cannot add ratings: "
                                                "give it a default",
                                                names.ratings_table, ratings.column_without_value));
}

Result<AdoptedTables> find_adopted_tables(Connection& connection, const LedgerNames& names) {
  auto ratings = find_ratings_table(connection, names);
  if (!ratings) return std::unexpected(ratings.error());
  if (auto insertable = check_insertable(*ratings, names); !insertable) return std::unexpected(insertable.error());
  if (auto unique = check_unique(*ratings, names); !unique) return std::unexpected(unique.error());
  auto posts = find_posts_table(connection, names);
  if (!posts) return std::unexpected(posts.error());
  return AdoptedTables{*std::move(ratings), *std::move(posts)};
}

}  // namespace hearth::likes
