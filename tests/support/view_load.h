#pragma once

// Viewers of a few stories, who try until they are answered, whatever is killed meanwhile. Trying again is safe, so in the end
// a story was viewed by exactly those who were sent to it.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace hearth::tests {

class ViewLoad {
 public:
  struct Options {
    std::vector<std::string> stories;
    std::size_t nodes = 1;
    std::size_t threads = 8;
    std::uint64_t seed = 1;
  };
  explicit ViewLoad(Options options);
  ~ViewLoad();

  // Where a node serves now; 0: nowhere.
  void serve_from(std::size_t node, std::uint16_t port) { ports_[node] = port; }
  void start();
  // Returns when all viewers have been answered. The nodes must serve by then.
  void stop();

  // Blocks until so many more were answered, or sent. Throws if that does not come.
  void wait_for_answers(std::uint64_t count) const { wait_for(answers_, count); }
  void wait_for_tries(std::uint64_t count) const { wait_for(tries_, count); }

  std::uint64_t answers() const { return answers_; }
  std::uint64_t degraded() const { return degraded_; }
  // How many viewed each story. REQUIRES: stopped.
  std::map<std::string, std::uint64_t> viewers() const;
  // Answers that should not have come.
  std::vector<std::string> failures() const;

 private:
  struct Viewer;

  static void wait_for(const std::atomic<std::uint64_t>& counter, std::uint64_t count);
  void run(std::size_t thread);
  void view(Viewer& viewer, const std::string& story, const std::string& user);
  bool try_once(Viewer& viewer, const std::string& story, const std::string& body);
  void fail(const std::string& what);

  const Options options_;
  std::vector<std::atomic<std::uint16_t>> ports_;
  std::vector<std::thread> threads_;
  std::atomic<bool> is_stopping_{false};
  std::atomic<std::uint64_t> answers_{0};
  std::atomic<std::uint64_t> tries_{0};
  std::atomic<std::uint64_t> degraded_{0};
  mutable std::mutex mutex_;
  std::map<std::string, std::set<std::string>> viewers_;
  std::vector<std::string> failures_;
};

}  // namespace hearth::tests
