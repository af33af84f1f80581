#include "hearth/likes/ledgers/sqlite_like_ledger.h"

#include <gtest/gtest.h>

#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/likes/like_ledger_conformance.h"

namespace hearth::likes {
namespace {

class SqliteLedgerUnderTest final : public LikeLedgerUnderTest {
 public:
  SqliteLedgerUnderTest() { open(); }
  ~SqliteLedgerUnderTest() override { ledger_->stop(); }
  LikeLedger& ledger() override { return *ledger_; }
  void restart() override {
    ledger_->stop();
    ledger_.reset();
    open();
  }

 private:
  void open() { ledger_ = must(SqliteLikeLedger::open(folder_.path() / "ratings.db")); }

  sqlite::TemporaryFolder folder_;
  std::unique_ptr<SqliteLikeLedger> ledger_;
};

INSTANTIATE_TEST_SUITE_P(Sqlite, LikeLedgerConformance,
                         testing::Values(LikeLedgerMaker{"sqlite", [] { return std::make_unique<SqliteLedgerUnderTest>(); }}),
                         name_of_ledger);

}  // namespace
}  // namespace hearth::likes
