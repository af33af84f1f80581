#include "hearth/drivers/sqlite/connection.h"

#include <algorithm>
#include <cstddef>

#include "hearth/base/assert.h"

namespace hearth::sqlite {

namespace {

constexpr std::size_t kSqlInMessageMax = 120;

// The start of a statement is enough to know it by.
std::string abbreviated(std::string_view sql) {
  if (sql.size() <= kSqlInMessageMax) return std::string(sql);
  return std::string(sql.substr(0, kSqlInMessageMax)) + "…";
}

Failure failure(sqlite3* db, int code, std::string_view doing) {
  return Failure(code, std::string(doing) + ": " + sqlite3_errmsg(db) + " (" + std::to_string(code) + ")");
}

void check_bound(sqlite3_stmt* statement, int code) {
  if (code != SQLITE_OK) throw failure(sqlite3_db_handle(statement), code, "bind " + abbreviated(sqlite3_sql(statement)));
}

// SQLite takes a null pointer for NULL, whatever the length says.
const char* data_of(std::string_view bytes) {
  return bytes.data() == nullptr ? "" : bytes.data();
}

std::string_view view_of(const void* bytes, int size) {
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes), static_cast<std::size_t>(size)};
}

}  // namespace

bool Statement::next() {
  int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    sqlite3_reset(statement_);
    return false;
  }
  Failure failed = failure(sqlite3_db_handle(statement_), code, abbreviated(sqlite3_sql(statement_)));
  sqlite3_reset(statement_);
  throw failed;
}

std::string_view Statement::text(int column) const {
  const unsigned char* bytes = sqlite3_column_text(statement_, column);
  return view_of(bytes, sqlite3_column_bytes(statement_, column));
}

std::string_view Statement::blob(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  return view_of(bytes, sqlite3_column_bytes(statement_, column));
}

void Statement::start(int arguments) {
  HEARTH_ASSERT(arguments == sqlite3_bind_parameter_count(statement_));
  sqlite3_reset(statement_);
}

void Statement::bind_text(int index, std::string_view text, Lifetime lifetime) {
  auto destructor = lifetime == Lifetime::kOutlivesStepping ? SQLITE_STATIC : SQLITE_TRANSIENT;
  check_bound(statement_, sqlite3_bind_text64(statement_, index, data_of(text), text.size(), destructor, SQLITE_UTF8));
}

void Statement::bind(int index, Blob blob) {
  check_bound(statement_, sqlite3_bind_blob64(statement_, index, data_of(blob.bytes), blob.bytes.size(), SQLITE_STATIC));
}

void Statement::bind_integer(int index, std::int64_t value) {
  check_bound(statement_, sqlite3_bind_int64(statement_, index, value));
}

void Statement::bind_null(int index) {
  check_bound(statement_, sqlite3_bind_null(statement_, index));
}

void Connection::Close::operator()(sqlite3* db) const {
  // The second version waits for statements that are finalized later, as in a move assignment.
  sqlite3_close_v2(db);
}

Result<Connection> Connection::open(const OpenOptions& options) {
  return guard([&] {
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    flags |= options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    sqlite3* handle = nullptr;
    int code = sqlite3_open_v2(options.path.c_str(), &handle, flags, options.vfs.empty() ? nullptr : options.vfs.c_str());
    Connection connection(handle);  // SQLite hands out a handle even for a failed open
    if (code != SQLITE_OK) throw failure(handle, code, "open " + options.path.string());
    connection.configure(options);
    return connection;
  });
}

void Connection::configure(const OpenOptions& options) {
  sqlite3_busy_timeout(handle(), options.busy_timeout_ms);
  if (!options.read_only) {
    Statement& mode = statement("PRAGMA journal_mode=WAL");
    mode.query();
    if (!mode.next() || mode.text(0) != "wal")
      throw Failure(SQLITE_ERROR, "open " + options.path.string() + ": this place allows no write-ahead log");
    mode.reset();
    execute(("PRAGMA wal_autocheckpoint=" + std::to_string(options.checkpoint_pages)).c_str());
  }
  execute(options.synchronous == Synchronous::kFull ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
  execute("PRAGMA foreign_keys=ON");
  execute("PRAGMA temp_store=MEMORY");
  execute(("PRAGMA cache_size=-" + std::to_string(options.cache_kib)).c_str());
}

void Connection::execute(const char* sql) {
  int code = sqlite3_exec(handle(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) throw failure(handle(), code, abbreviated(sql));
}

Statement& Connection::statement(const char* sql) {
  auto known = std::ranges::find(statements_, sql, [](const auto& entry) { return entry.first; });
  if (known != statements_.end()) return *known->second;
  sqlite3_stmt* prepared = nullptr;
  int code = sqlite3_prepare_v3(handle(), sql, -1, SQLITE_PREPARE_PERSISTENT, &prepared, nullptr);
  if (code != SQLITE_OK) throw failure(handle(), code, "prepare " + abbreviated(sql));
  return *statements_.emplace_back(sql, std::make_unique<Statement>(prepared)).second;
}

// Prepared like all others: to parse SAVEPOINT and RELEASE anew took 1.0 µs a write.
constexpr char kBegin[] = "BEGIN IMMEDIATE";
constexpr char kBeginSnapshot[] = "BEGIN";
constexpr char kCommit[] = "COMMIT";
constexpr char kSavepoint[] = "SAVEPOINT part";
constexpr char kRelease[] = "RELEASE part";

void Connection::begin(Scope scope) {
  HEARTH_ASSERT(is_in_transaction() == (scope == Scope::kSavepoint));
  switch (scope) {
    case Scope::kTransaction:
      statement(kBegin).run();
      return;
    case Scope::kSnapshot:
      statement(kBeginSnapshot).run();
      return;
    case Scope::kSavepoint:
      statement(kSavepoint).run();
      return;
  }
}

void Connection::commit(Scope scope) {
  reset_statements();
  statement(scope == Scope::kSavepoint ? kRelease : kCommit).run();
}

void Connection::rollback(Scope scope) noexcept {
  reset_statements();
  if (!is_in_transaction()) return;  // the failure has ended it already
  auto succeeds = [this](const char* sql) { return sqlite3_exec(handle(), sql, nullptr, nullptr, nullptr) == SQLITE_OK; };
  if (scope == Scope::kSavepoint && succeeds("ROLLBACK TO part") && succeeds("RELEASE part")) return;
  succeeds("ROLLBACK");
}

void Connection::reset_statements() noexcept {
  for (auto& [sql, statement] : statements_) statement->reset();
}

Error to_error(const Failure& failure) {
  switch (failure.code() & 0xff) {
    case SQLITE_FULL:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      return Error{ErrorCode::kUnavailable, failure.what()};
    default:
      return Error{ErrorCode::kInternal, failure.what()};
  }
}

}  // namespace hearth::sqlite
