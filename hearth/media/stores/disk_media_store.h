#pragma once

// A folder of files, which `GET /media/{name}` serves. Written beside and renamed, so that a name is whole or not there.

#include <filesystem>
#include <memory>

#include "hearth/media/media_store.h"

namespace hearth::media {

class DiskMediaStore final : public MediaStore {
 public:
  // Makes the folder.
  static Result<std::unique_ptr<DiskMediaStore>> open(std::filesystem::path folder);

  Result<std::string> put(std::string_view name, std::string_view bytes, std::string_view media_type) override;
  Result<std::optional<StoredMedia>> get(std::string_view name) override;

 private:
  explicit DiskMediaStore(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path folder_;
};

}  // namespace hearth::media
