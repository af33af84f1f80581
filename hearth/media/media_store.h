#pragma once

// Where processed images are kept: a folder, or an S3-compatible store. Names are made of their content, so writing one twice
// is no error and changes nothing.
//
// Promises, checked on every implementation by media_store_conformance.h: what put() returned for is read by get(), whole, also
// after a crash. Blocking; thread-safe.

#include <optional>
#include <string>
#include <string_view>

#include "hearth/base/result.h"

namespace hearth::media {

struct StoredMedia {
  std::string bytes;
  std::string media_type;
};

// "{checksum of the bytes}.{extension}": 1–100 bytes of lower-case letters, digits, '-' and one '.'.
bool is_media_name(std::string_view name);
std::string media_name(std::string_view bytes, std::string_view extension);

class MediaStore {
 public:
  virtual ~MediaStore() = default;

  // Returns the address for pages: "/media/{name}", or one of the store's public URL.
  virtual Result<std::string> put(std::string_view name, std::string_view bytes, std::string_view media_type) = 0;
  // Nothing if there is no such name. REQUIRES: is_media_name(name).
  virtual Result<std::optional<StoredMedia>> get(std::string_view name) = 0;
};

}  // namespace hearth::media
