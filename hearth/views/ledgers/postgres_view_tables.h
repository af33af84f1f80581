#pragma once

// The tables of PostgreSQL that hold how often a story or chapter was viewed, beside view_counts: Hearth's own, and those of
// another program where settings name them. Hearth's own are kept right all the same: PUT /api/stories writes there.

#include <string>
#include <vector>

#include "hearth/drivers/postgres/database.h"
#include "hearth/views/view.h"
#include "hearth/views/view_table_names.h"

namespace hearth::views {

class PostgresViewTables {
 public:
  struct Table {
    ViewedKind kind = ViewedKind::kStory;
    std::string read_count;  // an expression: the number in the row of wanted.id, NULL without one
    // Statements. `lock` takes ids and gives (id, number) of the rows that it locks; `set` takes ids and their numbers.
    std::string lock;
    std::string set;
  };

  // Hearth's own.
  PostgresViewTables();
  // With those that have other names. kInvalidArgument names the setting that must change: a table or column is missing, of a
  // type that Hearth cannot use, or may not be written.
  static Result<PostgresViewTables> find(postgres::Database& database, const ViewTableNames& names);

  // In the order in which they are locked.
  const std::vector<Table>& all() const { return tables_; }
  // An expression for `SELECT … FROM … AS wanted (kind, id, …)`: the largest number there, 0 without one.
  std::string largest() const;

 private:
  std::vector<Table> tables_;
};

}  // namespace hearth::views
