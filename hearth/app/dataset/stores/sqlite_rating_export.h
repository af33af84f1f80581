#pragma once

// Export of ratings.db, on a connection that nobody else uses meanwhile; it may be read-only.
// Memory: the sessions of one post at a time are sorted.

#include "hearth/app/dataset/rating_export.h"
#include "hearth/drivers/sqlite/connection.h"

namespace hearth::app::dataset {

class SqliteRatingExport final : public RatingExport {
 public:
  explicit SqliteRatingExport(sqlite::Connection& connection) : connection_(connection) {}
  Result<void> for_each(UseRating use) override;

 private:
  sqlite::Connection& connection_;
};

}  // namespace hearth::app::dataset
