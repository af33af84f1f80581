#include "hearth/views/stores/memory_view_store.h"

#include <gtest/gtest.h>

#include <atomic>

#include "hearth/views/test_world.h"
#include "hearth/views/view_store_conformance.h"

namespace hearth::views {
namespace {

using namespace std::chrono_literals;
using outbox::must;
using outbox::run;

class MemoryStoreUnderTest final : public ViewStoreUnderTest {
 public:
  explicit MemoryStoreUnderTest(TestStackOptions options = {}) : world(std::move(options)) {}
  ViewStore& store() override { return *world.stack->store; }
  ViewLedger& ledger() override { return world.ledger; }
  BufferedViews* buffered() override { return world.stack->store.get(); }
  SimulatedClock* clock() override { return &world.clock; }
  void restart() override { world.restart(); }

 private:
  World world;
};

// Where every item leaves memory as soon as it may.
class ForgetfulStore final : public ViewStore {
 public:
  explicit ForgetfulStore(World& world) : world_(world) {}
  Task<Result<ViewOutcome>> view(View view) override {
    if (calls_under_way_++ == 0) forget();
    auto outcome = co_await world_.stack->store->view(std::move(view));
    --calls_under_way_;
    co_return outcome;
  }
  Task<Result<std::vector<ViewTotal>>> totals(std::vector<ViewedItem> items) override {
    if (calls_under_way_ == 0) forget();
    co_return co_await world_.stack->store->totals(std::move(items));
  }
  Task<Result<std::vector<HourViews>>> hours(ViewedItem item, UtcHour since) override {
    co_return co_await world_.stack->store->hours(std::move(item), since);
  }
  Task<Result<std::vector<ItemViews>>> trending(UtcHour since, std::size_t limit) override {
    co_return co_await world_.stack->store->trending(since, limit);
  }

 private:
  void forget() {
    must(world_.stack->try_flush());
    world_.stack->store->evict();
  }
  World& world_;
  std::atomic<int> calls_under_way_{0};
};

class ForgetfulStoreUnderTest final : public ViewStoreUnderTest {
 public:
  ViewStore& store() override { return forgetful_; }
  ViewLedger& ledger() override { return world_.ledger; }
  BufferedViews* buffered() override { return world_.stack->store.get(); }
  SimulatedClock* clock() override { return &world_.clock; }
  void restart() override { world_.restart(); }

 private:
  World world_{{.store = {.items_bytes_max = 0}}};
  ForgetfulStore forgetful_{world_};
};

const auto kMakers = testing::Values(ViewStoreMaker{"Memory", [] { return std::make_unique<MemoryStoreUnderTest>(); }},
                                     ViewStoreMaker{"MemoryThatForgets", [] { return std::make_unique<ForgetfulStoreUnderTest>(); }});

INSTANTIATE_TEST_SUITE_P(Memory, ViewStoreConformance, kMakers, name_of_maker);
INSTANTIATE_TEST_SUITE_P(Memory, ViewWindowConformance, kMakers, name_of_maker);
INSTANTIATE_TEST_SUITE_P(Memory, BufferedViewsConformance, kMakers, name_of_maker);

}  // namespace
}  // namespace hearth::views
