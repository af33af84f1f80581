#include "hearth/views/stores/seen_table.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/base/hash.h"

namespace hearth::views {
namespace {

// Slots behind the last home, for entries that are pushed beyond the end. Rarely too few; then the table grows early.
constexpr std::size_t kTail = 32;
constexpr std::size_t kFillPercentMax = 92;

// Of a full table of this many slots.
std::size_t entries_max(std::size_t slots) {
  return slots <= kTail ? 0 : (slots - kTail) * kFillPercentMax / 100;
}

// One to one, and every bit of the result depends on every bit of `x` (the finalizer of MurmurHash3).
std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdull;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ull;
  return x ^ (x >> 33);
}

}  // namespace

std::uint64_t seen_hash(const ViewedItem& item, Viewer viewer) {
  std::uint64_t hash = mix(viewer ^ mix(checksum64(item.id.view()) + static_cast<std::uint64_t>(item.kind)));
  return hash == 0 ? 1 : hash;
}

// --- one table ---

std::size_t SeenEntries::home(std::uint64_t hash) const {
  return static_cast<std::size_t>(static_cast<unsigned __int128>(hash) * (slots_ - kTail) >> 64);
}

std::size_t SeenEntries::place_of(std::uint64_t hash) const {
  std::size_t place = home(hash);
  while (place < slots_ && hashes_[place] != 0 && hashes_[place] < hash) ++place;
  return place;
}

std::optional<std::uint32_t> SeenEntries::find(std::uint64_t hash) const {
  if (slots_ == 0) return std::nullopt;
  std::size_t place = place_of(hash);
  if (place == slots_ || hashes_[place] != hash) return std::nullopt;
  return millis_[place];
}

bool SeenEntries::has_room_for(std::uint64_t hash) const {
  if (size_ >= entries_max(slots_)) return false;
  return std::find(&hashes_[home(hash)], &hashes_[slots_], 0) != &hashes_[slots_];
}

void SeenEntries::insert(std::uint64_t hash, std::uint32_t millis) {
  std::size_t place = place_of(hash);
  std::size_t end = static_cast<std::size_t>(std::find(&hashes_[place], &hashes_[slots_], 0) - hashes_.get());
  HEARTH_ASSERT(end < slots_);
  std::memmove(&hashes_[place + 1], &hashes_[place], (end - place) * sizeof(std::uint64_t));
  std::memmove(&millis_[place + 1], &millis_[place], (end - place) * sizeof(std::uint32_t));
  hashes_[place] = hash;
  millis_[place] = millis;
  ++size_;
}

// Those behind it that are not at home move up.
void SeenEntries::erase(std::uint64_t hash) {
  if (!find(hash)) return;
  std::size_t place = place_of(hash);
  for (; place + 1 < slots_ && hashes_[place + 1] != 0 && home(hashes_[place + 1]) <= place; ++place) {
    hashes_[place] = hashes_[place + 1];
    millis_[place] = millis_[place + 1];
  }
  hashes_[place] = 0;
  --size_;
}

std::size_t SeenEntries::next_slots() const {
  std::size_t homes = slots_ == 0 ? 0 : slots_ - kTail;
  return homes + homes / 4 + 8 + kTail;
}

std::size_t SeenEntries::slots_to_hold(std::size_t entries) {
  return entries * 100 / kFillPercentMax + 2 + kTail;
}

void SeenEntries::grow(std::size_t slots) {
  while (!rebuild(slots)) slots += slots / 8;
}

// All in the order of their hashes, which is the order of their places in both. False: some do not fit before the end.
bool SeenEntries::rebuild(std::size_t slots) {
  SeenEntries bigger;
  bigger.hashes_ = std::make_unique<std::uint64_t[]>(slots);
  bigger.millis_ = std::make_unique_for_overwrite<std::uint32_t[]>(slots);
  bigger.slots_ = slots;
  bigger.size_ = size_;
  std::size_t next = 0;
  for (std::size_t i = 0; i < slots_; ++i) {
    if (hashes_[i] == 0) continue;
    next = std::max(next, bigger.home(hashes_[i]));
    if (next == slots) return false;
    bigger.hashes_[next] = hashes_[i];
    bigger.millis_[next] = millis_[i];
    ++next;
  }
  *this = std::move(bigger);
  return true;
}

// --- all of them ---

SeenTable::SeenTable(std::chrono::milliseconds window, std::uint64_t bytes_max) : window_(window), bytes_max_(bytes_max) {
  static_assert(std::chrono::milliseconds(kDedupeWindowMax).count() < std::int64_t{UINT32_MAX}, "times within a generation are 32 bits");
  HEARTH_ASSERT(window.count() > 0 && window <= kDedupeWindowMax);
}

SeenTable::~SeenTable() = default;

std::int64_t SeenTable::generation_of(UtcMillis at) const {
  auto since_epoch = at.time_since_epoch();
  auto generation = since_epoch / window_;
  return since_epoch % window_ < std::chrono::milliseconds::zero() ? generation - 1 : generation;
}

SeenTable::Access SeenTable::open(std::uint64_t hash, UtcMillis now) {
  return Access(*this, shard_of(hash), hash, now);
}

SeenTable::Access::Access(SeenTable& owner, Shard& shard, std::uint64_t hash, UtcMillis now)
    : owner_(owner), shard_(shard), hash_(hash), lock_(shard.mutex) {
  owner_.move_on(shard_, now);
}

SeenTable::Access::Place SeenTable::Access::place_of(UtcMillis at) const {
  std::int64_t generation = std::clamp(owner_.generation_of(at), shard_.generation - 1, shard_.generation);
  auto within =
      std::clamp(at - owner_.begin_of(generation), std::chrono::milliseconds::zero(), owner_.window_ - std::chrono::milliseconds(1));
  return {shard_.entries[static_cast<std::size_t>(shard_.generation - generation)], generation, static_cast<std::uint32_t>(within.count())};
}

bool SeenTable::Access::is_seen(UtcMillis at) const {
  Place place = place_of(at);
  auto asked = owner_.begin_of(place.generation) + std::chrono::milliseconds(place.millis);
  for (std::size_t age = 0; age < 2; ++age) {
    auto millis = shard_.entries[age].find(hash_);
    if (!millis) continue;
    auto seen = owner_.begin_of(shard_.generation - static_cast<std::int64_t>(age)) + std::chrono::milliseconds(*millis);
    if (seen - asked < owner_.window_ && asked - seen < owner_.window_) return true;
  }
  return false;
}

bool SeenTable::Access::make_room(UtcMillis at) {
  SeenEntries& entries = place_of(at).entries;
  if (entries.has_room_for(hash_)) return true;
  return owner_.grow(entries, entries.next_slots(), Limit::kHolds);
}

void SeenTable::Access::insert(UtcMillis at, outbox::Sequence sequence, outbox::Sequence durable) {
  Place place = place_of(at);
  place.entries.insert(hash_, place.millis);
  owner_.entries_.fetch_add(1, std::memory_order_relaxed);
  auto& pending = shard_.pending;
  while (!pending.empty() && pending.front().sequence <= durable) pending.pop_front();
  if (sequence > durable) pending.push_back({sequence, hash_, place.generation});
}

void SeenTable::move_on(Shard& shard, UtcMillis now) {
  std::int64_t generation = generation_of(now);
  if (generation <= shard.generation) return;  // also when the clock was set back: what is known stays known
  drop(shard.entries[1]);
  if (generation == shard.generation + 1) {
    shard.entries[1] = std::exchange(shard.entries[0], SeenEntries());
  } else {
    drop(shard.entries[0]);
  }
  shard.generation = generation;
}

void SeenTable::drop(SeenEntries& entries) {
  bytes_ -= entries.bytes();
  entries_ -= entries.size();
  entries = SeenEntries();
}

bool SeenTable::grow(SeenEntries& entries, std::size_t slots, Limit limit) {
  std::uint64_t before = entries.bytes();
  std::uint64_t more = SeenEntries::bytes_of(slots) - before;
  if (bytes_.fetch_add(more) + more > bytes_max_ && limit == Limit::kHolds) {
    bytes_ -= more;
    ++refusals_;
    return false;
  }
  entries.grow(slots);
  bytes_ += entries.bytes() - before - more;  // it may have grown further
  return true;
}

void SeenTable::take_back(outbox::Sequence first) {
  for (auto& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    while (!shard.pending.empty() && shard.pending.back().sequence >= first) {
      const Pending& lost = shard.pending.back();
      auto age = shard.generation - lost.generation;
      if (age <= 1) {
        SeenEntries& entries = shard.entries[static_cast<std::size_t>(age)];
        std::size_t before = entries.size();
        entries.erase(lost.hash);
        entries_ -= before - entries.size();
      }
      shard.pending.pop_back();
    }
  }
}

void SeenTable::expire(UtcMillis now) {
  for (auto& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    move_on(shard, now);
  }
}

void SeenTable::load(std::uint64_t hash, UtcMillis at, UtcMillis now) {
  if (at < oldest(now)) return;
  Access access = open(hash, now);
  if (access.is_seen(at)) return;
  SeenEntries& entries = access.place_of(at).entries;
  while (!entries.has_room_for(hash)) grow(entries, entries.next_slots(), Limit::kMayBePassed);
  access.insert(at, 0, 0);
}

void SeenTable::reserve(std::size_t entries_of_this_generation, std::size_t entries_of_the_one_before, UtcMillis now) {
  for (auto& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    move_on(shard, now);
    for (std::size_t age = 0; age < 2; ++age) {
      std::size_t expected = (age == 0 ? entries_of_this_generation : entries_of_the_one_before) / kShards;
      SeenEntries& entries = shard.entries[age];
      std::size_t slots = SeenEntries::slots_to_hold(expected);
      if (expected > 0 && SeenEntries::bytes_of(slots) > entries.bytes()) grow(entries, slots, Limit::kMayBePassed);
    }
  }
}

SeenTable::Stats SeenTable::stats() const {
  return {.entries = entries_, .bytes = bytes_, .refusals = refusals_};
}

}  // namespace hearth::views
