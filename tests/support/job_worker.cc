#include "tests/support/job_worker.h"

#include <signal.h>

#include <fstream>
#include <sstream>
#include <utility>

namespace hearth::tests {

WorkerProcess::WorkerProcess(WorkerOptions options) : options_(std::move(options)) {
  process_.emplace(std::vector<std::string>{HEARTH_JOB_WORKER, options_.name, options_.type, std::to_string(options_.lease.count()),
                                            std::to_string(options_.limit), options_.holds ? "hold" : "end", options_.ports.string(),
                                            options_.account.string()});
}

void WorkerProcess::kill() {
  process_->signal(SIGKILL);
  process_->wait();
}

std::vector<WorkerEvent> WorkerProcess::events() const {
  std::vector<WorkerEvent> events;
  std::ifstream file(options_.account);
  for (std::string line; std::getline(file, line) && !file.eof();) {  // a line without its end is being written
    std::istringstream words(line);
    WorkerEvent event;
    words >> event.what >> event.job >> event.lease_token;
    std::getline(words, event.rest);
    events.push_back(std::move(event));
  }
  return events;
}

}  // namespace hearth::tests
