#pragma once

// What `hearth import --from-database` did and found.

#include <cstdint>
#include <optional>
#include <string>

#include "hearth/app/adoption/diagnosis.h"

namespace hearth::app::adoption {

// A number of a post that was not right.
struct Difference {
  std::string post;
  std::string where;  // "posts": the table of posts; "ratings": SQL's, against the live store
  std::optional<std::int64_t> was = {};
  std::int64_t now = 0;
};

// What could not be mended.
struct Remainder {
  std::string post;
  std::string reason;
};

struct DatabaseImportReport {
  bool is_dry_run = false;
  std::uint64_t posts = 0;    // that have ratings
  std::uint64_t ratings = 0;  // of them
  std::uint64_t entered = 0;  // posts that Hearth did not know
  std::uint64_t duplicates_removed = 0;
  std::uint64_t loaded = 0;    // posts in the live store
  std::uint64_t adopted = 0;   // ratings that the live store had and SQL had not
  std::uint64_t pruned = 0;    // posts that stood in sets of sessions which do not like them
  std::uint64_t moved = 0;     // posts whose keys got another layout
  std::uint64_t verified = 0;  // posts whose count and sessions were compared
  std::uint64_t moving = 0;    // posts that were liked too fast for that; the next run can compare them
  Findings<Difference> differences = {};
  Findings<Remainder> left = {};
  Findings<OrphanedRatings> orphaned_ratings = {};
  Findings<OrphanedComment> orphaned_comments = {};
};

std::string to_json(const DatabaseImportReport& report);
std::string to_text(const DatabaseImportReport& report);

}  // namespace hearth::app::adoption
