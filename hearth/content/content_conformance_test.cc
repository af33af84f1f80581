// The conformance suites of content, on every database.

#include <memory>

#include "hearth/content/content_export_conformance.h"
#include "hearth/content/content_jobs_conformance.h"
#include "hearth/content/content_pages_conformance.h"
#include "hearth/content/content_store_conformance.h"
#include "hearth/content/rank_conformance.h"
#include "hearth/content/stores/postgres_content_under_test.h"
#include "hearth/content/stores/sqlite_content_under_test.h"

namespace hearth::content {
namespace {

const ContentMaker kSqlite{"sqlite", [](const Clock& clock) { return std::make_unique<SqliteContentUnderTest>(clock); }};
const ContentMaker kPostgres{"postgres", [](const Clock& clock) { return std::make_unique<PostgresContentUnderTest>(clock); }};

INSTANTIATE_TEST_SUITE_P(Databases, ContentStoreConformance, testing::Values(kSqlite, kPostgres), name_of_maker);
INSTANTIATE_TEST_SUITE_P(Databases, ContentJobsConformance, testing::Values(kSqlite, kPostgres), name_of_maker);
INSTANTIATE_TEST_SUITE_P(Databases, ContentPagesConformance, testing::Values(kSqlite, kPostgres), name_of_maker);
INSTANTIATE_TEST_SUITE_P(Databases, ContentExportConformance, testing::Values(kSqlite, kPostgres), name_of_maker);
INSTANTIATE_TEST_SUITE_P(Databases, RankConformance, testing::Values(kSqlite, kPostgres), name_of_maker);

}  // namespace
}  // namespace hearth::content
