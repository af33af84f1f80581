#pragma once

// Likes as other programs find them in the data folder's SQL files.

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>

namespace hearth::tests {

struct SqlPost {
  std::int64_t likes = 0;
  std::int64_t version = 0;
  std::set<std::string> sessions = {};

  friend bool operator==(const SqlPost&, const SqlPost&) = default;
};

// post_counts and the post_ratings view of ratings.db. Throws if they cannot be read.
std::map<std::string, SqlPost> read_ledger(const std::filesystem::path& data);
// posts.likes of content.db.
std::map<std::string, std::int64_t> read_projection(const std::filesystem::path& data);

}  // namespace hearth::tests
