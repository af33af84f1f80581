#pragma once

// Posts a job to an HTTP endpoint, as a handler.
//
// The body is {"id", "jobType", "attempt", "payload"}. With a secret it is signed: X-Hearth-Signature: sha256=HEX, the
// HMAC-SHA256 of "TIMESTAMP.BODY", TIMESTAMP being the Unix seconds of X-Hearth-Timestamp. 2xx completes the job; 429 and 503 say
// by Retry-After when to try again; anything else fails the attempt. An endpoint may get a job more than once: X-Hearth-Job is its id.

#include <optional>
#include <string>

#include "hearth/base/clock.h"
#include "hearth/drivers/web/web_client.h"
#include "hearth/jobs/job_handlers.h"

namespace hearth::app {

struct WebhookOptions {
  std::optional<std::string> secret = {};
  bool allows_private = false;
};

jobs::Outcome post_webhook(web::WebClient& web, const WebhookOptions& options, const Clock& clock, const jobs::JobRun& run);

// "sha256=HEX": what the header holds.
std::string webhook_signature(std::string_view secret, std::string_view timestamp, std::string_view body);

}  // namespace hearth::app
