#pragma once

// For tests: jobs in a database of its own on one PostgreSQL, with two nodes. Time passes by moving back what is stored.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "hearth/drivers/postgres/migrations.h"
#include "hearth/drivers/postgres/test_server.h"
#include "hearth/jobs/jobs_under_test.h"
#include "hearth/jobs/stores/postgres_job_admin.h"
#include "hearth/jobs/stores/postgres_job_queue.h"
#include "hearth/jobs/stores/postgres_schedules.h"

namespace hearth::jobs {

class PostgresJobsUnderTest final : public JobsUnderTest {
 public:
  PostgresJobsUnderTest() : url_(server().create_database("jobs")) {
    open();
    if (auto done = postgres::migrate(database(), postgres::kMigrations); !done) throw std::runtime_error(done.error().message);
    execute("CREATE TABLE notes (text text PRIMARY KEY); CREATE TABLE refused (job_type text)");
    execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF EXISTS (SELECT FROM refused WHERE job_type = NEW.job_type) THEN RAISE EXCEPTION 'refused'; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON background_jobs FOR EACH ROW EXECUTE FUNCTION refuse()");
  }

  JobQueue& queue(std::size_t node = 0) override { return nodes_[node]->queue; }
  JobAdmin& admin(std::size_t node = 0) override { return nodes_[node]->admin; }
  Schedules& schedules(std::size_t node = 0) override { return nodes_[node]->schedules; }
  JobSignal& signal(std::size_t node = 0) override { return nodes_[node]->signal; }

  UtcMicros now() override {
    return read<UtcMicros>([](postgres::Connection& connection) { return connection.query("SELECT clock_timestamp()").first().time(0); });
  }
  void pass(milliseconds time) override {
    std::string by = " - interval '" + std::to_string(time.count()) + " milliseconds'";
    auto move_back = [&](const std::string& table, const std::vector<std::string>& columns) {
      std::string set;
      for (const std::string& column : columns) set += (set.empty() ? "" : ", ") + column + " = " + column + by;
      execute("UPDATE " + table + " SET " + set);
    };
    move_back("background_jobs", {"scheduled_for", "started_at", "failed_at", "created_at", "updated_at", "lease_expires_at"});
    move_back("job_history", {"scheduled_for", "started_at", "ended_at", "completed_at", "failed_at", "created_at"});
    move_back("job_keys", {"ended_at"});
    execute("WITH moved AS (DELETE FROM job_starts RETURNING *) INSERT INTO job_starts SELECT job_type, tick" + by + ", starts FROM moved");
  }

  Result<void> write(std::function<Result<void>(SqlTransaction)> work) override {
    return database().write_blocking([work = std::move(work)](postgres::Connection& connection) { return work(&connection); });
  }
  Effect note(std::string text) override {
    return [text = std::move(text)](SqlTransaction transaction) -> Result<void> {
      std::get<postgres::Connection*>(transaction)->run("INSERT INTO notes (text) VALUES ($1)", text);
      return {};
    };
  }
  std::vector<std::string> notes() override {
    return read<std::vector<std::string>>([](postgres::Connection& connection) {
      std::vector<std::string> notes;
      auto rows = connection.query("SELECT text FROM notes ORDER BY text COLLATE \"C\"");
      while (rows.next()) notes.push_back(rows.string(0));
      return notes;
    });
  }
  void refuse(std::string type) override { execute("INSERT INTO refused VALUES ('" + type + "')"); }
  Result<void> change_payload(JobId job, std::string payload) override {
    return write([=](SqlTransaction transaction) -> Result<void> {
      std::get<postgres::Connection*>(transaction)
          ->run("UPDATE background_jobs SET payload = $2::text::jsonb WHERE id = $1", std::to_underlying(job), payload);
      return {};
    });
  }
  std::vector<HistoryRow> history() override {
    return read<std::vector<HistoryRow>>([](postgres::Connection& connection) {
      std::vector<HistoryRow> history;
      auto rows = connection.query("SELECT job_id, status, attempts, lease_token::text FROM job_history ORDER BY ended_at, job_id");
      while (rows.next()) {
        history.push_back({JobId(rows.integer(0)), rows.string(1), static_cast<int>(rows.integer(2)), rows.optional_string(3)});
      }
      return history;
    });
  }
  std::int64_t count(const char* select_count) override {
    return read<std::int64_t>([=](postgres::Connection& connection) { return connection.query(select_count).first().integer(0); });
  }
  void restart() override { open(); }

  const std::string& url() const { return url_; }
  postgres::Database& database(std::size_t node = 0) { return *nodes_[node]->database; }
  // On a connection of its own, as another program does.
  void execute(const std::string& sql) const { postgres::Connection::connect({.url = url_}).execute(sql); }
  postgres::Connection connect() const { return postgres::Connection::connect({.url = url_}); }

 private:
  struct Node {
    explicit Node(const std::string& url)
        : database(postgres::Database::open({.url = url}).value()),
          queue(*database, signal),
          admin(*database, signal),
          schedules(*database, queue, signal) {}

    JobSignal signal;
    std::unique_ptr<postgres::Database> database;
    PostgresJobQueue queue;
    PostgresJobAdmin admin;
    PostgresSchedules schedules;
  };

  static postgres::PostgresServer& server() {
    static postgres::PostgresServer server;
    return server;
  }
  void open() {
    for (auto& node : nodes_) node = std::make_unique<Node>(url_);
  }
  template <typename T>
  T read(std::function<T(postgres::Connection&)> work) {
    return database().read_blocking([&](postgres::Connection& connection) -> Result<T> { return work(connection); }).value();
  }

  const std::string url_;
  std::array<std::unique_ptr<Node>, 2> nodes_;
};

}  // namespace hearth::jobs
