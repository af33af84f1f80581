#include "hearth/drivers/postgres/connection.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>

#include "hearth/base/hash.h"

namespace hearth::postgres {

namespace {

using std::chrono::steady_clock;

constexpr std::size_t kSqlInMessageMax = 120;
constexpr std::size_t kPreparedMax = 500;  // statements of one connection; more are sent whole
// Beyond the time that the server allows a statement, for its answer to arrive.
constexpr std::chrono::seconds kAnswerGrace{5};

// Numbers of types in the server's catalog; they never change.
constexpr Oid kBoolType = 16;
constexpr Oid kByteaType = 17;
constexpr Oid kBigintType = 20;
constexpr Oid kSmallintType = 21;
constexpr Oid kIntegerType = 23;
constexpr Oid kTextType = 25;
constexpr Oid kDoubleType = 701;
constexpr Oid kTimestamptzType = 1184;
constexpr Oid kBoolArrayType = 1000;
constexpr Oid kByteaArrayType = 1001;
constexpr Oid kTextArrayType = 1009;
constexpr Oid kBigintArrayType = 1016;
constexpr Oid kTimestamptzArrayType = 1185;
constexpr std::array<Oid, 7> kTextTypes = {18, 19, kTextType, 114, 705, 1042, 1043};  // "char", name, text, json, unknown, char(n), varchar
constexpr Oid kFirstTypeOfExtensions = 16384;

// PostgreSQL counts microseconds from 2000-01-01.
constexpr std::int64_t kMicrosOfEpoch = 946'684'800'000'000;

// The start of a statement is enough to know it by.
std::string abbreviated(std::string_view sql) {
  if (sql.size() <= kSqlInMessageMax) return std::string(sql);
  return std::string(sql.substr(0, kSqlInMessageMax)) + "…";
}

// In the order of bytes that the server reads and writes.
template <std::integral T>
void append(std::string& bytes, T value) {
  auto swapped = std::byteswap(value);
  bytes.append(reinterpret_cast<const char*>(&swapped), sizeof swapped);
}

template <std::integral T>
T read_integer(std::string_view bytes) {
  T value = 0;
  std::memcpy(&value, bytes.data(), sizeof value);
  return std::byteswap(value);
}

std::int64_t to_server_time(UtcMicros time) {
  return time.time_since_epoch().count() - kMicrosOfEpoch;
}

// One dimension, counted from 1, without NULLs. `append_element` appends the bytes of an element with their length.
template <typename T, typename AppendElement>
std::string array_of(Oid element, std::span<const T> values, AppendElement append_element) {
  std::string bytes;
  append<std::int32_t>(bytes, values.empty() ? 0 : 1);
  append<std::int32_t>(bytes, 0);
  append(bytes, element);
  if (values.empty()) return bytes;
  append(bytes, static_cast<std::int32_t>(values.size()));
  append<std::int32_t>(bytes, 1);
  for (const T& value : values) append_element(bytes, value);
  return bytes;
}

void append_text(std::string& bytes, std::string_view text) {
  append(bytes, static_cast<std::int32_t>(text.size()));
  bytes.append(text);
}

void append_bigint(std::string& bytes, std::int64_t value) {
  append<std::int32_t>(bytes, sizeof value);
  append(bytes, value);
}

std::string first_line(const char* message) {
  std::string_view text = message == nullptr ? "" : message;
  return std::string(text.substr(0, text.find('\n')));
}

}  // namespace

// --- arguments ---

Argument::Argument(bool value) : type_(kBoolType), own_(1, value ? '\1' : '\0') {}

Argument::Argument(Integer integer) : type_(kBigintType) {
  append(own_, integer.value);
}

Argument::Argument(double value) : type_(kDoubleType) {
  append(own_, std::bit_cast<std::int64_t>(value));
}

Argument::Argument(UtcMicros time) : type_(kTimestamptzType) {
  append(own_, to_server_time(time));
}

Argument::Argument(TextArray texts) : type_(kTextArrayType), own_(array_of(kTextType, texts, append_text)) {}

Argument::Argument(const std::vector<std::string>& texts)
    : type_(kTextArrayType), own_(array_of(kTextType, std::span<const std::string>(texts), append_text)) {}

Argument::Argument(IntegerArray integers) : type_(kBigintArrayType), own_(array_of(kBigintType, integers, append_bigint)) {}

Argument::Argument(BoolArray values)
    : type_(kBoolArrayType), own_(array_of(kBoolType, values, [](std::string& bytes, std::uint8_t value) {
        append_text(bytes, value != 0 ? std::string_view("\1", 1) : std::string_view("\0", 1));
      })) {}

Argument::Argument(const std::vector<Bytes>& values)
    : type_(kByteaArrayType),
      own_(array_of(kByteaType, std::span<const Bytes>(values), [](std::string& bytes, Bytes value) { append_text(bytes, value.view); })) {}

Argument::Argument(TimeArray times)
    : type_(kTimestamptzArrayType),
      own_(array_of(kTimestamptzType, times, [](std::string& bytes, UtcMicros time) { append_bigint(bytes, to_server_time(time)); })) {}

struct Connection::Parameters {
  explicit Parameters(std::span<const Argument> arguments) {
    for (const Argument& argument : arguments) {
      auto bytes = argument.bytes();
      types.push_back(argument.type());
      // libpq takes a null pointer for NULL, whatever the length says.
      values.push_back(argument.is_null() ? nullptr : bytes.data() == nullptr ? "" : bytes.data());
      lengths.push_back(static_cast<int>(bytes.size()));
      formats.push_back(1);
    }
  }
  int count() const { return static_cast<int>(types.size()); }

  std::vector<Oid> types;
  std::vector<const char*> values;
  std::vector<int> lengths;
  std::vector<int> formats;
};

// --- rows ---

void Rows::Clear::operator()(pg_result* result) const {
  PQclear(result);
}

int Rows::size() const {
  return PQntuples(result_.get());
}

Rows& Rows::first() {
  if (!next()) throw Failure("", "an answer without the row that it must have");
  return *this;
}

std::size_t Rows::changed() const {
  std::string_view count = PQcmdTuples(result_.get());
  std::size_t changed = 0;
  std::from_chars(count.data(), count.data() + count.size(), changed);
  return changed;
}

std::string_view Rows::command() const {
  return PQcmdStatus(result_.get());
}

bool Rows::is_null(int column) const {
  return PQgetisnull(result_.get(), row_, column) != 0;
}

std::string_view Rows::bytes(int column) const {
  return {PQgetvalue(result_.get(), row_, column), static_cast<std::size_t>(PQgetlength(result_.get(), row_, column))};
}

void Rows::require_type(int column, bool is_right, const char* wanted) const {
  if (is_right) return;
  const char* name = PQfname(result_.get(), column);
  throw Failure("", "column " + std::string(name == nullptr ? "?" : name) + " is no " + wanted + ": cast it");
}

std::string_view Rows::text(int column) const {
  Oid type = PQftype(result_.get(), column);
  require_type(column, type >= kFirstTypeOfExtensions || std::ranges::find(kTextTypes, type) != kTextTypes.end() || type == kByteaType,
               "text");
  return bytes(column);
}

std::int64_t Rows::integer(int column) const {
  Oid type = PQftype(result_.get(), column);
  require_type(column, type == kBigintType || type == kIntegerType || type == kSmallintType, "integer");
  if (is_null(column)) return 0;
  if (type == kBigintType) return read_integer<std::int64_t>(bytes(column));
  if (type == kIntegerType) return read_integer<std::int32_t>(bytes(column));
  return read_integer<std::int16_t>(bytes(column));
}

bool Rows::boolean(int column) const {
  require_type(column, PQftype(result_.get(), column) == kBoolType, "boolean");
  return !is_null(column) && bytes(column)[0] != 0;
}

double Rows::real(int column) const {
  require_type(column, PQftype(result_.get(), column) == kDoubleType, "double precision");
  return is_null(column) ? 0 : std::bit_cast<double>(read_integer<std::int64_t>(bytes(column)));
}

UtcMicros Rows::time(int column) const {
  require_type(column, PQftype(result_.get(), column) == kTimestamptzType, "timestamp with time zone");
  if (is_null(column)) return UtcMicros{};
  auto micros = read_integer<std::int64_t>(bytes(column));
  if (micros > std::numeric_limits<std::int64_t>::max() - kMicrosOfEpoch) return UtcMicros::max();  // 'infinity'
  return UtcMicros(std::chrono::microseconds(micros + kMicrosOfEpoch));
}

// --- the connection ---

void Connection::Finish::operator()(pg_conn* connection) const {
  PQfinish(connection);
}

Result<void> Connection::check_url(const std::string& url) {
  auto is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
  PQconninfoOption* options = is_url ? PQconninfoParse(url.c_str(), nullptr) : nullptr;
  PQconninfoFree(options);
  if (options != nullptr) return {};
  return fail(ErrorCode::kInvalidArgument,
              "is not of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…, with %XX for the special characters of a part");
}

Connection Connection::connect(const ConnectOptions& options) {
  auto timeout = std::to_string(std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(options.connect_timeout).count()));
  // What stands before dbname the URL may change.
  const char* names[] = {"connect_timeout", "keepalives_idle", "fallback_application_name", "dbname", "client_encoding", nullptr};
  const char* values[] = {timeout.c_str(), "30", "hearth", options.url.c_str(), "UTF8", nullptr};
  Connection made(PQconnectdbParams(names, values, /*expand_dbname=*/1), options);
  if (PQstatus(made.handle_.get()) != CONNECTION_OK) made.lose("connect to PostgreSQL");
  PQsetnonblocking(made.handle_.get(), 1);
  PQsetNoticeProcessor(made.handle_.get(), [](void*, const char*) {}, nullptr);
  return made;
}

bool Connection::is_usable() const {
  return handle_ != nullptr && PQstatus(handle_.get()) == CONNECTION_OK;
}

void Connection::lose(std::string_view doing) {
  std::string reason = handle_ == nullptr ? "the connection was lost before" : first_line(PQerrorMessage(handle_.get()));
  handle_.reset();
  throw Failure("", abbreviated(doing) + ": " + (reason.empty() ? "no answer" : reason), /*is_connection_loss=*/true);
}

Rows Connection::send(std::string_view sql, std::span<const Argument> arguments) {
  if (!is_usable()) lose(sql);
  std::string text(sql);
  Parameters parameters(arguments);
  auto name = prepared(text, parameters);
  int sent = 0;
  if (name.empty()) {
    sent = PQsendQueryParams(handle_.get(), text.c_str(), parameters.count(), parameters.types.data(), parameters.values.data(),
                             parameters.lengths.data(), parameters.formats.data(), /*resultFormat=*/1);
  } else {
    sent = PQsendQueryPrepared(handle_.get(), name.c_str(), parameters.count(), parameters.values.data(), parameters.lengths.data(),
                               parameters.formats.data(), /*resultFormat=*/1);
  }
  if (sent == 0) lose(sql);
  return answer(sql);
}

Rows Connection::send_script(const std::string& sql) {
  if (!is_usable() || PQsendQuery(handle_.get(), sql.c_str()) == 0) lose(sql);
  return answer(sql);
}

std::string Connection::prepared(const std::string& sql, const Parameters& parameters) {
  if (!prepares_) return {};
  auto types = std::string_view(reinterpret_cast<const char*>(parameters.types.data()), parameters.types.size() * sizeof(Oid));
  auto name = "hearth_" + std::to_string(checksum64(sql + std::string(types)));
  if (prepared_.contains(name)) return name;
  if (prepared_.size() >= kPreparedMax) return {};
  if (PQsendPrepare(handle_.get(), name.c_str(), sql.c_str(), parameters.count(), parameters.types.data()) == 0) lose(sql);
  answer(sql);
  prepared_.insert(name);
  return name;
}

void Connection::stop_preparing() {
  prepares_ = false;
  prepared_.clear();
}

Rows Connection::answer(std::string_view doing) {
  auto deadline = steady_clock::now() + statement_timeout_ + kAnswerGrace;
  flush(doing, deadline);
  Rows last(nullptr);
  std::optional<std::pair<std::string, std::string>> failed;  // SQLSTATE and message
  while (true) {
    while (PQisBusy(handle_.get()) != 0) {
      wait(POLLIN, doing, deadline);
      if (PQconsumeInput(handle_.get()) == 0) break;  // the result then says what happened
    }
    pg_result* result = PQgetResult(handle_.get());
    if (result == nullptr) break;
    last = Rows(result);
    auto status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY || failed) continue;
    const char* sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char* primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    failed.emplace(sqlstate == nullptr ? "" : sqlstate, primary == nullptr ? first_line(PQresultErrorMessage(result)) : primary);
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) lose(doing);  // it would never end
  }
  if (failed) {
    auto& [sqlstate, message] = *failed;
    auto text = abbreviated(doing) + ": " + message + (sqlstate.empty() ? "" : " (" + sqlstate + ")");
    throw Failure(sqlstate, std::move(text), /*is_connection_loss=*/!is_usable());
  }
  return last;
}

void Connection::flush(std::string_view doing, steady_clock::time_point deadline) {
  while (true) {
    int left = PQflush(handle_.get());
    if (left == 0) return;
    if (left < 0) lose(doing);
    // The server may be stuck in writing to us; it reads on only when we read.
    wait(POLLIN | POLLOUT, doing, deadline);
    if (PQconsumeInput(handle_.get()) == 0) lose(doing);
  }
}

void Connection::wait(short events, std::string_view doing, steady_clock::time_point deadline) {
  pollfd waited{.fd = PQsocket(handle_.get()), .events = events, .revents = 0};
  while (true) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - steady_clock::now());
    int ready = poll(&waited, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
    if (ready > 0) return;
    if (ready == 0 || errno != EINTR) lose(doing);
  }
}

void Connection::begin(Access access) {
  is_outcome_unknown_ = false;
  statement_timeout_ = usual_timeout_;
  auto limit = std::to_string(statement_timeout_.count());
  // A node that is stopped in the middle must not hold its locks for ever. SET LOCAL works behind every pooler.
  execute(std::string(access == Access::kRead ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
                                              : "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE") +
          "; SET LOCAL statement_timeout = " + limit + "; SET LOCAL idle_in_transaction_session_timeout = " + limit);
}

void Connection::limit_statements(std::chrono::milliseconds timeout) {
  execute("SET LOCAL statement_timeout = " + std::to_string(timeout.count()));
  statement_timeout_ = timeout;
}

void Connection::commit() {
  is_outcome_unknown_ = true;
  try {
    auto committed = send_script("COMMIT");
    is_outcome_unknown_ = false;
    if (committed.command() == "ROLLBACK") throw Failure("25P02", "COMMIT: a statement had failed before, and all was rolled back");
  } catch (const Failure& failure) {
    if (!failure.is_connection_loss()) is_outcome_unknown_ = false;
    throw;
  }
}

void Connection::rollback() noexcept {
  if (!is_usable()) return;
  try {
    execute("ROLLBACK");
  } catch (const Failure&) {
    handle_.reset();
  }
}

Error to_error(const Failure& failure) {
  constexpr std::array<std::string_view, 5> kPassing = {
      "40",  // deadlocks and serialization failures that came again and again
      "53",  // no memory, disk or connection left
      "55",  // locked by another
      "57",  // stopped by time-out, or the server stops or starts
      "58",  // errors of its disk
  };
  bool passes = failure.is_connection_loss() || failure.is_about_preparing() || failure.sqlstate() == "25006" /* read-only: a standby */ ||
                std::ranges::any_of(kPassing, [&](std::string_view passing) { return failure.is_of_class(passing); });
  return Error{passes ? ErrorCode::kUnavailable : ErrorCode::kInternal, failure.what()};
}

}  // namespace hearth::postgres
