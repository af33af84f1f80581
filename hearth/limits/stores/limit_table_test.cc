#include "hearth/limits/stores/limit_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <vector>

namespace hearth::limits {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

const UtcMicros kNow{1'700'000'000s};

HashedName name_of(const std::string& key, Algorithm algorithm = Algorithm::kSlidingWindow, milliseconds window = 1s) {
  return HashedName(StateName(key, algorithm, window));
}
Check check_of(const HashedName& name, std::uint64_t limit) {
  return {.key = std::string(name.name.key), .limit = limit, .window = name.name.window, .algorithm = name.name.algorithm, .cost = 1};
}

TEST(LimitTable, FindsWhatWasInserted) {
  std::atomic<std::uint64_t> bytes{0};
  LimitTable table(bytes);
  const std::string key = "user:1", long_key(128, 'x');
  EXPECT_FALSE(table.find(name_of(key)));
  auto index = table.insert(name_of(key));
  auto other = table.insert(name_of(long_key));
  EXPECT_EQ(table.find(name_of(key)), index);
  EXPECT_EQ(table.find(name_of(long_key)), other);
  EXPECT_FALSE(table.find(name_of(key, Algorithm::kGcra)));
  EXPECT_FALSE(table.find(name_of(key, Algorithm::kSlidingWindow, 1'001ms)));
  table.erase(index);
  EXPECT_FALSE(table.find(name_of(key)));
  EXPECT_EQ(table.find(name_of(long_key)), other);
}

TEST(LimitTable, GivesAllItsMemoryBack) {
  std::atomic<std::uint64_t> bytes{0};
  {
    LimitTable table(bytes);
    std::vector<LimitTable::Index> kept;
    for (int i = 0; i < 5'000; ++i) {
      std::string key = "key-" + std::to_string(i) + std::string(static_cast<std::size_t>(i % 60), 'x');
      kept.push_back(table.insert(name_of(key)));
      auto now = kNow;
      for (int j = 0; j < i % 9; ++j) {
        table.change(kept.back(), [&](LimitState& state) { return state.take(check_of(name_of(key), 100), kExactEntriesMax, now += 1us); });
      }
    }
    auto full = bytes.load();
    for (auto index : kept) table.erase(index);
    EXPECT_EQ(table.size(), 0u);
    table.shrink();
    EXPECT_LT(bytes, full / 50) << "what is left are lists of chunks";
  }
  EXPECT_EQ(bytes, 0u);
}

TEST(LimitTable, SaysBeforehandWhatAnInsertMayTake) {
  std::atomic<std::uint64_t> bytes{0};
  LimitTable table(bytes);
  for (int i = 0; i < 20'000; ++i) {
    std::string key(static_cast<std::size_t>(1 + i % 128), 'a');
    key += std::to_string(i);
    HashedName name = name_of(key);
    auto before = bytes.load();
    auto said = table.insert_bytes(name);
    table.insert(name);
    ASSERT_LE(bytes - before, said) << i;
  }
}

// Random inserts and erases against a std::map.
TEST(LimitTable, IsAMap) {
  std::mt19937_64 random(1);
  std::atomic<std::uint64_t> bytes{0};
  LimitTable table(bytes);
  std::map<std::tuple<std::string, Algorithm, std::int64_t>, LimitTable::Index> model;
  for (int i = 0; i < 100'000; ++i) {
    std::string key(random() % 50 == 0 ? 100 : 5, 'k');
    key += std::to_string(random() % (i % 20'000 < 10'000 ? 2'000 : 20));  // grows and shrinks
    auto algorithm = static_cast<Algorithm>(random() % 3);
    milliseconds window(1 + random() % 2);
    auto known = model.find({key, algorithm, window.count()});
    auto found = table.find(name_of(key, algorithm, window));
    ASSERT_EQ(found.has_value(), known != model.end());
    if (!found) {
      model[{key, algorithm, window.count()}] = table.insert(name_of(key, algorithm, window));
    } else {
      ASSERT_EQ(*found, known->second);
      table.erase(*found);
      model.erase(known);
    }
    if (random() % 1'000 != 0) continue;
    table.shrink();
    std::size_t seen = 0;
    for (std::size_t chunk = 0; chunk < table.chunks(); ++chunk) {
      std::size_t erased = table.visit(chunk, [&](const StateName& name, LimitState& state) {
        ++seen;
        EXPECT_EQ(state.algorithm(), name.algorithm);
        auto at = model.find({std::string(name.key), name.algorithm, name.window.count()});
        EXPECT_NE(at, model.end());
        if (random() % 4 != 0 || at == model.end()) return true;
        model.erase(at);
        return false;
      });
      seen -= erased;
    }
    ASSERT_EQ(seen, model.size());
    ASSERT_EQ(table.size(), model.size());
  }
}

}  // namespace
}  // namespace hearth::limits
