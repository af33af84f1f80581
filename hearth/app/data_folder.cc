#include "hearth/app/data_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "hearth/base/log.h"

namespace hearth::app {
namespace {

constexpr char kLockFile[] = "LOCK";

Error cannot_use(const std::filesystem::path& path, int error) {
  return {ErrorCode::kInvalidArgument, "cannot use the data folder " + path.string() + ": " + std::strerror(error), "data"};
}

}  // namespace

Result<DataFolder> DataFolder::lock(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path().empty() ? "." : path.parent_path(), error);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return std::unexpected(cannot_use(path, errno));
  int file = ::open((path / kLockFile).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return std::unexpected(cannot_use(path, errno));
  if (::flock(file, LOCK_EX | LOCK_NB) == 0) return DataFolder(path, file);

  int reason = errno;
  ::close(file);
  if (reason != EWOULDBLOCK) return std::unexpected(cannot_use(path, reason));
  auto address = announced(path);
  return fail(ErrorCode::kConflict,
              "the data folder " + path.string() + " is in use by another hearth" + (address ? " at " + *address : ""), "data");
}

DataFolder::DataFolder(DataFolder&& other) noexcept : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

DataFolder::~DataFolder() {
  if (lock_ < 0) return;
  announce("");
  ::close(lock_);
}

void DataFolder::announce(const std::string& address) const {
  bool written = ::ftruncate(lock_, 0) == 0 && ::pwrite(lock_, address.data(), address.size(), 0) == static_cast<ssize_t>(address.size());
  if (!written)
    log::warning("app", "the lock file could not be written; commands will not find this server", {{"error", std::strerror(errno)}});
}

std::optional<std::string> DataFolder::announced(const std::filesystem::path& path) {
  std::ifstream file(path / kLockFile);
  std::string address;
  std::getline(file, address);
  if (address.empty()) return std::nullopt;
  return address;
}

}  // namespace hearth::app
