#include "hearth/drivers/sqlite/fault_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <new>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "hearth/base/assert.h"

namespace hearth::sqlite {

namespace {

using Content = std::optional<std::string>;  // of a file; empty: there is none

constexpr std::size_t kSectorBytes = 512;  // a disk writes a sector whole or not at all

struct Change {
  enum class Kind : std::uint8_t { kCreate, kDelete, kTruncate, kWrite };
  Kind kind;
  std::size_t offset = 0;    // of a write; the new size of a truncate
  std::string bytes = {};    // of a write
  bool is_doubtful = false;  // its sync failed: a later one does not cover it
};

bool is_of_the_folder(const Change& change) {
  return change.kind == Change::Kind::kCreate || change.kind == Change::Kind::kDelete;
}

void write_at(std::string& content, std::size_t offset, std::string_view bytes) {
  if (content.size() < offset + bytes.size()) content.resize(offset + bytes.size());
  std::ranges::copy(bytes, content.begin() + static_cast<std::ptrdiff_t>(offset));
}

void apply_change(const Change& change, Content& content) {
  switch (change.kind) {
    case Change::Kind::kCreate:
      content.emplace();
      return;
    case Change::Kind::kDelete:
      content.reset();
      return;
    case Change::Kind::kTruncate:
      if (content) content->resize(change.offset);
      return;
    case Change::Kind::kWrite:
      if (content) write_at(*content, change.offset, change.bytes);
      return;
  }
}

Content read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// One path: what it holds after a power cut, and what happened to it since that was made durable.
struct TrackedFile {
  Content durable;
  std::vector<Change> unsynced;
  int handles = 0;
  FaultVfs::Counts counts;

  Content current() const {
    Content content = durable;
    for (const Change& change : unsynced) apply_change(change, content);
    return content;
  }

  // Number of the next change; changes are numbered from 0 on.
  std::uint64_t next_change() const { return durable_changes_ + unsynced.size(); }

  // A sync of the changes before `end` succeeded.
  void make_durable(std::uint64_t end) {
    auto synced = before(end);
    for (const Change& change : synced) {
      if (!change.is_doubtful) apply_change(change, durable);
    }
    forget(synced.size());
  }

  // A sync of the folder succeeded: which files there are is durable, what is in them is not.
  void make_existence_durable() {
    for (std::size_t i = unsynced.size(); i-- > 0;) {
      if (!is_of_the_folder(unsynced[i])) continue;
      apply_change(unsynced[i], durable);
      forget(i + 1);
      return;
    }
  }

  // A sync of the changes before `end` failed: the kernel may have dropped the data, or written it.
  void make_doubtful(std::uint64_t end) {
    for (Change& change : before(end)) change.is_doubtful = change.kind == Change::Kind::kWrite;
  }

 private:
  // Another sync may have been faster.
  std::span<Change> before(std::uint64_t end) { return std::span(unsynced).first(std::max(end, durable_changes_) - durable_changes_); }

  void forget(std::size_t count) {
    durable_changes_ += count;
    unsynced.erase(unsynced.begin(), unsynced.begin() + static_cast<std::ptrdiff_t>(count));
  }

  std::uint64_t durable_changes_ = 0;
};

// What a real disk may hold after the power cut: any part of what was not synced.
class Remains {
 public:
  explicit Remains(std::uint64_t seed) : random_(seed) {}

  Content of(const TrackedFile& file) {
    Content content = file.durable;
    for (const Change& change : file.unsynced) {
      switch (random_() % 3) {
        case 0:
          apply_change(change, content);
          break;
        case 1:
          if (is_of_the_folder(change)) return content;  // what follows went to a file that the disk does not know
          break;
        default:
          if (change.kind != Change::Kind::kWrite) {
            apply_change(change, content);
          } else if (content) {
            tear(change, *content);
          }
      }
    }
    return content;
  }

 private:
  void tear(const Change& change, std::string& content) {
    std::string_view rest = change.bytes;
    for (std::size_t offset = change.offset; !rest.empty();) {
      std::size_t in_sector = std::min(rest.size(), kSectorBytes - offset % kSectorBytes);
      if (random_() % 2 == 0) write_at(content, offset, rest.substr(0, in_sector));
      offset += in_sector;
      rest.remove_prefix(in_sector);
    }
  }

  std::mt19937_64 random_;
};

}  // namespace

class FaultVfs::Impl {
 public:
  Impl();
  ~Impl();

  const std::string& name() const { return name_; }
  Counts counts(std::string_view files) const;
  void inject(Fault fault);
  void heal();
  std::uint64_t faults_met() const;
  void cut();
  void revert(std::optional<std::uint64_t> keep_seed);
  void thaw();
  void hold_syncs(std::string files, std::uint64_t nth);
  void wait_until_held();
  void release_syncs();

 private:
  using Files = std::map<std::string, TrackedFile>;
  using Entry = Files::value_type;  // path and file

  // What SQLite allocates for an open file; the real one follows it in memory.
  struct OpenFile {
    sqlite3_file base;
    Impl* vfs;
    Entry* entry;       // null: a temporary file
    bool syncs_folder;  // with its next sync, as SQLite asks for new journals and logs
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  struct Hold {
    std::string files;
    std::uint64_t nth = 1;
  };

  static Impl& of(sqlite3_vfs* vfs) { return *static_cast<Impl*>(vfs->pAppData); }
  static OpenFile& of(sqlite3_file* file) { return *reinterpret_cast<OpenFile*>(file); }
  static bool selects(std::string_view files, const std::string& path) {
    return std::string_view(path).substr(path.rfind('/') + 1).contains(files);
  }
  static const sqlite3_io_methods& methods();

  int open(const char* path, OpenFile& file, int flags, int* out_flags);
  int close(OpenFile& file);
  int remove(const char* path, int sync_folder);
  int write(OpenFile& file, const char* bytes, int size, sqlite3_int64 offset);
  int truncate(OpenFile& file, sqlite3_int64 size);
  int sync(OpenFile& file);

  // The rest: mutex_ is held.
  std::optional<FaultKind> next_fault(bool of_sync, const std::string& path, bool is_extending);
  void make_folder_durable(std::string_view path);
  static int write_through(OpenFile& file, std::string_view bytes, sqlite3_int64 offset);
  void wait_while_held(const std::string& path, std::unique_lock<std::mutex>& lock);

  sqlite3_vfs* const real_;
  std::string name_;
  sqlite3_vfs vfs_;
  std::atomic<bool> is_cut_ = false;  // written under the mutex

  mutable std::mutex mutex_;  // held across the real disk's work: what is recorded and what is done are one step
  std::condition_variable changed_;
  Files files_;
  std::vector<Fault> faults_;
  std::uint64_t faults_met_ = 0;
  std::optional<Hold> hold_;
  std::uint64_t hold_number_ = 0;  // so that a sync held by one hold does not wait for the next
  int held_ = 0;
};

FaultVfs::Impl::Impl() : real_(sqlite3_vfs_find(nullptr)), vfs_(*real_) {
  static std::atomic<int> made = 0;
  name_ = "fault-" + std::to_string(++made);
  vfs_.szOsFile = static_cast<int>(sizeof(OpenFile)) + real_->szOsFile;
  vfs_.pNext = nullptr;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = this;
  vfs_.xOpen = [](sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
    return of(vfs).open(path, *new (file) OpenFile{.base = {}, .vfs = &of(vfs), .entry = nullptr, .syncs_folder = false}, flags, out_flags);
  };
  vfs_.xDelete = [](sqlite3_vfs* vfs, const char* path, int sync_folder) { return of(vfs).remove(path, sync_folder); };
  vfs_.xAccess = [](sqlite3_vfs* vfs, const char* path, int flags, int* result) {
    sqlite3_vfs* real = of(vfs).real_;
    return of(vfs).is_cut_ ? SQLITE_IOERR : real->xAccess(real, path, flags, result);
  };
  vfs_.xFullPathname = [](sqlite3_vfs* vfs, const char* path, int size, char* out) {
    sqlite3_vfs* real = of(vfs).real_;
    return real->xFullPathname(real, path, size, out);
  };
  HEARTH_ASSERT(sqlite3_vfs_register(&vfs_, 0) == SQLITE_OK);
}

FaultVfs::Impl::~Impl() {
  sqlite3_vfs_unregister(&vfs_);
}

const sqlite3_io_methods& FaultVfs::Impl::methods() {
  // Version 2: without memory-mapped pages, which would pass this disk by.
  static constexpr sqlite3_io_methods kMethods = {
      .iVersion = 2,
      .xClose = [](sqlite3_file* f) { return of(f).vfs->close(of(f)); },
      .xRead =
          [](sqlite3_file* f, void* out, int size, sqlite3_int64 offset) {
            sqlite3_file* real = of(f).real();
            return of(f).vfs->is_cut_ ? SQLITE_IOERR : real->pMethods->xRead(real, out, size, offset);
          },
      .xWrite = [](sqlite3_file* f, const void* bytes, int size,
                   sqlite3_int64 offset) { return of(f).vfs->write(of(f), static_cast<const char*>(bytes), size, offset); },
      .xTruncate = [](sqlite3_file* f, sqlite3_int64 size) { return of(f).vfs->truncate(of(f), size); },
      .xSync = [](sqlite3_file* f, int) { return of(f).vfs->sync(of(f)); },
      .xFileSize =
          [](sqlite3_file* f, sqlite3_int64* size) {
            sqlite3_file* real = of(f).real();
            return of(f).vfs->is_cut_ ? SQLITE_IOERR : real->pMethods->xFileSize(real, size);
          },
      // Locks and shared memory belong to the process, not to the disk.
      .xLock = [](sqlite3_file* f, int level) { return of(f).real()->pMethods->xLock(of(f).real(), level); },
      .xUnlock = [](sqlite3_file* f, int level) { return of(f).real()->pMethods->xUnlock(of(f).real(), level); },
      .xCheckReservedLock = [](sqlite3_file* f, int* out) { return of(f).real()->pMethods->xCheckReservedLock(of(f).real(), out); },
      .xFileControl = [](sqlite3_file* f, int op, void* arg) { return of(f).real()->pMethods->xFileControl(of(f).real(), op, arg); },
      .xSectorSize = [](sqlite3_file* f) { return of(f).real()->pMethods->xSectorSize(of(f).real()); },
      .xDeviceCharacteristics = [](sqlite3_file* f) { return of(f).real()->pMethods->xDeviceCharacteristics(of(f).real()); },
      .xShmMap = [](sqlite3_file* f, int region, int size, int extend,
                    void volatile** out) { return of(f).real()->pMethods->xShmMap(of(f).real(), region, size, extend, out); },
      .xShmLock = [](sqlite3_file* f, int offset, int n,
                     int flags) { return of(f).real()->pMethods->xShmLock(of(f).real(), offset, n, flags); },
      .xShmBarrier = [](sqlite3_file* f) { of(f).real()->pMethods->xShmBarrier(of(f).real()); },
      .xShmUnmap = [](sqlite3_file* f, int remove) { return of(f).real()->pMethods->xShmUnmap(of(f).real(), remove); },
      .xFetch = nullptr,
      .xUnfetch = nullptr,
  };
  return kMethods;
}

// --- what SQLite asks for ---

int FaultVfs::Impl::open(const char* path, OpenFile& file, int flags, int* out_flags) {
  std::lock_guard lock(mutex_);
  if (is_cut_) return SQLITE_IOERR;
  bool is_tracked = path != nullptr && (flags & SQLITE_OPEN_DELETEONCLOSE) == 0;
  bool existed = is_tracked && std::filesystem::exists(path);
  if (int code = real_->xOpen(real_, path, file.real(), flags, out_flags); code != SQLITE_OK) return code;
  file.base.pMethods = &methods();
  constexpr int kJournals = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
  file.syncs_folder = (flags & SQLITE_OPEN_CREATE) != 0 && (flags & kJournals) != 0;
  if (!is_tracked) return SQLITE_OK;

  file.entry = &*files_.try_emplace(path).first;
  TrackedFile& tracked = file.entry->second;
  if (tracked.handles++ > 0) return SQLITE_OK;
  // What others made of a file while it was closed counts as durable.
  Content found = existed ? read_file(path) : std::nullopt;
  if (found != tracked.current()) {
    tracked.durable = std::move(found);
    tracked.unsynced.clear();
  }
  if (!existed) tracked.unsynced.push_back({.kind = Change::Kind::kCreate});
  return SQLITE_OK;
}

int FaultVfs::Impl::close(OpenFile& file) {
  std::lock_guard lock(mutex_);
  if (file.entry != nullptr) --file.entry->second.handles;
  return file.real()->pMethods->xClose(file.real());
}

int FaultVfs::Impl::remove(const char* path, int sync_folder) {
  std::lock_guard lock(mutex_);
  if (is_cut_) return SQLITE_IOERR;
  int code = real_->xDelete(real_, path, sync_folder);
  auto known = files_.find(path);
  if (code != SQLITE_OK || known == files_.end()) return code;
  TrackedFile& tracked = known->second;
  tracked.unsynced.push_back({.kind = Change::Kind::kDelete});
  if (sync_folder != 0) make_folder_durable(known->first);
  return SQLITE_OK;
}

int FaultVfs::Impl::write(OpenFile& file, const char* bytes, int size, sqlite3_int64 offset) {
  std::string_view content(bytes, static_cast<std::size_t>(size));
  std::lock_guard lock(mutex_);
  if (is_cut_) return SQLITE_IOERR;
  if (file.entry == nullptr) return write_through(file, content, offset);
  ++file.entry->second.counts.writes;
  sqlite3_int64 end = 0;
  if (int code = file.real()->pMethods->xFileSize(file.real(), &end); code != SQLITE_OK) return code;
  auto fault = next_fault(/*of_sync=*/false, file.entry->first, /*is_extending=*/offset + size > end);
  if (!fault) return write_through(file, content, offset);
  if (*fault == FaultKind::kDiskFull) return SQLITE_FULL;
  if (*fault == FaultKind::kTornWrite) write_through(file, content.substr(0, content.size() / 2), offset);
  return SQLITE_IOERR_WRITE;
}

int FaultVfs::Impl::write_through(OpenFile& file, std::string_view bytes, sqlite3_int64 offset) {
  int code = file.real()->pMethods->xWrite(file.real(), bytes.data(), static_cast<int>(bytes.size()), offset);
  if (code != SQLITE_OK || file.entry == nullptr) return code;
  file.entry->second.unsynced.push_back(
      {.kind = Change::Kind::kWrite, .offset = static_cast<std::size_t>(offset), .bytes = std::string(bytes)});
  return SQLITE_OK;
}

int FaultVfs::Impl::truncate(OpenFile& file, sqlite3_int64 size) {
  std::lock_guard lock(mutex_);
  if (is_cut_) return SQLITE_IOERR;
  int code = file.real()->pMethods->xTruncate(file.real(), size);
  if (file.entry == nullptr) return code;
  TrackedFile& tracked = file.entry->second;
  ++tracked.counts.truncates;
  if (code == SQLITE_OK) tracked.unsynced.push_back({.kind = Change::Kind::kTruncate, .offset = static_cast<std::size_t>(size)});
  return code;
}

int FaultVfs::Impl::sync(OpenFile& file) {
  std::unique_lock lock(mutex_);
  if (is_cut_) return SQLITE_IOERR;
  if (file.entry == nullptr) return SQLITE_OK;
  TrackedFile& tracked = file.entry->second;
  ++tracked.counts.syncs;
  std::uint64_t covered = tracked.next_change();  // what is written while it lasts is left to the next
  wait_while_held(file.entry->first, lock);
  if (is_cut_) return SQLITE_IOERR;
  if (next_fault(/*of_sync=*/true, file.entry->first, /*is_extending=*/false)) {
    tracked.make_doubtful(covered);
    return SQLITE_IOERR_FSYNC;
  }
  tracked.make_durable(covered);
  if (std::exchange(file.syncs_folder, false)) make_folder_durable(file.entry->first);
  return SQLITE_OK;
}

// For all files beside `path`.
void FaultVfs::Impl::make_folder_durable(std::string_view path) {
  auto folder_of = [](std::string_view of_path) { return of_path.substr(0, of_path.rfind('/')); };
  for (auto& [other, tracked] : files_) {
    if (folder_of(other) == folder_of(path)) tracked.make_existence_durable();
  }
}

void FaultVfs::Impl::wait_while_held(const std::string& path, std::unique_lock<std::mutex>& lock) {
  if (!hold_ || !selects(hold_->files, path)) return;
  if (hold_->nth > 1) {
    --hold_->nth;
    return;
  }
  std::uint64_t number = hold_number_;
  ++held_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return is_cut_ || hold_number_ != number; });
  --held_;
}

std::optional<FaultKind> FaultVfs::Impl::next_fault(bool of_sync, const std::string& path, bool is_extending) {
  for (auto fault = faults_.begin(); fault != faults_.end(); ++fault) {
    if ((fault->kind == FaultKind::kSyncError) != of_sync || !selects(fault->files, path)) continue;
    if (fault->only_extending && !is_extending) continue;
    if (fault->nth > 1) {
      --fault->nth;
      continue;
    }
    FaultKind kind = fault->kind;
    if (!fault->is_lasting) faults_.erase(fault);
    ++faults_met_;
    return kind;
  }
  return std::nullopt;
}

// --- what the test asks for ---

FaultVfs::Counts FaultVfs::Impl::counts(std::string_view files) const {
  std::lock_guard lock(mutex_);
  Counts sum;
  for (const auto& [path, file] : files_) {
    if (!selects(files, path)) continue;
    sum.writes += file.counts.writes;
    sum.syncs += file.counts.syncs;
    sum.truncates += file.counts.truncates;
  }
  return sum;
}

void FaultVfs::Impl::inject(Fault fault) {
  HEARTH_ASSERT(fault.nth > 0);
  std::lock_guard lock(mutex_);
  faults_.push_back(std::move(fault));
}

void FaultVfs::Impl::heal() {
  std::lock_guard lock(mutex_);
  faults_.clear();
}

std::uint64_t FaultVfs::Impl::faults_met() const {
  std::lock_guard lock(mutex_);
  return faults_met_;
}

void FaultVfs::Impl::cut() {
  {
    std::lock_guard lock(mutex_);
    is_cut_ = true;
  }
  changed_.notify_all();
}

void FaultVfs::Impl::revert(std::optional<std::uint64_t> keep_seed) {
  std::lock_guard lock(mutex_);
  HEARTH_ASSERT(is_cut_);
  std::optional<Remains> remains;
  if (keep_seed) remains.emplace(*keep_seed);
  for (auto& [path, file] : files_) {
    HEARTH_ASSERT(file.handles == 0);
    if (remains) file.durable = remains->of(file);
    file.unsynced.clear();
    if (file.durable) {
      std::ofstream(path, std::ios::binary | std::ios::trunc) << *file.durable;
    } else {
      std::filesystem::remove(path);
    }
  }
}

void FaultVfs::Impl::thaw() {
  std::lock_guard lock(mutex_);
  is_cut_ = false;
}

void FaultVfs::Impl::hold_syncs(std::string files, std::uint64_t nth) {
  HEARTH_ASSERT(nth > 0);
  std::lock_guard lock(mutex_);
  hold_ = Hold{.files = std::move(files), .nth = nth};
}

void FaultVfs::Impl::wait_until_held() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return held_ > 0; });
}

void FaultVfs::Impl::release_syncs() {
  {
    std::lock_guard lock(mutex_);
    hold_.reset();
    ++hold_number_;
  }
  changed_.notify_all();
}

FaultVfs::FaultVfs() : impl_(std::make_unique<Impl>()) {}
FaultVfs::~FaultVfs() = default;

const std::string& FaultVfs::name() const {
  return impl_->name();
}
FaultVfs::Counts FaultVfs::counts(std::string_view files) const {
  return impl_->counts(files);
}
void FaultVfs::inject(Fault fault) {
  impl_->inject(std::move(fault));
}
void FaultVfs::heal() {
  impl_->heal();
}
std::uint64_t FaultVfs::faults_met() const {
  return impl_->faults_met();
}
void FaultVfs::cut() {
  impl_->cut();
}
void FaultVfs::revert(std::optional<std::uint64_t> keep_seed) {
  impl_->revert(keep_seed);
}
void FaultVfs::thaw() {
  impl_->thaw();
}
void FaultVfs::hold_syncs(std::string files, std::uint64_t nth) {
  impl_->hold_syncs(std::move(files), nth);
}
void FaultVfs::wait_until_held() {
  impl_->wait_until_held();
}
void FaultVfs::release_syncs() {
  impl_->release_syncs();
}

}  // namespace hearth::sqlite
