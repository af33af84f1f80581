#pragma once

// Runs a coroutine from a thread that may block: commands, and tests.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <optional>
#include <utility>

#include "hearth/base/task.h"

namespace hearth {

// Runs `task` on an io_context of its own and returns what it returns, or throws what it throws.
template <typename T>
T run_to_end(Task<T> task) {
  boost::asio::io_context context(1);
  std::optional<T> result;
  std::exception_ptr failure;
  boost::asio::co_spawn(context, std::move(task), [&](std::exception_ptr thrown, T value) {
    failure = thrown;
    result = std::move(value);
  });
  context.run();
  if (failure) std::rethrow_exception(failure);
  return *std::move(result);
}

}  // namespace hearth
