#include "hearth/likes/stores/session_table.h"

#include <cstring>
#include <memory>

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

struct SessionTable::Shard {
  // The set holds indexes of entries and is searched by name.
  struct Hash {
    using is_transparent = void;
    using is_avalanching = void;
    std::size_t operator()(std::uint32_t place) const { return hash64((*names)[place].bytes()); }
    std::size_t operator()(const Name& name) const { return name.hash(); }
    const std::deque<Entry>* names;
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(std::uint32_t a, std::uint32_t b) const { return a == b; }
    bool operator()(const Name& name, std::uint32_t place) const { return (*this)(place, name); }
    bool operator()(std::uint32_t place, const Name& name) const {
      const Entry& entry = (*names)[place];
      return (entry.form() == Entry::kUuid) == name.is_uuid && entry.bytes() == name.bytes();
    }
    const std::deque<Entry>* names;
  };
  using Index = boost::unordered_flat_set<std::uint32_t, Hash, Equal>;

  ~Shard() {
    for (auto& entry : *entries) entry.clear();
  }

  std::unique_ptr<std::mutex> mutex = std::make_unique<std::mutex>();
  std::unique_ptr<std::deque<Entry>> entries = std::make_unique<std::deque<Entry>>();
  std::vector<std::uint32_t> free;
  Index index{0, Hash{entries.get()}, Equal{entries.get()}};

  std::uint64_t bytes() const { return entries->size() * sizeof(Entry) + index.bucket_count() * 16 / 15 * 5 + free.capacity() * 4; }
};

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
  std::lock_guard lock(*shard.mutex);
  auto& entries = *shard.entries;

  auto found = shard.index.find(name);
  std::uint32_t index = 0;
  if (found != shard.index.end()) {
    index = *found;
  } else {
    if (!make) return 0;
    std::uint64_t before = shard.bytes();
    if (shard.free.empty()) {
      index = static_cast<std::uint32_t>(entries.size());
      HEARTH_ASSERT(index < (1u << (32 - kShardBits)) - 1);
      entries.emplace_back();
    } else {
      index = shard.free.back();
      shard.free.pop_back();
    }
    entries[index].set(name);
    shard.index.insert(index);
    bytes_ += shard.bytes() - before + entries[index].heap_bytes();
    ++size_;
  }
  ++entries[index].word;
  return static_cast<SessionNumber>((index + 1) << kShardBits | shard_number);
}

void SessionTable::release(SessionNumber number) {
  Shard& shard = shards_[number % kShards];
  std::uint32_t index = (number >> kShardBits) - 1;
  std::lock_guard lock(*shard.mutex);
  Entry& entry = (*shard.entries)[index];
  HEARTH_ASSERT(entry.references() > 0);
  if (--entry.word; entry.references() > 0) return;
  std::uint64_t before = shard.bytes();
  shard.index.erase(shard.index.find(index));
  bytes_ -= entry.heap_bytes();
  entry.clear();
  shard.free.push_back(index);
  bytes_ += shard.bytes() - before;
  --size_;
}

std::string SessionTable::name(SessionNumber number) const {
  const Shard& shard = shards_[number % kShards];
  std::lock_guard lock(*shard.mutex);
  const Entry& entry = (*shard.entries)[(number >> kShardBits) - 1];
  return entry.form() == Entry::kUuid ? unpack_uuid(entry.bytes()) : std::string(entry.bytes());
}

}  // namespace hearth::likes
