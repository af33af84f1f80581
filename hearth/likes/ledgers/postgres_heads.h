#pragma once

// Rows of post_counts: whoever changes likes in PostgreSQL first locks those of its posts, in the order of their ids.

#include <algorithm>
#include <string_view>
#include <vector>

#include "hearth/drivers/postgres/connection.h"

namespace hearth::likes {

// Two writers that meet wait for each other's new rows, and then for each other's locks, both in the order of ids.
inline constexpr std::string_view kAddHeads =
    "INSERT INTO post_counts (post_id, likes, version) SELECT post, 0, 0 FROM unnest($1) AS post ON CONFLICT DO NOTHING";
inline constexpr std::string_view kLockHeads =
    "SELECT post_id, likes, version FROM post_counts WHERE post_id = ANY($1) ORDER BY post_id FOR UPDATE";

// Makes rows for posts that have none, of version 0, and locks them all; returns (post, likes, version) of each.
inline postgres::Rows lock_heads(postgres::Connection& connection, std::vector<std::string_view> posts) {
  std::ranges::sort(posts);
  connection.run(kAddHeads, posts);
  return connection.query(kLockHeads, posts);
}

}  // namespace hearth::likes
