#pragma once

// For tests that run on several ledgers.

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include <gtest/gtest.h>

#include "hearth/likes/like_inbox.h"
#include "hearth/likes/like_ledger.h"
#include "hearth/likes/live_control.h"
#include "hearth/outbox/partition_leases.h"

namespace hearth::likes {

// A ledger, and what is kept beside it.
class LikeLedgerUnderTest {
 public:
  virtual ~LikeLedgerUnderTest() = default;
  virtual LikeLedger& ledger() = 0;
  virtual void restart() = 0;
  virtual LikeInbox& inbox() = 0;
  virtual LiveControl& control() = 0;
  // As if kFallbackAfter had passed since the last report.
  virtual void let_reports_age() = 0;
  virtual outbox::PartitionLeases* leases() { return nullptr; }  // null: one process has the ledger for itself
};

struct LikeLedgerMaker {
  std::string name;
  std::function<std::unique_ptr<LikeLedgerUnderTest>()> make;  // fresh and empty
};

inline std::string name_of_ledger(const testing::TestParamInfo<LikeLedgerMaker>& info) {
  return info.param.name;
}
inline void PrintTo(const LikeLedgerMaker& maker, std::ostream* out) {
  *out << maker.name;
}

}  // namespace hearth::likes
