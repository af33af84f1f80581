#pragma once

// Documents that all nodes share, in SQL: settings that are changed while Hearth runs, such as rules.
//
// Promises, checked on every implementation by shared_documents_conformance.h:
//  - A document's version grows with every change, also over its removal: who knows a version knows whether it has the newest.
//  - Of those who change a version at once, one succeeds.
//
// Thread-safe. Coroutines run on the io_context thread of their caller.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "hearth/base/result.h"
#include "hearth/base/task.h"

namespace hearth::limits {

inline constexpr std::size_t kSharedDocumentBytesMax = 1 << 20;

struct SharedDocument {
  std::uint64_t version = 0;  // 1 and up
  std::string body;

  friend bool operator==(const SharedDocument&, const SharedDocument&) = default;
};

class SharedDocuments {
 public:
  virtual ~SharedDocuments() = default;

  // Nothing if there is no such document.
  virtual Task<Result<std::optional<SharedDocument>>> get(std::string name) = 0;
  // The same for a thread that may block.
  virtual Result<std::optional<SharedDocument>> get_blocking(const std::string& name) = 0;

  // Makes `body` the document and returns its new version. With `expected` only if that is its version, 0 standing for no
  // such document; kConflict if it is not. kTooLarge: over kSharedDocumentBytesMax. The body is text without NUL.
  virtual Task<Result<std::uint64_t>> put(std::string name, std::string body, std::optional<std::uint64_t> expected) = 0;
  // Not an error if there is no such document.
  virtual Task<Result<void>> remove(std::string name) = 0;
};

// For implementations: whether put() takes the body, and its answer to who has an old version.
Result<void> check_body(const std::string& body);
std::unexpected<Error> version_conflict(const std::string& name);

}  // namespace hearth::limits
