#pragma once

// What every SharedDocuments promises (shared_documents.h), as tests. For one .cc.

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hearth/base/run_to_end.h"
#include "hearth/limits/shared_documents.h"

namespace hearth::limits {

// Documents on some database, and what that stands on.
struct DocumentsUnderTest {
  std::unique_ptr<SharedDocuments> documents;
  std::shared_ptr<void> database;  // whatever it is
};

struct DocumentsMaker {
  std::string name;
  std::function<DocumentsUnderTest()> make;  // fresh and empty
};
inline void PrintTo(const DocumentsMaker& maker, std::ostream* out) {
  *out << maker.name;
}

class SharedDocumentsConformance : public testing::TestWithParam<DocumentsMaker> {
 protected:
  std::optional<SharedDocument> get(std::string name) { return run_to_end(documents().get(std::move(name))).value(); }
  Result<std::uint64_t> put(std::string name, std::string body, std::optional<std::uint64_t> expected = {}) {
    return run_to_end(documents().put(std::move(name), std::move(body), expected));
  }
  void remove(std::string name) { ASSERT_TRUE(run_to_end(documents().remove(std::move(name)))); }
  SharedDocuments& documents() { return *under_test.documents; }

  DocumentsUnderTest under_test = GetParam().make();
};

TEST_P(SharedDocumentsConformance, ADocumentIsReadBackAsItWasWritten) {
  EXPECT_FALSE(get("rules"));
  EXPECT_FALSE(documents().get_blocking("rules").value());
  EXPECT_EQ(put("rules", "{\"a\": \"é\\n\"}").value(), 1u);
  EXPECT_EQ(get("rules"), (SharedDocument{1, "{\"a\": \"é\\n\"}"}));
  EXPECT_EQ(documents().get_blocking("rules").value(), get("rules"));
  EXPECT_FALSE(get("other"));
  EXPECT_EQ(put("rules", "").value(), 2u);
  EXPECT_EQ(get("rules"), (SharedDocument{2, ""}));
}

TEST_P(SharedDocumentsConformance, OnlyTheExpectedVersionIsReplaced) {
  EXPECT_EQ(put("rules", "a", 1).error().code, ErrorCode::kConflict);
  EXPECT_FALSE(get("rules"));
  EXPECT_EQ(put("rules", "a", 0).value(), 1u);
  EXPECT_EQ(put("rules", "b", 0).error().code, ErrorCode::kConflict);
  EXPECT_EQ(put("rules", "b", 1).value(), 2u);
  EXPECT_EQ(put("rules", "c", 1).error().code, ErrorCode::kConflict);
  EXPECT_EQ(get("rules"), (SharedDocument{2, "b"}));
}

TEST_P(SharedDocumentsConformance, VersionsGrowOverARemoval) {
  put("rules", "a").value();
  remove("rules");
  EXPECT_FALSE(get("rules"));
  remove("rules");
  remove("never there");
  EXPECT_EQ(put("rules", "b", 1).error().code, ErrorCode::kConflict);
  EXPECT_GT(put("rules", "b", 0).value(), 2u);
  EXPECT_EQ(get("rules")->body, "b");
}

TEST_P(SharedDocumentsConformance, WhatIsTooLargeOrNoTextIsRefused) {
  EXPECT_EQ(put("rules", std::string(kSharedDocumentBytesMax + 1, 'x')).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(put("rules", std::string("a\0b", 3)).error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(get("rules"));
  EXPECT_TRUE(put("rules", std::string(kSharedDocumentBytesMax, 'x')));
}

TEST_P(SharedDocumentsConformance, OfThoseWhoChangeAVersionAtOnceOneSucceeds) {
  for (std::uint64_t version = 0; version < 5; ++version) {
    std::atomic<int> won = 0;
    std::atomic<int> conflicts = 0;
    std::vector<std::jthread> writers;
    for (int i = 0; i < 16; ++i) {
      writers.emplace_back([&, i] {
        auto made = put("rules", std::to_string(i), version);
        if (made) ++won;
        if (!made && made.error().code == ErrorCode::kConflict) ++conflicts;
      });
    }
    writers.clear();
    EXPECT_EQ(won, 1);
    EXPECT_EQ(conflicts, 15);
    EXPECT_EQ(get("rules")->version, version + 1);
  }
}

}  // namespace hearth::limits
