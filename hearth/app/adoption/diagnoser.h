#pragma once

// Looks for what is wrong in SQL, and compares SQL with the live store. Changes nothing; likes go on meanwhile: only numbers
// that stay different while nothing changes are drift.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hearth/app/adoption/sql_diagnosis.h"
#include "hearth/likes/like_reconciler.h"
#include "hearth/likes/live_posts.h"

namespace hearth::app::adoption {

struct LiveSide {
  std::function<Task<Result<std::vector<std::optional<likes::LiveCount>>>>(std::vector<std::string> posts)> counts;
  std::function<Task<Result<likes::LivePosts::Page>>(std::string from)> scan;
  likes::Flush settle;  // gives SQL the time to get what was answered
};

class Diagnoser {
 public:
  // `live` has no functions where there is none to compare with.
  Diagnoser(SqlDiagnosis& sql, LiveSide live) : sql_(sql), live_(std::move(live)) {}

  Task<Result<Diagnosis>> diagnose();

 private:
  struct Compared {
    RatedPost sql;
    likes::LiveCount live;
  };

  Task<Result<void>> compare_live(Diagnosis& diagnosis);
  Task<Result<std::vector<Compared>>> differing(std::vector<RatedPost> page);
  Task<Result<void>> compare(std::vector<RatedPost> page, Diagnosis& diagnosis);
  Task<Result<std::string>> compare_unknown(std::string from, Diagnosis& diagnosis);

  SqlDiagnosis& sql_;
  const LiveSide live_;
};

}  // namespace hearth::app::adoption
