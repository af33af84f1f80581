#include "tests/support/sql_state.h"

#include <stdexcept>

#include "hearth/drivers/sqlite/connection.h"

namespace hearth::tests {
namespace {

sqlite::Connection open(const std::filesystem::path& path) {
  auto connection = sqlite::Connection::open({.path = path, .read_only = true});
  if (!connection) throw std::runtime_error(connection.error().message);
  return *std::move(connection);
}

template <typename Work>
void within_snapshot(sqlite::Connection& connection, Work work) {
  if (auto done = connection.snapshot(work); !done) throw std::runtime_error(done.error().message);
}

}  // namespace

std::map<std::string, SqlPost> read_ledger(const std::filesystem::path& data) {
  std::map<std::string, SqlPost> posts;
  auto connection = open(data / "ratings.db");
  within_snapshot(connection, [&] {
    auto& counts = connection.statement("SELECT post_id, likes, version FROM post_counts").query();
    while (counts.next()) posts[counts.string(0)] = {.likes = counts.integer(1), .version = counts.integer(2)};
    auto& ratings = connection.statement("SELECT post_id, session_id FROM post_ratings").query();
    while (ratings.next()) posts[ratings.string(0)].sessions.insert(ratings.string(1));
  });
  return posts;
}

std::map<std::string, std::int64_t> read_projection(const std::filesystem::path& data) {
  std::map<std::string, std::int64_t> likes;
  auto connection = open(data / "content.db");
  within_snapshot(connection, [&] {
    auto& posts = connection.statement("SELECT id, likes FROM posts").query();
    while (posts.next()) likes[posts.string(0)] = posts.integer(1);
  });
  return likes;
}

}  // namespace hearth::tests
