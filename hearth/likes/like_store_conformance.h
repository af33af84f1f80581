#pragma once

// What every LikeStore promises (like_store.h), as tests: like_store_conformance_test.cc.
//
//   INSTANTIATE_TEST_SUITE_P(Memory, LikeStoreConformance, testing::Values(LikeStoreMaker{"memory", make_…}), name_of_maker);

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "hearth/likes/like_store.h"
#include "hearth/likes/test_stack.h"

namespace hearth::likes {

// A store and what it stands on.
class LikeStoreUnderTest {
 public:
  virtual ~LikeStoreUnderTest() = default;
  virtual LikeStore& store() = 0;
  // Stops the process and starts it again on the same data.
  virtual void restart() = 0;
};

struct LikeStoreMaker {
  std::string name;
  std::function<std::unique_ptr<LikeStoreUnderTest>()> make;  // fresh and empty
};

inline std::string name_of_maker(const testing::TestParamInfo<LikeStoreMaker>& info) {
  return info.param.name;
}
inline void PrintTo(const LikeStoreMaker& maker, std::ostream* out) {
  *out << maker.name;
}

class LikeStoreConformance : public testing::TestWithParam<LikeStoreMaker> {
 protected:
  LikeStore& store() { return under_test->store(); }

  Result<LikeOutcome> change(const std::string& post_id, const std::string& session_id, LikeAction action = LikeAction::kToggle,
                             std::optional<IdempotencyKey> key = std::nullopt) {
    return run(store().change({.post = post(post_id), .session = session(session_id), .action = action, .idempotency = std::move(key)}));
  }
  LikeView view(const std::string& post_id, const std::string& session_id) {
    return must(run(store().read({post(post_id)}, session(session_id)))).front();
  }

  Loops loops{4};  // outlives the store that wakes it
  std::unique_ptr<LikeStoreUnderTest> under_test = GetParam().make();
};

}  // namespace hearth::likes
