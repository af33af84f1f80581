#include "hearth/drivers/postgres/adopted_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace hearth::postgres {
namespace {

constexpr std::string_view kExists = "SELECT to_regclass($1) IS NOT NULL";
constexpr std::string_view kColumns =
    "SELECT attname, typname, attnotnull AND NOT atthasdef AND attidentity = '' AS must_be_given "
    "FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";

constexpr std::string_view kIdTypes = " text varchar int4 int8 uuid ";

std::string quoted_table(std::string_view name) {
  auto dot = name.find('.');
  if (dot == std::string_view::npos) return quoted(name);
  return quoted(name.substr(0, dot)) + "." + quoted(name.substr(dot + 1));
}

}  // namespace

std::string quoted(std::string_view identifier) {
  std::string text = "\"";
  for (char c : identifier) text.append(c == '"' ? 2 : 1, c);
  return text + "\"";
}

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

const AdoptedColumn* AdoptedTable::find(std::string_view column) const {
  auto found = std::ranges::find(columns, column, &AdoptedColumn::name);
  return found == columns.end() ? nullptr : &*found;
}

Result<const AdoptedColumn*> AdoptedTable::column(std::string_view part, const std::string& column_name, std::string_view types) const {
  auto column_setting = setting + "_" + std::string(part) + "_column";
  const AdoptedColumn* found = find(column_name);
  if (found == nullptr) {
    return invalid(column_setting, fmt::format("{}: the table {} has no column {}", column_setting, name, column_name));
  }
  if (types.find(" " + found->type + " ") == std::string_view::npos) {
    return invalid(column_setting,
                   fmt::format("{}: {}.{} is of type {}; Hearth can use{}", column_setting, name, column_name, found->type, types));
  }
  return found;
}

Result<IdColumn> AdoptedTable::id_column(std::string_view part, const std::string& column_name) const {
  auto found = column(part, column_name, kIdTypes);
  if (!found) return std::unexpected(found.error());
  auto type = IdColumn::Type::kText;
  if ((*found)->type == "uuid") type = IdColumn::Type::kUuid;
  if ((*found)->type.starts_with("int")) type = IdColumn::Type::kInteger;
  return IdColumn{postgres::quoted(column_name), type};
}

std::optional<AdoptedTable> find_table(Connection& connection, std::string setting, const std::string& name) {
  AdoptedTable table{.setting = std::move(setting), .name = name, .quoted = quoted_table(name), .columns = {}};
  if (!connection.query(kExists, table.quoted).first().boolean(0)) return std::nullopt;
  auto rows = connection.query(kColumns, table.quoted);
  while (rows.next()) table.columns.push_back({rows.string(0), rows.string(1), rows.boolean(2)});
  return table;
}

}  // namespace hearth::postgres
