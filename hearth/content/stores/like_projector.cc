#include "hearth/content/stores/like_projector.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace hearth::content {
namespace {

constexpr char kUnprojected[] = "SELECT id FROM posts WHERE likes_version IS NULL LIMIT ?1";
constexpr char kProject[] =
    "UPDATE posts SET likes = ?2, likes_version = ?3 WHERE id = ?1 AND (likes_version IS NULL OR likes_version < ?3)";
constexpr char kForgetVersions[] = "UPDATE posts SET likes_version = NULL WHERE likes_version IS NOT NULL";

}  // namespace

Result<void> LikeProjector::project(std::vector<std::string> posts) {
  while (true) {
    if (posts.empty()) {
      auto unprojected =
          database_.read_blocking([](sqlite::Connection& c) -> Result<std::vector<std::string>> { return never_projected(c); });
      if (!unprojected) return std::unexpected(unprojected.error());
      if (unprojected->empty()) return {};
      posts = *std::move(unprojected);
    }
    auto counts = ask_ledger(std::exchange(posts, {}));
    if (!counts) return std::unexpected(counts.error());
    auto written = database_.write_blocking([&](sqlite::Connection& connection) -> Result<void> {
      write(connection, *counts);
      return {};
    });
    if (!written) return written;
  }
}

Result<void> LikeProjector::project_all() {
  auto forgotten = database_.write_blocking([](sqlite::Connection& c) -> Result<std::size_t> { return forget_versions(c); });
  if (!forgotten) return std::unexpected(forgotten.error());
  return project({});
}

Result<std::vector<PostCount>> LikeProjector::ask_ledger(std::vector<std::string> posts) const {
  std::vector<PostCount> counts;
  counts.reserve(posts.size());
  for (auto first = posts.begin(); first != posts.end();) {
    auto last = first + std::min<std::ptrdiff_t>(kLedgerPostsPerQuestion, posts.end() - first);
    auto answers = read_counts_({std::make_move_iterator(first), std::make_move_iterator(last)});
    if (!answers) return std::unexpected(answers.error());
    std::ranges::move(*answers, std::back_inserter(counts));
    first = last;
  }
  return counts;
}

void LikeProjector::write(sqlite::Connection& connection, std::span<const PostCount> counts) {
  auto& update = connection.statement(kProject);
  for (const PostCount& count : counts) update.run(count.post, count.likes, count.version);
}

std::vector<std::string> LikeProjector::never_projected(sqlite::Connection& connection) {
  std::vector<std::string> posts;
  auto& row = connection.statement(kUnprojected).query(kProjectedPostsPerStep);
  while (row.next()) posts.push_back(row.string(0));
  return posts;
}

std::size_t LikeProjector::forget_versions(sqlite::Connection& connection) {
  return connection.statement(kForgetVersions).run();
}

}  // namespace hearth::content
