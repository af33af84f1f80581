#pragma once

// All users and then all posts, or all stories and then all chapters, each in the byte order of their ids, as of one moment.

#include "hearth/base/function_ref.h"
#include "hearth/base/result.h"
#include "hearth/content/content.h"
#include "hearth/content/story.h"

namespace hearth::content {

using UseUser = FunctionRef<Result<void>(const User&)>;
using UsePost = FunctionRef<Result<void>(const Post&)>;
using UseStory = FunctionRef<Result<void>(const Story&)>;
using UseChapter = FunctionRef<Result<void>(const Chapter&)>;

class ContentExport {
 public:
  virtual ~ContentExport() = default;

  // Each ends at the first failure of what it calls and returns it. For a thread that may block.
  virtual Result<void> for_each(UseUser use_user, UsePost use_post) = 0;
  virtual Result<void> for_each_story(UseStory use_story, UseChapter use_chapter) = 0;
};

}  // namespace hearth::content
