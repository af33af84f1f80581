#include "hearth/likes/stores/memory_live_posts.h"

#include <utility>

namespace hearth::likes {

Task<Result<std::vector<std::optional<LiveCount>>>> MemoryLivePosts::counts(std::vector<std::string> posts) {
  std::vector<std::optional<LiveCount>> found;
  found.reserve(posts.size());
  for (const auto& post : posts) {
    auto live = store_.clean_resident(post, /*wants_sessions=*/false);
    found.push_back(live ? std::optional(LiveCount{live->view.version, live->view.likes, live->view.likes}) : std::nullopt);
  }
  co_return found;
}

Task<Result<std::vector<std::optional<LivePost>>>> MemoryLivePosts::clean(std::vector<std::string> posts, bool wants_sessions) {
  std::vector<std::optional<LivePost>> found;
  found.reserve(posts.size());
  for (const auto& post : posts) found.push_back(store_.clean_resident(post, wants_sessions));
  co_return found;
}

Task<Result<bool>> MemoryLivePosts::is_dirty(std::string post) {
  co_return store_.is_dirty(post);
}

// A change would have made the post dirty, so the version need not be looked at.
Task<Result<bool>> MemoryLivePosts::forget(std::string post, std::uint64_t /*version*/) {
  co_return store_.forget(post);
}

Task<Result<std::optional<std::uint64_t>>> MemoryLivePosts::reserve_version(std::string /*post*/, std::uint64_t above) {
  co_return store_.reserve_version(above);
}

// Nobody else writes in this process' memory: the count is the set's size, asserted at every change.
Task<Result<void>> MemoryLivePosts::recount(std::string /*post*/) {
  co_return Result<void>{};
}

Task<Result<LivePosts::Page>> MemoryLivePosts::scan(std::string /*from*/) {
  co_return Page{};
}

}  // namespace hearth::likes
