#include "hearth/likes/stores/session_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "hearth/likes/session_name.h"

namespace hearth::likes {
namespace {

std::string uuid(std::uint64_t number) {
  std::string bytes(16, '\0');
  for (int i = 0; i < 8; ++i) bytes[15 - i] = static_cast<char>(number >> (8 * i));
  return unpack_uuid(bytes);
}

std::string name_of_any_form(std::uint64_t number) {
  switch (number % 4) {
    case 0:
      return uuid(number);
    case 1:
      return "s" + std::to_string(number);
    case 2:
      return "a-session-of-some-length-" + std::to_string(number);
    default:
      return std::string(128 - std::to_string(number).size(), 'x') + std::to_string(number);
  }
}

TEST(SessionTable, ASessionKeepsItsNumberWhileItIsHeld) {
  SessionTable table;
  SessionNumber ada = table.acquire("ada");
  EXPECT_NE(ada, 0u);
  EXPECT_EQ(table.acquire("ada"), ada);
  EXPECT_EQ(table.find("ada"), ada);
  EXPECT_NE(table.acquire("bob"), ada);
  EXPECT_EQ(table.size(), 2u);
  table.release(ada);
  table.release(ada);
  EXPECT_EQ(table.name(ada), "ada") << "one reference is left";
  table.release(ada);
  EXPECT_EQ(table.find("ada"), 0u);
  EXPECT_EQ(table.size(), 1u);
}

TEST(SessionTable, FindMakesNoNumbers) {
  SessionTable table;
  EXPECT_EQ(table.find("ada"), 0u);
  EXPECT_EQ(table.size(), 0u);
  SessionReference nobody(table, table.find("ada"));
  EXPECT_EQ(nobody.number(), 0u);
}

TEST(SessionTable, NamesOfEveryFormComeBackAsTheyWere) {
  SessionTable table;
  const std::vector<std::string> names = {"a",
                                          std::string(15, 'b'),
                                          std::string(16, 'c'),
                                          std::string(17, 'd'),
                                          std::string(128, 'e'),
                                          "550e8400-e29b-41d4-a716-446655440000",
                                          "550E8400-E29B-41D4-A716-446655440000",
                                          "00000000-0000-0000-0000-000000000000",
                                          "ffffffff-ffff-ffff-ffff-ffffffffffff",
                                          "550e8400-e29b-41d4-a716-44665544000",
                                          "550e8400-e29b-41d4-a716-4466554400000",
                                          "550e8400xe29b-41d4-a716-446655440000"};
  std::map<SessionNumber, std::string> numbers;
  for (const auto& name : names) numbers[table.acquire(name)] = name;
  EXPECT_EQ(numbers.size(), names.size());
  for (const auto& [number, name] : numbers) EXPECT_EQ(table.name(number), name);
}

// "!abcdefghijklmno" is 16 bytes long, and so is a packed UUID; these two have the same bytes.
TEST(SessionTable, AUuidIsNotTheTextOfItsBytes) {
  SessionTable table;
  std::string text = "!abcdefghijklmno";
  SessionNumber as_text = table.acquire(text);
  SessionNumber as_uuid = table.acquire(unpack_uuid(text));
  EXPECT_NE(as_text, as_uuid);
  EXPECT_EQ(table.name(as_text), text);
  EXPECT_EQ(table.name(as_uuid), unpack_uuid(text));
}

TEST(SessionTable, AFreedNumberMayMeanAnotherSession) {
  SessionTable table;
  std::set<SessionNumber> numbers;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 100; ++i) {
      SessionReference reference(table, table.acquire("round" + std::to_string(round) + "-" + std::to_string(i)));
      numbers.insert(reference.number());
    }
  }
  EXPECT_EQ(table.size(), 0u);
  EXPECT_LE(numbers.size(), 100u) << "10,000 sessions one after the other need few numbers";
}

TEST(SessionTable, AReferenceThatIsKeptIsNotGivenBack) {
  SessionTable table;
  SessionNumber kept = SessionReference(table, table.acquire("ada")).keep();
  EXPECT_EQ(table.name(kept), "ada");
  SessionReference moved(table, kept);
  SessionReference target;
  target = std::move(moved);
  EXPECT_EQ(target.number(), kept);
  EXPECT_EQ(table.size(), 1u);
}

TEST(SessionTable, ManyUuidsCostFewBytesEach) {
  SessionTable table;
  constexpr std::uint64_t kSessions = 200'000;
  for (std::uint64_t i = 0; i < kSessions; ++i) table.acquire(uuid(i * 0x9e3779b97f4a7c15));
  EXPECT_LT(table.bytes() / kSessions, 32u);
}

// Otherwise a burst of visitors would take memory from likes for ever.
TEST(SessionTable, WhatIsReleasedGivesItsMemoryBack) {
  SessionTable table;
  std::vector<SessionNumber> numbers;
  for (std::uint64_t i = 0; i < 100'000; ++i) numbers.push_back(table.acquire(name_of_any_form(i)));
  std::uint64_t full = table.bytes();
  for (SessionNumber number : numbers) table.release(number);
  EXPECT_EQ(table.size(), 0u);
  EXPECT_LT(table.bytes(), full / 50);
}

TEST(SessionTable, RandomUseAgreesWithAMap) {
  SessionTable table;
  std::mt19937_64 random(7);
  std::map<std::string, std::pair<SessionNumber, int>> model;  // number and references
  for (int i = 0; i < 50'000; ++i) {
    std::string name = name_of_any_form(random() % 400);
    auto& [number, references] = model[name];
    if (references > 0 && random() % 2 == 0) {
      ASSERT_EQ(table.name(number), name);
      table.release(number);
      --references;
    } else {
      SessionNumber taken = random() % 4 == 0 ? table.find(name) : table.acquire(name);
      if (references > 0) {
        ASSERT_EQ(taken, number);
      }
      if (taken == 0) continue;
      number = taken;
      ++references;
    }
  }
  std::size_t held = 0;
  for (const auto& [name, entry] : model) held += entry.second > 0 ? 1 : 0;
  EXPECT_EQ(table.size(), held);
  for (auto& [name, entry] : model) {
    for (; entry.second > 0; --entry.second) table.release(entry.first);
  }
  EXPECT_EQ(table.size(), 0u);
}

TEST(SessionTable, EightThreadsAgreeOnNumbers) {
  SessionTable table;
  std::vector<std::thread> threads;
  std::vector<std::string> faults(8);
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&table, &fault = faults[t], t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < 20'000; ++i) {
        std::string name = name_of_any_form(random() % 64);
        SessionReference first(table, table.acquire(name));
        SessionReference second(table, table.find(name));
        if (first.number() != second.number() || table.name(first.number()) != name) fault = name;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& fault : faults) EXPECT_EQ(fault, "");
  EXPECT_EQ(table.size(), 0u);
}

}  // namespace
}  // namespace hearth::likes
