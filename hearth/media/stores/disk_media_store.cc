#include "hearth/media/stores/disk_media_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "hearth/base/assert.h"

namespace hearth::media {
namespace {

constexpr const char* kIncoming = ".incoming";
constexpr mode_t kReadableByAll = 0644;  // a web server beside us may serve the folder

std::unexpected<Error> cannot(std::string_view what, std::string_view which, int error) {
  return fail(ErrorCode::kUnavailable,
              "cannot " + std::string(what) + " " + std::string(which) + ": " + std::generic_category().message(error));
}

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

// Each of these returns false with errno set.

bool write_all(const File& file, std::string_view bytes) {
  while (!bytes.empty()) {
    auto written = write(file.descriptor(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

bool read_all(const File& file, std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    auto size = read(file.descriptor(), bytes.data() + done, bytes.size() - done);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return false;
    if (size == 0) break;
    done += static_cast<std::size_t>(size);
  }
  bytes.resize(done);
  return true;
}

bool sync_folder(const std::filesystem::path& folder) {
  File file(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return file.is_open() && fsync(file.descriptor()) == 0;
}

// A new file in `.incoming` that is removed again unless it was renamed.
class IncomingFile {
 public:
  IncomingFile(const std::filesystem::path& folder, std::string_view name)
      : path_((folder / kIncoming / (std::string(name) + ".XXXXXX")).string()), file_(mkostemp(path_.data(), O_CLOEXEC)) {}
  ~IncomingFile() {
    if (file_.is_open() && !is_renamed_) unlink(path_.c_str());
  }

  // Whole and on disk before the name is there. Returns 0 or what errno said.
  int become(const std::filesystem::path& target, std::string_view bytes) {
    is_renamed_ = file_.is_open() && write_all(file_, bytes) && fchmod(file_.descriptor(), kReadableByAll) == 0 &&
                  fdatasync(file_.descriptor()) == 0 && rename(path_.c_str(), target.c_str()) == 0;
    return is_renamed_ ? 0 : errno;
  }

 private:
  std::string path_;
  File file_;
  bool is_renamed_ = false;
};

}  // namespace

Result<std::unique_ptr<DiskMediaStore>> DiskMediaStore::open(std::filesystem::path folder) {
  std::error_code error;
  folder = std::filesystem::absolute(folder, error);
  if (!error) std::filesystem::remove_all(folder / kIncoming, error);
  if (!error) std::filesystem::create_directories(folder / kIncoming, error);
  if (error) return cannot("make the media folder", folder.string(), error.value());
  if (!sync_folder(folder) || !sync_folder(folder.parent_path())) return cannot("sync the media folder", folder.string(), errno);
  return std::unique_ptr<DiskMediaStore>(new DiskMediaStore(std::move(folder)));
}

Result<std::string> DiskMediaStore::put(std::string_view name, std::string_view bytes, std::string_view /*media_type*/) {
  HEARTH_ASSERT(is_media_name(name));
  const auto path = folder_ / name;
  bool is_there = access(path.c_str(), F_OK) == 0;
  if (int error = is_there ? 0 : IncomingFile(folder_, name).become(path, bytes); error != 0) return cannot("write the file", name, error);
  // Also when it was there: who wrote it may not have come to this line.
  if (!sync_folder(folder_)) return cannot("sync the folder of", name, errno);
  return "/media/" + std::string(name);
}

Result<std::optional<StoredMedia>> DiskMediaStore::get(std::string_view name) {
  if (!is_media_name(name)) return std::nullopt;
  const auto path = folder_ / name;
  File file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.is_open() && (errno == ENOENT || errno == ELOOP)) return std::nullopt;
  struct stat status = {};
  if (!file.is_open() || fstat(file.descriptor(), &status) != 0) return cannot("read the file", name, errno);
  if (!S_ISREG(status.st_mode)) return std::nullopt;
  StoredMedia media{.bytes = std::string(static_cast<std::size_t>(status.st_size), '\0'), .media_type = std::string(media_type_of(name))};
  if (!read_all(file, media.bytes)) return cannot("read the file", name, errno);
  return media;
}

}  // namespace hearth::media
