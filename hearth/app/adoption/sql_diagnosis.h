#pragma once

// What SQL alone tells about its likes. Reads only. Thread-safe.

#include <cstdint>
#include <string>
#include <vector>

#include "hearth/app/adoption/diagnosis.h"
#include "hearth/base/task.h"

namespace hearth::app::adoption {

// A post and its ratings, to be compared with the live store.
struct RatedPost {
  std::string post;
  std::uint64_t ratings = 0;
  std::uint64_t version = 0;  // 0: Hearth has no count of it

  friend bool operator==(const RatedPost&, const RatedPost&) = default;
};

class SqlDiagnosis {
 public:
  virtual ~SqlDiagnosis() = default;

  // All but the live store. What could not be looked for says so in its findings.
  virtual Task<Result<Diagnosis>> diagnose() = 0;
  // Up to `limit` posts that have ratings, or had some, after `after` in an order of its own; "" begins.
  virtual Task<Result<std::vector<RatedPost>>> rated_after(std::string after, std::size_t limit) = 0;
  // In the order asked.
  virtual Task<Result<std::vector<RatedPost>>> rated(std::vector<std::string> posts) = 0;
};

}  // namespace hearth::app::adoption
