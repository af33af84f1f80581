#pragma once

// Tells those who wait for jobs that some may have come: workers of this process, and claims over HTTP.
//
// A signal counts its notices. Who waits names the count that it has seen, so that a notice between looking at the queue
// and waiting is never missed. Notices may come for nothing. Thread-safe.

#include <chrono>
#include <cstdint>
#include <memory>

#include "hearth/base/task.h"

namespace hearth::jobs {

class JobSignal {
 public:
  JobSignal();
  ~JobSignal();

  void notify();
  std::uint64_t count() const;

  // Waits until the count is above `seen`, or for `timeout`. Returns the count. For threads that may block.
  std::uint64_t wait(std::uint64_t seen, std::chrono::milliseconds timeout);
  // The same for coroutines. One that is destroyed while it waits waits no more.
  Task<std::uint64_t> wait_async(std::uint64_t seen, std::chrono::milliseconds timeout);

  // Ends every wait, now and from now on: before the io_contexts of those who wait end, because until then a notice is
  // posted to them.
  void close();
  bool is_closed() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::jobs
