// The conformance suites of jobs, on every database.

#include <memory>

#include "hearth/jobs/job_admin_conformance.h"
#include "hearth/jobs/job_endings_conformance.h"
#include "hearth/jobs/job_queue_conformance.h"
#include "hearth/jobs/schedules_conformance.h"
#include "hearth/jobs/stores/postgres_jobs_under_test.h"
#include "hearth/jobs/stores/sqlite_jobs_under_test.h"

namespace hearth::jobs {
namespace {

const JobsMaker kSqlite{"sqlite", [] { return std::make_unique<SqliteJobsUnderTest>(); }};
const JobsMaker kPostgres{"postgres", [] { return std::make_unique<PostgresJobsUnderTest>(); }};

INSTANTIATE_TEST_SUITE_P(Databases, JobQueueConformance, testing::Values(kSqlite, kPostgres), name_of_maker);
INSTANTIATE_TEST_SUITE_P(Databases, JobEndingsConformance, testing::Values(kSqlite, kPostgres), name_of_maker);
INSTANTIATE_TEST_SUITE_P(Databases, JobAdminConformance, testing::Values(kSqlite, kPostgres), name_of_maker);
INSTANTIATE_TEST_SUITE_P(Databases, SchedulesConformance, testing::Values(kSqlite, kPostgres), name_of_maker);

}  // namespace
}  // namespace hearth::jobs
