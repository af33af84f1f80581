#include "hearth/drivers/postgres/database.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "hearth/base/assert.h"
#include "hearth/base/log.h"
#include "hearth/base/thread_name.h"

namespace hearth::postgres {

namespace {

using std::chrono::steady_clock;

constexpr int kAttemptsMax = 5;
constexpr std::chrono::milliseconds kRetryFirst{50};
constexpr std::chrono::milliseconds kRetryMax{2'000};

// Whether the server is there, for all threads together. While it is away one of them tries, with growing delays.
// Thread-safe.
class Reach {
 public:
  explicit Reach(std::chrono::milliseconds patience) : patience_(patience) {}

  // Waits until the calling thread may try to connect, and must then say how it went. False: the server is away, and
  // `deadline` has come or everyone's patience has ended.
  bool wait_for_turn(steady_clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    while (true) {
      auto now = steady_clock::now();
      if (!away_since_) return true;
      if (!is_trying_ && now >= next_try_) {
        is_trying_ = true;
        return true;
      }
      auto until = std::min(deadline, *away_since_ + patience_);
      if (now >= until) return false;
      changed_.wait_until(lock, is_trying_ ? until : std::min(until, next_try_));
    }
  }

  void succeeded() {
    std::lock_guard lock(mutex_);
    if (away_since_) log::info("postgres", "connected again");
    away_since_.reset();
    is_trying_ = false;
    is_connected_ = true;
    delay_ = kRetryFirst;
    changed_.notify_all();
  }

  void failed(const Error& error) {
    std::lock_guard lock(mutex_);
    auto now = steady_clock::now();
    if (!away_since_) {
      away_since_ = now;
      log::warning("postgres", "cannot connect", {{"error", error.message}});
    }
    is_trying_ = false;
    is_connected_ = false;
    next_try_ = now + delay_ + std::chrono::milliseconds(random_() % static_cast<unsigned>(delay_.count() / 4 + 1));
    delay_ = std::min(2 * delay_, kRetryMax);
    last_error_ = error;
    changed_.notify_all();
  }

  void lost() {
    std::lock_guard lock(mutex_);
    is_connected_ = false;
  }

  bool is_connected() {
    std::lock_guard lock(mutex_);
    return is_connected_;
  }
  Error last_error() {
    std::lock_guard lock(mutex_);
    return last_error_;
  }

 private:
  const std::chrono::milliseconds patience_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<steady_clock::time_point> away_since_;
  steady_clock::time_point next_try_;
  std::chrono::milliseconds delay_ = kRetryFirst;
  bool is_trying_ = false;
  bool is_connected_ = false;
  Error last_error_;
  std::minstd_rand random_{std::random_device{}()};
};

struct Transaction {
  Connection::Access access = Connection::Access::kRead;
  std::unique_ptr<WorkItem<Connection>> item = {};
};

}  // namespace

class Database::Impl {
 public:
  explicit Impl(DatabaseOptions options) : options_(std::move(options)), reach_(options_.connect_wait), queue_(options_.queued_max) {
    for (int i = 0; i < options_.connections; ++i) {
      threads_.emplace_back([this] {
        name_thread("postgres");
        serve_until_closed();
      });
    }
  }

  void submit(Transaction transaction) {
    auto queued = queue_.push(transaction);
    if (queued) return;
    transaction.item->fail(queued.error());
    transaction.item->deliver();
  }

  bool is_connected() { return reach_.is_connected(); }
  Stats stats() const {
    return {.connections = connections_, .connects = connects_, .transactions = transactions_, .failures = failures_, .micros = micros_};
  }

  void stop() {
    std::call_once(stopped_, [this] {
      queue_.close();
      for (std::thread& thread : threads_) thread.join();
    });
  }

 private:
  void serve_until_closed() {
    std::optional<Connection> connection;
    while (true) {
      auto taken = queue_.take(1);
      if (taken.empty()) break;
      auto began = steady_clock::now();
      settle(taken.front(), connection);
      ++transactions_;
      micros_ += std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - began).count();
      taken.front().item->deliver();
    }
    drop(connection);
  }

  void drop(std::optional<Connection>& connection) {
    if (connection) --connections_;
    connection.reset();
  }

  void fail(Transaction& transaction, const Error& error) {
    ++failures_;
    transaction.item->fail(error);
  }

  // Runs the transaction until it has its answer.
  void settle(Transaction& transaction, std::optional<Connection>& connection) {
    auto deadline = steady_clock::now() + options_.connect_wait;
    for (int attempt = 1;; ++attempt) {
      if (auto connected = connect(connection, deadline); !connected) return fail(transaction, connected.error());
      auto failure = run(transaction, *connection);
      if (!connection->is_usable()) reach_.lost();
      if (!failure) return;
      if (attempt < kAttemptsMax && may_repeat(*failure, *connection, deadline)) continue;
      auto error = to_error(*failure);
      if (connection->is_outcome_unknown()) error.message += "; whether it happened is not known";
      return fail(transaction, error);
    }
  }

  // Makes the thread's connection usable.
  Result<void> connect(std::optional<Connection>& connection, steady_clock::time_point deadline) {
    if (connection && connection->is_usable()) return {};
    drop(connection);
    while (reach_.wait_for_turn(deadline)) {
      try {
        connection = Connection::connect(
            {.url = options_.url, .statement_timeout = options_.statement_timeout, .connect_timeout = options_.connect_timeout});
        ++connections_;
        ++connects_;
        reach_.succeeded();
        return {};
      } catch (const Failure& failure) {
        reach_.failed(to_error(failure));
      }
    }
    return std::unexpected(reach_.last_error());
  }

  // One attempt. A failed Result of the work, or an exception of another kind, is an answer; a Failure is returned.
  static std::optional<Failure> run(Transaction& transaction, Connection& connection) {
    try {
      connection.begin(transaction.access);
      auto done = transaction.item->run(connection);
      if (done && transaction.access == Connection::Access::kWrite) {
        connection.commit();
      } else {
        connection.rollback();
      }
      return std::nullopt;
    } catch (const Failure& failure) {
      connection.rollback();
      return failure;
    } catch (const std::exception& exception) {
      connection.rollback();
      transaction.item->fail({ErrorCode::kInternal, exception.what()});
      return std::nullopt;
    }
  }

  // Nothing of it has happened, and another attempt may succeed.
  static bool may_repeat(const Failure& failure, Connection& connection, steady_clock::time_point deadline) {
    if (connection.is_outcome_unknown()) return false;
    if (failure.is_about_preparing()) {
      connection.stop_preparing();
      return true;
    }
    return failure.wants_repeat() || (failure.is_connection_loss() && steady_clock::now() < deadline);
  }

  const DatabaseOptions options_;
  Reach reach_;
  WorkQueue<Transaction> queue_;
  std::atomic<std::uint64_t> connections_{0};
  std::atomic<std::uint64_t> connects_{0};
  std::atomic<std::uint64_t> transactions_{0};
  std::atomic<std::uint64_t> failures_{0};
  std::atomic<std::uint64_t> micros_{0};
  std::once_flag stopped_;
  std::vector<std::thread> threads_;
};

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Database::~Database() {
  stop();
}

Result<std::unique_ptr<Database>> Database::open(DatabaseOptions options) {
  HEARTH_ASSERT(options.connections > 0);
  if (auto url = Connection::check_url(options.url); !url) return std::unexpected(url.error());
  return std::unique_ptr<Database>(new Database(std::make_unique<Impl>(std::move(options))));
}

Result<void> Database::ping_blocking() {
  return read_blocking([](Connection& connection) -> Result<void> {
    connection.query("SELECT 1");
    return {};
  });
}

bool Database::is_connected() const {
  return impl_->is_connected();
}

Database::Stats Database::stats() const {
  return impl_->stats();
}

void Database::submit(Connection::Access access, std::unique_ptr<WorkItem<Connection>> item) {
  impl_->submit({access, std::move(item)});
}

void Database::stop() {
  impl_->stop();
}

}  // namespace hearth::postgres
