#pragma once

// Several LikeClients at once against one server, and what must hold whenever it has been started again.

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/like_client.h"

namespace hearth::tests {

class LikeLoad {
 public:
  // `expects_faults`: a client stops at its first 503, as if it had lost the server.
  LikeLoad(std::vector<std::string> posts, std::size_t clients, std::uint64_t seed, bool expects_faults = false);
  ~LikeLoad();

  // Starts a thread a client, and one that reads counts; they go on until they lose the server.
  void start(std::uint16_t port);
  // Returns once so many requests were answered since start(), or something has failed.
  void wait_for_answers(std::uint64_t count);
  // Joins the threads; what they found wrong is in failures().
  void join();

  // For a server that was started again. Every answered change is there, keyed requests take effect once, the count of a
  // post is the number of its sessions, and no version is older than one that was seen.
  void settle_and_compare(std::uint16_t port);
  // SQL is what the server shows. REQUIRES: settle_and_compare(), and no change since.
  void compare_with_sql(std::uint16_t port, const std::filesystem::path& data);
  // What lost its answer was never accepted: for a server that was asked to stop.
  void forget_unanswered();

  // SQL of a server that has stopped, without its help.
  void compare_stopped_sql(const std::filesystem::path& data);

  const std::vector<std::string>& failures() const { return failures_; }

 private:
  void run_client(LikeClient& client, std::uint16_t port);
  void run_reader(std::uint16_t port);
  void fail(const std::string& what);
  std::map<std::string, std::int64_t> members() const;

  const std::vector<std::string> posts_;
  const bool expects_faults_;
  std::vector<LikeClient> clients_;
  std::vector<std::uint64_t> seen_versions_;  // by the reader

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t answers_ = 0;
  bool has_lost_server_ = false;
  std::vector<std::string> failures_;
};

}  // namespace hearth::tests
