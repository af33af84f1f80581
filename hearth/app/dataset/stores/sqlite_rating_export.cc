#include "hearth/app/dataset/stores/sqlite_rating_export.h"

#include <string>

namespace hearth::app::dataset {
namespace {

constexpr char kLikedPosts[] = "SELECT post_id FROM post_counts ORDER BY post_id";
constexpr char kRatingsOfPost[] = "SELECT session_id, created_at FROM post_ratings WHERE post_id = ?1 ORDER BY session_id";

Result<void> for_each_rating_of(sqlite::Connection& connection, const std::string& post, UseRating use) {
  auto& row = connection.statement(kRatingsOfPost).query(post);
  while (row.next()) {
    if (auto used = use({post, row.text(0), row.text(1)}); !used) return used;
  }
  return {};
}

}  // namespace

Result<void> SqliteRatingExport::for_each(UseRating use) {
  return connection_.snapshot([&]() -> Result<void> {
    auto& row = connection_.statement(kLikedPosts).query();
    while (row.next()) {
      if (auto used = for_each_rating_of(connection_, row.string(0), use); !used) return used;
    }
    return {};
  });
}

}  // namespace hearth::app::dataset
