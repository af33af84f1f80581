#pragma once

// Clients that go on liking whatever happens to the servers, and know what they were promised.
//
// Several nodes serve the same likes. A client goes to another node when its own does not answer. Each (post, session) is
// used by one client only, one request at a time, so every answer can be checked and the last one says what must be found
// in the end. A request without an answer, or with 503, may have taken effect, even later: its pairs are not used again. If
// it carried an Idempotency-Key or asked for a state, it is sent again until it is answered, which is what must hold.
//
// Safe to call from the test's thread while the clients run.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/http_client.h"
#include "tests/support/like_client.h"

namespace hearth::tests {

struct SteadyLoadOptions {
  std::string name = "client";  // begins the ids of its sessions
  std::vector<std::string> posts;
  std::size_t nodes = 1;
  std::size_t clients = 8;
  std::size_t sessions_per_client = 64;
  std::uint64_t seed = 0;
};

class SteadyLoad {
 public:
  struct Counts {
    std::uint64_t answers = 0;
    std::uint64_t unanswered = 0;  // requests without an answer at first
    std::uint64_t retried = 0;     // of them, those that were answered later
    std::uint64_t degraded = 0;    // answers that came from SQL
  };
  using Members = std::map<std::string, std::set<std::string>>;  // sessions by post

  explicit SteadyLoad(SteadyLoadOptions options);
  ~SteadyLoad();

  // Where a node serves; 0 while it does not.
  void serve_from(std::size_t node, std::uint16_t port) { ports_[node] = port; }
  // Live likes are lost, or may be for a while: what an answer says need not follow from the answers before. To be called
  // before it happens, and after.
  void expect_loss() { ++losses_; }

  void start();
  // Returns once so many more requests were tried, answered or not, or something has failed.
  void wait_for_tries(std::uint64_t count);
  // The same for answers.
  void wait_for_answers(std::uint64_t count);
  // Lets each client finish its request and joins.
  void stop();

  // What was answered and is not among these. REQUIRES: stop().
  std::vector<std::string> missing_from(const Members& members) const;
  const std::vector<std::string>& posts() const { return options_.posts; }
  std::vector<std::string> sessions() const;
  Counts counts() const;
  std::vector<std::string> failures() const;

 private:
  struct Pair {
    LikeState state = LikeState::kNotLiked;
    std::uint64_t losses = 0;  // before its last request
    bool is_retired = false;
  };
  struct Request {
    std::vector<LikeOperation> operations;
    std::optional<std::string> key = {};
    bool is_batch = false;
    std::uint64_t losses = 0;
    bool is_repeated = false;
  };
  struct Client {
    std::size_t number;
    std::size_t node;
    std::mt19937_64 random;
    std::vector<std::string> sessions;
    std::vector<Pair> pairs;  // by post and session
    std::uint64_t keys = 0;
    std::optional<HttpClient> http = {};
    std::uint16_t port = 0;  // of http
  };

  void run(Client& client);
  void run_reader();
  bool connect(Client& client);
  Request make_request(Client& client);
  // False: there was no answer, or 503.
  bool perform(Client& client, Request& request);
  std::optional<Answer> send(Client& client, const Request& request);
  bool take(Client& client, const Request& request, const Answer& answer);
  bool take_outcome(Client& client, const Request& request, const LikeOperation& operation, const boost::json::object& outcome,
                    bool is_degraded);
  void give_up(Client& client, const Request& request);
  Pair& pair_of(Client& client, const LikeOperation& operation);
  void wait_for(const std::uint64_t& counter, std::uint64_t more);
  void count(std::uint64_t Counts::* which);
  void fail(const std::string& what);

  const SteadyLoadOptions options_;
  std::vector<std::atomic<std::uint16_t>> ports_;
  std::atomic<std::uint64_t> losses_{0};
  std::atomic<bool> is_stopping_{false};
  std::vector<Client> clients_;
  std::vector<std::thread> threads_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t tries_ = 0;
  Counts counts_;
  std::vector<std::string> failures_;
};

}  // namespace hearth::tests
