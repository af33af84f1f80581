#pragma once

// For tests: a journal, a ledger, a flusher and a store in a folder, as the executable wires them.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "hearth/base/clock.h"
#include "hearth/base/task.h"
#include "hearth/likes/ledgers/sqlite_like_ledger.h"
#include "hearth/likes/like_flusher.h"
#include "hearth/likes/stores/memory_like_store.h"
#include "hearth/outbox/journal.h"
#include "hearth/outbox/test_loops.h"

namespace hearth::likes {

using outbox::Loops;
using outbox::must;
using outbox::run;
using outbox::start;

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
    journal->start(must(flusher->start()), store.get());
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
