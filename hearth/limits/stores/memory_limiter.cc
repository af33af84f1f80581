#include "hearth/limits/stores/memory_limiter.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/base/log.h"

namespace hearth::limits {
namespace {

using std::chrono::microseconds;

constexpr std::size_t kShards = 256;             // so that a lock is held for less than a millisecond when an index grows
constexpr std::size_t kChunksPerLock = 32;       // 1,024 records
constexpr std::size_t kChunksPerSweep = 800;     // 25,000 records each period: a million keys are looked through in four seconds
constexpr std::size_t kChunksPerRefusal = 1;     // what a take looks through that finds no room
constexpr std::size_t kRewriteBytes = 4u << 20;  // of the log, each period
constexpr std::chrono::milliseconds kPeriod{100};
constexpr microseconds kStepMin{1'000};  // less is what it takes to read two clocks

}  // namespace

struct MemoryLimiter::Shard {
  explicit Shard(std::atomic<std::uint64_t>& bytes) : table(bytes) {}

  std::mutex mutex;
  // Under mutex.
  LimitTable table;
  UtcMicros last{};      // time never goes back
  std::size_t hand = 0;  // the chunk at which a take that finds no room looks for expired keys
};

struct MemoryLimiter::Asked {
  Asked(const Check& of, MemoryLimiter& limiter) : check(of), name(StateName(of)), shard(limiter.shard_of(name)) {}

  const Check& check;
  HashedName name;
  Shard& shard;
};

// Both clocks, read once for all that one call answers.
struct MemoryLimiter::Reading {
  UtcMicros at;        // the store's time
  microseconds ahead;  // of it the wall clock is, by steps since the store started

  Decision by_wall(Decision decision) const {
    decision.reset += ahead;
    return decision;
  }
};

struct MemoryLimiter::Taken {
  const Asked& asked;
  LimitTable::Index index;
  bool is_new;
  LimitState::Before before;
  UtcMicros counted_at{};  // kSlidingWindow: a later check of the request may add a newer one
};

// Locks the shards of all that is asked, in the order of their addresses, so that no two callers wait for each other.
class MemoryLimiter::Locks {
 public:
  explicit Locks(std::span<const Asked> asked) {
    HEARTH_ASSERT(asked.size() <= kChecksMax);
    for (const auto& one : asked) shards_[count_++] = &one.shard;
    std::sort(shards_.begin(), shards_.begin() + count_);
    count_ = static_cast<std::size_t>(std::unique(shards_.begin(), shards_.begin() + count_) - shards_.begin());
    for (std::size_t i = 0; i < count_; ++i) shards_[i]->mutex.lock();
  }
  ~Locks() {
    for (std::size_t i = 0; i < count_; ++i) shards_[i]->mutex.unlock();
  }
  Locks(const Locks&) = delete;
  Locks& operator=(const Locks&) = delete;

  UtcMicros now(UtcMicros clock) {
    for (std::size_t i = 0; i < count_; ++i) clock = std::max(clock, shards_[i]->last);
    for (std::size_t i = 0; i < count_; ++i) shards_[i]->last = clock;
    return clock;
  }

 private:
  std::array<Shard*, kChecksMax> shards_;
  std::size_t count_ = 0;
};

// --- life ---

Result<std::unique_ptr<MemoryLimiter>> MemoryLimiter::open(const std::filesystem::path& folder, const Clock& clock,
                                                           MemoryLimiterOptions options) {
  options.log.path = folder / "limits.db";
  auto log = LimitLog::open(options.log, clock);
  if (!log) return std::unexpected(log.error());
  std::unique_ptr<MemoryLimiter> limiter(new MemoryLimiter(clock, std::move(options), std::move(*log)));
  if (auto replayed = limiter->replay(); !replayed) return std::unexpected(replayed.error());
  return limiter;
}

MemoryLimiter::MemoryLimiter(const Clock& clock, MemoryLimiterOptions options) : MemoryLimiter(clock, std::move(options), nullptr) {}

MemoryLimiter::MemoryLimiter(const Clock& clock, MemoryLimiterOptions options, std::unique_ptr<LimitLog> log)
    : clock_(clock),
      options_(std::move(options)),
      log_(std::move(log)),
      offset_(log_ ? log_->offset() : clock.now().time_since_epoch() - clock.boot()),
      cleaner_({.name = "limits", .period = kPeriod}, [this] { return clean(); }) {
  for (std::size_t i = 0; i < kShards; ++i) shards_.push_back(std::make_unique<Shard>(bytes_));
}

MemoryLimiter::~MemoryLimiter() {
  stop();
}

void MemoryLimiter::start() {
  if (log_) log_->start();
  if (options_.cleans_itself) cleaner_.start();
}

void MemoryLimiter::stop() {
  cleaner_.stop();
  if (log_) log_->stop();
}

MemoryLimiter::Shard& MemoryLimiter::shard_of(const HashedName& name) {
  return *shards_[(name.hash >> 16) % kShards];  // the table uses the highest and the lowest bits
}

// --- what is asked ---

Task<Result<std::vector<Decision>>> MemoryLimiter::take(std::vector<Check> checks) {
  co_return decide(checks, true);
}
Task<Result<std::vector<Decision>>> MemoryLimiter::peek(std::vector<Check> checks) {
  co_return decide(checks, false);
}

Result<std::vector<Decision>> MemoryLimiter::decide(std::span<const Check> checks, bool takes) {
  HEARTH_ASSERT(!checks.empty() && checks.size() <= kChecksMax);
  std::vector<Asked> asked;
  asked.reserve(checks.size());
  for (const auto& check : checks) asked.emplace_back(check, *this);

  Locks locks(asked);
  Reading clock = read_clock();
  UtcMicros now = locks.now(clock.at);
  if (!takes) return peek_all(asked, now, clock);

  std::vector<Taken> taken;
  std::vector<Decision> decisions;
  taken.reserve(asked.size());
  decisions.reserve(asked.size());
  for (const auto& one : asked) {
    auto decision = take_one(one, now, taken);
    if (!decision) {
      undo(taken);
      return fail(decision.error().code, std::move(decision.error().message), std::to_string(decisions.size()));
    }
    decisions.push_back(clock.by_wall(*decision));
  }
  if (taken.size() == asked.size()) {
    log_taken(taken, now);
    return decisions;
  }
  undo(taken);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (decisions[i].is_allowed) decisions[i] = clock.by_wall(peek_one(asked[i], now));
  }
  return decisions;
}

std::vector<Decision> MemoryLimiter::peek_all(std::span<const Asked> asked, UtcMicros now, const Reading& clock) {
  std::vector<Decision> decisions;
  decisions.reserve(asked.size());
  for (const auto& one : asked) decisions.push_back(clock.by_wall(peek_one(one, now)));
  return decisions;
}

Decision MemoryLimiter::peek_one(const Asked& asked, UtcMicros now) {
  auto look = [&](LimitState& state) { return state.peek(asked.check, options_.exact_entries_max, now); };
  auto index = asked.shard.table.find(asked.name);
  if (index) return asked.shard.table.change(*index, look);
  LimitState empty(asked.check.algorithm);
  return look(empty);
}

Result<Decision> MemoryLimiter::take_one(const Asked& asked, UtcMicros now, std::vector<Taken>& taken) {
  LimitTable& table = asked.shard.table;
  auto index = table.find(asked.name);
  bool is_new = !index;
  if (is_new) {
    std::uint64_t bound = options_.memory_limit - options_.memory_limit / 8;
    if (!has_room(asked.shard, [&] { return table.insert_bytes(asked.name); }, bound, now)) return full();
    index = table.insert(asked.name);
    ++keys_;
  } else if (bytes_ + table[*index].growth_bytes() > options_.memory_limit) {
    Decision decision = peek_one(asked, now);
    if (!decision.is_allowed) return decision;
    auto growth = [&] { return table[*index].growth_bytes(); };  // not 0: then there is something in it, and it is not dropped
    if (!has_room(asked.shard, growth, options_.memory_limit, now)) return full();
  }
  auto before = table[*index].before();
  Decision decision = table.change(*index, [&](LimitState& state) { return state.take(asked.check, options_.exact_entries_max, now); });
  if (!decision.is_allowed) return decision;
  const auto* sliding = table[*index].sliding();
  taken.push_back({asked, *index, is_new, before, sliding ? sliding->newest() : now});
  return decision;
}

void MemoryLimiter::undo(std::vector<Taken>& taken) {
  for (; !taken.empty(); taken.pop_back()) {
    const Taken& last = taken.back();
    LimitTable& table = last.asked.shard.table;
    table.change(last.index, [&](LimitState& state) { state.undo(last.before, last.asked.check); });
    if (!last.is_new) continue;
    table.erase(last.index);
    --keys_;
  }
}

Task<Result<Decision>> MemoryLimiter::refund(Check check) {
  Asked asked(check, *this);
  Locks locks(std::span(&asked, 1));
  Reading clock = read_clock();
  UtcMicros now = locks.now(clock.at);
  LimitTable& table = asked.shard.table;
  if (auto index = table.find(asked.name)) {
    std::uint64_t given = table.change(*index, [&](LimitState& state) { return state.refund(check, now); });
    if (given != 0 && log_) {
      std::string event;
      if (const auto* sliding = table[*index].sliding()) {
        encode_refunded(asked.name.name, now, sliding->oldest_at(), sliding->oldest_cost(), event);
      } else {
        encode_state(asked.name.name, now, table[*index], event);
      }
      log_->append(event);
    }
  }
  co_return clock.by_wall(peek_one(asked, now));
}

// The two cannot be read at one moment. Were the moments between them told as a step, a window would seem to end just after its
// end, and a second later where that is rounded up.
MemoryLimiter::Reading MemoryLimiter::read_clock() const {
  UtcMicros at(clock_.boot() + offset_);
  microseconds ahead = clock_.now() - at;
  return {.at = at, .ahead = std::chrono::abs(ahead) < kStepMin ? microseconds(0) : ahead};
}

void MemoryLimiter::log_taken(const std::vector<Taken>& taken, UtcMicros now) {
  if (!log_) return;
  thread_local std::string events;  // keeps its memory
  events.clear();
  for (const auto& one : taken) {
    const LimitState& state = one.asked.shard.table[one.index];
    const StateName& name = one.asked.name.name;
    if (name.algorithm == Algorithm::kSlidingWindow) {
      encode_admitted(name, now, one.counted_at, one.asked.check.cost, events);
    } else {
      encode_state(name, now, state, events);
    }
  }
  log_->append(events);
}

// --- memory ---

// What is dropped may leave a place in a chunk, so that nothing more is needed.
bool MemoryLimiter::has_room(Shard& shard, FunctionRef<std::size_t()> needed, std::uint64_t bound, UtcMicros now) {
  for (std::size_t looked = 0; needed() != 0 && bytes_ + needed() > bound; ++looked) {
    if (looked == std::min(kChunksPerRefusal, shard.table.chunks())) return false;
    drop_expired(shard, shard.hand++ % shard.table.chunks(), now);
  }
  return true;
}

std::unexpected<Error> MemoryLimiter::full() {
  ++refused_full_;
  if (!is_full_.exchange(true)) cleaner_.wake();
  return fail(ErrorCode::kUnavailable, "the memory for rate limits is full");
}

std::size_t MemoryLimiter::drop_expired(Shard& shard, std::size_t chunk, UtcMicros now) {
  auto keep = [now](const StateName& name, LimitState& state) { return !state.is_empty(name.window, now); };
  std::size_t dropped = shard.table.visit(chunk, keep);
  keys_ -= dropped;
  expired_ += dropped;
  return dropped;
}

Result<bool> MemoryLimiter::clean() {
  bool more = sweep();
  if (log_) {
    rewrite_log();
    say_whether_logged();
  }
  return more;
}

// Goes on where it stopped. After a take found no room it goes around once without a pause.
bool MemoryLimiter::sweep() {
  if (is_full_.exchange(false)) sweep_all_left_ = kShards + 1;
  std::size_t chunks_left = kChunksPerSweep;
  for (std::size_t turns = 0; turns < kShards && chunks_left != 0; ++turns) {
    Shard& shard = *shards_[swept_.shard];
    bool is_through = false;
    while (!is_through && chunks_left != 0) {
      std::lock_guard lock(shard.mutex);
      UtcMicros now = shard.last = std::max(shard.last, UtcMicros(clock_.boot() + offset_));
      std::size_t end = std::min(shard.table.chunks(), swept_.chunk + std::min(kChunksPerLock, chunks_left));
      for (; swept_.chunk < end; ++swept_.chunk, --chunks_left) drop_expired(shard, swept_.chunk, now);
      is_through = swept_.chunk >= shard.table.chunks();
      if (is_through) shard.table.shrink();
    }
    if (!is_through) break;
    swept_ = {.shard = (swept_.shard + 1) % kShards};
    if (sweep_all_left_ != 0) --sweep_all_left_;
  }
  return sweep_all_left_ != 0;
}

// --- the log ---

void MemoryLimiter::rewrite_log() {
  if (!rewritten_) {
    if (!log_->is_due(bytes_)) return;
    log_->begin();
    rewritten_ = Position{};
  }
  if (!log_->is_ready()) return;
  if (write_states()) return;
  log_->end();
  rewritten_.reset();
}

// Appends states under the lock of their shard: before the next event of any of them. False: all were written before.
bool MemoryLimiter::write_states() {
  std::size_t bytes = 0;
  std::string events;
  if (rewritten_->shard == kShards) return false;
  while (rewritten_->shard != kShards && bytes < kRewriteBytes) {
    Shard& shard = *shards_[rewritten_->shard];
    std::lock_guard lock(shard.mutex);
    UtcMicros now = shard.last = std::max(shard.last, UtcMicros(clock_.boot() + offset_));
    events.clear();
    std::size_t end = std::min(shard.table.chunks(), rewritten_->chunk + kChunksPerLock);
    for (; rewritten_->chunk < end && events.size() < kRewriteBytes / 16; ++rewritten_->chunk) {
      shard.table.visit(rewritten_->chunk, [&](const StateName& name, LimitState& state) {
        if (!state.is_empty(name.window, now)) encode_state(name, now, state, events);
        return true;
      });
    }
    if (!events.empty()) log_->append_state(events);
    bytes += events.size();
    if (rewritten_->chunk >= shard.table.chunks()) rewritten_ = Position{.shard = rewritten_->shard + 1};
  }
  return true;
}

void MemoryLimiter::say_whether_logged() {
  bool is_logged = log_->is_complete();
  if (is_logged == was_logged_) return;
  was_logged_ = is_logged;
  if (is_logged) return log::info("limits", "limits are on disk again");
  log::warning("limits", "limits.db cannot be written: limits go on in memory, and a crash would forget them");
}

Result<void> MemoryLimiter::replay() {
  UtcMicros now = log_->now();
  return log_->replay([&](LimitEvent& event) {
    if (event.kind != LimitEvent::Kind::kStarted) replay_one(event, now);
  });
}

void MemoryLimiter::replay_one(LimitEvent& event, UtcMicros now) {
  HashedName name(event.name);
  Shard& shard = shard_of(name);
  bool is_over = event.kind == LimitEvent::Kind::kAdmitted ? event.counted_at + event.name.window <= now
                                                           : event.state && event.state->is_empty(event.name.window, now);
  auto index = shard.table.find(name);
  if (!index) {
    if (is_over || event.kind == LimitEvent::Kind::kRefunded) return;
    auto needed = [&] { return shard.table.insert_bytes(name) + (event.state ? event.state->heap_bytes() : 0); };
    if (!has_room(shard, needed, options_.memory_limit, now)) return (void)++refused_full_;
    index = shard.table.insert(name);
    ++keys_;
  }
  shard.table.change(*index, [&](LimitState& state) {
    if (event.kind == LimitEvent::Kind::kAdmitted && !is_over) state.sliding()->add(event.counted_at, event.cost);
    if (event.kind == LimitEvent::Kind::kRefunded) state.sliding()->keep_from(event.counted_at, event.cost);
    if (event.state) state = std::move(*event.state);
  });
}

MemoryLimiter::Stats MemoryLimiter::stats() const {
  Stats stats{.keys = keys_, .bytes = bytes_, .refused_full = refused_full_, .expired = expired_};
  if (!log_) return stats;
  auto log = log_->stats();
  stats.log_bytes = log.bytes;
  stats.log_refused = log.refused;
  stats.log_rewritten = log.rewritten;
  stats.is_logged = log_->is_complete();
  return stats;
}

}  // namespace hearth::limits
