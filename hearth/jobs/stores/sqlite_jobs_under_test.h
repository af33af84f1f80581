#pragma once

// For tests: jobs in a content.db in a folder of its own.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/jobs/jobs_under_test.h"
#include "hearth/jobs/stores/sqlite_job_admin.h"
#include "hearth/jobs/stores/sqlite_job_queue.h"
#include "hearth/jobs/stores/sqlite_job_rows.h"
#include "hearth/jobs/stores/sqlite_schedules.h"

namespace hearth::sqlite {
extern const std::span<const std::string_view> kContentMigrations;  // written by the build
}

namespace hearth::jobs {

class SqliteJobsUnderTest final : public JobsUnderTest {
 public:
  // `vfs`: empty is the default.
  explicit SqliteJobsUnderTest(std::string vfs = {}) : vfs_(std::move(vfs)) {
    open();
    change("CREATE TABLE notes (text TEXT PRIMARY KEY); CREATE TABLE refused (job_type TEXT)");
    change(
        "CREATE TRIGGER refuse BEFORE INSERT ON background_jobs WHEN NEW.job_type IN (SELECT job_type FROM refused) BEGIN "
        "SELECT raise(ABORT, 'refused'); END");
  }

  JobQueue& queue(std::size_t = 0) override { return *queue_; }
  JobAdmin& admin(std::size_t = 0) override { return *admin_; }
  Schedules& schedules(std::size_t = 0) override { return *schedules_; }
  JobSignal& signal(std::size_t = 0) override { return signal_; }
  UtcMicros now() override { return clock_.now(); }
  void pass(milliseconds time) override { clock_.advance(time); }

  Result<void> write(std::function<Result<void>(SqlTransaction)> work) override {
    return database_->write_blocking([work = std::move(work)](sqlite::Connection& connection) { return work(&connection); });
  }
  Effect note(std::string text) override {
    return [text = std::move(text)](SqlTransaction transaction) -> Result<void> {
      std::get<sqlite::Connection*>(transaction)->statement(kNote).run(text);
      return {};
    };
  }
  std::vector<std::string> notes() override {
    return read<std::vector<std::string>>([](sqlite::Connection& connection) {
      std::vector<std::string> notes;
      auto& row = connection.statement(kNotes).query();
      while (row.next()) notes.push_back(row.string(0));
      return notes;
    });
  }
  void refuse(std::string type) override {
    auto done = write([type](SqlTransaction transaction) -> Result<void> {
      std::get<sqlite::Connection*>(transaction)->statement(kRefuse).run(type);
      return {};
    });
    if (!done) throw std::runtime_error(done.error().message);
  }
  Result<void> change_payload(JobId job, std::string payload) override {
    return write([=](SqlTransaction transaction) -> Result<void> {
      std::get<sqlite::Connection*>(transaction)->statement(kChangePayload).run(std::to_underlying(job), payload);
      return {};
    });
  }
  std::vector<HistoryRow> history() override {
    return read<std::vector<HistoryRow>>([](sqlite::Connection& connection) {
      std::vector<HistoryRow> rows;
      auto& row = connection.statement(kHistory).query();
      while (row.next()) rows.push_back({JobId(row.integer(0)), row.string(1), static_cast<int>(row.integer(2)), row.optional_string(3)});
      return rows;
    });
  }
  std::int64_t count(const char* select_count) override {
    return read<std::int64_t>([=](sqlite::Connection& connection) {
      auto& row = connection.statement(select_count).query();
      row.next();
      return row.integer(0);
    });
  }
  void restart() override {
    close();
    open();
  }

  // For tests that do something to the file between them.
  void close() {
    schedules_.reset();
    admin_.reset();
    queue_.reset();
    database_.reset();
  }
  void open() {
    database_ = sqlite::Database::open({.path = path(), .vfs = vfs_, .migrations = sqlite::kContentMigrations}).value();
    queue_ = std::make_unique<SqliteJobQueue>(*database_, clock_, signal_);
    admin_ = std::make_unique<SqliteJobAdmin>(*database_, clock_, signal_);
    schedules_ = std::make_unique<SqliteSchedules>(*database_, *queue_, signal_);
  }
  std::filesystem::path path() const { return folder_.path() / "content.db"; }
  sqlite::Database& database() { return *database_; }

 private:
  static constexpr char kNote[] = "INSERT INTO notes (text) VALUES (?1)";
  static constexpr char kNotes[] = "SELECT text FROM notes ORDER BY text";
  static constexpr char kRefuse[] = "INSERT INTO refused (job_type) VALUES (?1)";
  static constexpr char kChangePayload[] = "UPDATE background_jobs SET payload = ?2 WHERE id = ?1";
  static constexpr char kHistory[] =
      "SELECT job_id, status, attempts, lease_token FROM job_history ORDER BY ended_at, job_id, number = 0, number";

  void change(const char* sql) {
    auto done = database_->write_blocking([=](sqlite::Connection& connection) -> Result<void> {
      connection.execute(sql);
      return {};
    });
    if (!done) throw std::runtime_error(done.error().message);
  }
  template <typename T>
  T read(std::function<T(sqlite::Connection&)> work) {
    return database_->read_blocking([&](sqlite::Connection& connection) -> Result<T> { return work(connection); }).value();
  }

  SimulatedClock clock_;
  const std::string vfs_;
  sqlite::TemporaryFolder folder_;
  JobSignal signal_;
  std::unique_ptr<sqlite::Database> database_;
  std::unique_ptr<SqliteJobQueue> queue_;
  std::unique_ptr<SqliteJobAdmin> admin_;
  std::unique_ptr<SqliteSchedules> schedules_;
};

}  // namespace hearth::jobs
