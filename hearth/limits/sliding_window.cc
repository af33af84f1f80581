#include "hearth/limits/sliding_window.h"

#include <algorithm>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/limits/varint.h"

namespace hearth::limits {
namespace {

using std::chrono::microseconds;

std::int64_t micros(UtcMicros time) {
  return time.time_since_epoch().count();
}
UtcMicros utc(std::int64_t at) {
  return UtcMicros(microseconds(at));
}
std::int64_t length(std::chrono::milliseconds window) {
  return microseconds(window).count();
}

}  // namespace

microseconds log_tick(std::uint64_t limit, std::chrono::milliseconds window, std::size_t exact_entries_max) {
  auto window_micros = static_cast<std::uint64_t>(length(window));
  if (std::min(limit, window_micros) <= exact_entries_max) return microseconds(0);
  return microseconds((window_micros + exact_entries_max - 1) / exact_entries_max);
}

// --- the ring ---

struct SlidingWindow::Log {
  static constexpr std::uint32_t kFirstCapacity = 4;  // a power of two, as all are

  std::uint32_t capacity;
  std::uint32_t begin = 0;
  std::uint32_t size = 0;

  static std::size_t bytes(std::uint32_t capacity) { return sizeof(Log) + capacity * sizeof(Pair); }
  static Log* make(std::uint32_t capacity) { return new (::operator new(bytes(capacity))) Log{.capacity = capacity}; }
  static void free(Log* log) { ::operator delete(log); }

  Pair* pairs() { return reinterpret_cast<Pair*>(this + 1); }
  Pair& operator[](std::uint32_t i) { return pairs()[(begin + i) & (capacity - 1)]; }
};

SlidingWindow::SlidingWindow(SlidingWindow&& other) noexcept
    : newest_(std::exchange(other.newest_, {})), sum_(std::exchange(other.sum_, 0)), log_(std::exchange(other.log_, nullptr)) {}

SlidingWindow& SlidingWindow::operator=(SlidingWindow&& other) noexcept {
  std::swap(newest_, other.newest_);
  std::swap(sum_, other.sum_);
  std::swap(log_, other.log_);
  return *this;
}

SlidingWindow::~SlidingWindow() {
  Log::free(log_);
}

void SlidingWindow::resize_log(std::uint32_t capacity) {
  Log* log = capacity == 0 ? nullptr : Log::make(capacity);
  for (std::uint32_t i = 0; log && i < log_->size; ++i) log->pairs()[i] = (*log_)[i];
  if (log) log->size = log_->size;
  Log::free(std::exchange(log_, log));
}

void SlidingWindow::push_log(Pair pair) {
  if (!log_) log_ = Log::make(Log::kFirstCapacity);
  if (log_->size == log_->capacity) resize_log(2 * log_->capacity);
  (*log_)[log_->size++] = pair;
}

void SlidingWindow::drop_left(std::int64_t window, std::int64_t now) {
  if (newest_.at + window <= now) {
    newest_ = {};
    sum_ = 0;
    Log::free(std::exchange(log_, nullptr));
  }
  if (!log_) return;
  while (log_->size != 0 && (*log_)[0].at + window <= now) {
    sum_ -= (*log_)[0].cost;
    drop_oldest();
  }
  fit_log();
}

// REQUIRES: there is one in the log.
void SlidingWindow::drop_oldest() {
  log_->begin = (log_->begin + 1) & (log_->capacity - 1);
  --log_->size;
}

void SlidingWindow::fit_log() {
  if (!log_) return;
  if (log_->size == 0) {
    resize_log(0);
  } else if (log_->size < log_->capacity / 4) {
    resize_log(log_->capacity / 2);
  }
}

SlidingWindow::Pair SlidingWindow::oldest() const {
  return log_ && log_->size != 0 ? (*log_)[0] : newest_;
}
UtcMicros SlidingWindow::newest() const {
  return utc(newest_.at);
}
UtcMicros SlidingWindow::oldest_at() const {
  return utc(oldest().at);
}
std::uint64_t SlidingWindow::oldest_cost() const {
  return oldest().cost;
}
std::size_t SlidingWindow::heap_bytes() const {
  return log_ ? Log::bytes(log_->capacity) : 0;
}
std::size_t SlidingWindow::growth_bytes() const {
  if (newest_.cost == 0) return 0;
  if (!log_) return Log::bytes(Log::kFirstCapacity);
  return log_->size == log_->capacity ? Log::bytes(2 * log_->capacity) : 0;
}
std::size_t SlidingWindow::pairs() const {
  return (log_ ? log_->size : 0) + (newest_.cost != 0 ? 1 : 0);
}

// --- decisions ---

std::int64_t SlidingWindow::leaves_for(std::uint64_t used_max, std::int64_t window, std::int64_t now) const {
  std::uint64_t used = sum_;
  if (used <= used_max) return now;
  for (std::uint32_t i = 0; log_ && i < log_->size; ++i) {
    Pair pair = (*log_)[i];
    used -= pair.cost;
    if (used <= used_max) return pair.at + window;
  }
  return newest_.at + window;
}

Decision SlidingWindow::peek(const Check& check, microseconds tick, UtcMicros now) {
  std::int64_t window = length(check.window);
  drop_left(window, micros(now));
  Decision decision{.is_allowed = sum_ + check.cost <= check.limit, .limit = check.limit, .tick = tick};
  decision.remaining = sum_ < check.limit ? check.limit - sum_ : 0;
  if (decision.is_allowed) {
    decision.reset = sum_ == 0 ? now : utc(oldest().at + window);
    return decision;
  }
  decision.reset = utc(leaves_for(check.limit - check.cost, window, micros(now)));
  decision.retry_after = decision.reset - now;
  return decision;
}

Decision SlidingWindow::take(const Check& check, microseconds tick, UtcMicros now) {
  Decision decision = peek(check, tick, now);
  if (!decision.is_allowed) return decision;
  std::int64_t step = std::max<std::int64_t>(1, tick.count());
  add(utc((micros(now) + step - 1) / step * step), check.cost);
  decision.remaining -= check.cost;
  decision.reset = utc(oldest().at + length(check.window));
  return decision;
}

void SlidingWindow::add(UtcMicros at, std::uint64_t cost) {
  auto added = static_cast<std::uint32_t>(std::min(cost, kLimitMax - sum_));  // only a log that lost refunds has more
  if (added == 0) return;
  sum_ += added;
  if (newest_.cost != 0 && newest_.at >= micros(at)) {
    newest_.cost += added;
    return;
  }
  if (newest_.cost != 0) push_log(newest_);
  newest_ = {.at = micros(at), .cost = added};
}

// An emptied log is there until fit_log().
void SlidingWindow::take_from_oldest(std::uint32_t cost) {
  sum_ -= cost;
  Pair& pair = log_ && log_->size != 0 ? (*log_)[0] : newest_;
  pair.cost -= cost;
  if (pair.cost != 0) return;
  if (log_ && log_->size != 0) {
    drop_oldest();
  } else {
    newest_ = {};
  }
}

void SlidingWindow::take_from_newest(std::uint32_t cost) {
  sum_ -= cost;
  newest_.cost -= cost;
  if (newest_.cost != 0) return;
  newest_ = log_ ? (*log_)[--log_->size] : Pair{};
  if (log_ && log_->size == 0) resize_log(0);
}

std::uint64_t SlidingWindow::refund(std::uint64_t cost, std::chrono::milliseconds window, UtcMicros now) {
  drop_left(length(window), micros(now));
  cost = std::min<std::uint64_t>(cost, sum_);
  for (std::uint64_t left = cost; left != 0;) {
    auto back = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, oldest().cost));
    take_from_oldest(back);
    left -= back;
  }
  fit_log();
  return cost;
}

void SlidingWindow::undo(std::uint64_t cost) {
  while (cost != 0 && sum_ != 0) {
    auto back = static_cast<std::uint32_t>(std::min<std::uint64_t>(cost, newest_.cost));
    take_from_newest(back);
    cost -= back;
  }
}

void SlidingWindow::keep_from(UtcMicros at, std::uint64_t cost) {
  while (sum_ != 0) {
    Pair pair = oldest();
    if (cost != 0 && (pair.at > micros(at) || (pair.at == micros(at) && pair.cost <= cost))) break;
    auto kept = static_cast<std::uint32_t>(pair.at == micros(at) ? cost : 0);
    take_from_oldest(pair.cost - kept);
  }
  fit_log();
}

bool SlidingWindow::is_empty(std::chrono::milliseconds window, UtcMicros now) {
  drop_left(length(window), micros(now));
  return newest_.cost == 0;
}

// --- for the log ---

// How many pairs, then of each the time since the one before and the cost.
void SlidingWindow::encode(std::string& out) const {
  put_varint(out, pairs());
  std::int64_t before = 0;
  auto put = [&](Pair pair) {
    put_varint(out, static_cast<std::uint64_t>(pair.at - before));
    put_varint(out, pair.cost);
    before = pair.at;
  };
  for (std::uint32_t i = 0; log_ && i < log_->size; ++i) put((*log_)[i]);
  if (newest_.cost != 0) put(newest_);
}

Result<SlidingWindow> SlidingWindow::decode(std::string_view& in) {
  SlidingWindow window;
  std::uint64_t pairs = 0;
  bool is_good = take_varint(in, pairs) && pairs <= in.size();
  std::uint64_t at = 0;
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; is_good && i < pairs; ++i) {
    std::uint64_t since = 0;
    std::uint64_t cost = 0;
    is_good = take_varint(in, since) && take_varint(in, cost) && cost != 0 && cost <= kLimitMax - sum && since <= INT64_MAX / 2 - at &&
              (i == 0 || since != 0);
    if (!is_good) break;
    at += since;
    sum += cost;
    window.add(utc(static_cast<std::int64_t>(at)), cost);
  }
  if (!is_good) return fail(ErrorCode::kInternal, "limits: a sliding window's log is damaged");
  return window;
}

}  // namespace hearth::limits
