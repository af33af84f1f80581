#include "hearth/limits/stores/limit_log.h"

#include <cstring>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/base/ids.h"
#include "hearth/limits/varint.h"

namespace hearth::limits {
namespace {

using std::chrono::microseconds;
using Kind = LimitEvent::Kind;

constexpr std::size_t kReadBytes = 4u << 20;

// --- events: the kind, then for kStarted the boot's id and the offset, for the others the name and what happened ---

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

void put_head(Kind kind, const StateName& name, std::string& out) {
  out.push_back(static_cast<char>(kind));
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

bool take_change(std::string_view& in, LimitEvent& event) {
  std::uint64_t at = 0;
  if (!take_varint(in, at) || !take_varint(in, event.cost)) return false;
  event.at = UtcMicros(microseconds(static_cast<std::int64_t>(at)));
  return at <= INT64_MAX / 2 && event.cost >= 1 && event.cost <= kLimitMax && event.name.algorithm == Algorithm::kSlidingWindow;
}

std::unexpected<Error> damaged() {
  return fail(
      ErrorCode::kInternal,
      "limits.db holds an event that this Hearth cannot read: was it written by a newer one? Moved away, what was admitted is forgotten");
}

}  // namespace

void encode_admitted(const StateName& name, UtcMicros at, std::uint64_t cost, std::string& out) {
  put_head(Kind::kAdmitted, name, out);
  put_varint(out, static_cast<std::uint64_t>(at.time_since_epoch().count()));
  put_varint(out, cost);
}

void encode_refunded(const StateName& name, UtcMicros at, std::uint64_t cost, std::string& out) {
  put_head(Kind::kRefunded, name, out);
  put_varint(out, static_cast<std::uint64_t>(at.time_since_epoch().count()));
  put_varint(out, cost);
}

void encode_state(const StateName& name, const LimitState& state, std::string& out) {
  put_head(Kind::kState, name, out);
  state.encode(out);
}

Result<void> decode_events(std::string_view events, FunctionRef<void(LimitEvent&)> use) {
  while (!events.empty()) {
    LimitEvent event;
    std::uint8_t kind = 0;
    take_byte(events, kind);
    event.kind = static_cast<Kind>(kind);
    if (event.kind == Kind::kStarted) {
      if (!take_started(events, event)) return damaged();
      use(event);
      continue;
    }
    if (kind > static_cast<std::uint8_t>(Kind::kState) || !take_name(events, event.name)) return damaged();
    if (event.kind == Kind::kState) {
      auto state = LimitState::decode(event.name.algorithm, events);
      if (!state) return damaged();
      event.state = &*state;
      use(event);
      continue;
    }
    if (!take_change(events, event)) return damaged();
    use(event);
  }
  return {};
}

// --- life ---

Result<std::unique_ptr<LimitLog>> LimitLog::open(LimitLogOptions options, const Clock& clock) {
  auto journal = outbox::Journal::open(
      {.path = options.path, .vfs = options.vfs, .durability = outbox::Durability::kRelaxed, .outbox_bytes_max = options.bytes_max});
  if (!journal) return fail(journal.error().code, "limits.db: " + journal.error().message);
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
  auto read = for_each([&](LimitEvent& event) {
    if (event.kind != Kind::kStarted) return;
    boot_id = event.boot_id;
    offset_ = event.offset;
  });
  if (!read) return read;
  is_same_boot_ = !boot_id.empty() && boot_id == clock_.boot_id();
  if (!is_same_boot_) offset_ = clock_.now().time_since_epoch() - clock_.boot();
  return {};
}

Result<void> LimitLog::for_each(FunctionRef<void(LimitEvent&)> use) {
  outbox::Sequence after = 0;
  for (;;) {
    auto entries = journal_->read(after, kReadBytes);
    if (!entries) return fail(entries.error().code, "limits.db: " + entries.error().message);
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
  append_start();
}

void LimitLog::stop() {
  is_open_ = false;
  journal_->stop();
}

void LimitLog::append_start() {
  std::string event(1, static_cast<char>(Kind::kStarted));
  put_text(event, clock_.boot_id());
  put_varint(event, static_cast<std::uint64_t>(offset_.count()));
  append_state(event);
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
  append_start();
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
