#include "hearth/jobs/job_handlers.h"

namespace hearth::jobs {

const JobHandlers::Entry* JobHandlers::find(std::string_view type) const {
  auto found = entries_.find(type);
  return found == entries_.end() ? nullptr : &found->second;
}

Result<void> JobHandlers::check(std::string_view type, std::string_view payload) const {
  const Entry* entry = find(type);
  return entry == nullptr ? Result<void>() : entry->check(payload);
}

}  // namespace hearth::jobs
