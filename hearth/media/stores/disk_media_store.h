#pragma once

// A folder of files, which `GET /media/{name}` serves. Written beside and renamed, so that a name is whole or not there; synced
// before put() returns, the folder too.
//
// What a crash left half written lies in `.incoming` and goes when the folder is opened. A node that shares the folder and writes at
// that moment fails that one put().

#include <filesystem>
#include <memory>

#include "hearth/media/media_store.h"

namespace hearth::media {

class DiskMediaStore final : public MediaStore {
 public:
  // Makes the folder. kUnavailable: it cannot be made or written to.
  static Result<std::unique_ptr<DiskMediaStore>> open(std::filesystem::path folder);

  Result<std::string> put(std::string_view name, std::string_view bytes, std::string_view media_type) override;
  Result<std::optional<StoredMedia>> get(std::string_view name) override;

 private:
  explicit DiskMediaStore(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path folder_;
};

}  // namespace hearth::media
