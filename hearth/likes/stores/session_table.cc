#include "hearth/likes/stores/session_table.h"

#include <bit>
#include <cstring>
#include <memory>
#include <set>

#include "hearth/base/assert.h"
#include "hearth/base/hash.h"
#include "hearth/likes/session_name.h"

namespace hearth::likes {

// Either a packed UUID or plain text.
struct SessionTable::Name {
  explicit Name(std::string_view session) {
    if (auto packed = pack_uuid(session)) {
      is_uuid = true;
      uuid = *packed;
    } else {
      text = session;
    }
  }
  std::string_view bytes() const { return is_uuid ? std::string_view(uuid.data(), uuid.size()) : text; }
  std::size_t hash() const { return hash64(bytes()); }

  bool is_uuid = false;
  UuidBytes uuid{};
  std::string_view text;
};

// 20 bytes: the references with the form of the name in their top bits, and the name itself or a pointer to it.
struct SessionTable::Entry {
  enum Form : std::uint32_t { kUuid, kShort, kLong };
  static constexpr std::size_t kShortMax = 15;
  static constexpr std::uint32_t kReferenceMask = (1u << 30) - 1;

  Form form() const { return static_cast<Form>(word >> 30); }
  std::uint32_t references() const { return word & kReferenceMask; }

  void set(const Name& name) {
    auto bytes = name.bytes();
    if (name.is_uuid) {
      std::memcpy(data, bytes.data(), 16);
      word = std::uint32_t{kUuid} << 30;
    } else if (bytes.size() <= kShortMax) {
      std::memcpy(data, bytes.data(), bytes.size());
      data[15] = static_cast<char>(bytes.size());
      word = std::uint32_t{kShort} << 30;
    } else {
      char* copy = new char[bytes.size()];
      std::memcpy(copy, bytes.data(), bytes.size());
      std::memcpy(data, &copy, sizeof copy);
      data[15] = static_cast<char>(bytes.size());
      word = std::uint32_t{kLong} << 30;
    }
  }
  void clear() {
    if (form() == kLong) delete[] long_text();
    word = 0;
  }
  std::string_view bytes() const {
    switch (form()) {
      case kUuid:
        return {data, 16};
      case kShort:
        return {data, static_cast<unsigned char>(data[15])};
      case kLong:
        return {long_text(), static_cast<unsigned char>(data[15])};
    }
    return {};
  }
  char* long_text() const {
    char* text;
    std::memcpy(&text, data, sizeof text);
    return text;
  }
  std::size_t heap_bytes() const { return form() == kLong ? bytes().size() + 16 : 0; }

  std::uint32_t word = 0;
  char data[16];
};

// Entries that come and go together with their memory.
struct SessionTable::Chunk {
  static constexpr std::uint32_t kEntries = 64;
  static constexpr std::uint64_t kFull = ~std::uint64_t{0};

  std::uint64_t taken = 0;  // a bit for each entry
  Entry entries[kEntries];
};

struct SessionTable::Shard {
  using Chunks = std::vector<std::unique_ptr<Chunk>>;
  static Entry& entry_at(const Chunks& chunks, std::uint32_t place) {
    return chunks[place / Chunk::kEntries]->entries[place % Chunk::kEntries];
  }

  // The set holds places of entries and is searched by name.
  struct Hash {
    using is_transparent = void;
    using is_avalanching = void;
    std::size_t operator()(std::uint32_t place) const { return hash64(entry_at(*chunks, place).bytes()); }
    std::size_t operator()(const Name& name) const { return name.hash(); }
    const Chunks* chunks;
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(std::uint32_t a, std::uint32_t b) const { return a == b; }
    bool operator()(const Name& name, std::uint32_t place) const { return (*this)(place, name); }
    bool operator()(std::uint32_t place, const Name& name) const {
      const Entry& entry = entry_at(*chunks, place);
      return (entry.form() == Entry::kUuid) == name.is_uuid && entry.bytes() == name.bytes();
    }
    const Chunks* chunks;
  };
  using Index = boost::unordered_flat_set<std::uint32_t, Hash, Equal>;

  Shard() = default;
  Shard(const Shard&) = delete;  // the index points at the chunks
  ~Shard() {
    for (std::uint32_t place : index) entry(place).clear();
  }

  Entry& entry(std::uint32_t place) const { return entry_at(chunks, place); }
  std::uint32_t take_place();
  void give_back(std::uint32_t place);
  std::uint64_t bytes() const {
    constexpr std::uint64_t kHeapOverhead = 16;
    constexpr std::uint64_t kSetNode = 48;
    return chunks_held * (sizeof(Chunk) + kHeapOverhead) + chunks.capacity() * sizeof(Chunks::value_type) + with_room.size() * kSetNode +
           index.bucket_count() * 16 / 15 * 5;
  }

  mutable std::mutex mutex;
  Chunks chunks;                      // null where no entry is taken
  std::set<std::uint32_t> with_room;  // numbers of chunks with an entry that is not taken
  std::uint64_t chunks_held = 0;
  Index index{0, Hash{&chunks}, Equal{&chunks}};
};

// The first chunk with room, so that the last ones run empty and their memory goes.
std::uint32_t SessionTable::Shard::take_place() {
  if (with_room.empty()) {
    HEARTH_ASSERT(chunks.size() < (1u << (32 - kShardBits)) / Chunk::kEntries - 1);
    with_room.insert(static_cast<std::uint32_t>(chunks.size()));
    chunks.emplace_back();
  }
  std::uint32_t number = *with_room.begin();
  auto& chunk = chunks[number];
  if (!chunk) {
    chunk = std::make_unique<Chunk>();
    ++chunks_held;
  }
  auto place = static_cast<std::uint32_t>(std::countr_one(chunk->taken));
  chunk->taken |= std::uint64_t{1} << place;
  if (chunk->taken == Chunk::kFull) with_room.erase(with_room.begin());
  return number * Chunk::kEntries + place;
}

void SessionTable::Shard::give_back(std::uint32_t place) {
  std::uint32_t number = place / Chunk::kEntries;
  auto& chunk = chunks[number];
  if (chunk->taken == Chunk::kFull) with_room.insert(number);
  chunk->taken &= ~(std::uint64_t{1} << place % Chunk::kEntries);
  if (chunk->taken != 0) return;
  chunk.reset();
  --chunks_held;
  if (chunks_held > 0) return;
  with_room.clear();
  chunks = Chunks();
}

SessionTable::SessionTable() : shards_(kShards) {}
SessionTable::~SessionTable() = default;

SessionNumber SessionTable::acquire(std::string_view session) {
  return take(session, true);
}
SessionNumber SessionTable::find(std::string_view session) {
  return take(session, false);
}

SessionNumber SessionTable::take(std::string_view session, bool make) {
  Name name(session);
  std::size_t shard_number = (name.hash() >> 16) % kShards;  // bits that the index does not use
  Shard& shard = shards_[shard_number];
  std::lock_guard lock(shard.mutex);

  auto found = shard.index.find(name);
  std::uint32_t place = 0;
  if (found != shard.index.end()) {
    place = *found;
  } else {
    if (!make) return 0;
    std::uint64_t before = shard.bytes();
    place = shard.take_place();
    shard.entry(place).set(name);
    shard.index.insert(place);
    bytes_ += shard.bytes() - before + shard.entry(place).heap_bytes();
    ++size_;
  }
  ++shard.entry(place).word;
  return static_cast<SessionNumber>((place + 1) << kShardBits | shard_number);
}

void SessionTable::release(SessionNumber number) {
  Shard& shard = shards_[number % kShards];
  std::uint32_t place = (number >> kShardBits) - 1;
  std::lock_guard lock(shard.mutex);
  Entry& entry = shard.entry(place);
  HEARTH_ASSERT(entry.references() > 0);
  if (--entry.word; entry.references() > 0) return;
  std::uint64_t before = shard.bytes();
  shard.index.erase(shard.index.find(place));
  if (shard.index.size() * 8 < shard.index.bucket_count()) shard.index.rehash(0);
  bytes_ -= entry.heap_bytes();
  entry.clear();
  shard.give_back(place);
  bytes_ += shard.bytes() - before;
  --size_;
}

std::string SessionTable::name(SessionNumber number) const {
  const Shard& shard = shards_[number % kShards];
  std::lock_guard lock(shard.mutex);
  const Entry& entry = shard.entry((number >> kShardBits) - 1);
  return entry.form() == Entry::kUuid ? unpack_uuid(entry.bytes()) : std::string(entry.bytes());
}

}  // namespace hearth::likes
