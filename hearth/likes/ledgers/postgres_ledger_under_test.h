#pragma once

// For tests: a ledger in a fresh database of a PostgreSQL server that the test has started.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "hearth/drivers/postgres/migrations.h"
#include "hearth/drivers/postgres/test_server.h"
#include "hearth/likes/ledgers/postgres_like_inbox.h"
#include "hearth/likes/ledgers/postgres_like_ledger.h"
#include "hearth/likes/ledgers/postgres_live_control.h"
#include "hearth/likes/like_ledger_under_test.h"
#include "hearth/likes/test_stack.h"
#include "hearth/outbox/postgres_partition_leases.h"

namespace hearth::likes {

// One for all tests of an executable.
inline postgres::PostgresServer& postgres_test_server() {
  static postgres::PostgresServer made;
  return made;
}

class PostgresLedgerUnderTest final : public LikeLedgerUnderTest {
 public:
  // `adopted`: makes the tables of another program, which are then used.
  explicit PostgresLedgerUnderTest(const std::string& adopted = "", const LedgerNames& names = {}) : names_(names) {
    execute(adopted);
    constexpr std::array<std::string_view, 1> kRatings = {"post_ratings"};
    open();
    must(postgres::migrate(*database_, postgres::kMigrations,
                           adopted.empty() ? std::span<const std::string_view>() : std::span<const std::string_view>(kRatings)));
    open_ledger();
  }
  LikeLedger& ledger() override { return *ledger_; }
  void restart() override {
    open();
    open_ledger();
  }
  LikeInbox& inbox() override { return *inbox_; }
  LiveControl& control() override { return *control_; }
  void let_reports_age() override { execute("UPDATE live_reports SET healthy_at = healthy_at - interval '4 seconds'"); }
  outbox::PartitionLeases* leases() override { return &*leases_; }

  void execute(const std::string& sql) { postgres::Connection::connect({.url = url_}).execute(sql); }
  std::int64_t number(const std::string& sql) { return postgres::Connection::connect({.url = url_}).query(sql).first().integer(0); }
  const std::string& url() const { return url_; }

 private:
  void open() {
    inbox_.reset();
    ledger_.reset();
    database_ = must(postgres::Database::open({.url = url_}));
    leases_.emplace(*database_);
    control_.emplace(*database_);
  }
  void open_ledger() {
    ledger_ = must(PostgresLikeLedger::open(*database_, names_));
    inbox_ = must(PostgresLikeInbox::open(*database_, names_));
  }

  std::string url_ = postgres_test_server().create_database("ledger");
  LedgerNames names_;
  std::unique_ptr<postgres::Database> database_;
  std::optional<outbox::PostgresPartitionLeases> leases_;
  std::optional<PostgresLiveControl> control_;
  std::unique_ptr<PostgresLikeLedger> ledger_;
  std::unique_ptr<PostgresLikeInbox> inbox_;
};

}  // namespace hearth::likes
