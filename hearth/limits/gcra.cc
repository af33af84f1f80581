#include "hearth/limits/gcra.h"

#include <algorithm>

#include "hearth/limits/varint.h"

namespace hearth::limits {
namespace {

using std::chrono::microseconds;

std::int64_t micros(UtcMicros time) {
  return time.time_since_epoch().count();
}
std::uint64_t length(const Check& check) {
  return static_cast<std::uint64_t>(microseconds(check.window).count());
}

}  // namespace

Gcra::Parts Gcra::debt(std::uint64_t limit, UtcMicros now) const {
  std::int64_t owed = paid_at_ - micros(now);
  if (owed < 0 || (owed == 0 && part_ == 0)) return 0;
  Parts fraction = (Parts(part_) * limit + parts_ - 1) / parts_;
  return Parts(static_cast<std::uint64_t>(owed)) * limit + fraction;
}

void Gcra::owe(Parts debt, std::uint64_t limit, UtcMicros now) {
  paid_at_ = micros(now) + static_cast<std::int64_t>(debt / limit);
  part_ = static_cast<std::uint32_t>(debt % limit);
  parts_ = static_cast<std::uint32_t>(limit);
}

Decision Gcra::peek(const Check& check, UtcMicros now) const {
  const Parts window = length(check);
  const Parts full = window * check.limit;
  const Parts owed = debt(check.limit, now);
  Decision decision{.is_allowed = owed + window * check.cost <= full, .limit = check.limit};
  decision.remaining = owed < full ? static_cast<std::uint64_t>((full - owed) / window) : 0;
  // What may be owed when the next place is free, or the cost asked for.
  std::uint64_t wanted = decision.is_allowed ? std::min(decision.remaining + 1, check.limit) : check.cost;
  Parts enough = full - window * wanted;
  Parts wait = owed > enough ? (owed - enough + check.limit - 1) / check.limit : 0;
  decision.reset = now + microseconds(static_cast<std::int64_t>(wait));
  if (!decision.is_allowed) decision.retry_after = decision.reset - now;
  return decision;
}

Decision Gcra::take(const Check& check, UtcMicros now) {
  Decision decision = peek(check, now);
  if (!decision.is_allowed) return decision;
  owe(debt(check.limit, now) + Parts(length(check)) * check.cost, check.limit, now);
  Check one = {.key = {}, .limit = check.limit, .window = check.window, .algorithm = check.algorithm, .cost = 1};
  Decision after = peek(one, now);
  decision.remaining = after.remaining;
  decision.reset = after.reset;
  return decision;
}

bool Gcra::refund(const Check& check, UtcMicros now) {
  Parts owed = debt(check.limit, now);
  if (owed == 0) return false;
  owe(owed - std::min(owed, Parts(length(check)) * check.cost), check.limit, now);
  return true;
}

bool Gcra::is_empty(UtcMicros now) const {
  return debt(1, now) == 0;
}

void Gcra::encode(std::string& out) const {
  put_varint(out, static_cast<std::uint64_t>(paid_at_));
  put_varint(out, part_);
  put_varint(out, parts_);
}

Result<Gcra> Gcra::decode(std::string_view& in) {
  std::uint64_t paid_at = 0;
  std::uint64_t part = 0;
  std::uint64_t parts = 0;
  bool is_good = take_varint(in, paid_at) && take_varint(in, part) && take_varint(in, parts);
  if (!is_good || paid_at > INT64_MAX / 2 || parts == 0 || parts > kLimitMax || part >= parts)
    return fail(ErrorCode::kInternal, "limits: a GCRA state is damaged");
  Gcra gcra;
  gcra.paid_at_ = static_cast<std::int64_t>(paid_at);
  gcra.part_ = static_cast<std::uint32_t>(part);
  gcra.parts_ = static_cast<std::uint32_t>(parts);
  return gcra;
}

}  // namespace hearth::limits
