#include "hearth/drivers/sqlite/database.h"

#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "hearth/base/assert.h"
#include "hearth/base/thread_name.h"
#include "hearth/drivers/sqlite/migrations.h"

namespace hearth::sqlite {

namespace {

// Enough that the sync costs each of them little; few enough that the first does not wait long for the last.
constexpr std::size_t kWritesPerCommitMax = 256;

// Exceptions end here: a thread of the database has no one above it.
template <typename Work>
Result<void> contained(Work&& work) {
  try {
    return work();
  } catch (const std::exception& exception) {
    return fail(ErrorCode::kInternal, exception.what());
  }
}

}  // namespace

class Database::Impl {
 public:
  // `name`: of the file, for its threads.
  Impl(const std::string& name, Connection writer, std::vector<Connection> readers, std::size_t queued_max)
      : writer_(std::move(writer)), readers_(std::move(readers)), reads_(queued_max), writes_(queued_max) {
    threads_.emplace_back([this, name] {
      name_thread(name + "-write");
      write_until_closed();
    });
    for (Connection& reader : readers_) {
      threads_.emplace_back([this, name, &reader] {
        name_thread(name + "-read");
        read_until_closed(reader);
      });
    }
  }

  void submit(Kind kind, std::unique_ptr<WorkItem<Connection>> item) {
    auto queued = (kind == Kind::kRead ? reads_ : writes_).push(item);
    if (queued) return;
    item->fail(queued.error());
    item->deliver();
  }

  void stop() {
    std::call_once(stopped_, [this] {
      reads_.close();
      writes_.close();
      for (std::thread& thread : threads_) thread.join();
    });
  }

 private:
  using Items = std::span<const std::unique_ptr<WorkItem<Connection>>>;

  void read_until_closed(Connection& connection) {
    while (true) {
      auto taken = reads_.take(1);
      if (taken.empty()) return;
      auto& item = *taken.front();
      auto done = contained([&] { return connection.snapshot([&] { return item.run(connection); }); });
      if (!done) item.fail(done.error());
      item.deliver();
    }
  }

  void write_until_closed() {
    while (true) {
      auto taken = writes_.take(kWritesPerCommitMax);
      if (taken.empty()) return;
      for (Items waiting = taken; !waiting.empty();) {
        Items settled = waiting.first(commit_some(waiting));
        for (const auto& item : settled) item->deliver();
        waiting = waiting.subspan(settled.size());
      }
    }
  }

  // Runs items from the first on in one transaction and returns how many have their answers now: all, unless one of them
  // met a failure that ended the transaction. Then it and those before it have failed, and the rest was not touched.
  std::size_t commit_some(Items items) {
    std::size_t ran = 0;
    auto committed = writer_.transaction([&]() -> Result<void> {
      for (const auto& item : items) {
        ++ran;
        auto done = contained([&] { return writer_.savepoint([&] { return item->run(writer_); }); });
        if (!done) item->fail(done.error());
        if (!writer_.is_in_transaction()) return done;
      }
      return {};
    });
    if (committed) return ran;
    if (ran == 0) ran = items.size();  // it did not even begin
    // Those that had failed by themselves too: they may have seen what is gone now.
    for (const auto& item : items.first(ran)) item->fail(committed.error());
    return ran;
  }

  Connection writer_;
  std::vector<Connection> readers_;
  WorkQueue<std::unique_ptr<WorkItem<Connection>>> reads_;
  WorkQueue<std::unique_ptr<WorkItem<Connection>>> writes_;
  std::once_flag stopped_;
  std::vector<std::thread> threads_;
};

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Database::~Database() {
  stop();
}

Result<std::unique_ptr<Database>> Database::open(DatabaseOptions options) {
  HEARTH_ASSERT(options.reader_threads > 0);
  auto writer = Connection::open({.path = options.path, .vfs = options.vfs, .cache_kib = options.writer_cache_kib});
  if (!writer) return std::unexpected(writer.error());
  if (auto migrated = migrate(*writer, options.migrations); !migrated) {
    return fail(migrated.error().code, options.path.string() + ": " + migrated.error().message);
  }
  std::vector<Connection> readers;
  for (int i = 0; i < options.reader_threads; ++i) {
    auto reader = Connection::open({.path = options.path, .vfs = options.vfs, .read_only = true});
    if (!reader) return std::unexpected(reader.error());
    readers.push_back(*std::move(reader));
  }
  auto name = options.path.stem().string();
  return std::unique_ptr<Database>(new Database(std::make_unique<Impl>(name, *std::move(writer), std::move(readers), options.queued_max)));
}

void Database::submit(Kind kind, std::unique_ptr<WorkItem<Connection>> item) {
  impl_->submit(kind, std::move(item));
}

void Database::stop() {
  impl_->stop();
}

}  // namespace hearth::sqlite
