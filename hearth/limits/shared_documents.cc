#include "hearth/limits/shared_documents.h"

namespace hearth::limits {

Result<void> check_body(const std::string& body) {
  if (body.size() > kSharedDocumentBytesMax) {
    return fail(ErrorCode::kTooLarge, "the document must be at most " + std::to_string(kSharedDocumentBytesMax) + " bytes");
  }
  if (body.contains('\0')) return invalid("body", "the document must not contain NUL");
  return {};
}

std::unexpected<Error> version_conflict(const std::string& name) {
  return fail(ErrorCode::kConflict, "somebody else has changed " + name + " meanwhile", "version");
}

}  // namespace hearth::limits
