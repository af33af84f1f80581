#include "hearth/outbox/journal.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/this_coro.hpp>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <limits>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/base/background_task.h"
#include "hearth/base/hash.h"
#include "hearth/base/log.h"
#include "hearth/base/thread_name.h"
#include "hearth/drivers/sqlite/connection.h"
#include "hearth/drivers/sqlite/migrations.h"
#include "hearth/outbox/wait_queue.h"

namespace hearth::sqlite {
extern const std::span<const std::string_view> kJournalMigrations;
}

namespace hearth::outbox {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kOpenBatchBytesMax = 32u << 20;  // what may fill while one batch syncs
constexpr std::uint64_t kEntryOverhead = 64;           // a row's cost beside its bytes, in the outbox's bound
constexpr Sequence kTrimRowsPerCommit = 32;            // little enough to hide in a commit, more than one to catch up
constexpr Sequence kTrimRowsWhenIdle = 1'024;
constexpr milliseconds kRetryMax{1'000};
constexpr std::size_t kLostRangesMax = 1'024;

// idempotency records of one batch: (u16 key bytes, u16 content bytes, i64 at, key, content)*
struct [[gnu::packed]] RecordHead {
  std::uint16_t key_bytes;
  std::uint16_t content_bytes;
  std::int64_t at_micros;
};

void encode_record(const IdempotencyRecord& record, std::string& out) {
  HEARTH_ASSERT(record.key.size() <= UINT16_MAX && record.content.size() <= UINT16_MAX);
  RecordHead head{static_cast<std::uint16_t>(record.key.size()), static_cast<std::uint16_t>(record.content.size()),
                  record.at.time_since_epoch().count()};
  out.append(reinterpret_cast<const char*>(&head), sizeof head);
  out += record.key;
  out += record.content;
}

Result<void> decode_records(std::string_view blob, std::vector<IdempotencyRecord>& out) {
  while (!blob.empty()) {
    RecordHead head;
    if (blob.size() < sizeof head) return fail(ErrorCode::kInternal, "journal: an idempotency record is cut short");
    std::memcpy(&head, blob.data(), sizeof head);
    blob.remove_prefix(sizeof head);
    if (blob.size() < std::size_t{head.key_bytes} + head.content_bytes)
      return fail(ErrorCode::kInternal, "journal: an idempotency record is cut short");
    std::int64_t at_micros = head.at_micros;  // by value: a reference into a packed struct may be misaligned
    out.push_back({std::string(blob.substr(0, head.key_bytes)), std::string(blob.substr(head.key_bytes, head.content_bytes)),
                   UtcMicros(std::chrono::microseconds(at_micros))});
    blob.remove_prefix(head.key_bytes + head.content_bytes);
  }
  return {};
}

constexpr char kInsertBatch[] = "INSERT INTO journal (sequence, events, checksum) VALUES (?1, ?2, ?3)";
constexpr char kInsertRecords[] = "INSERT INTO idempotency_records (sequence, at, records) VALUES (?1, ?2, ?3)";
constexpr char kDeletePassed[] = "DELETE FROM journal WHERE sequence < ?1";
constexpr char kPruneRecords[] = "DELETE FROM idempotency_records WHERE at <= ?1";
constexpr char kReadEntries[] = "SELECT sequence, events, checksum FROM journal WHERE sequence > ?1 ORDER BY sequence";
constexpr char kReadSizes[] = "SELECT sequence, length(events) FROM journal ORDER BY sequence";
constexpr char kReadOne[] = "SELECT events FROM journal WHERE sequence = ?1";
constexpr char kReadRecords[] = "SELECT records FROM idempotency_records WHERE at > ?1 ORDER BY sequence";
constexpr char kReadIdentity[] = "SELECT id FROM identity";
constexpr char kNewestRecords[] = "SELECT max(sequence) FROM idempotency_records";

// Of a row: also of its number.
std::uint64_t row_checksum(Sequence sequence, std::string_view events) {
  return checksum64(events) + sequence * 0x9e3779b97f4a7c15;
}

constexpr char kAdvice[] = "restore a backup of the data folder, or move journal.db away and lose what the ledger does not have yet";

// Finds pages that a disk has damaged so that rows are out of order or missing; row_checksum() cannot.
Result<void> check_pages(sqlite::Connection& connection) {
  return sqlite::Connection::guard([&]() -> Result<void> {
    auto& rows = connection.statement("PRAGMA quick_check(1)").query();
    std::string found = rows.next() ? rows.string(0) : "nothing";
    rows.reset();
    if (found == "ok") return {};
    return fail(ErrorCode::kInternal, "journal.db is damaged on disk (" + found + "): " + kAdvice);
  });
}

std::unexpected<Error> damaged(Sequence sequence) {
  return fail(ErrorCode::kInternal, "journal: entry " + std::to_string(sequence) + " is damaged on disk: " + kAdvice);
}

std::atomic<std::uint64_t> g_instances{0};

}  // namespace

class Journal::Impl {
 public:
  Impl(JournalOptions options, sqlite::Connection writer, sqlite::Connection reader, sqlite::Connection checkpointer)
      : options_(std::move(options)),
        writer_(std::move(writer)),
        reader_(std::move(reader)),
        checkpointer_(std::move(checkpointer)),
        checkpoint_task_({.name = "journal", .period = milliseconds(100)}, [this] { return checkpoint(); }) {}

  Result<void> load();
  void start(Sequence above, JournalListener* listener);
  void stop();
  void abandon_waiters();
  Result<Sequence> append(std::string_view events, const IdempotencyRecord* record);
  Result<void> outcome(Sequence sequence);
  WaitQueue& queue_of(const Executor& executor);
  void trim(Sequence up_to);
  void prune(UtcMicros before);

  std::string id_;                    // after load()
  std::atomic<Sequence> settled_{0};  // the newest batch whose fate is known: durable or lost
  std::atomic<Sequence> durable_{0};
  std::atomic<bool> accepting_{false};

  template <typename Work>
  auto with_reader(Work&& work) {
    std::lock_guard lock(reader_mutex_);
    return reader_.snapshot([&] { return work(reader_); });
  }
  Stats stats();

 private:
  struct Batch {
    Sequence sequence = 0;
    std::string events;
    std::string records;
    UtcMicros newest_record{};
    bool empty() const { return events.empty() && records.empty(); }
  };

  void run();
  // Waits for something to do. False: stopped and nothing left.
  bool next_batch(Batch& batch);
  void commit_or_lose(Batch& batch);
  Result<void> commit(const Batch& batch, Sequence delete_below, std::optional<UtcMicros> prune_before);
  void record_durable(Sequence sequence, std::size_t event_bytes);
  void lose(Sequence first, const Error& error);
  bool recover_once();
  void settle(Sequence sequence);
  void sync_if_due();
  Result<void> sync();
  void rewrite_unsynced();
  bool rewrite_once();
  Result<bool> checkpoint();
  void finish_checkpoint();

  const JournalOptions options_;
  sqlite::Connection writer_;  // of the commit thread
  std::mutex reader_mutex_;
  sqlite::Connection reader_;
  sqlite::Connection checkpointer_;
  BackgroundTask checkpoint_task_;
  std::atomic<int> wal_pages_{0};
  std::atomic<bool> checkpoint_ready_{false};
  std::atomic<bool> is_sync_doubtful_{false};  // kRelaxed: a sync failed, and what it was for may never reach the disk
  JournalListener* listener_ = nullptr;
  std::thread thread_;

  // Under mutex_.
  std::mutex mutex_;
  std::condition_variable changed_;
  Batch open_;
  bool is_idle_ = false;  // the commit thread waits: appending wakes it
  bool stopping_ = false;
  Sequence trim_to_ = 0;
  std::optional<UtcMicros> prune_before_;
  std::deque<std::pair<Sequence, std::uint64_t>> sizes_;  // of the entries that consumers have not passed
  std::uint64_t backlog_bytes_ = 0;
  std::uint64_t committing_bytes_ = 0;               // of the batch that is being committed
  std::vector<std::pair<Sequence, Sequence>> lost_;  // ranges, the newest last
  std::vector<std::unique_ptr<WaitQueue>> queues_;

  // Of the commit thread.
  Sequence oldest_row_ = 0;                                 // 0: the log is empty
  std::optional<steady_clock::time_point> unsynced_since_;  // kRelaxed: the oldest batch that is written and not synced

  std::atomic<std::uint64_t> commits_{0};
  std::atomic<std::uint64_t> failed_commits_{0};
  std::atomic<std::uint64_t> commit_micros_{0};

 public:
  const std::uint64_t instance_ = ++g_instances;
};

// --- life ---

Result<std::unique_ptr<Journal>> Journal::open(JournalOptions options) {
  auto synchronous = options.durability == Durability::kCommit ? sqlite::Synchronous::kFull : sqlite::Synchronous::kNormal;
  sqlite::OpenOptions open{.path = options.path, .vfs = options.vfs, .synchronous = synchronous, .checkpoint_pages = 0};
  auto writer = sqlite::Connection::open(open);
  if (!writer) return std::unexpected(writer.error());
  // What the last process has written may stand in the kernel's cache alone, if a sync failed: a later sync would leave it out,
  // and a power cut then take all that was written behind it. In the file itself it is on disk.
  int code = sqlite3_wal_checkpoint_v2(writer->handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(sqlite::to_error(sqlite::Failure(code, "the journal's last writes could not be synced")));
  if (auto migrated = sqlite::migrate(*writer, sqlite::kJournalMigrations); !migrated) return std::unexpected(migrated.error());
  if (auto checked = check_pages(*writer); !checked) return std::unexpected(checked.error());
  auto reader = sqlite::Connection::open(open);
  if (!reader) return std::unexpected(reader.error());
  open.synchronous = sqlite::Synchronous::kFull;  // the sync that lets the WAL start again
  auto checkpointer = sqlite::Connection::open(open);
  if (!checkpointer) return std::unexpected(checkpointer.error());

  auto impl = std::make_unique<Impl>(std::move(options), std::move(*writer), std::move(*reader), std::move(*checkpointer));
  if (auto loaded = impl->load(); !loaded) return std::unexpected(loaded.error());
  return std::unique_ptr<Journal>(new Journal(std::move(impl)));
}

Journal::Journal(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Journal::~Journal() {
  stop();
}
void Journal::start(Sequence above, JournalListener* listener) {
  impl_->start(above, listener);
}
void Journal::abandon_waiters() {
  impl_->abandon_waiters();
}
void Journal::stop() {
  impl_->stop();
}

Result<void> Journal::Impl::load() {
  sqlite3_wal_hook(
      writer_.handle(),
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<Impl*>(self)->wal_pages_ = pages;
        return SQLITE_OK;
      },
      this);
  return sqlite::Connection::guard([&] {
    auto& identity = writer_.statement(kReadIdentity).query();
    identity.next();
    id_ = identity.string(0);
    identity.reset();
    auto& sizes = writer_.statement(kReadSizes).query();
    while (sizes.next()) {
      std::uint64_t bytes = static_cast<std::uint64_t>(sizes.integer(1)) + kEntryOverhead;
      sizes_.emplace_back(sizes.integer(0), bytes);
      backlog_bytes_ += bytes;
    }
    auto& newest = writer_.statement(kNewestRecords).query();
    Sequence last = newest.next() ? static_cast<Sequence>(newest.integer(0)) : 0;
    newest.reset();
    if (!sizes_.empty()) {
      oldest_row_ = sizes_.front().first;
      last = std::max(last, sizes_.back().first);
    }
    open_.sequence = last + 1;
    settled_ = durable_ = last;
  });
}

void Journal::Impl::start(Sequence above, JournalListener* listener) {
  HEARTH_ASSERT(!thread_.joinable());
  listener_ = listener;
  open_.sequence = std::max(open_.sequence, above + 1);
  settled_ = durable_ = open_.sequence - 1;
  accepting_ = true;
  thread_ = std::thread([this] {
    name_thread("commit");
    run();
  });
  checkpoint_task_.start();
}

void Journal::Impl::abandon_waiters() {
  std::lock_guard lock(mutex_);
  queues_.clear();
}

void Journal::Impl::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    accepting_ = false;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  checkpoint_task_.stop();
}

// --- appending ---

Result<Sequence> Journal::append(std::string_view events, const IdempotencyRecord* record) {
  return impl_->append(events, record);
}

Result<Sequence> Journal::Impl::append(std::string_view events, const IdempotencyRecord* record) {
  std::lock_guard lock(mutex_);
  if (!accepting_.load(std::memory_order_relaxed)) return fail(ErrorCode::kUnavailable, "the journal cannot be written at the moment");
  if (backlog_bytes_ + committing_bytes_ + open_.events.size() + events.size() > options_.outbox_bytes_max) {
    return fail(ErrorCode::kUnavailable, "the outbox is full: changes arrive faster than they reach the ledger");
  }
  if (open_.events.size() + open_.records.size() + events.size() > kOpenBatchBytesMax) {
    return fail(ErrorCode::kUnavailable, "the open batch is full: the disk is slower than the changes");
  }
  open_.events.append(events);
  if (record) {
    encode_record(*record, open_.records);
    open_.newest_record = std::max(open_.newest_record, record->at);
  }
  if (is_idle_) {
    is_idle_ = false;
    changed_.notify_one();
  }
  return open_.sequence;
}

// --- waiting ---

Task<Result<void>> Journal::durable(Sequence sequence) {
  if (sequence > impl_->settled_.load(std::memory_order_acquire)) {
    Executor executor = co_await boost::asio::this_coro::executor;
    co_await impl_->queue_of(executor).wait(sequence);
  }
  co_return impl_->outcome(sequence);
}

Sequence Journal::durable_mark() const {
  return impl_->durable_.load(std::memory_order_acquire);
}
const std::string& Journal::id() const {
  return impl_->id_;
}
bool Journal::is_accepting() const {
  return impl_->accepting_.load();
}

WaitQueue& Journal::Impl::queue_of(const Executor& executor) {
  struct Cached {
    std::uint64_t instance = 0;
    const boost::asio::io_context* context = nullptr;
    WaitQueue* queue = nullptr;
  };
  thread_local Cached cached;
  const auto* context = &executor.context();
  if (cached.instance == instance_ && cached.context == context) return *cached.queue;

  std::lock_guard lock(mutex_);
  auto found = std::ranges::find(queues_, context, [](const auto& queue) { return queue->context(); });
  if (found == queues_.end()) found = queues_.insert(queues_.end(), std::make_unique<WaitQueue>(executor, settled_));
  cached = {instance_, context, found->get()};
  return **found;
}

Result<void> Journal::Impl::outcome(Sequence sequence) {
  if (failed_commits_.load() == 0) return {};
  std::lock_guard lock(mutex_);
  for (auto [first, last] : lost_) {
    if (sequence >= first && sequence <= last) return fail(ErrorCode::kUnavailable, "the change could not be written to disk");
  }
  return {};
}

void Journal::Impl::settle(Sequence sequence) {
  settled_.store(sequence);
  std::lock_guard lock(mutex_);
  for (auto& queue : queues_) queue->notify();
}

// --- the commit thread ---

void Journal::Impl::run() {
  Batch batch;
  while (next_batch(batch)) {
    commit_or_lose(batch);
    sync_if_due();
    finish_checkpoint();
  }
  if (unsynced_since_) {
    if (auto synced = sync(); !synced) log::error("journal", "last sync failed", {{"error", synced.error().message}});
  }
}

bool Journal::Impl::next_batch(Batch& batch) {
  batch.sequence = 0;
  batch.events.clear();
  batch.records.clear();
  std::unique_lock lock(mutex_);
  auto can_trim = [&] { return oldest_row_ != 0 && oldest_row_ < trim_to_; };
  auto has_work = [&] { return !open_.empty() || stopping_ || checkpoint_ready_ || is_sync_doubtful_ || can_trim() || prune_before_; };
  while (!has_work()) {
    is_idle_ = true;
    if (unsynced_since_) {
      if (changed_.wait_until(lock, *unsynced_since_ + kRelaxedSyncPeriod) == std::cv_status::timeout) break;
    } else {
      changed_.wait(lock);
    }
  }
  is_idle_ = false;
  if (open_.empty()) return !stopping_;
  std::swap(batch, open_);  // the buffers change places and keep their memory
  committing_bytes_ = batch.events.size();
  open_.sequence = batch.sequence + 1;
  return true;
}

void Journal::Impl::commit_or_lose(Batch& batch) {
  Sequence delete_below;
  std::optional<UtcMicros> prune_before;
  {
    std::lock_guard lock(mutex_);
    delete_below = oldest_row_ == 0 ? 0 : std::min(trim_to_, oldest_row_ + (batch.empty() ? kTrimRowsWhenIdle : kTrimRowsPerCommit));
    prune_before = std::exchange(prune_before_, std::nullopt);
  }
  if (batch.empty() && delete_below <= oldest_row_ && !prune_before) return;

  auto began = steady_clock::now();
  if (auto committed = commit(batch, delete_below, prune_before); !committed) {
    lose(batch.empty() ? 0 : batch.sequence, committed.error());
    return;
  }
  oldest_row_ = std::max(oldest_row_, delete_below);
  commit_micros_ += std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - began).count();
  ++commits_;
  if (batch.empty()) return;
  if (options_.durability == Durability::kRelaxed && !unsynced_since_) unsynced_since_ = began;
  record_durable(batch.sequence, batch.events.size());
  settle(batch.sequence);
}

void Journal::Impl::record_durable(Sequence sequence, std::size_t event_bytes) {
  std::lock_guard lock(mutex_);
  committing_bytes_ = 0;
  sizes_.emplace_back(sequence, event_bytes + kEntryOverhead);
  backlog_bytes_ += event_bytes + kEntryOverhead;
  if (oldest_row_ == 0) oldest_row_ = sequence;
  durable_.store(sequence);
}

// One transaction: the batch, and the rows that consumers have passed, whose pages the next batches use again.
Result<void> Journal::Impl::commit(const Batch& batch, Sequence delete_below, std::optional<UtcMicros> prune_before) {
  return writer_.transaction([&] {
    if (batch.sequence != 0)
      writer_.statement(kInsertBatch).run(batch.sequence, sqlite::Blob{batch.events}, row_checksum(batch.sequence, batch.events));
    if (!batch.records.empty()) {
      writer_.statement(kInsertRecords).run(batch.sequence, batch.newest_record.time_since_epoch().count(), sqlite::Blob{batch.records});
    }
    if (delete_below > oldest_row_) writer_.statement(kDeletePassed).run(delete_below);
    if (prune_before) writer_.statement(kPruneRecords).run(prune_before->time_since_epoch().count());
  });
}

// The batch `first` failed (0: one without changes), and what filled behind it was built on it: both are lost. Then nothing is accepted
// until an empty batch was committed over the place where the failed one may lie in the file.
void Journal::Impl::lose(Sequence first, const Error& error) {
  log::error("journal", "a commit failed; changes are refused until the disk takes one again",
             {{"sequence", first}, {"error", error.message}});
  Sequence last;
  {
    std::lock_guard lock(mutex_);
    accepting_ = false;
    last = open_.sequence;
    if (first == 0) first = last;
    open_ = Batch();
    open_.sequence = last + 1;
    committing_bytes_ = 0;
    if (lost_.size() == kLostRangesMax) lost_.erase(lost_.begin());  // nobody waits for one that old
    lost_.emplace_back(first, last);
  }
  ++failed_commits_;
  if (listener_) listener_->on_lost(first);
  settle(last);

  auto retry = options_.retry_first;
  while (!recover_once()) {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, retry, [this] { return stopping_; })) return;
    retry = std::min(retry * 2, kRetryMax);
  }
}

bool Journal::Impl::recover_once() {
  Batch empty;
  {
    std::lock_guard lock(mutex_);
    empty.sequence = open_.sequence;
  }
  if (!commit(empty, 0, std::nullopt)) return false;
  record_durable(empty.sequence, 0);
  settle(empty.sequence);
  {
    std::lock_guard lock(mutex_);
    open_.sequence = empty.sequence + 1;
  }
  if (options_.durability == Durability::kRelaxed && !rewrite_once()) return false;
  {
    std::lock_guard lock(mutex_);
    accepting_ = !stopping_;
  }
  log::info("journal", "commits work again", {{"sequence", empty.sequence}});
  return true;
}

void Journal::Impl::sync_if_due() {
  if (is_sync_doubtful_) return rewrite_unsynced();
  if (!unsynced_since_ || steady_clock::now() < *unsynced_since_ + kRelaxedSyncPeriod) return;
  if (auto synced = sync(); !synced) {
    log::error("journal", "a sync failed; changes are refused until the disk takes one again", {{"error", synced.error().message}});
    rewrite_unsynced();
  }
}

// After a failed sync a later one may succeed and leave out what the first was for (Linux marks the pages clean), and
// what is written behind that gap is lost with it. So all of it is written again, into the database file, before more
// changes are accepted.
void Journal::Impl::rewrite_unsynced() {
  {
    std::lock_guard lock(mutex_);
    accepting_ = false;
  }
  auto retry = options_.retry_first;
  while (!rewrite_once()) {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, retry, [this] { return stopping_; })) return;
    retry = std::min(retry * 2, kRetryMax);
  }
  log::info("journal", "syncs work again");
  std::lock_guard lock(mutex_);
  accepting_ = !stopping_;
}

bool Journal::Impl::rewrite_once() {
  is_sync_doubtful_ = false;
  int code = sqlite3_wal_checkpoint_v2(writer_.handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  if (code == SQLITE_OK) unsynced_since_.reset();
  return code == SQLITE_OK;
}

// Syncs the WAL file. SQLite gives no other way to do so without a commit.
Result<void> Journal::Impl::sync() {
  sqlite3_file* wal = nullptr;
  int code = sqlite3_file_control(writer_.handle(), "main", SQLITE_FCNTL_JOURNAL_POINTER, static_cast<void*>(&wal));
  if (code == SQLITE_OK && wal != nullptr && wal->pMethods != nullptr) code = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
  if (code != SQLITE_OK) {
    is_sync_doubtful_ = true;
    return fail(ErrorCode::kUnavailable, "the journal's file could not be synced");
  }
  unsynced_since_.reset();
  return {};
}

// --- trimming and checkpoints ---

void Journal::Impl::trim(Sequence up_to) {
  std::lock_guard lock(mutex_);
  trim_to_ = std::max(trim_to_, up_to);
  while (!sizes_.empty() && sizes_.front().first <= up_to) {
    backlog_bytes_ -= sizes_.front().second;
    sizes_.pop_front();
  }
  if (is_idle_) changed_.notify_one();
}

void Journal::Impl::prune(UtcMicros before) {
  std::lock_guard lock(mutex_);
  prune_before_ = before;
  if (is_idle_) changed_.notify_one();
}

// The long part of a checkpoint, on a thread of its own: commits go on meanwhile. What they add in that time is little, and
// the commit thread copies it itself (finish_checkpoint), so that the WAL can start again from its beginning.
Result<bool> Journal::Impl::checkpoint() {
  if (wal_pages_ < options_.checkpoint_pages) return false;
  for (int pass = 0; pass < 2; ++pass) {  // the second copies what was committed during the first
    int code = sqlite3_wal_checkpoint_v2(checkpointer_.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    if (code == SQLITE_OK || code == SQLITE_BUSY) continue;
    is_sync_doubtful_ = options_.durability == Durability::kRelaxed;
    return std::unexpected(sqlite::to_error(sqlite::Failure(code, "checkpoint of the journal")));
  }
  checkpoint_ready_ = true;
  std::lock_guard lock(mutex_);
  if (is_idle_) changed_.notify_one();
  return false;
}

void Journal::Impl::finish_checkpoint() {
  if (!checkpoint_ready_.exchange(false)) return;
  int code = sqlite3_wal_checkpoint_v2(writer_.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (code != SQLITE_OK && code != SQLITE_BUSY) is_sync_doubtful_ = options_.durability == Durability::kRelaxed;
}

// --- consumers ---

Result<std::vector<JournalEntry>> Journal::read(Sequence after, std::size_t bytes_max) {
  Sequence durable = durable_mark();
  return impl_->with_reader([&](sqlite::Connection& reader) -> Result<std::vector<JournalEntry>> {
    std::vector<JournalEntry> entries;
    std::size_t bytes = 0;
    auto& rows = reader.statement(kReadEntries).query(after);
    while (rows.next()) {
      auto sequence = static_cast<Sequence>(rows.integer(0));
      auto events = rows.blob(1);
      bytes += events.size();
      if (sequence > durable || (!entries.empty() && bytes > bytes_max)) break;
      if (static_cast<std::uint64_t>(rows.integer(2)) != row_checksum(sequence, events)) return damaged(sequence);
      entries.push_back({sequence, std::string(events)});
    }
    rows.reset();
    return entries;
  });
}

void Journal::trim(Sequence up_to) {
  impl_->trim(up_to);
}

Result<std::uint64_t> Journal::checksum_at(Sequence sequence) {
  return impl_->with_reader([&](sqlite::Connection& reader) {
    auto& row = reader.statement(kReadOne).query(sequence);
    std::uint64_t checksum = row.next() ? checksum64(row.blob(0)) : 0;
    row.reset();
    return checksum;
  });
}

Result<std::vector<IdempotencyRecord>> Journal::idempotency_records(UtcMicros since) {
  return impl_->with_reader([&](sqlite::Connection& reader) -> Result<std::vector<IdempotencyRecord>> {
    std::vector<IdempotencyRecord> records;
    auto& rows = reader.statement(kReadRecords).query(since.time_since_epoch().count());
    while (rows.next()) {
      if (auto decoded = decode_records(rows.blob(0), records); !decoded) return std::unexpected(decoded.error());
    }
    std::erase_if(records, [&](const IdempotencyRecord& record) { return record.at <= since; });  // beside younger ones in a row
    return records;
  });
}

void Journal::prune_idempotency(UtcMicros before) {
  impl_->prune(before);
}

Journal::Stats Journal::stats() const {
  return impl_->stats();
}

Journal::Stats Journal::Impl::stats() {
  std::lock_guard lock(mutex_);
  return {.backlog_bytes = backlog_bytes_ + committing_bytes_ + open_.events.size(),
          .commits = commits_,
          .failed_commits = failed_commits_,
          .commit_micros = commit_micros_};
}

}  // namespace hearth::outbox
