#pragma once

// For tests: a journal, a ledger, a flusher and a store in a folder, as the executable wires them; and a way to run
// coroutines to their end.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "hearth/base/clock.h"
#include "hearth/base/task.h"
#include "hearth/likes/ledgers/sqlite_like_ledger.h"
#include "hearth/likes/like_flusher.h"
#include "hearth/likes/stores/memory_like_store.h"
#include "hearth/outbox/journal.h"

namespace hearth::likes {

// Runs `task` to its end on an io_context of its own.
template <typename T>
T run(Task<T> task) {
  boost::asio::io_context context(1);
  std::optional<T> result;
  std::exception_ptr failure;
  boost::asio::co_spawn(context, std::move(task), [&](std::exception_ptr thrown, T value) {
    failure = thrown;
    result = std::move(value);
  });
  context.run();
  if (failure) std::rethrow_exception(failure);
  return std::move(*result);
}

template <typename T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

inline PostId post(std::string text) {
  return PostId::trusted(std::move(text));
}
inline SessionId session(std::string text) {
  return SessionId::trusted(std::move(text));
}

class TestStack {
 public:
  struct Options {
    std::string vfs = {};
    outbox::Durability durability = outbox::Durability::kCommit;
    std::uint64_t outbox_bytes_max = 256u << 20;
    MemoryLikeStoreOptions store = {};
  };

  TestStack(const std::filesystem::path& folder, const Clock& clock, Options options) {
    journal = must(outbox::Journal::open({.path = folder / "journal.db",
                                          .vfs = options.vfs,
                                          .durability = options.durability,
                                          .outbox_bytes_max = options.outbox_bytes_max,
                                          .retry_first = std::chrono::milliseconds(1)}));
    ledger = must(SqliteLikeLedger::open(folder / "ratings.db", options.vfs));
    flusher = std::make_unique<LikeFlusher>(*journal, *ledger);
    auto cursor = must(flusher->start());
    store = std::make_unique<MemoryLikeStore>(*journal, *ledger, clock, options.store);
    journal->start(cursor.sequence, store.get());
    flush();
    if (auto started = store->start(); !started) throw std::runtime_error(started.error().message);
  }
  TestStack(const std::filesystem::path& folder, const Clock& clock) : TestStack(folder, clock, Options{}) {}
  ~TestStack() {
    journal->stop();
    ledger->stop();
  }

  // Brings everything durable to the ledger, as the background task does step by step.
  void flush() {
    while (must(flusher->run_once())) {
    }
    passed();
  }
  void passed() {
    store->on_passed(flusher->flushed());
    journal->trim(flusher->flushed());
  }

  LikeOutcome toggle(const std::string& post_id, const std::string& session_id) {
    return must(run(store->change({.post = post(post_id), .session = session(session_id)})));
  }
  LikeView view(const std::string& post_id, const std::string& session_id) {
    return must(run(store->read({post(post_id)}, session(session_id)))).front();
  }

  std::unique_ptr<outbox::Journal> journal;
  std::unique_ptr<SqliteLikeLedger> ledger;
  std::unique_ptr<LikeFlusher> flusher;
  std::unique_ptr<MemoryLikeStore> store;
};

}  // namespace hearth::likes
