#pragma once

// How ratings.db stores posts and sessions.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hearth/drivers/sqlite/connection.h"
#include "hearth/likes/session_name.h"

namespace hearth::likes {

inline constexpr char kFindPost[] = "SELECT id, likes, version FROM post_counts WHERE post_id = ?1";
inline constexpr char kLikesOf[] =
    "SELECT post_counts.post_id, likes.created_at FROM ratings_by_session likes JOIN post_counts ON post_counts.id = likes.post "
    "WHERE likes.session = ?1 ORDER BY likes.created_at DESC LIMIT ?2";

// A session as it is stored. Holds what it points at.
class StoredSession {
 public:
  explicit StoredSession(std::string_view session) : packed_(pack_uuid(session)), text_(session) {}
  template <typename Use>
  auto with(Use&& use) const {
    return packed_ ? use(sqlite::Blob{{packed_->data(), packed_->size()}}) : use(text_);
  }

 private:
  std::optional<UuidBytes> packed_;
  std::string_view text_;
};

inline std::string read_session(const sqlite::Statement& row, int column) {
  if (!row.is_blob(column)) return row.string(column);
  auto bytes = row.blob(column);
  return bytes.size() == sizeof(UuidBytes) ? unpack_uuid(bytes) : std::string(bytes);
}

struct FoundPost {
  std::int64_t id = 0;  // 0: not there
  std::uint32_t likes = 0;
  std::uint64_t version = 0;
};

inline FoundPost find_post(sqlite::Connection& connection, std::string_view post) {
  auto& row = connection.statement(kFindPost).query(post);
  FoundPost found;
  if (row.next()) found = {row.integer(0), static_cast<std::uint32_t>(row.integer(1)), static_cast<std::uint64_t>(row.integer(2))};
  row.reset();
  return found;
}

}  // namespace hearth::likes
