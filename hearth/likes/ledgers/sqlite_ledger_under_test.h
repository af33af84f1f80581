#pragma once

// For tests: a ledger in a fresh file.

#include <memory>
#include <optional>

#include "hearth/base/clock.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/likes/ledgers/sqlite_like_inbox.h"
#include "hearth/likes/ledgers/sqlite_like_ledger.h"
#include "hearth/likes/ledgers/sqlite_live_control.h"
#include "hearth/likes/like_ledger_under_test.h"
#include "hearth/likes/test_stack.h"

namespace hearth::likes {

class SqliteLedgerUnderTest final : public LikeLedgerUnderTest {
 public:
  SqliteLedgerUnderTest() { open(); }
  ~SqliteLedgerUnderTest() override { ledger_->stop(); }
  LikeLedger& ledger() override { return *ledger_; }
  LikeInbox& inbox() override { return *inbox_; }
  LiveControl& control() override { return *control_; }
  void let_reports_age() override { clock_.advance(kFallbackAfter); }
  void restart() override {
    ledger_->stop();
    open();
  }

 private:
  void open() {
    ledger_ = must(SqliteLikeLedger::open(folder_.path() / "ratings.db"));
    inbox_.emplace(ledger_->database(), clock_);
    control_.emplace(ledger_->database(), clock_);
  }

  sqlite::TemporaryFolder folder_;
  SimulatedClock clock_;
  std::unique_ptr<SqliteLikeLedger> ledger_;
  std::optional<SqliteLikeInbox> inbox_;
  std::optional<SqliteLiveControl> control_;
};

}  // namespace hearth::likes
