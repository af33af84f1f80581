#include "hearth/likes/like_ledger_conformance.h"

#include <gtest/gtest.h>

#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/likes/ledgers/postgres_ledger_under_test.h"
#include "hearth/likes/ledgers/sqlite_like_ledger.h"

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

const LikeLedgerMaker kSqlite{"sqlite", [] { return std::make_unique<SqliteLedgerUnderTest>(); }};
const LikeLedgerMaker kPostgres{"postgres", [] { return std::make_unique<PostgresLedgerUnderTest>(); }};
INSTANTIATE_TEST_SUITE_P(Ledgers, LikeLedgerConformance, testing::Values(kSqlite, kPostgres), name_of_ledger);
INSTANTIATE_TEST_SUITE_P(Ledgers, LeasedLikeLedgerConformance, testing::Values(kPostgres), name_of_ledger);

}  // namespace
}  // namespace hearth::likes
