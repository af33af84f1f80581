#pragma once

// Enqueueing jobs in content.db.

#include <span>
#include <vector>

#include "hearth/drivers/sqlite/connection.h"
#include "hearth/jobs/job_queue.h"

namespace hearth::jobs {

// In their order, each as if those before it had been there already.
std::vector<EnqueuedJob> insert_jobs(sqlite::Connection& connection, std::span<const JobDraft* const> drafts, UtcMicros now);

}  // namespace hearth::jobs
