#include "hearth/views/ledgers/postgres_view_tables.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "hearth/drivers/postgres/adopted_table.h"

namespace hearth::views {
namespace {

using postgres::Connection;
using postgres::IdColumn;

constexpr std::string_view kMayWrite =
    "SELECT has_column_privilege($1, $2, 'SELECT') AND has_column_privilege($1, $3, 'SELECT') AND has_column_privilege($1, $3, 'UPDATE')";

// `total` is the number made.views as the column can hold it.
PostgresViewTables::Table statements(ViewedKind kind, std::string_view table, const IdColumn& id, std::string_view count,
                                     std::string_view total) {
  // Other programs may count there too. Who locks several rows does it by their ids.
  return {
      .kind = kind,
      .read_count = fmt::format("(SELECT max(t.{1})::bigint FROM {0} AS t WHERE wanted.kind = '{3}' AND t.{2} = {4})", table, count,
                                id.name, name_of(kind), id.from("wanted.id")),
      .lock = fmt::format("SELECT t.{2}::text, coalesce(t.{1}, 0)::bigint FROM {0} AS t "
                          "WHERE t.{2} = ANY(ARRAY(SELECT {3} FROM unnest($1) AS wanted (id))) ORDER BY t.{2} FOR NO KEY UPDATE",
                          table, count, id.name, id.from("wanted.id")),
      .set = fmt::format("UPDATE {0} AS t SET {1} = {4} FROM unnest($1, $2) AS made (id, views) "
                         "WHERE t.{2} = {3} AND t.{1} IS DISTINCT FROM {4}",
                         table, count, id.name, id.from("made.id"), total),
  };
}

struct Names {
  ViewedKind kind;
  const char* setting;
  const std::string& table;
  const std::string& id_column;
  const std::string& count_column;
};

Result<PostgresViewTables::Table> find_adopted(Connection& connection, const Names& names) {
  auto setting = std::string(names.setting) + "_table";
  auto table = postgres::find_table(connection, names.setting, names.table);
  if (!table) return invalid(setting, setting + ": there is no table " + names.table);
  auto id = table->id_column("id", names.id_column);
  if (!id) return std::unexpected(id.error());
  auto count = table->column("count", names.count_column, " int4 int8 ");
  if (!count) return std::unexpected(count.error());
  if (!connection.query(kMayWrite, table->quoted, names.id_column, names.count_column).first().boolean(0)) {
    return invalid(setting, fmt::format("{}: the user of database.url may not read {} and {} of {}, and update {}", setting,
                                        names.id_column, names.count_column, names.table, names.count_column));
  }
  bool is_large = (*count)->type == "int8";
  return statements(names.kind, table->quoted, *id, postgres::quoted((*count)->name),
                    is_large ? "made.views" : "least(made.views, 2147483647)::integer");
}

Result<std::vector<PostgresViewTables::Table>> find_all(Connection& connection, const ViewTableNames& names) {
  const ViewTableNames own;
  std::vector<PostgresViewTables::Table> tables;
  auto add = [&](const Names& wanted, const Names& usual) -> Result<void> {
    if (wanted.table == usual.table && wanted.id_column == usual.id_column && wanted.count_column == usual.count_column) return {};
    auto table = find_adopted(connection, wanted);
    if (!table) return std::unexpected(table.error());
    tables.push_back(*std::move(table));
    return {};
  };
  auto stories = [](const ViewTableNames& of) {
    return Names{ViewedKind::kStory, "views.stories", of.stories_table, of.stories_id_column, of.stories_count_column};
  };
  auto chapters = [](const ViewTableNames& of) {
    return Names{ViewedKind::kChapter, "views.chapters", of.chapters_table, of.chapters_id_column, of.chapters_count_column};
  };
  if (auto added = add(stories(names), stories(own)); !added) return std::unexpected(added.error());
  if (auto added = add(chapters(names), chapters(own)); !added) return std::unexpected(added.error());
  return tables;
}

}  // namespace

PostgresViewTables::PostgresViewTables()
    : tables_{statements(ViewedKind::kStory, "stories", {.name = "id"}, "read_count", "made.views"),
              statements(ViewedKind::kChapter, "chapters", {.name = "id"}, "read_count", "made.views")} {}

Result<PostgresViewTables> PostgresViewTables::find(postgres::Database& database, const ViewTableNames& names) {
  PostgresViewTables tables;
  auto adopted = database.read_blocking([&](Connection& connection) { return find_all(connection, names); });
  if (!adopted) return std::unexpected(adopted.error());
  for (auto& table : *adopted) tables.tables_.push_back(std::move(table));
  return tables;
}

std::string PostgresViewTables::largest() const {
  std::string expression = "greatest(0";
  for (const Table& table : tables_) expression += ", " + table.read_count;
  return expression + ")";
}

}  // namespace hearth::views
