#include "hearth/limits/stores/limit_log.h"

#include <algorithm>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/base/ids.h"
#include "hearth/limits/varint.h"

namespace hearth::limits {
namespace {

using std::chrono::microseconds;
using Kind = LimitEvent::Kind;

constexpr std::size_t kReadBytes = 4u << 20;

// --- events: the kind and the time, then for kStarted the boot's id and the offset, for the others the name and what happened ---

void put_text(std::string& out, std::string_view text) {
  out.push_back(static_cast<char>(text.size()));
  out += text;
}

bool take_byte(std::string_view& in, std::uint8_t& byte) {
  if (in.empty()) return false;
  byte = static_cast<std::uint8_t>(in.front());
  in.remove_prefix(1);
  return true;
}

bool take_text(std::string_view& in, std::string_view& text) {
  std::uint8_t size = 0;
  if (!take_byte(in, size) || in.size() < size) return false;
  text = in.substr(0, size);
  in.remove_prefix(size);
  return true;
}

bool take_time(std::string_view& in, UtcMicros from, UtcMicros& time) {
  std::uint64_t since = 0;
  if (!take_varint(in, since) || since > INT64_MAX / 4) return false;
  time = from + microseconds(static_cast<std::int64_t>(since));
  return true;
}

void put_head(Kind kind, UtcMicros at, std::string& out) {
  out.push_back(static_cast<char>(kind));
  put_varint(out, static_cast<std::uint64_t>(at.time_since_epoch().count()));
}

void put_head(Kind kind, UtcMicros at, const StateName& name, std::string& out) {
  put_head(kind, at, out);
  out.push_back(static_cast<char>(name.algorithm));
  put_varint(out, static_cast<std::uint64_t>(name.window.count()));
  put_text(out, name.key);
}

bool take_name(std::string_view& in, StateName& name) {
  std::uint8_t algorithm = 0;
  std::uint64_t window = 0;
  if (!take_byte(in, algorithm) || !take_varint(in, window) || !take_text(in, name.key)) return false;
  if (algorithm > static_cast<std::uint8_t>(Algorithm::kFixedWindow) || window > static_cast<std::uint64_t>(kWindowMax.count()) ||
      window < static_cast<std::uint64_t>(kWindowMin.count()) || !is_valid_id(name.key)) {
    return false;
  }
  name.algorithm = static_cast<Algorithm>(algorithm);
  name.window = std::chrono::milliseconds(window);
  return true;
}

bool take_started(std::string_view& in, LimitEvent& event) {
  std::uint64_t offset = 0;
  if (!take_text(in, event.boot_id) || !take_varint(in, offset)) return false;
  event.offset = microseconds(static_cast<std::int64_t>(offset));
  return true;
}

bool take_cost(std::string_view& in, LimitEvent& event) {
  return event.name.algorithm == Algorithm::kSlidingWindow && take_varint(in, event.cost) && event.cost >= 1 && event.cost <= kLimitMax;
}

bool take_left(std::string_view& in, LimitEvent& event) {
  return event.name.algorithm == Algorithm::kSlidingWindow && take_varint(in, event.cost) && event.cost <= kLimitMax &&
         take_time(in, UtcMicros(), event.counted_at);
}

std::unexpected<Error> unreadable(const Error& error) {
  return fail(error.code, "limits.db cannot be read; moved away, what was admitted before is forgotten: " + error.message);
}

std::unexpected<Error> damaged() {
  return fail(
      ErrorCode::kInternal,
      "limits.db holds an event that this Hearth cannot read: was it written by a newer one? Moved away, what was admitted is forgotten");
}

}  // namespace

void encode_admitted(const StateName& name, UtcMicros at, UtcMicros counted_at, std::uint64_t cost, std::string& out) {
  put_head(Kind::kAdmitted, at, name, out);
  put_varint(out, cost);
  put_varint(out, static_cast<std::uint64_t>((counted_at - at).count()));
}

void encode_refunded(const StateName& name, UtcMicros at, UtcMicros oldest_at, std::uint64_t oldest_cost, std::string& out) {
  put_head(Kind::kRefunded, at, name, out);
  put_varint(out, oldest_cost);
  put_varint(out, static_cast<std::uint64_t>(oldest_at.time_since_epoch().count()));
}

void encode_state(const StateName& name, UtcMicros at, const LimitState& state, std::string& out) {
  put_head(Kind::kState, at, name, out);
  state.encode(out);
}

Result<void> decode_events(std::string_view events, FunctionRef<void(LimitEvent&)> use) {
  while (!events.empty()) {
    LimitEvent event;
    std::uint8_t kind = 0;
    if (!take_byte(events, kind) || !take_time(events, UtcMicros(), event.at)) return damaged();
    event.kind = static_cast<Kind>(kind);
    if (event.kind != Kind::kStarted && !take_name(events, event.name)) return damaged();
    Result<LimitState> state(std::unexpect);
    switch (event.kind) {
      case Kind::kStarted:
        if (!take_started(events, event)) return damaged();
        break;
      case Kind::kAdmitted:
        if (!take_cost(events, event) || !take_time(events, event.at, event.counted_at)) return damaged();
        break;
      case Kind::kRefunded:
        if (!take_left(events, event)) return damaged();
        break;
      case Kind::kState:
        state = LimitState::decode(event.name.algorithm, events);
        if (!state) return damaged();
        event.state = &*state;
        break;
      default:
        return damaged();
    }
    use(event);
  }
  return {};
}

// --- life ---

Result<std::unique_ptr<LimitLog>> LimitLog::open(LimitLogOptions options, const Clock& clock) {
  auto journal = outbox::Journal::open(
      {.path = options.path, .vfs = options.vfs, .durability = outbox::Durability::kRelaxed, .outbox_bytes_max = options.bytes_max});
  if (!journal) return unreadable(journal.error());
  std::unique_ptr<LimitLog> log(new LimitLog(std::move(*journal), std::move(options), clock));
  if (auto read = log->read_offset(); !read) return std::unexpected(read.error());
  return log;
}

LimitLog::LimitLog(std::unique_ptr<outbox::Journal> journal, LimitLogOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock), journal_(std::move(journal)) {}

LimitLog::~LimitLog() {
  stop();
}

Result<void> LimitLog::read_offset() {
  std::string boot_id;
  UtcMicros last{};
  auto read = for_each([&](LimitEvent& event) {
    last = std::max(last, event.at);
    if (event.kind != Kind::kStarted) return;
    boot_id = event.boot_id;
    offset_ = event.offset;
  });
  if (!read) return read;
  bool is_same_boot = !boot_id.empty() && boot_id == clock_.boot_id();
  if (!is_same_boot) offset_ = clock_.now().time_since_epoch() - clock_.boot();
  offset_ += std::max(microseconds(0), last - now());
  return {};
}

Result<void> LimitLog::for_each(FunctionRef<void(LimitEvent&)> use) {
  outbox::Sequence after = 0;
  for (;;) {
    auto entries = journal_->read(after, kReadBytes);
    if (!entries) return unreadable(entries.error());
    if (entries->empty()) return {};
    for (const auto& entry : *entries) {
      if (auto decoded = decode_events(entry.events, use); !decoded) return decoded;
    }
    after = entries->back().sequence;
  }
}

Result<void> LimitLog::replay(FunctionRef<void(LimitEvent&)> use) {
  return for_each(use);
}

void LimitLog::start() {
  journal_->start(0, this);
  is_open_ = true;
  append_state(start_event());
}

void LimitLog::stop() {
  is_open_ = false;
  journal_->stop();
}

std::string LimitLog::start_event() const {
  std::string event;
  put_head(Kind::kStarted, now(), event);
  put_text(event, clock_.boot_id());
  put_varint(event, static_cast<std::uint64_t>(offset_.count()));
  return event;
}

// --- appending ---

void LimitLog::append(std::string_view events) {
  if (is_open_.load(std::memory_order_relaxed) && !journal_->append(events)) ++lost_;
}

void LimitLog::on_lost(outbox::Sequence) {
  ++lost_;
}

// --- rewriting ---

bool LimitLog::is_due(std::uint64_t live_bytes) const {
  if (!journal_->is_accepting()) return false;
  return !is_complete() || journal_->stats().backlog_bytes > 2 * live_bytes + options_.slack_bytes;
}

void LimitLog::begin() {
  lost_at_begin_ = lost_;
  begun_at_ = journal_->durable_mark();
  // Too full to be rewritten: what it tells is not the whole anyway.
  if (!is_complete() && journal_->stats().backlog_bytes > options_.bytes_max / 2) journal_->trim(begun_at_);
  append_state(start_event());
}

bool LimitLog::is_ready() const {
  return journal_->durable_mark() >= last_ || !journal_->is_accepting();
}

void LimitLog::append_state(std::string_view events) {
  auto appended = journal_->append(events);
  appended ? (void)(last_ = *appended) : (void)++lost_;
}

bool LimitLog::end() {
  if (lost_ != lost_at_begin_) return false;
  lost_before_ = lost_at_begin_;
  journal_->trim(begun_at_);
  ++rewritten_;
  return true;
}

LimitLog::Stats LimitLog::stats() const {
  return {.bytes = journal_->stats().backlog_bytes, .rewritten = rewritten_, .refused = lost_};
}

}  // namespace hearth::limits
