#include "hearth/likes/stores/memory_like_store.h"

#include <gtest/gtest.h>

#include "hearth/drivers/sqlite/fault_vfs.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/likes/like_store_conformance.h"
#include "hearth/likes/test_stack.h"

namespace hearth::likes {
namespace {

class MemoryStoreUnderTest final : public LikeStoreUnderTest {
 public:
  MemoryStoreUnderTest() { restart(); }
  LikeStore& store() override { return *stack_->store; }
  void restart() override {
    stack_.reset();
    stack_ = std::make_unique<TestStack>(folder_.path(), clock_, TestStack::Options{.vfs = disk_.name()});
  }

 private:
  sqlite::TemporaryFolder folder_;
  sqlite::FaultVfs disk_;  // its syncs cost nothing
  SimulatedClock clock_;
  std::unique_ptr<TestStack> stack_;
};

INSTANTIATE_TEST_SUITE_P(Memory, LikeStoreConformance,
                         testing::Values(LikeStoreMaker{"memory", [] { return std::make_unique<MemoryStoreUnderTest>(); }}), name_of_maker);

}  // namespace
}  // namespace hearth::likes
