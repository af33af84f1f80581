#pragma once

// Moves likes from the outbox to the ledger.
//
// A batch and the cursor behind it are one transaction of the ledger, so that a crash repeats nothing. The batch grows with
// the backlog: many changes of one post become one write of its count, and rows are written in the order of their key.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "hearth/base/result.h"
#include "hearth/likes/like_ledger.h"
#include "hearth/outbox/journal.h"

namespace hearth::likes {

inline constexpr std::size_t kFlushBytesMax = 48u << 20;  // of journal entries in one transaction: about half a second of work

class LikeFlusher {
 public:
  LikeFlusher(outbox::Journal& journal, LikeLedger& ledger) : journal_(journal), ledger_(ledger) {}

  // Needed where the ledger keeps leases. On the thread of run_once().
  void use(outbox::Lease lease) { lease_ = std::move(lease); }

  // Reads where the ledger stands. Warns if the journal is not the one that the ledger has followed.
  Result<outbox::Sequence> start();

  // Moves one batch. True: it did not hold all that was durable when the call began. REQUIRES: start() succeeded; one thread at
  // a time.
  Result<bool> run_once();

  outbox::Sequence flushed() const { return flushed_; }  // the ledger has everything up to here

  struct Stats {
    std::uint64_t batches = 0;
    std::uint64_t events = 0;
    std::uint64_t posts = 0;
    std::uint64_t rows = 0;
    std::uint64_t gaps = 0;
    std::uint64_t micros = 0;  // summed
  };
  Stats stats() const;

 private:
  outbox::Journal& journal_;
  LikeLedger& ledger_;
  std::optional<outbox::Lease> lease_;
  std::atomic<outbox::Sequence> flushed_{0};
  std::atomic<std::uint64_t> batches_{0};
  std::atomic<std::uint64_t> events_{0};
  std::atomic<std::uint64_t> posts_{0};
  std::atomic<std::uint64_t> rows_{0};
  std::atomic<std::uint64_t> gaps_{0};
  std::atomic<std::uint64_t> micros_{0};
};

}  // namespace hearth::likes
