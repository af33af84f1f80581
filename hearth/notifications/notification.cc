#include "hearth/notifications/notification_store.h"

namespace hearth::notifications {
namespace {

Result<void> check_text(const std::string& text, std::size_t bytes_max, const char* field) {
  if (text.empty() || text.size() > bytes_max || text.contains('\0'))
    return invalid(field, std::string(field) + " must be 1 to " + std::to_string(bytes_max) + " bytes, without NUL");
  return {};
}

}  // namespace

Result<void> check(const NotificationDraft& draft) {
  if (auto type = check_text(draft.type, kTypeBytesMax, "type"); !type) return type;
  if (auto title = check_text(draft.title, kTitleBytesMax, "title"); !title) return title;
  return draft.body && !draft.body->empty() ? check_text(*draft.body, kBodyBytesMax, "body") : Result<void>();
}

}  // namespace hearth::notifications
