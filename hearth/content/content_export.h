#pragma once

// All users and then all posts, each in the byte order of their ids, as of one moment.

#include "hearth/base/function_ref.h"
#include "hearth/base/result.h"
#include "hearth/content/content.h"

namespace hearth::content {

using UseUser = FunctionRef<Result<void>(const User&)>;
using UsePost = FunctionRef<Result<void>(const Post&)>;

class ContentExport {
 public:
  virtual ~ContentExport() = default;

  // Ends at the first failure of what it calls and returns it. For a thread that may block.
  virtual Result<void> for_each(UseUser use_user, UsePost use_post) = 0;
};

}  // namespace hearth::content
