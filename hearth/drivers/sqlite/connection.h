#pragma once

// One SQLite connection and its prepared statements.
//
// Inside this driver's world a failing statement throws sqlite::Failure, so that SQL reads straight; guard() and
// transaction() are the edge: they catch it and return an Error. Code outside stores/ and ledgers/ never sees it.
//
// A Connection belongs to one thread at a time.

#include <sqlite3.h>

#include <concepts>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "hearth/base/result.h"

namespace hearth::sqlite {

// What SQLite said. `code` is its extended result code.
class Failure : public std::exception {
 public:
  Failure(int code, std::string message) : code_(code), message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }
  int code() const { return code_; }
  bool is_unique_violation() const { return code_ == SQLITE_CONSTRAINT_UNIQUE || code_ == SQLITE_CONSTRAINT_PRIMARYKEY; }

 private:
  int code_;
  std::string message_;
};

// Bytes bound and stored as a blob; plain text binds as text.
struct Blob {
  std::string_view bytes;
};

enum class Synchronous : std::uint8_t { kFull, kNormal };

struct OpenOptions {
  std::filesystem::path path;
  std::string vfs = {};  // empty: the default. Tests pass a fault-injecting one.
  bool read_only = false;
  Synchronous synchronous = Synchronous::kFull;  // of commits, in WAL mode
  int cache_kib = 16 * 1024;
  int checkpoint_pages = 4000;  // automatic checkpoint after a commit that leaves this many pages in the WAL; 0: never
  int busy_timeout_ms = 10'000;
};

class Statement {
 public:
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }

  // Binds the arguments from 1 on and runs to the end; for statements without rows. Returns how many rows changed.
  // Arguments: integers, bool, std::string_view and what converts to it, Blob, std::optional of those (empty is NULL).
  template <typename... Args>
  int run(const Args&... args) {
    query(args...);
    while (next()) {
    }
    return changes();
  }
  // Binds and starts; then `while (statement.next()) …`. Bound views must outlive the stepping; a temporary std::string is
  // copied.
  template <typename... Args>
  Statement& query(Args&&... args) {
    start(sizeof...(Args));
    [[maybe_unused]] int index = 0;
    (bind(++index, std::forward<Args>(args)), ...);
    return *this;
  }
  // Steps to the next row; false at the end, which also resets the statement.
  bool next();
  // Ends a query early, so that its read snapshot is let go.
  void reset() { sqlite3_reset(statement_); }

  // Columns of the current row, from 0; views are valid until the next step.
  std::int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
  bool boolean(int column) const { return integer(column) != 0; }
  bool is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  bool is_blob(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_BLOB; }
  std::string_view text(int column) const;
  std::string_view blob(int column) const;
  std::string string(int column) const { return std::string(text(column)); }
  std::optional<std::string> optional_string(int column) const {
    if (is_null(column)) return std::nullopt;
    return string(column);
  }

 private:
  template <std::integral T>
  void bind(int index, T value) {
    bind_integer(index, static_cast<std::int64_t>(value));
  }
  void bind(int index, std::string_view text) { bind_text(index, text, Lifetime::kOutlivesStepping); }
  void bind(int index, const char* text) { bind_text(index, text, Lifetime::kOutlivesStepping); }
  void bind(int index, const std::string& text) { bind_text(index, text, Lifetime::kOutlivesStepping); }
  void bind(int index, std::string&& text) { bind_text(index, text, Lifetime::kTemporary); }
  void bind(int index, Blob blob);
  void bind(int index, std::nullopt_t) { bind_null(index); }
  template <typename T>
  void bind(int index, const std::optional<T>& value) {
    value ? bind(index, *value) : bind_null(index);
  }
  template <typename T>
  void bind(int index, std::optional<T>&& value) {
    value ? bind(index, *std::move(value)) : bind_null(index);
  }

  enum class Lifetime : std::uint8_t { kOutlivesStepping, kTemporary };
  void start(int arguments);
  void bind_text(int index, std::string_view text, Lifetime lifetime);
  void bind_integer(int index, std::int64_t value);
  void bind_null(int index);
  int changes() const { return sqlite3_changes(sqlite3_db_handle(statement_)); }

  sqlite3_stmt* statement_;
};

class Connection {
 public:
  // Opens (and unless read-only creates) the file in WAL mode.
  static Result<Connection> open(const OpenOptions& options);
  Connection(Connection&&) noexcept = default;
  Connection& operator=(Connection&&) noexcept = default;

  // Runs SQL without parameters, several statements allowed.
  void execute(const char* sql);
  // The prepared statement for `sql`, made at the first call. REQUIRES: `sql` is a string literal (found by its address).
  Statement& statement(const char* sql);
  sqlite3* handle() { return handle_.get(); }

  // Runs `work` in one write transaction (BEGIN IMMEDIATE … COMMIT). If it throws, or returns a failed Result, all of it
  // is rolled back and the Error returned. Returns Result<T> for a `work` that returns T or Result<T>.
  // Transactions and snapshots do not nest; they, and savepoints, end the queries that are still open.
  template <typename Work>
  auto transaction(Work&& work);
  // The same on one read snapshot, which is taken by the first SELECT in `work`.
  template <typename Work>
  auto snapshot(Work&& work);
  // The same for a part of the running transaction: a failure takes back what this part did. Some failures, such as a full
  // disk, end the whole transaction; is_in_transaction() tells.
  template <typename Work>
  auto savepoint(Work&& work);
  bool is_in_transaction() const { return sqlite3_get_autocommit(handle_.get()) == 0; }
  // Runs `work` as it is, turning Failure into Error.
  template <typename Work>
  static auto guard(Work&& work);

 private:
  struct Close {
    void operator()(sqlite3* db) const;
  };
  explicit Connection(sqlite3* handle) : handle_(handle) {}
  void configure(const OpenOptions& options);
  enum class Scope : std::uint8_t { kTransaction, kSnapshot, kSavepoint };
  template <typename Work>
  auto within(Scope scope, Work&& work);
  void begin(Scope scope);
  void commit(Scope scope);
  void rollback(Scope scope) noexcept;
  void reset_statements() noexcept;  // a query left open would keep its snapshot, and hold back checkpoints

  std::unique_ptr<sqlite3, Close> handle_;  // closed after the statements below are finalized
  std::vector<std::pair<const char*, std::unique_ptr<Statement>>> statements_;
};

// The Error for a failure: disk full, busy and I/O errors are kUnavailable; the rest is kInternal.
Error to_error(const Failure& failure);

// --- implementation of the templates ---

namespace internal {
template <typename T>
struct ResultOf {
  using type = Result<T>;
};
template <typename T>
struct ResultOf<Result<T>> {
  using type = Result<T>;
};
}  // namespace internal

template <typename Work>
auto Connection::guard(Work&& work) {
  using Raw = std::invoke_result_t<Work>;
  using Wrapped = typename internal::ResultOf<Raw>::type;
  try {
    if constexpr (std::is_void_v<Raw>) {
      work();
      return Wrapped{};
    } else {
      return Wrapped(work());
    }
  } catch (const Failure& failure) {
    return Wrapped(std::unexpected(to_error(failure)));
  }
}

template <typename Work>
auto Connection::within(Scope scope, Work&& work) {
  try {
    auto result = guard([&] {
      begin(scope);
      if constexpr (std::is_void_v<std::invoke_result_t<Work>>) {
        work();
        commit(scope);
      } else {
        typename internal::ResultOf<std::invoke_result_t<Work>>::type inner = work();
        if (inner) commit(scope);
        return inner;
      }
    });
    if (!result) rollback(scope);
    return result;
  } catch (...) {
    rollback(scope);
    throw;
  }
}

template <typename Work>
auto Connection::transaction(Work&& work) {
  return within(Scope::kTransaction, std::forward<Work>(work));
}

template <typename Work>
auto Connection::snapshot(Work&& work) {
  return within(Scope::kSnapshot, std::forward<Work>(work));
}

template <typename Work>
auto Connection::savepoint(Work&& work) {
  return within(Scope::kSavepoint, std::forward<Work>(work));
}

}  // namespace hearth::sqlite
