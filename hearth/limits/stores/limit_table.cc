#include "hearth/limits/stores/limit_table.h"

#include <array>
#include <bit>
#include <cstring>

#include "hearth/base/assert.h"
#include "hearth/base/hash.h"
#include "hearth/base/ids.h"

namespace hearth::limits {

static_assert(kWindowMax.count() <= UINT32_MAX && kIdBytesMax <= UINT8_MAX);

HashedName::HashedName(StateName wanted) : name(wanted) {
  auto kind = static_cast<std::uint64_t>(name.window.count()) * 4 + static_cast<std::uint64_t>(name.algorithm);
  hash = (hash64(name.key) ^ kind) * 0x9e3779b97f4a7c15;
  hash ^= hash >> 32;
}

// --- a record ---

struct LimitTable::Record {
  static constexpr std::size_t kInlineBytes = 27;

  LimitState state;
  std::uint32_t window_ms;
  std::uint8_t key_bytes;
  std::array<char, kInlineBytes> text;  // a longer one is on the heap, and its address here

  explicit Record(const StateName& name)
      : state(name.algorithm),
        window_ms(static_cast<std::uint32_t>(name.window.count())),
        key_bytes(static_cast<std::uint8_t>(name.key.size())) {
    char* to = text.data();
    if (key_bytes > kInlineBytes) {
      to = new char[key_bytes];
      std::memcpy(text.data(), &to, sizeof to);
    }
    std::memcpy(to, name.key.data(), key_bytes);
  }
  ~Record() {
    if (key_bytes > kInlineBytes) delete[] outside();
  }
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

  char* outside() const {
    char* at;
    std::memcpy(&at, text.data(), sizeof at);
    return at;
  }
  StateName name() const {
    return {std::string_view(key_bytes > kInlineBytes ? outside() : text.data(), key_bytes), state.algorithm(),
            std::chrono::milliseconds(window_ms)};
  }
  static std::size_t key_cost(std::size_t bytes) { return bytes > kInlineBytes ? heap_cost(bytes) : 0; }
};

struct LimitTable::Chunk {
  std::uint32_t used = 0;     // a bit a record
  std::uint32_t open_at = 0;  // where open_ names it
  alignas(Record) std::array<std::byte, kChunkRecords * sizeof(Record)> records;

  Record* at(std::uint32_t i) { return std::launder(reinterpret_cast<Record*>(records.data()) + i); }
};

LimitTable::LimitTable(std::atomic<std::uint64_t>& bytes)
    : bytes_(bytes),
      chunks_(CountingAllocator<std::unique_ptr<Chunk>>(bytes)),
      open_(CountingAllocator<std::uint32_t>(bytes)),
      vacant_(CountingAllocator<std::uint32_t>(bytes)),
      names_(0, Hash{this}, Equal{this}, CountingAllocator<Index>(bytes)) {
  static_assert(sizeof(Record) == 64, "as the header says");
}

LimitTable::~LimitTable() {
  for (std::size_t chunk = 0; chunk < chunks_.size(); ++chunk) visit(chunk, [](const StateName&, LimitState&) { return false; });
}

LimitTable::Record& LimitTable::record(Index index) const {
  return *chunks_[index / kChunkRecords]->at(index % kChunkRecords);
}
LimitState& LimitTable::state(Index index) const {
  return record(index).state;
}
std::size_t LimitTable::Hash::operator()(Index index) const {
  return HashedName(table->record(index).name()).hash;
}
bool LimitTable::Equal::operator()(const HashedName& name, Index index) const {
  StateName found = table->record(index).name();
  return found.window == name.name.window && found.algorithm == name.name.algorithm && found.key == name.name.key;
}

// --- finding, inserting, erasing ---

std::optional<LimitTable::Index> LimitTable::find(const HashedName& name) const {
  auto found = names_.find(name);
  if (found == names_.end()) return std::nullopt;
  return *found;
}

std::size_t LimitTable::insert_bytes(const HashedName& name) const {
  std::size_t bytes = Record::key_cost(name.name.key.size());
  // The lists and the index double; the old one is there until the new one is filled.
  if (open_.empty()) bytes += heap_cost(sizeof(Chunk));
  if (open_.empty() && vacant_.empty() && chunks_.size() == chunks_.capacity())
    bytes += 2 * heap_cost((chunks_.size() + 1) * sizeof(std::unique_ptr<Chunk>));
  if (names_.size() >= names_.max_load()) bytes += 256 + 3 * names_.bucket_count() * (sizeof(Index) + 2);
  return bytes;
}

std::uint32_t LimitTable::open_chunk() {
  if (!open_.empty()) return open_.back();
  if (vacant_.empty()) {
    vacant_.push_back(static_cast<std::uint32_t>(chunks_.size()));
    chunks_.push_back(nullptr);
  }
  std::uint32_t chunk = vacant_.back();
  vacant_.pop_back();
  chunks_[chunk] = std::make_unique_for_overwrite<Chunk>();
  chunks_[chunk]->open_at = static_cast<std::uint32_t>(open_.size());
  count(heap_cost(sizeof(Chunk)));
  open_.push_back(chunk);
  return chunk;
}

// Takes a chunk from the list of those with room.
void LimitTable::close(std::uint32_t chunk) {
  std::uint32_t at = chunks_[chunk]->open_at;
  open_[at] = open_.back();
  chunks_[open_[at]]->open_at = at;
  open_.pop_back();
}

LimitTable::Index LimitTable::insert(const HashedName& name) {
  std::uint32_t number = open_chunk();
  Chunk& chunk = *chunks_[number];
  auto free = static_cast<std::uint32_t>(std::countr_one(chunk.used));
  new (chunk.records.data() + free * sizeof(Record)) Record(name.name);
  count(Record::key_cost(name.name.key.size()));
  chunk.used |= 1u << free;
  if (chunk.used == UINT32_MAX) close(number);
  Index index = number * kChunkRecords + free;
  names_.insert(index);
  return index;
}

void LimitTable::erase(Index index) {
  std::uint32_t number = index / kChunkRecords;
  Chunk& chunk = *chunks_[number];
  Record* record = chunk.at(index % kChunkRecords);
  names_.erase(names_.find(HashedName(record->name())));
  count(0 - Record::key_cost(record->key_bytes) - heap_cost(record->state.heap_bytes()));
  record->~Record();
  if (chunk.used == UINT32_MAX) {
    chunk.open_at = static_cast<std::uint32_t>(open_.size());
    open_.push_back(number);
  }
  chunk.used &= ~(1u << (index % kChunkRecords));
  if (chunk.used != 0) return;
  close(number);
  chunks_[number].reset();
  count(0 - heap_cost(sizeof(Chunk)));
  vacant_.push_back(number);
}

std::size_t LimitTable::visit(std::size_t chunk, FunctionRef<bool(const StateName&, LimitState&)> keep) {
  std::size_t erased = 0;
  for (std::uint32_t i = 0; i < kChunkRecords && chunks_[chunk] != nullptr; ++i) {
    if ((chunks_[chunk]->used >> i & 1) == 0) continue;
    Index index = static_cast<Index>(chunk) * kChunkRecords + i;
    Record& visited = record(index);
    bool is_kept = [&] {
      Counted counted(*this, visited.state);
      return keep(visited.name(), visited.state);
    }();
    if (is_kept) continue;
    erase(index);
    ++erased;
  }
  return erased;
}

void LimitTable::shrink() {
  if (names_.size() * 4 < names_.max_load()) names_.rehash(names_.size() * 2);
}

}  // namespace hearth::limits
