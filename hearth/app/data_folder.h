#pragma once

// The data folder, locked for the life of the process that serves from it: two could not keep each other's promises.

#include <filesystem>
#include <optional>
#include <string>

#include "hearth/base/result.h"

namespace hearth::app {

class DataFolder {
 public:
  // Creates the folder (readable by its owner alone) and locks it. kConflict: another process has it; the message says
  // which, and where it listens.
  static Result<DataFolder> lock(const std::filesystem::path& path);
  DataFolder(DataFolder&& other) noexcept;
  DataFolder& operator=(DataFolder&&) = delete;
  ~DataFolder();

  // Written to the lock file, for commands that find the folder taken.
  void announce(const std::string& address) const;
  // The address that the process that holds the lock has announced.
  static std::optional<std::string> announced(const std::filesystem::path& path);

  std::filesystem::path file(const char* name) const { return path_ / name; }

 private:
  DataFolder(std::filesystem::path path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::filesystem::path path_;
  int lock_;  // the open lock file; the kernel lets go of the lock when the process ends, however it ends
};

}  // namespace hearth::app
