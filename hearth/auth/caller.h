#pragma once

// Who makes a request, and what they may do: the credential table of the API.

#include <cstdint>
#include <string>
#include <string_view>

#include "hearth/base/result.h"

namespace hearth::auth {

enum class CallerKind : std::uint8_t {
  kAnonymous,  // no credential
  kUser,       // a user's token: acts as itself alone
  kService,    // a trusted app server: all but administration and cron; names any user or session
  kCron,       // the scheduler
  kViewer,     // reads administration and metrics
  kAdmin,      // all
  kLocal,      // any caller on loopback while no key is configured: all
};

struct Caller {
  CallerKind kind = CallerKind::kAnonymous;
  std::string user_id = {};  // a valid id, for kUser alone
};

// What a route needs.
enum class Access : std::uint8_t {
  kPublicRead,  // what anyone may read while auth.public_reads is on
  kActAsUser,   // acts as a user or session; the route also asks may_act_as() for the one it names
  kService,
  kCron,
  kMetrics,
  kAdminRead,  // a GET of administration
  kAdmin,
};

// kUnauthenticated for a caller who shows no credential where one is needed, kForbidden for one whose credential is not enough.
Result<void> check(const Caller& caller, Access needed, bool has_public_reads);

// Whether `caller` may be the one who acts as `id`, a user or session.
bool may_act_as(const Caller& caller, std::string_view id);

}  // namespace hearth::auth
