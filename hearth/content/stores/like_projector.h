#pragma once

// Writes the ledger's counts to posts.likes in content.db, so that SQL can order posts by likes. Pages show live counts,
// never these.
//
// A count is written only over an older version or none, so an old answer never replaces a newer one, whoever asks at once.
//
// With a journal, LikeProjection says which posts changed, and remembers how far it has read. Without one, whoever writes the
// ledger calls project() after each write, and project_all() at start, for what was written and not projected before.
//
// Thread-safe.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "hearth/base/result.h"
#include "hearth/drivers/sqlite/database.h"

namespace hearth::content {

inline constexpr std::size_t kProjectedPostsPerStep = 20'000;  // of one transaction
inline constexpr std::size_t kLedgerPostsPerQuestion = 1'000;

struct PostCount {
  std::string post;
  std::uint32_t likes = 0;
  std::uint64_t version = 0;
};

// Asks the ledger: one answer for each post, in any order; likes and version 0 for one that nobody ever liked. Called on the
// thread of the projection, and may block.
using ReadCounts = std::function<Result<std::vector<PostCount>>(std::vector<std::string> posts)>;

class LikeProjector {
 public:
  LikeProjector(sqlite::Database& database, ReadCounts read_counts) : database_(database), read_counts_(std::move(read_counts)) {}

  // Brings `posts` up to the ledger, in one transaction, and then all that were never projected, in steps. Blocks.
  Result<void> project(std::vector<std::string> posts);
  // Does so with every post, and believes the ledger whatever its versions: it may be an older copy.
  Result<void> project_all();

  // The parts, for LikeProjection.
  Result<std::vector<PostCount>> ask_ledger(std::vector<std::string> posts) const;
  static void write(sqlite::Connection& connection, std::span<const PostCount> counts);
  static std::vector<std::string> never_projected(sqlite::Connection& connection);  // at most kProjectedPostsPerStep
  static std::size_t forget_versions(sqlite::Connection& connection);

 private:
  sqlite::Database& database_;
  const ReadCounts read_counts_;
};

}  // namespace hearth::content
