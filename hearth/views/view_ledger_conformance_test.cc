#include "hearth/views/view_ledger_conformance.h"

namespace hearth::views {
namespace {

INSTANTIATE_TEST_SUITE_P(Databases, ViewLedgerConformance, testing::Values(sqlite_maker(), postgres_maker()), name_of_sql);

}  // namespace
}  // namespace hearth::views
