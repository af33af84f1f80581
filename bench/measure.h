#pragma once

// What the benchmarks of the library share: clients that wait as requests do, times, CPU, and one line of JSON for a figure.

#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "hearth/base/json_writer.h"
#include "hearth/base/result.h"
#include "hearth/base/task.h"

namespace hearth::bench {

using Steady = std::chrono::steady_clock;

inline double seconds_since(Steady::time_point begin) {
  return std::chrono::duration<double>(Steady::now() - begin).count();
}

// How long each of many calls took, and what failed. One thread at a time.
class Tally {
 public:
  void add(Steady::duration took) { micros_.push_back(std::chrono::duration<double, std::micro>(took).count()); }
  void add_error(const Error& error) {
    if (errors_++ == 0) first_error_ = error.message;
  }
  void add(const Tally& other) {
    micros_.insert(micros_.end(), other.micros_.begin(), other.micros_.end());
    if (errors_ == 0) first_error_ = other.first_error_;
    errors_ += other.errors_;
  }

  std::size_t calls() const { return micros_.size(); }
  std::uint64_t errors() const { return errors_; }
  const std::string& first_error() const { return first_error_; }
  // 0 … 1; 0 if there was no call.
  double quantile(double share) {
    if (micros_.empty()) return 0;
    auto at = micros_.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(micros_.size() - 1));
    std::ranges::nth_element(micros_, at);
    return *at;
  }

 private:
  std::vector<double> micros_ = {};
  std::uint64_t errors_ = 0;
  std::string first_error_ = {};
};

// Coroutines, spread over an io_context a core, as requests are in the executable. Outlives the databases that they wait for.
class Clients {
 public:
  Clients() {
    for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
      loops_.push_back(std::make_unique<boost::asio::io_context>(1));
    }
  }

  // Runs `act` for each client, 0 … count - 1, and returns when all have ended, and what they spawned. What they throw ends
  // the program.
  void run(int count, const std::function<Task<void>(int client)>& act) {
    for (int client = 0; client < count; ++client) {
      auto& loop = *loops_[static_cast<std::size_t>(client) % loops_.size()];
      boost::asio::co_spawn(loop, act(client), [](std::exception_ptr thrown) {
        if (thrown) std::rethrow_exception(thrown);
      });
    }
    std::vector<std::jthread> threads;
    for (auto& loop : loops_) {
      threads.emplace_back([&loop] {
        loop->run();
        loop->restart();
      });
    }
  }

 private:
  std::vector<std::unique_ptr<boost::asio::io_context>> loops_;
};

// CPU time so far, in seconds: ours, and that of a PostgreSQL server, of its ended children too.
inline double own_cpu() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

inline double ticks_of(pid_t process, bool with_ended_children) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string line{std::istreambuf_iterator<char>(file), {}};
  auto after_name = line.rfind(')');
  if (after_name == std::string::npos) return 0;  // it has ended
  std::vector<std::string> fields;
  for (std::size_t at = after_name + 2; at < line.size();) {
    auto end = std::min(line.find(' ', at), line.size());
    fields.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  double ticks = 0;
  for (std::size_t field = 11; field < (with_ended_children ? 15 : 13); ++field) ticks += std::stod(fields.at(field));
  return ticks;
}

inline double server_cpu(pid_t postmaster) {
  if (postmaster == 0) return 0;
  auto pid = std::to_string(postmaster);
  std::ifstream file("/proc/" + pid + "/task/" + pid + "/children");
  double ticks = ticks_of(postmaster, true);
  for (pid_t child : std::vector<pid_t>{std::istream_iterator<pid_t>(file), {}}) ticks += ticks_of(child, false);
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

inline double resident_mib() {
  std::ifstream file("/proc/self/statm");
  double pages = 0;
  file >> pages >> pages;
  return pages * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
}

// From its making to report().
class Measurement {
 public:
  // `postmaster`: whose CPU counts too; 0: none.
  explicit Measurement(pid_t postmaster) : postmaster_(postmaster), own_cpu_(own_cpu()), server_cpu_(server_cpu(postmaster)) {}

  // Prints a line of JSON. `tally` may have fewer calls than there were operations: a call may do many.
  void report(std::string_view figure, std::size_t operations, Tally& tally) const {
    double took = seconds_since(begin_);
    double each = 1e6 / static_cast<double>(std::max<std::size_t>(1, operations));
    std::string line;
    JsonWriter json(line);
    json.begin_object().field("figure", figure).field("operations", operations).field("errors", tally.errors());
    if (tally.errors() > 0) json.field("error", tally.first_error());
    auto number = [&json](std::string_view name, double value) { json.key(name).raw(std::to_string(value)); };
    number("seconds", took);
    number("per_second", static_cast<double>(operations) / took);
    number("p50_us", tally.quantile(0.5));
    number("p99_us", tally.quantile(0.99));
    number("max_us", tally.quantile(1));
    number("cpu_us", (own_cpu() - own_cpu_) * each);
    number("server_cpu_us", (server_cpu(postmaster_) - server_cpu_) * each);
    number("memory_mib", resident_mib());
    json.end_object();
    std::printf("RESULT %s\n", line.c_str());
    std::fflush(stdout);
  }

 private:
  pid_t postmaster_;
  Steady::time_point begin_ = Steady::now();
  double own_cpu_;
  double server_cpu_;
};

}  // namespace hearth::bench
