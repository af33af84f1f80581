#pragma once

// What background jobs do with content. Thread-safe.
//
// Hot posts: a post's score is likes / (age in hours + 2)^1.5, of the likes that SQL knows. The best ones are kept as candidates of
// the hot rank (rank.h), which orders them by live counts.

#include <cstddef>
#include <string>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/sql_transaction.h"
#include "hearth/base/task.h"
#include "hearth/content/content.h"

namespace hearth::content {

inline constexpr std::size_t kHotPostsDefault = 1'000;
inline constexpr std::size_t kHotPostsMax = 5'000;

class ContentJobs {
 public:
  virtual ~ContentJobs() = default;

  // The posts with the highest scores at `now`, highest first; those that nobody likes have none.
  // REQUIRES: 1 <= limit <= kHotPostsMax.
  virtual Task<Result<std::vector<std::string>>> find_hot_posts(UtcMicros now, std::size_t limit) = 0;
  // Makes these the candidates, and no others.
  virtual Result<void> keep_hot_posts(SqlTransaction transaction, const std::vector<std::string>& posts) = 0;

  // Makes `media_urls` the post's, if its image is still `image_url`. False: it is not, or there is no such post.
  virtual Result<bool> set_media(SqlTransaction transaction, const PostId& post, const std::string& image_url,
                                 const std::vector<std::string>& media_urls) = 0;

  // Deletes at most `limit` answers of idempotency keys that are kept no longer. Returns how many.
  virtual Task<Result<std::size_t>> prune_idempotency_keys(UtcMicros now, std::size_t limit) = 0;
};

}  // namespace hearth::content
