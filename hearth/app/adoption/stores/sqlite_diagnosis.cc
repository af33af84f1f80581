#include "hearth/app/adoption/stores/sqlite_diagnosis.h"

#include <utility>

namespace hearth::app::adoption {
namespace {

using sqlite::Connection;

constexpr std::size_t kPostsPerPage = 1'000;

constexpr char kLookalikes[] =
    "SELECT post_counts.post_id, min(session), max(session), count(*) FROM ratings JOIN post_counts ON post_counts.id = ratings.post "
    "WHERE typeof(session) = 'text' GROUP BY ratings.post, lower(trim(session, char(9, 10, 11, 12, 13, 32))) "
    "HAVING min(session) <> max(session) ORDER BY 4 DESC, 1, 2";
constexpr char kWrongCounts[] =
    "SELECT post_id, likes, rows FROM (SELECT post_id, likes, (SELECT count(*) FROM ratings WHERE post = post_counts.id) AS rows "
    "FROM post_counts) WHERE likes <> rows ORDER BY post_id";
constexpr char kRatedAfter[] =
    "SELECT post_id, (SELECT count(*) FROM ratings WHERE post = post_counts.id), version FROM post_counts WHERE post_id > ?1 "
    "ORDER BY post_id LIMIT ?2";
constexpr char kRated[] =
    "SELECT (SELECT count(*) FROM ratings WHERE post = post_counts.id), version, likes FROM post_counts WHERE post_id = ?1";
constexpr char kHasPosts[] = "SELECT EXISTS (SELECT 1 FROM posts)";
constexpr char kHasPost[] = "SELECT EXISTS (SELECT 1 FROM posts WHERE id = ?1)";
constexpr char kShownAfter[] =
    "SELECT id, likes, likes_version FROM posts WHERE id > ?1 AND likes_version IS NOT NULL ORDER BY id LIMIT ?2";

bool boolean_of(sqlite::Statement& row) {
  bool is_true = row.next() && row.boolean(0);
  row.reset();
  return is_true;
}

}  // namespace

Task<Result<Diagnosis>> SqliteDiagnosis::diagnose() {
  Diagnosis diagnosis;
  diagnosis.orphaned_comments.not_possible = "there is no table of comments";
  if (auto found = co_await find_in_ratings(diagnosis); !found) co_return std::unexpected(found.error());
  if (auto found = co_await find_wrong_copies(diagnosis); !found) co_return std::unexpected(found.error());
  if (auto found = co_await find_orphans(diagnosis); !found) co_return std::unexpected(found.error());
  co_return diagnosis;
}

Task<Result<void>> SqliteDiagnosis::find_in_ratings(Diagnosis& diagnosis) {
  auto found = co_await ratings_.read([](Connection& connection) -> Result<Diagnosis> {
    Diagnosis part;
    auto& alike = connection.statement(kLookalikes).query();
    while (alike.next()) {
      part.duplicate_ratings.add({.post = alike.string(0),
                                  .session = alike.string(1),
                                  .other_session = alike.string(2),
                                  .rows = static_cast<std::uint64_t>(alike.integer(3))});
    }
    auto& wrong = connection.statement(kWrongCounts).query();
    while (wrong.next())
      part.drift.add({.post = wrong.string(0), .ratings = static_cast<std::uint64_t>(wrong.integer(2)), .sql = wrong.integer(1)});
    return part;
  });
  if (!found) co_return std::unexpected(found.error());
  diagnosis.duplicate_ratings = std::move(found->duplicate_ratings);
  diagnosis.drift = std::move(found->drift);
  co_return Result<void>{};
}

// posts.likes is a copy that follows the ledger: at the same version it must say the same.
Task<Result<void>> SqliteDiagnosis::find_wrong_copies(Diagnosis& diagnosis) {
  std::string after;
  for (;;) {
    auto shown = co_await content_.read([after](Connection& connection) -> Result<std::vector<ShownPost>> {
      std::vector<ShownPost> page;
      auto& row = connection.statement(kShownAfter).query(after, kPostsPerPage);
      while (row.next()) page.push_back({row.string(0), row.integer(1), static_cast<std::uint64_t>(row.integer(2))});
      return page;
    });
    if (!shown) co_return std::unexpected(shown.error());
    if (shown->empty()) co_return Result<void>{};
    after = shown->back().post;
    auto wrong = co_await ratings_.read([page = *std::move(shown)](Connection& connection) -> Result<std::vector<CountDrift>> {
      std::vector<CountDrift> found;
      for (const auto& post : page) {
        auto& row = connection.statement(kRated).query(post.post);
        bool is_wrong = row.next() && static_cast<std::uint64_t>(row.integer(1)) == post.version && row.integer(0) != post.likes;
        if (is_wrong) {
          found.push_back(
              {.post = post.post, .ratings = static_cast<std::uint64_t>(row.integer(0)), .sql = row.integer(2), .posts = post.likes});
        }
        row.reset();
      }
      return found;
    });
    if (!wrong) co_return std::unexpected(wrong.error());
    for (auto& one : *wrong) diagnosis.drift.add(std::move(one));
  }
}

Task<Result<void>> SqliteDiagnosis::find_orphans(Diagnosis& diagnosis) {
  auto has_posts =
      co_await content_.read([](Connection& connection) -> Result<bool> { return boolean_of(connection.statement(kHasPosts).query()); });
  if (!has_posts) co_return std::unexpected(has_posts.error());
  if (!*has_posts) {
    diagnosis.orphaned_ratings.not_possible = "Hearth knows no posts: they must be elsewhere";
    co_return Result<void>{};
  }
  std::string after;
  for (;;) {
    auto page = co_await rated_after(after, kPostsPerPage);
    if (!page) co_return std::unexpected(page.error());
    if (page->empty()) co_return Result<void>{};
    after = page->back().post;
    auto orphans = co_await content_.read([page = *std::move(page)](Connection& connection) -> Result<std::vector<RatedPost>> {
      std::vector<RatedPost> found;
      for (const auto& post : page) {
        if (post.ratings > 0 && !boolean_of(connection.statement(kHasPost).query(post.post))) found.push_back(post);
      }
      return found;
    });
    if (!orphans) co_return std::unexpected(orphans.error());
    for (auto& orphan : *orphans) diagnosis.orphaned_ratings.add({std::move(orphan.post), orphan.ratings});
  }
}

Task<Result<std::vector<RatedPost>>> SqliteDiagnosis::rated_after(std::string after, std::size_t limit) {
  return ratings_.read([after = std::move(after), limit](Connection& connection) -> Result<std::vector<RatedPost>> {
    std::vector<RatedPost> posts;
    auto& row = connection.statement(kRatedAfter).query(after, limit);
    while (row.next()) {
      posts.push_back({row.string(0), static_cast<std::uint64_t>(row.integer(1)), static_cast<std::uint64_t>(row.integer(2))});
    }
    return posts;
  });
}

Task<Result<std::vector<RatedPost>>> SqliteDiagnosis::rated(std::vector<std::string> posts) {
  return ratings_.read([posts = std::move(posts)](Connection& connection) -> Result<std::vector<RatedPost>> {
    std::vector<RatedPost> found;
    for (const auto& post : posts) {
      RatedPost one{.post = post};
      auto& row = connection.statement(kRated).query(post);
      if (row.next()) {
        one.ratings = static_cast<std::uint64_t>(row.integer(0));
        one.version = static_cast<std::uint64_t>(row.integer(1));
      }
      row.reset();
      found.push_back(std::move(one));
    }
    return found;
  });
}

}  // namespace hearth::app::adoption
