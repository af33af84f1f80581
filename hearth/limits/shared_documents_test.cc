#include <span>
#include <string_view>

#include "hearth/drivers/postgres/migrations.h"
#include "hearth/drivers/postgres/test_server.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/limits/shared_documents_conformance.h"
#include "hearth/limits/stores/postgres_shared_documents.h"
#include "hearth/limits/stores/sqlite_shared_documents.h"

namespace hearth::sqlite {
extern const std::span<const std::string_view> kContentMigrations;  // written by the build
}

namespace hearth::limits {
namespace {

const SimulatedClock kClock;

struct SqliteFile {
  sqlite::TemporaryFolder folder;
  std::unique_ptr<sqlite::Database> database =
      sqlite::Database::open({.path = folder.path() / "content.db", .migrations = sqlite::kContentMigrations}).value();
};

DocumentsUnderTest on_sqlite() {
  auto file = std::make_shared<SqliteFile>();
  return {std::make_unique<SqliteSharedDocuments>(*file->database, kClock), file};
}

DocumentsUnderTest on_postgres() {
  static postgres::PostgresServer server;
  std::shared_ptr<postgres::Database> database = postgres::Database::open({.url = server.create_database("documents")}).value();
  EXPECT_TRUE(postgres::migrate(*database, postgres::kMigrations));
  return {std::make_unique<PostgresSharedDocuments>(*database, kClock), database};
}

INSTANTIATE_TEST_SUITE_P(Databases, SharedDocumentsConformance,
                         testing::Values(DocumentsMaker{"sqlite", on_sqlite}, DocumentsMaker{"postgres", on_postgres}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace hearth::limits
