#pragma once

// One PostgreSQL connection, its prepared statements, and typed arguments and columns.
//
//   Rows rows = connection.query("SELECT id, likes FROM posts WHERE id = ANY($1)", TextArray(ids));
//   while (rows.next()) use(rows.text(0), rows.integer(1));
//
// Inside this driver's world a failing statement throws postgres::Failure, so that SQL reads straight; Database is the edge
// that makes it an Error. Code outside stores/ and ledgers/ never sees it. After a Failure the transaction is aborted: only
// what leaves a savepoint() may go on.
//
// Statements are prepared at their first use, under a name made of their text and types: behind a pooler, where another
// client may have prepared on the same session, a name never means another statement.
//
// Every wait for the server ends: after the statement timeout, which the server keeps, or a little later, when the server
// does not answer at all; then the connection counts as lost.
//
// A Connection belongs to one thread at a time.

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/result.h"

struct pg_conn;
struct pg_result;

namespace hearth::postgres {

// What the server said, or that it says nothing any more.
class Failure : public std::exception {
 public:
  // `sqlstate`: five characters, or empty when it is not the server who says it.
  Failure(std::string sqlstate, std::string message, bool is_connection_loss = false)
      : sqlstate_(std::move(sqlstate)), message_(std::move(message)), is_connection_loss_(is_connection_loss) {}
  const char* what() const noexcept override { return message_.c_str(); }
  const std::string& sqlstate() const { return sqlstate_; }

  bool is_of_class(std::string_view two_characters) const { return sqlstate_.starts_with(two_characters); }
  // The values are refused, and would be again: class 22 (data), 23 (constraints), 44 (views) or P0 (raised by a trigger).
  bool is_data_error() const { return is_of_class("22") || is_of_class("23") || is_of_class("44") || is_of_class("P0"); }
  bool is_unique_violation() const { return sqlstate_ == "23505"; }
  // The session is gone. What was not committed did not happen.
  bool is_connection_loss() const { return is_connection_loss_; }
  // The server asks for the transaction to be run again: serialization failure or deadlock.
  bool wants_repeat() const { return sqlstate_ == "40001" || sqlstate_ == "40P01"; }
  // The prepared statement is not there, or there already: a pooler gave us another session. Or a migration has changed the
  // types of its columns since.
  bool is_about_preparing() const { return sqlstate_ == "26000" || sqlstate_ == "42P05" || sqlstate_ == "0A000"; }

 private:
  std::string sqlstate_;
  std::string message_;
  bool is_connection_loss_;
};

// Lost connections, time-outs, a lack of resources and a server that is stopping, recovering or read-only are kUnavailable;
// the rest is kInternal.
Error to_error(const Failure& failure);

// Arguments of `unnest($1)` or `= ANY($1)`. The elements of a TextArray outlive the statement.
using TextArray = std::span<const std::string_view>;
using IntegerArray = std::span<const std::int64_t>;
using BoolArray = std::span<const std::uint8_t>;  // std::vector<bool> has no elements to point at
using TimeArray = std::span<const UtcMicros>;

// What is no text: an argument of type bytea. Rows::text() reads it.
struct Bytes {
  std::string_view view;
};

// The argument of one parameter, in the binary format: text may hold every byte, and nothing needs quoting.
class Argument {
 public:
  Argument(std::string_view text) : type_(kText), view_(text) {}
  Argument(const std::string& text) : Argument(std::string_view(text)) {}
  Argument(const char* text) : Argument(std::string_view(text)) {}
  Argument(bool value);
  template <std::integral T>
    requires(!std::same_as<T, bool> && !std::same_as<T, char>)
  Argument(T value) : Argument(Integer{static_cast<std::int64_t>(value)}) {}
  Argument(double value);
  Argument(UtcMicros time);
  Argument(TextArray texts);
  Argument(const std::vector<std::string>& texts);
  Argument(const std::vector<std::string_view>& texts) : Argument(TextArray(texts)) {}
  Argument(IntegerArray integers);
  Argument(const std::vector<std::int64_t>& integers) : Argument(IntegerArray(integers)) {}
  Argument(BoolArray values);
  Argument(const std::vector<std::uint8_t>& values) : Argument(BoolArray(values)) {}
  Argument(Bytes bytes) : type_(kBytea), view_(bytes.view) {}
  Argument(const std::vector<Bytes>& values);
  Argument(TimeArray times);
  Argument(const std::vector<UtcMicros>& times) : Argument(TimeArray(times)) {}
  // An empty one is NULL.
  template <typename T>
  Argument(const std::optional<T>& value) : Argument(value ? Argument(*value) : null_of(Argument(T{}))) {}

  std::uint32_t type() const { return type_; }
  bool is_null() const { return is_null_; }
  std::string_view bytes() const { return type_ == kText || type_ == kBytea ? view_ : std::string_view(own_); }

 private:
  static constexpr std::uint32_t kText = 25;
  static constexpr std::uint32_t kBytea = 17;
  struct Integer {
    std::int64_t value;
  };
  explicit Argument(Integer integer);
  static Argument null_of(Argument typed) {
    typed.is_null_ = true;
    return typed;
  }

  std::uint32_t type_;  // the server's number of it
  bool is_null_ = false;
  std::string_view view_ = {};  // of a text or bytea
  std::string own_ = {};        // the bytes of everything else
};

// The rows of one answer, all of them in memory.
class Rows {
 public:
  explicit Rows(pg_result* result) : result_(result) {}

  // Steps to the next row, at first to the first; false at the end.
  bool next() { return ++row_ < size(); }
  // The same for an answer that must have another row.
  Rows& first();
  int size() const;
  // How many rows the statement changed.
  std::size_t changed() const;
  std::string_view command() const;  // what the server says that it did: "INSERT 0 1"

  // Columns of the current row, from 0; views live as long as this object. A column of another type throws a Failure.
  std::string_view text(int column) const;  // text, varchar, name, json, and types of extensions
  std::int64_t integer(int column) const;   // smallint, integer, bigint
  bool boolean(int column) const;           //
  double real(int column) const;            // double precision
  UtcMicros time(int column) const;         // timestamptz
  bool is_null(int column) const;           // the others of a NULL: empty, 0, false
  std::string string(int column) const { return std::string(text(column)); }
  std::optional<std::string> optional_string(int column) const {
    if (is_null(column)) return std::nullopt;
    return string(column);
  }

 private:
  struct Clear {
    void operator()(pg_result* result) const;
  };
  std::string_view bytes(int column) const;
  void require_type(int column, bool is_right, const char* wanted) const;

  std::unique_ptr<pg_result, Clear> result_;
  int row_ = -1;
};

struct ConnectOptions {
  std::string url = {};
  std::chrono::milliseconds statement_timeout{30'000};
  std::chrono::milliseconds connect_timeout{10'000};
};

class Connection {
 public:
  // Whether libpq can read the URL. The message never repeats it: it holds a password.
  static Result<void> check_url(const std::string& url);
  // Throws a Failure if the server cannot be reached.
  static Connection connect(const ConnectOptions& options);

  // Runs one statement with arguments for $1, $2, …
  template <typename... Args>
  Rows query(std::string_view sql, const Args&... args) {
    const Argument arguments[] = {Argument(args)...};
    return send(sql, arguments);
  }
  Rows query(std::string_view sql) { return send(sql, {}); }
  // The same for statements without rows; returns how many rows changed.
  template <typename... Args>
  std::size_t run(std::string_view sql, const Args&... args) {
    return query(sql, args...).changed();
  }
  // Runs SQL without arguments, several statements allowed, never prepared.
  void execute(const std::string& sql) { send_script(sql); }

  // Runs `work` as a part of the running transaction; an exception takes back what the part did, and goes on upwards.
  template <typename Work>
  auto savepoint(Work&& work);

  // Allows the statements of this transaction other than the usual time.
  void limit_statements(std::chrono::milliseconds timeout);

  // For Database.
  enum class Access : std::uint8_t { kRead, kWrite };
  void begin(Access access);
  // Throws a Failure; is_outcome_unknown() then says whether it may have happened all the same.
  void commit();
  void rollback() noexcept;
  bool is_outcome_unknown() const { return is_outcome_unknown_; }
  bool is_usable() const;
  // From now on statements are sent whole: sessions change under this connection.
  void stop_preparing();

 private:
  struct Finish {
    void operator()(pg_conn* connection) const;
  };
  Connection(pg_conn* handle, const ConnectOptions& options)
      : handle_(handle), usual_timeout_(options.statement_timeout), statement_timeout_(usual_timeout_) {}

  struct Parameters;
  Rows send(std::string_view sql, std::span<const Argument> arguments);
  Rows send_script(const std::string& sql);
  // The name of the prepared statement, which is made if need be; empty: send it whole.
  std::string prepared(const std::string& sql, const Parameters& parameters);
  Rows answer(std::string_view doing);
  void flush(std::string_view doing, std::chrono::steady_clock::time_point deadline);
  void wait(short events, std::string_view doing, std::chrono::steady_clock::time_point deadline);
  [[noreturn]] void lose(std::string_view doing);

  std::unique_ptr<pg_conn, Finish> handle_;
  std::chrono::milliseconds usual_timeout_;
  std::chrono::milliseconds statement_timeout_;    // of this transaction
  std::unordered_set<std::string> prepared_ = {};  // names
  bool prepares_ = true;
  bool is_outcome_unknown_ = false;
};

// --- implementation of the templates ---

template <typename Work>
auto Connection::savepoint(Work&& work) {
  execute("SAVEPOINT part");
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<Work>>) {
      work();
      execute("RELEASE part");
    } else {
      auto result = work();
      execute("RELEASE part");
      return result;
    }
  } catch (...) {
    if (is_usable()) execute("ROLLBACK TO part; RELEASE part");
    throw;
  }
}

}  // namespace hearth::postgres
