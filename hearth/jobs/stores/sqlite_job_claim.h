#pragma once

// Claiming jobs in content.db.

#include "hearth/drivers/sqlite/connection.h"
#include "hearth/jobs/job_queue.h"

namespace hearth::jobs {

Claim claim(sqlite::Connection& connection, const ClaimRequest& request, UtcMicros now);

}  // namespace hearth::jobs
