#pragma once

// For the conformance suites: content on some database, and who makes it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/run_to_end.h"
#include "hearth/base/task.h"
#include "hearth/content/content_export.h"
#include "hearth/content/content_jobs.h"
#include "hearth/content/content_pages.h"
#include "hearth/content/content_store.h"
#include "hearth/content/rank.h"

namespace hearth::content {

template <typename T>
T run(Task<T> task) {
  return run_to_end(std::move(task));
}

inline UserId user_id(std::string_view text) {
  return UserId::parse(text, "userId").value();
}
inline PostId post_id(std::string_view text) {
  return PostId::parse(text, "postId").value();
}
inline void add_user(ContentStore& store, std::string_view id) {
  ASSERT_TRUE(run(store.put_user({.id = user_id(id), .username = std::string(id)})));
}
inline void add_post(ContentStore& store, std::string_view id, std::string_view author = "ada", std::optional<UtcMicros> at = {}) {
  ASSERT_TRUE(run(store.create_post({.id = post_id(id), .author = user_id(author), .created_at = at}, std::nullopt)));
}

// Live state as a map. Posts are dirty when the test says so.
struct LikesInTest final : DirtyPosts {
  std::map<std::string, std::uint32_t> likes = {};
  std::set<std::string> dirty = {};
  mutable std::function<void()> when_first_looked_at = {};

  bool is_dirty(std::string_view post) const override {
    if (when_first_looked_at) std::exchange(when_first_looked_at, nullptr)();
    return dirty.contains(std::string(post));
  }
  std::vector<std::string> above(std::uint32_t least, std::size_t limit) const override {
    std::vector<std::string> posts;
    std::ranges::copy_if(dirty, std::back_inserter(posts), [&](const auto& post) { return likes.at(post) >= least; });
    std::ranges::sort(posts, std::greater(), [this](const auto& post) { return likes.at(post); });
    posts.resize(std::min(posts.size(), limit));
    return posts;
  }
};
// The answer to every question is `likes` itself.
inline Task<Result<std::shared_ptr<const DirtyPosts>>> give(std::shared_ptr<const LikesInTest> likes) {
  co_return likes;
}
inline ReadDirty always(std::shared_ptr<const LikesInTest> likes) {
  return [likes = std::move(likes)] { return give(likes); };
}

class ContentUnderTest {
 public:
  virtual ~ContentUnderTest() = default;
  // The store of one of several nodes on the same data, or always the same store where one node is all there can be.
  virtual ContentStore& store(std::size_t node = 0) = 0;
  virtual ContentPages& pages() = 0;
  virtual std::unique_ptr<RankCandidates> rank(ReadDirty read_dirty) = 0;
  virtual ContentJobs& jobs() = 0;
  // A store whose posts are followed by `on_created`. Lives until the next restart().
  virtual ContentStore& store_with(OnCreated on_created) = 0;
  // One transaction, which commits if `work` succeeds.
  virtual Result<void> write(std::function<Result<void>(SqlTransaction)> work) = 0;
  // Of its export.
  virtual Result<void> for_each(UseUser use_user, UsePost use_post) = 0;
  // Stops all nodes and starts them again on the same data.
  virtual void restart() = 0;
  // Makes posts.likes these, as one step of what keeps them.
  virtual void project(const std::map<std::string, std::uint32_t>& likes) = 0;
  // How many rows a table has. REQUIRES: a literal.
  virtual std::int64_t count(const char* select_count) = 0;
};

struct ContentMaker {
  std::string name;
  std::function<std::unique_ptr<ContentUnderTest>(const Clock&)> make;  // fresh and empty
};
inline std::string name_of_maker(const testing::TestParamInfo<ContentMaker>& info) {
  return info.param.name;
}
inline void PrintTo(const ContentMaker& maker, std::ostream* out) {
  *out << maker.name;
}

class ContentConformance : public testing::TestWithParam<ContentMaker> {
 protected:
  ContentStore& store(std::size_t node = 0) { return content->store(node); }
  ContentPages& pages() { return content->pages(); }
  void add_user(std::string_view id) { content::add_user(store(), id); }
  void add_post(std::string_view id, std::string_view author = "ada", std::optional<UtcMicros> at = {}) {
    content::add_post(store(), id, author, at);
  }

  SimulatedClock clock;
  std::unique_ptr<ContentUnderTest> content = GetParam().make(clock);
};

}  // namespace hearth::content
