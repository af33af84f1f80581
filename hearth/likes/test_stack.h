#pragma once

// For tests: a journal, a ledger, a flusher and a store in a folder, as the executable wires them; and ways to run
// coroutines to their end.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/task.h"
#include "hearth/likes/ledgers/sqlite_like_ledger.h"
#include "hearth/likes/like_flusher.h"
#include "hearth/likes/stores/memory_like_store.h"
#include "hearth/outbox/journal.h"

namespace hearth::likes {

// Event loops on which coroutines are run to their end. They outlive the journal and the ledger that wake them.
class Loops {
 public:
  explicit Loops(std::size_t count = 1) {
    for (std::size_t i = 0; i < count; ++i) loops_.emplace_back(1);
  }
  boost::asio::io_context& operator[](std::size_t i) { return loops_[i % loops_.size()]; }

  // Starts `task` on loop `i` as soon as that runs, and keeps what it threw.
  void spawn(std::size_t i, Task<void> task) {
    boost::asio::co_spawn((*this)[i], std::move(task), [](std::exception_ptr thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
  }
  // Each loop on a thread of its own, until all that was spawned has ended.
  void run() {
    std::vector<std::thread> threads;
    for (auto& loop : loops_) {
      threads.emplace_back([&loop] {
        loop.restart();
        loop.run();
      });
    }
    for (auto& thread : threads) thread.join();
  }
  // Runs what can go on now on the calling thread; what waits for another thread stays.
  void poll() {
    for (auto& loop : loops_) {
      loop.restart();
      while (loop.poll() != 0) {
      }
    }
  }
  // The same until `is_done`, which another thread's work brings about.
  template <typename Question>
  void poll_until(Question is_done) {
    for (poll(); !is_done(); poll()) std::this_thread::yield();
  }

 private:
  std::deque<boost::asio::io_context> loops_;
};

// A coroutine that was started, and its answer once it has one.
template <typename T>
struct Started {
  std::optional<T> answer;
  bool is_answered() const { return answer.has_value(); }
};

template <typename T>
std::shared_ptr<Started<T>> start(boost::asio::io_context& loop, Task<T> task) {
  auto started = std::make_shared<Started<T>>();  // shared: by the test that looks, and by the coroutine's end
  boost::asio::co_spawn(loop, std::move(task), [started](std::exception_ptr thrown, T value) {
    if (thrown) std::rethrow_exception(thrown);
    started->answer = std::move(value);
  });
  return started;
}

// Runs `task` to its end on the calling thread. REQUIRES: what wakes it is stopped before the thread ends.
template <typename T>
T run(Task<T> task) {
  thread_local boost::asio::io_context loop(1);
  auto started = start(loop, std::move(task));
  loop.restart();
  loop.run();
  return std::move(*started->answer);
}

template <typename T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
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
    // What the store is given for its ledger, if not the ledger itself.
    std::function<std::unique_ptr<LikeLedger>(LikeLedger&)> wrap_ledger = {};
  };

  TestStack(const std::filesystem::path& folder, const Clock& clock, Options options) : TestStack(Opened{}, folder, clock, options) {
    journal->start(must(flusher->start()).sequence, store.get());
    flush();
    must(store->start());
  }
  TestStack(const std::filesystem::path& folder, const Clock& clock) : TestStack(folder, clock, Options{}) {}
  ~TestStack() {
    journal->stop();
    ledger->stop();
  }

  // Brings everything durable to the ledger, as the background task does step by step.
  void flush() { must(try_flush()); }
  Result<void> try_flush() {
    for (;;) {
      auto more = flusher->run_once();
      passed();
      if (!more) return std::unexpected(more.error());
      if (!*more) return {};
    }
  }
  void passed() {
    store->on_passed(flusher->flushed());
    journal->trim(flusher->flushed());
  }

  Result<LikeOutcome> change(LikeChange wanted) { return run(store->change(std::move(wanted))); }
  Result<LikeView> read(const std::string& post_id, const std::string& session_id) {
    auto views = run(store->read({post(post_id)}, session(session_id)));
    if (!views) return std::unexpected(views.error());
    return views->front();
  }
  LikeOutcome toggle(const std::string& post_id, const std::string& session_id) {
    return must(change({.post = post(post_id), .session = session(session_id)}));
  }
  LikeView view(const std::string& post_id, const std::string& session_id) { return must(read(post_id, session_id)); }

  std::unique_ptr<outbox::Journal> journal;
  std::unique_ptr<SqliteLikeLedger> ledger;
  std::unique_ptr<LikeLedger> wrapped_ledger;  // may be null
  std::unique_ptr<LikeFlusher> flusher;
  std::unique_ptr<MemoryLikeStore> store;

 private:
  struct Opened {};
  // On its own, so that the destructor stops what was started if the rest of the start fails.
  TestStack(Opened, const std::filesystem::path& folder, const Clock& clock, const Options& options) {
    journal = must(outbox::Journal::open({.path = folder / "journal.db",
                                          .vfs = options.vfs,
                                          .durability = options.durability,
                                          .outbox_bytes_max = options.outbox_bytes_max,
                                          .retry_first = std::chrono::milliseconds(1)}));
    ledger = must(SqliteLikeLedger::open(folder / "ratings.db", options.vfs));
    flusher = std::make_unique<LikeFlusher>(*journal, *ledger);
    if (options.wrap_ledger) wrapped_ledger = options.wrap_ledger(*ledger);
    LikeLedger& seen = wrapped_ledger ? *wrapped_ledger : *ledger;
    store = std::make_unique<MemoryLikeStore>(*journal, seen, clock, options.store);
  }
};

}  // namespace hearth::likes
