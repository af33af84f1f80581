#include "hearth/views/ledgers/sql_under_test.h"

#include <array>
#include <filesystem>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

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
  SqliteUnderTest() { restart(); }

  ViewLedger& ledger(std::size_t) override { return node_->ledger; }
  ViewerKeyStore& keys(std::size_t) override { return node_->keys; }
  std::unique_ptr<ViewInbox> make_inbox(InboxMode mode, std::chrono::hours window, const Clock& clock, std::size_t) override {
    return std::make_unique<SqliteViewInbox>(*node_->database, mode, window, clock);
  }
  void restart() override {
    node_.reset();
    node_ = std::make_unique<Node>(folder_.path() / "content.db");
  }
  std::int64_t deadlocks() override { return 0; }
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

  struct Node {
    explicit Node(const std::filesystem::path& path)
        : database(must(sqlite::Database::open({.path = path, .migrations = sqlite::kContentMigrations}))) {}

    std::unique_ptr<sqlite::Database> database;
    SqliteViewLedger ledger{*database};
    SqliteViewerKeys keys{*database};
  };

  sqlite::TemporaryFolder folder_;
  std::unique_ptr<Node> node_;
};

class PostgresUnderTest final : public SqlUnderTest {
 public:
  PostgresUnderTest() { restart(); }
  ~PostgresUnderTest() override {
    for (auto& node : nodes_) node.reset();
    execute(
        "DELETE FROM stories; DELETE FROM chapters; DELETE FROM view_counts; DELETE FROM view_hours; DELETE FROM view_days; "
        "DELETE FROM view_inbox; DELETE FROM view_waiting; DELETE FROM viewer_keys");
    free_databases().push_back(url_);
  }

  ViewLedger& ledger(std::size_t node) override { return nodes_[node % 2]->ledger; }
  ViewerKeyStore& keys(std::size_t node) override { return nodes_[node % 2]->keys; }
  std::unique_ptr<ViewInbox> make_inbox(InboxMode mode, std::chrono::hours window, const Clock& clock, std::size_t node) override {
    return std::make_unique<PostgresViewInbox>(*nodes_[node % 2]->database, mode, window, clock);
  }
  void restart() override {
    for (auto& node : nodes_) node = std::make_unique<Node>(url_);
  }
  std::int64_t deadlocks() override {
    for (auto& node : nodes_) node.reset();
    // Sessions report what they met when they end.
    while (number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()") > 1) std::this_thread::yield();
    restart();
    return number("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
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

  // Empty ones, of tests that are over: making one takes longer than most tests.
  static std::vector<std::string>& free_databases() {
    static std::vector<std::string> urls;
    return urls;
  }
  static std::string take_database() {
    static postgres::PostgresServer server;
    if (free_databases().empty()) {
      auto url = server.create_database("views");
      must(postgres::migrate(*must(postgres::Database::open({.url = url})), postgres::kMigrations));
      return url;
    }
    auto url = free_databases().back();
    free_databases().pop_back();
    return url;
  }
  std::string some_time() const override { return "now()"; }

  const std::string url_ = take_database();
  std::array<std::unique_ptr<Node>, 2> nodes_;
};

}  // namespace

SqlMaker sqlite_maker() {
  return {"sqlite", [] { return std::make_unique<SqliteUnderTest>(); }};
}

SqlMaker postgres_maker() {
  return {"postgres", [] { return std::make_unique<PostgresUnderTest>(); }};
}

}  // namespace hearth::views
