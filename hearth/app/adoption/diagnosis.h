#pragma once

// What is wrong with likes in SQL and in the live store: the findings of `hearth diagnose` and GET /api/admin/diagnostics.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hearth/base/result.h"

namespace hearth::app::adoption {

inline constexpr std::size_t kListedMax = 1'000;  // of each kind; totals are always whole

// Ratings of one post and one session, or of sessions that differ only by case or white space around them.
struct DuplicateRating {
  std::string post;
  std::string session;
  std::string other_session = {};  // looks like `session`; empty: the very same
  std::uint64_t rows = 0;
};

// Numbers of one post that should be the same. Those that are not kept, or not known, are empty.
struct CountDrift {
  std::string post;
  std::uint64_t ratings = 0;                 // rows
  std::optional<std::int64_t> sql = {};      // post_counts
  std::optional<std::int64_t> posts = {};    // the table of posts
  std::optional<std::int64_t> live = {};     // the live store: its count
  std::optional<std::int64_t> members = {};  // the live store: who likes it
  // In PostgreSQL an import counts the ratings again; elsewhere, and where live state differs, the reconciler mends it.
  bool is_for_import = false;
};

struct OrphanedRatings {
  std::string post;  // there is no such post
  std::uint64_t ratings = 0;
};

struct OrphanedComment {
  std::string comment;
  std::string post;
};

template <typename T>
struct Findings {
  std::uint64_t total = 0;
  std::vector<T> listed = {};
  std::string not_possible = {};  // why it could not be looked for, or not everywhere

  void add(T one) {
    ++total;
    if (listed.size() < kListedMax) listed.push_back(std::move(one));
  }
};

struct Diagnosis {
  Findings<DuplicateRating> duplicate_ratings = {};
  Findings<CountDrift> drift = {};
  Findings<OrphanedRatings> orphaned_ratings = {};
  Findings<OrphanedComment> orphaned_comments = {};

  std::uint64_t total() const { return duplicate_ratings.total + drift.total + orphaned_ratings.total + orphaned_comments.total; }
};

// {found, duplicateRatings: [{postId, …, evidence, severity, fix}], drift, orphanedRatings, orphanedComments, totals, notPossible}
std::string to_json(const Diagnosis& diagnosis);

// The same for people, from that JSON.
struct DiagnosisText {
  std::uint64_t found = 0;
  std::string text;
};
Result<DiagnosisText> read_diagnosis(std::string json);

}  // namespace hearth::app::adoption
