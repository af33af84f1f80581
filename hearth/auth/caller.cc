#include "hearth/auth/caller.h"

namespace hearth::auth {
namespace {

bool is_trusted(CallerKind kind) {
  return kind == CallerKind::kService || kind == CallerKind::kAdmin || kind == CallerKind::kLocal;
}
bool is_admin(CallerKind kind) {
  return kind == CallerKind::kAdmin || kind == CallerKind::kLocal;
}

bool is_allowed(CallerKind kind, Access needed, bool has_public_reads) {
  switch (needed) {
    case Access::kPublicRead:
      return has_public_reads || is_trusted(kind) || kind == CallerKind::kUser;
    case Access::kActAsUser:
      return is_trusted(kind) || kind == CallerKind::kUser;
    case Access::kService:
      return is_trusted(kind);
    case Access::kCron:
      return is_admin(kind) || kind == CallerKind::kCron;
    case Access::kMetrics:
      return is_trusted(kind) || kind == CallerKind::kViewer;
    case Access::kAdminRead:
      return is_admin(kind) || kind == CallerKind::kViewer;
    case Access::kAdmin:
      return is_admin(kind);
  }
  return false;
}

std::string_view description(Access needed) {
  switch (needed) {
    case Access::kPublicRead:
      return "the service key or a user's token";
    case Access::kActAsUser:
      return "the service key or the token of the user who acts";
    case Access::kService:
      return "the service key";
    case Access::kCron:
      return "the cron secret";
    case Access::kMetrics:
      return "the viewer, service or admin key";
    case Access::kAdminRead:
      return "the viewer or admin key";
    case Access::kAdmin:
      return "the admin key";
  }
  return "another credential";
}

}  // namespace

Result<void> check(const Caller& caller, Access needed, bool has_public_reads) {
  if (is_allowed(caller.kind, needed, has_public_reads)) return {};
  std::string needs = "this needs " + std::string(description(needed));
  if (caller.kind == CallerKind::kAnonymous) return fail(ErrorCode::kUnauthenticated, needs + " as Authorization: Bearer");
  return fail(ErrorCode::kForbidden, needs);
}

bool may_act_as(const Caller& caller, std::string_view id) {
  return is_trusted(caller.kind) || (caller.kind == CallerKind::kUser && caller.user_id == id);
}

}  // namespace hearth::auth
