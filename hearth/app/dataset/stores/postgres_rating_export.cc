#include "hearth/app/dataset/stores/postgres_rating_export.h"

#include <fmt/format.h>

#include <chrono>
#include <string>
#include <utility>

#include "hearth/app/dataset/data_line.h"
#include "hearth/likes/ledgers/adopted_tables.h"

namespace hearth::app::dataset {
namespace {

constexpr std::chrono::minutes kSortingMax{30};  // of all ratings, where no index gives their order
constexpr char kDeclare[] =
    "DECLARE hearth_export CURSOR FOR SELECT {1}::text COLLATE \"C\" AS post, {2}::text COLLATE \"C\" AS session, {3} FROM {0} ORDER BY 1, "
    "2";
constexpr char kFetch[] = "FETCH 10000 FROM hearth_export";

Result<void> export_ratings(postgres::Connection& connection, const likes::LedgerNames& names, UseRating use) {
  auto tables = likes::find_adopted_tables(connection, names);
  if (!tables) return std::unexpected(tables.error());
  const auto& ratings = tables->ratings;
  connection.limit_statements(kSortingMax);
  connection.execute(fmt::format(kDeclare, ratings.name, ratings.post.name, ratings.session.name, ratings.time_to(ratings.created)));
  while (true) {
    auto rows = connection.query(kFetch);
    if (rows.size() == 0) return {};
    while (rows.next()) {
      auto created_at = exact_rfc3339(rows.time(2));
      if (auto used = use({rows.text(0), rows.text(1), created_at}); !used) return used;
    }
  }
}

}  // namespace

Result<void> PostgresRatingExport::for_each(UseRating use) {
  bool has_begun = false;
  return database_.read_blocking([&](postgres::Connection& connection) -> Result<void> {
    if (std::exchange(has_begun, true)) return fail(ErrorCode::kUnavailable, "the connection to the database was lost during the export");
    return export_ratings(connection, names_, use);
  });
}

}  // namespace hearth::app::dataset
