#pragma once

// A table that another program has made, as it is, and its columns as statements name them.
//
// Names are those of settings: a column's is that of the table, the part and "_column", as ledger.ratings_post_column.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/result.h"
#include "hearth/drivers/postgres/connection.h"

namespace hearth::postgres {

// A column that holds ids. Hearth's ids are text. A column of another type takes those ids that are exactly what it would
// print ("7", not "07"), and for all others the expression here is NULL: it finds nothing, and cannot be inserted.
struct IdColumn {
  enum class Type : std::uint8_t { kText, kInteger, kUuid };

  std::string name;  // quoted
  Type type = Type::kText;

  // `text`, an expression of type text, as this column's type.
  std::string from(std::string_view text) const;
};

struct AdoptedColumn {
  std::string name;
  std::string type;
  bool must_be_given = false;  // NOT NULL and without a default
};

struct AdoptedTable {
  std::string setting;  // "ledger.ratings"
  std::string name;     // as configured, perhaps with its schema
  std::string quoted;
  std::vector<AdoptedColumn> columns;

  // Null if there is none.
  const AdoptedColumn* find(std::string_view column) const;
  // The column, if its type is one of these, which are given as " int4 int8 ". kInvalidArgument names the setting.
  Result<const AdoptedColumn*> column(std::string_view part, const std::string& column_name, std::string_view types) const;
  Result<IdColumn> id_column(std::string_view part, const std::string& column_name) const;
};

// Nothing if it does not exist.
std::optional<AdoptedTable> find_table(Connection& connection, std::string setting, const std::string& name);

std::string quoted(std::string_view identifier);

}  // namespace hearth::postgres
