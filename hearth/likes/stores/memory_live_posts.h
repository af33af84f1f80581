#pragma once

// The embedded live store as the reconciler sees it. Every post of it comes from SQL or reaches it at the next flush.

#include "hearth/likes/live_posts.h"
#include "hearth/likes/stores/memory_like_store.h"

namespace hearth::likes {

class MemoryLivePosts final : public LivePosts {
 public:
  explicit MemoryLivePosts(MemoryLikeStore& store) : store_(store) {}

  Task<Result<std::vector<std::optional<LiveCount>>>> counts(std::vector<std::string> posts) override;
  Task<Result<std::vector<std::optional<LivePost>>>> clean(std::vector<std::string> posts, bool wants_sessions) override;
  Task<Result<bool>> is_dirty(std::string post) override;
  Task<Result<bool>> forget(std::string post, std::uint64_t version) override;
  Task<Result<std::optional<std::uint64_t>>> reserve_version(std::string post, std::uint64_t above) override;
  Task<Result<void>> recount(std::string post) override;
  Task<Result<Page>> scan(std::string from) override;

 private:
  MemoryLikeStore& store_;
};

}  // namespace hearth::likes
