#pragma once

// All ratings of ratings.db, one after the other, by post and session.

#include <string_view>

#include "hearth/base/function_ref.h"
#include "hearth/base/result.h"
#include "hearth/drivers/sqlite/connection.h"

namespace hearth::app::dataset {

struct RatingRow {
  std::string_view post;
  std::string_view session;
  std::string_view created_at;  // RFC 3339
};

// For a thread that may block, on a connection of its own. Stops at the first failure of `use` and returns it.
// Memory: the sessions of one post at a time are sorted.
Result<void> for_each_rating(sqlite::Connection& connection, FunctionRef<Result<void>(const RatingRow&)> use);

}  // namespace hearth::app::dataset
