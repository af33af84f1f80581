#pragma once

// Makes the tables of another program Hearth's ledger: ratings without duplicates under a unique index, their posts in
// post_counts, and the counts in the table of posts right. Each step may be made again, and while likes go on.
//
// Posts that post_counts knows already are left alone there: the outbox and the reconciler keep them. Ratings and posts
// that belong to nothing stay as they are.
//
// These block: for commands. One thread.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hearth/drivers/postgres/database.h"
#include "hearth/likes/ledger_names.h"

namespace hearth::app::adoption {

enum class Mode : std::uint8_t { kChange, kDryRun };

// A count in the table of posts; empty: NULL.
struct MendedPost {
  std::string post;
  std::optional<std::int64_t> was;
  std::int64_t now = 0;
  std::string refusal = {};  // of the database; then the count is as it was
};

struct RatedPage {
  std::string last;  // where the next one goes on; empty: that was all
  std::uint64_t posts = 0;
  std::uint64_t ratings = 0;
  std::uint64_t entered = 0;  // posts that post_counts did not know
};

struct PostsPage {
  std::string last;
  std::vector<MendedPost> mended;
};

class PostgresAdoption {
 public:
  // `database` outlives it.
  PostgresAdoption(postgres::Database& database, likes::LedgerNames names, Mode mode)
      : database_(database), names_(std::move(names)), mode_(mode) {}

  static Result<bool> has_table(postgres::Database& database, const std::string& name);
  // False: Hearth has counted nothing yet, and there are ratings that it was not told of.
  Result<bool> is_counted();
  // kInvalidArgument names the setting, kConflict says what must be mended by hand first.
  Result<void> check();
  struct Uniqueness {
    bool has_index = false;
    std::uint64_t surplus = 0;  // rows that are there before of the same pair
  };
  Result<Uniqueness> uniqueness();
  // Removes all but the oldest row of each pair, and makes the unique index. Other programs wait meanwhile. Returns how many
  // rows were removed.
  Result<std::uint64_t> make_unique();
  // The next posts that have ratings, after `after`; those that are not in post_counts get there.
  Result<RatedPage> enter_posts(const std::string& after, std::size_t limit);
  // The next posts of their table; those with another count than ratings get the right one.
  Result<PostsPage> mend_posts(const std::string& after, std::size_t limit);

 private:
  postgres::Database& database_;
  const likes::LedgerNames names_;
  const Mode mode_;
};

}  // namespace hearth::app::adoption
