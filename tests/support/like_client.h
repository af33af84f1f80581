#pragma once

// One client of a load test: likes and unlikes posts as sessions of its own, in every way the API has, and remembers what
// was answered. Posts are shared with other clients; sessions are not, so each answer can be checked.
//
// A request whose answer never came leaves the states it asked for open. If it carried an Idempotency-Key, asking again
// must settle them; otherwise looking does.

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/support/http_client.h"

namespace hearth::tests {

enum class LikeState : std::uint8_t { kNotLiked, kLiked, kUnknown };

struct LikeOperation {
  std::size_t post;
  std::size_t session;
  std::string op;  // toggle, like, unlike
};

class LikeClient {
 public:
  // `name` begins the ids of its sessions, half of which are UUIDs. `expects_faults`: a 503 is no wrong answer, but as good
  // as none.
  LikeClient(std::string name, std::vector<std::string> posts, std::size_t sessions, std::uint64_t seed, bool expects_faults = false);

  // Sends one request and checks its answer. False: none came. Throws when an answer is wrong.
  bool step(HttpClient& http);
  // After a loss: sends the keyed request again whose answer did not come, if there is one, twice, and checks that it has
  // taken effect once.
  void settle(HttpClient& http);
  // Reads what is liked, learns what was open, and throws where it is not what was answered.
  void compare(HttpClient& http);
  // Without asking: a request whose answer did not come was not accepted, so it has changed nothing.
  void forget_unanswered();

  const std::vector<std::string>& sessions() const { return sessions_; }
  LikeState state(std::size_t post, std::size_t session) const { return states_[post * sessions_.size() + session]; }
  std::uint64_t newest_version(std::size_t post) const { return versions_[post]; }
  std::uint64_t answers() const { return answers_; }

 private:
  struct Request {
    std::string method;
    std::string target;
    std::string body;
    std::optional<std::string> key;
    std::vector<LikeOperation> operations;  // what it asks for, in order
    bool is_batch = false;
  };
  struct Change {
    std::size_t place;
    LikeState before;
  };

  Request make_request();
  Request make_single(LikeOperation operation);
  Request make_batch();
  LikeOperation random_operation();
  void begin(const Request& request);
  void take(const Request& request, const Answer& answer);
  void take_outcome(const LikeOperation& operation, const boost::json::object& outcome);
  Answer send(HttpClient& http, const Request& request);
  bool draw(unsigned one_in) { return random_() % one_in == 0; }
  LikeState& state_of(const LikeOperation& operation) { return states_[operation.post * sessions_.size() + operation.session]; }

  const std::string name_;
  const std::vector<std::string> posts_;
  const bool expects_faults_;
  std::vector<std::string> sessions_;
  std::vector<LikeState> states_;
  std::vector<std::uint64_t> versions_;
  std::mt19937_64 random_;
  std::uint64_t keys_ = 0;
  std::uint64_t answers_ = 0;
  std::optional<Request> unanswered_;
  std::vector<Change> unanswered_changes_;  // states as they were before the unanswered request
};

}  // namespace hearth::tests
