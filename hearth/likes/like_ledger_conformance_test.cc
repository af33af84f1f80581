#include "hearth/likes/like_ledger_conformance.h"

#include <gtest/gtest.h>

#include "hearth/likes/ledgers/postgres_ledger_under_test.h"
#include "hearth/likes/ledgers/sqlite_ledger_under_test.h"

namespace hearth::likes {
namespace {

const LikeLedgerMaker kSqlite{"sqlite", [] { return std::make_unique<SqliteLedgerUnderTest>(); }};
const LikeLedgerMaker kPostgres{"postgres", [] { return std::make_unique<PostgresLedgerUnderTest>(); }};
INSTANTIATE_TEST_SUITE_P(Ledgers, LikeLedgerConformance, testing::Values(kSqlite, kPostgres), name_of_ledger);
INSTANTIATE_TEST_SUITE_P(Ledgers, LeasedLikeLedgerConformance, testing::Values(kPostgres), name_of_ledger);

}  // namespace
}  // namespace hearth::likes
