#include "hearth/likes/ledgers/adopted_tables.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <vector>

namespace hearth::likes {
namespace {

using postgres::Connection;

constexpr std::string_view kExists = "SELECT to_regclass($1) IS NOT NULL";
constexpr std::string_view kColumns =
    "SELECT attname, typname, attnotnull AND NOT atthasdef AND attidentity = '' AS must_be_given "
    "FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
// A unique index, without conditions, on exactly these two columns.
constexpr std::string_view kIsUnique =
    "SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = to_regclass($1) AND indisunique AND indpred IS NULL AND indexprs IS NULL "
    "AND indisvalid AND indnkeyatts = 2 AND (SELECT array_agg(attname::text) FROM pg_attribute "
    "WHERE attrelid = indrelid AND attnum = ANY(indkey[0:1])) @> ARRAY[$2, $3])";

struct Column {
  std::string name;
  std::string type;
  bool must_be_given = false;
};

struct Table {
  std::string setting;  // "ledger.ratings"
  std::string name;     // as configured
  std::string quoted;
  std::vector<Column> columns;

  const Column* find(std::string_view column) const {
    auto found = std::ranges::find(columns, column, &Column::name);
    return found == columns.end() ? nullptr : &*found;
  }
};

std::string quoted(std::string_view identifier) {
  std::string text = "\"";
  for (char c : identifier) text.append(c == '"' ? 2 : 1, c);
  return text + "\"";
}

std::string quoted_table(std::string_view name) {
  auto dot = name.find('.');
  if (dot == std::string_view::npos) return quoted(name);
  return quoted(name.substr(0, dot)) + "." + quoted(name.substr(dot + 1));
}

// Nothing if it does not exist.
std::optional<Table> find_table(Connection& connection, std::string setting, const std::string& name) {
  Table table{.setting = std::move(setting), .name = name, .quoted = quoted_table(name), .columns = {}};
  if (!connection.query(kExists, table.quoted).first().boolean(0)) return std::nullopt;
  auto rows = connection.query(kColumns, table.quoted);
  while (rows.next()) table.columns.push_back({rows.string(0), rows.string(1), rows.boolean(2)});
  return table;
}

// The column, if its type is one of these.
Result<const Column*> column_of(const Table& table, std::string_view part, const std::string& name, std::string_view types) {
  auto setting = table.setting + "_" + std::string(part) + "_column";
  const Column* column = table.find(name);
  if (column == nullptr) return invalid(setting, fmt::format("{}: the table {} has no column {}", setting, table.name, name));
  if (types.find(" " + column->type + " ") == std::string_view::npos) {
    return invalid(setting, fmt::format("{}: {}.{} is of type {}; Hearth can use{}", setting, table.name, name, column->type, types));
  }
  return column;
}

constexpr std::string_view kIdTypes = " text varchar int4 int8 uuid ";
constexpr std::string_view kTimeTypes = " timestamptz timestamp ";
constexpr std::string_view kCountTypes = " int4 int8 ";

Result<IdColumn> id_column_of(const Table& table, std::string_view part, const std::string& name) {
  auto column = column_of(table, part, name, kIdTypes);
  if (!column) return std::unexpected(column.error());
  auto type = IdColumn::Type::kText;
  if ((*column)->type == "uuid") type = IdColumn::Type::kUuid;
  if ((*column)->type.starts_with("int")) type = IdColumn::Type::kInteger;
  return IdColumn{quoted(name), type};
}

// The first column that an insert would have to name beside Hearth's own three.
std::string column_without_value(const Table& table, const LedgerNames& names) {
  std::array<std::string_view, 3> given = {names.ratings_post_column, names.ratings_session_column, names.ratings_created_column};
  for (const Column& column : table.columns) {
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

std::string IdColumn::from(std::string_view text) const {
  switch (type) {
    case Type::kText:
      return std::string(text);
    case Type::kInteger:  // compares with every type of integer, by index
      return fmt::format(
          "(CASE WHEN {0} ~ '^(0|-?[1-9][0-9]{{0,17}})$' OR ({0} ~ '^[1-9][0-9]{{18}}$' AND {0} COLLATE \"C\" <= '9223372036854775807') "
          "THEN {0}::bigint END)",
          text);
    case Type::kUuid:
      return fmt::format("(CASE WHEN {0} ~ '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$' THEN {0}::uuid END)", text);
  }
  return {};
}

std::string RatingsTable::time_from(std::string_view time) const {
  return has_zone ? std::string(time) : fmt::format("({} AT TIME ZONE 'UTC')", time);
}

std::string RatingsTable::time_to(std::string_view time) const {
  return time_from(time);  // the same operator goes both ways
}

Result<RatingsTable> find_ratings_table(Connection& connection, const LedgerNames& names) {
  auto table = find_table(connection, "ledger.ratings", names.ratings_table);
  if (!table) return invalid("ledger.ratings_table", "ledger.ratings_table: there is no table " + names.ratings_table);
  auto post = id_column_of(*table, "post", names.ratings_post_column);
  if (!post) return std::unexpected(post.error());
  auto session = id_column_of(*table, "session", names.ratings_session_column);
  if (!session) return std::unexpected(session.error());
  auto created = column_of(*table, "created", names.ratings_created_column, kTimeTypes);
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
  auto id = id_column_of(*table, "id", names.posts_id_column);
  if (!id) return std::unexpected(id.error());
  auto likes = column_of(*table, "likes", names.posts_likes_column, kCountTypes);
  if (!likes) return std::unexpected(likes.error());
  return PostsTable{
      .name = table->quoted, .id = *std::move(id), .likes = quoted((*likes)->name), .has_version = table->find("likes_version") != nullptr};
}

Result<CommentsTable> find_comments_table(Connection& connection, const LedgerNames& names) {
  auto table = find_table(connection, "ledger.comments", names.comments_table);
  if (!table) return invalid("ledger.comments_table", "ledger.comments_table: there is no table " + names.comments_table);
  auto id = id_column_of(*table, "id", names.comments_id_column);
  if (!id) return std::unexpected(id.error());
  auto post = id_column_of(*table, "post", names.comments_post_column);
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
