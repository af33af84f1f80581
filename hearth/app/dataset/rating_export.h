#pragma once

// All ratings of the ledger, one after the other, in the byte order of posts and sessions, as of one moment.

#include <string_view>

#include "hearth/base/function_ref.h"
#include "hearth/base/result.h"

namespace hearth::app::dataset {

struct RatingRow {
  std::string_view post;
  std::string_view session;
  std::string_view created_at;  // RFC 3339
};
using UseRating = FunctionRef<Result<void>(const RatingRow&)>;

class RatingExport {
 public:
  virtual ~RatingExport() = default;

  // Ends at the first failure of `use` and returns it. For a thread that may block.
  virtual Result<void> for_each(UseRating use) = 0;
};

}  // namespace hearth::app::dataset
