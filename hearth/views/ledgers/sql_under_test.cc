#include "hearth/views/ledgers/sql_under_test.h"

#include <array>
#include <span>
#include <string_view>

#include "hearth/drivers/postgres/migrations.h"
#include "hearth/drivers/postgres/test_server.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/views/ledgers/postgres_view_inbox.h"
#include "hearth/views/ledgers/postgres_view_ledger.h"
#include "hearth/views/ledgers/postgres_viewer_keys.h"
#include "hearth/views/ledgers/sqlite_view_inbox.h"
#include "hearth/views/ledgers/sqlite_view_ledger.h"
#include "hearth/views/ledgers/sqlite_viewer_keys.h"

namespace hearth::sqlite {
extern const std::span<const std::string_view> kContentMigrations;  // written by the build
}

namespace hearth::views {
namespace {

using outbox::must;

class SqliteUnderTest final : public SqlUnderTest {
 public:
  ViewLedger& ledger(std::size_t) override { return ledger_; }
  ViewerKeyStore& keys(std::size_t) override { return keys_; }
  std::unique_ptr<ViewInbox> make_inbox(InboxMode mode, std::chrono::hours window, const Clock& clock, std::size_t) override {
    return std::make_unique<SqliteViewInbox>(*database_, mode, window, clock);
  }
  void execute(const std::string& sql) override { connect().execute(sql.c_str()); }
  std::int64_t number(const std::string& sql) override {
    auto connection = connect();
    auto& row = connection.statement(sql.c_str()).query();
    row.next();
    return row.integer(0);
  }

 private:
  std::string some_time() const override { return "0"; }
  sqlite::Connection connect() { return must(sqlite::Connection::open({.path = folder_.path() / "content.db"})); }

  sqlite::TemporaryFolder folder_;
  std::unique_ptr<sqlite::Database> database_ =
      must(sqlite::Database::open({.path = folder_.path() / "content.db", .migrations = sqlite::kContentMigrations}));
  SqliteViewLedger ledger_{*database_};
  SqliteViewerKeys keys_{*database_};
};

class PostgresUnderTest final : public SqlUnderTest {
 public:
  PostgresUnderTest() { must(postgres::migrate(*nodes_[0].database, postgres::kMigrations)); }

  ViewLedger& ledger(std::size_t node) override { return nodes_[node % 2].ledger; }
  ViewerKeyStore& keys(std::size_t node) override { return nodes_[node % 2].keys; }
  std::unique_ptr<ViewInbox> make_inbox(InboxMode mode, std::chrono::hours window, const Clock& clock, std::size_t node) override {
    return std::make_unique<PostgresViewInbox>(*nodes_[node % 2].database, mode, window, clock);
  }
  void execute(const std::string& sql) override { postgres::Connection::connect({.url = url_}).execute(sql); }
  std::int64_t number(const std::string& sql) override {
    return postgres::Connection::connect({.url = url_}).query(sql).first().integer(0);
  }

 private:
  struct Node {
    explicit Node(const std::string& url) : database(must(postgres::Database::open({.url = url}))) {}

    std::unique_ptr<postgres::Database> database;
    PostgresViewLedger ledger{*database};
    PostgresViewerKeys keys{*database};
  };

  static postgres::PostgresServer& server() {
    static postgres::PostgresServer made;
    return made;
  }
  std::string some_time() const override { return "now()"; }

  const std::string url_ = server().create_database("views");
  std::array<Node, 2> nodes_{Node(url_), Node(url_)};
};

}  // namespace

SqlMaker sqlite_maker() {
  return {"sqlite", [] { return std::make_unique<SqliteUnderTest>(); }};
}

SqlMaker postgres_maker() {
  return {"postgres", [] { return std::make_unique<PostgresUnderTest>(); }};
}

}  // namespace hearth::views
