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

// "{SHA-256 of the bytes in hex}.{extension}". REQUIRES: an extension of lower-case letters and digits, at most 10 of them.
std::string media_name(std::string_view bytes, std::string_view extension);
// 1–100 bytes of lower-case letters, digits, '-' and one '.', neither first nor last: no path, no hidden file.
bool is_media_name(std::string_view name);
// By the extension, of which pages are told whatever a store says: "image/webp", "image/jpeg"; of others "application/octet-stream".
std::string_view media_type_of(std::string_view name);

class MediaStore {
 public:
  virtual ~MediaStore() = default;

  // Returns the address for pages: "/media/{name}", or one of the store's public URL. kUnavailable: it is not stored.
  // REQUIRES: is_media_name(name).
  virtual Result<std::string> put(std::string_view name, std::string_view bytes, std::string_view media_type) = 0;
  // Nothing if there is no such name; none is that is_media_name() refuses.
  virtual Result<std::optional<StoredMedia>> get(std::string_view name) = 0;
};

}  // namespace hearth::media
