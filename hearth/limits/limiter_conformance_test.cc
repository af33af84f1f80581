#include "hearth/limits/limiter_conformance.h"

#include <gtest/gtest.h>

#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/limits/stores/memory_limiter.h"

namespace hearth::limits {
namespace {

class MemoryLimiterUnderTest final : public LimiterUnderTest {
 public:
  MemoryLimiterUnderTest(std::size_t exact_entries_max, bool has_log) : has_log_(has_log) {
    options_.exact_entries_max = exact_entries_max;
    options_.log.slack_bytes = 4'096;  // so that it is rewritten in between
    options_.cleans_itself = false;
    open();
  }

  Limiter& limiter() override {
    EXPECT_TRUE(limiter_->clean());
    return *limiter_;
  }
  UtcMicros now() override { return clock_.now(); }
  void advance(std::chrono::microseconds by) override { clock_.advance(by); }
  bool restart() override {
    if (!has_log_) return false;
    open();
    return true;
  }

 private:
  void open() {
    limiter_.reset();
    limiter_ = has_log_ ? must(MemoryLimiter::open(folder_.path(), clock_, options_)) : std::make_unique<MemoryLimiter>(clock_, options_);
    limiter_->start();
  }

  const bool has_log_;
  MemoryLimiterOptions options_;
  sqlite::TemporaryFolder folder_;
  SimulatedClock clock_;
  std::unique_ptr<MemoryLimiter> limiter_;
};

const LimiterMaker kMemory{"memory", [](std::size_t max) { return std::make_unique<MemoryLimiterUnderTest>(max, false); }};
const LimiterMaker kLogged{"logged", [](std::size_t max) { return std::make_unique<MemoryLimiterUnderTest>(max, true); }};
INSTANTIATE_TEST_SUITE_P(Memory, LimiterConformance, testing::Values(kMemory, kLogged), name_of_limiter);

}  // namespace
}  // namespace hearth::limits
