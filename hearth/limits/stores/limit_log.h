#pragma once

// The embedded limits on disk: a journal of their own (limits.db) that tells how the state in memory came to be.
//
// Each admission and each refund appends an event in the critical section that makes it; the answer does not wait for the
// disk. A crash of the process loses what was appended since the last write (well under a millisecond), a power cut up to
// kRelaxedSyncPeriod. At start the log is replayed.
//
// The log is rewritten when it has grown beyond twice what is in memory and kLogSlack: the whole state of every live key is appended
// anew, and all that was there when that began is trimmed. It is rewritten too after the journal has refused or lost events:
// until that is done memory is right, and a crash forgets what the log does not tell.
//
// Time is the store's: microseconds since 1970 as the wall clock said at the first start after the machine's, counted on by the
// clock that runs since the machine started. So no step of the wall clock is seen, and processes of one boot agree. After
// another boot the wall clock is trusted again, unless it is behind what the log has seen: then time goes on from there, and
// admissions leave late rather than early. A wall clock that is ahead after a boot lets them leave early.
//
// append(), is_complete() and stats(): thread-safe. The others: one owner thread.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "hearth/base/clock.h"
#include "hearth/base/function_ref.h"
#include "hearth/base/result.h"
#include "hearth/limits/limit_state.h"
#include "hearth/outbox/journal.h"

namespace hearth::limits {

inline constexpr std::uint64_t kLogSlack = 16u << 20;

struct LimitLogOptions {
  std::filesystem::path path = {};
  std::string vfs = {};  // empty: the default; tests pass a fault-injecting one
  std::uint64_t slack_bytes = kLogSlack;
  std::uint64_t bytes_max = 2ull << 30;  // above it, memory is all there is
};

// What a log tells of a state.
struct LimitEvent {
  enum class Kind : std::uint8_t {
    kStarted = 1,   // a process, or a rewriting: how time is counted
    kAdmitted = 2,  // kSlidingWindow
    kRefunded = 3,  // kSlidingWindow: what is left, so that it is the same where what had expired is not read again
    kState = 4,     // the whole of it, whatever was before
  };
  Kind kind{};
  UtcMicros at{};  // the store's time when it happened
  StateName name;
  std::uint64_t cost = 0;               // kRefunded: see SlidingWindow::oldest_cost()
  UtcMicros counted_at{};               // kAdmitted: see SlidingWindow::newest(); kRefunded: oldest_at()
  LimitState* state = nullptr;          // kState
  std::string_view boot_id;             // kStarted
  std::chrono::microseconds offset{0};  // kStarted: see LimitLog::offset()
};
void encode_admitted(const StateName& name, UtcMicros at, UtcMicros counted_at, std::uint64_t cost, std::string& out);
void encode_refunded(const StateName& name, UtcMicros at, UtcMicros oldest_at, std::uint64_t oldest_cost, std::string& out);
void encode_state(const StateName& name, UtcMicros at, const LimitState& state, std::string& out);
// Calls `use` for each event, in order; it may move the state away. kInternal on bytes that were not encoded here.
Result<void> decode_events(std::string_view events, FunctionRef<void(LimitEvent&)> use);

class LimitLog final : private outbox::JournalListener {
 public:
  // Reads how to count time. kInternal: the file is damaged.
  static Result<std::unique_ptr<LimitLog>> open(LimitLogOptions options, const Clock& clock);
  ~LimitLog() override;

  // Of the store's time from the clock that counts since the machine started.
  std::chrono::microseconds offset() const { return offset_; }
  UtcMicros now() const { return UtcMicros(clock_.boot() + offset_); }
  // All events, the oldest first. REQUIRES: before start().
  Result<void> replay(FunctionRef<void(LimitEvent&)> use);
  void start();
  void stop();

  // Never waits for the disk, and never fails: what the journal refuses is missing from the log until it is rewritten.
  void append(std::string_view events);

  // The rewriting, by one thread: begin(), then append_state() until all is written, end(); then is_written() says when the old is trimmed.
  bool is_due(std::uint64_t live_bytes) const;
  void begin();
  // Whether the disk has what was appended before; more would only fill memory.
  bool is_ready() const;
  void append_state(std::string_view events);
  // The log was rewritten whole; false: something was lost meanwhile, and it is due again.
  bool end();
  bool is_complete() const { return lost_.load() == lost_before_; }

  struct Stats {
    std::uint64_t bytes = 0;
    std::uint64_t rewritten = 0;  // times
    std::uint64_t refused = 0;    // appends that the journal refused, and commits that failed
  };
  Stats stats() const;

 private:
  LimitLog(std::unique_ptr<outbox::Journal> journal, LimitLogOptions options, const Clock& clock);
  Result<void> read_offset();
  Result<void> for_each(FunctionRef<void(LimitEvent&)> use);
  std::string start_event() const;
  void on_lost(outbox::Sequence first) override;

  const LimitLogOptions options_;
  const Clock& clock_;
  std::unique_ptr<outbox::Journal> journal_;
  std::chrono::microseconds offset_{0};

  std::atomic<bool> is_open_{false};
  std::atomic<std::uint64_t> lost_{0};
  std::atomic<std::uint64_t> lost_before_{0};  // of those, what the log tells again
  std::atomic<std::uint64_t> rewritten_{0};

  // Of the owner's thread: the rewriting that runs.
  std::uint64_t lost_at_begin_ = 0;
  outbox::Sequence begun_at_ = 0;
  outbox::Sequence last_ = 0;
};

}  // namespace hearth::limits
