#include "tests/support/steady_load.h"

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <chrono>

#include "tests/support/child_process.h"

namespace hearth::tests {
namespace {

namespace json = boost::json;

constexpr std::size_t kBatchMax = 8;
constexpr std::size_t kFailuresMax = 20;
constexpr std::chrono::milliseconds kPace{5};  // between two tries while no node serves

LikeState state_from(bool is_liked) {
  return is_liked ? LikeState::kLiked : LikeState::kNotLiked;
}

bool is_true(const json::object& object, const char* name) {
  const auto* value = object.if_contains(name);
  return value != nullptr && value->as_bool();
}

}  // namespace

SteadyLoad::SteadyLoad(SteadyLoadOptions options) : options_(std::move(options)), ports_(options_.nodes) {
  for (std::size_t i = 0; i < options_.clients; ++i) {
    Client client{.number = i,
                  .node = i % options_.nodes,
                  .random = std::mt19937_64(options_.seed + i),
                  .sessions = {},
                  .pairs = std::vector<Pair>(options_.posts.size() * options_.sessions_per_client)};
    for (std::size_t j = 0; j < options_.sessions_per_client; ++j) {
      client.sessions.push_back(options_.name + "-" + std::to_string(i) + "-session-" + std::to_string(j));
    }
    clients_.push_back(std::move(client));
  }
}

SteadyLoad::~SteadyLoad() {
  stop();
}

void SteadyLoad::start() {
  is_stopping_ = false;
  for (auto& client : clients_) threads_.emplace_back([this, &client] { run(client); });
  threads_.emplace_back([this] { run_reader(); });
}

void SteadyLoad::stop() {
  is_stopping_ = true;
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

void SteadyLoad::wait_for(const std::uint64_t& counter, std::uint64_t more) {
  std::unique_lock lock(mutex_);
  auto wanted = counter + more;
  bool came = changed_.wait_for(lock, kPatience, [&] { return counter >= wanted || !failures_.empty(); });
  if (!came) failures_.emplace_back("nothing is answered any more");
}

void SteadyLoad::wait_for_tries(std::uint64_t count) {
  wait_for(tries_, count);
}

void SteadyLoad::wait_for_answers(std::uint64_t count) {
  wait_for(counts_.answers, count);
}

void SteadyLoad::count(std::uint64_t Counts::* which) {
  std::lock_guard lock(mutex_);
  ++(counts_.*which);
  changed_.notify_all();
}

void SteadyLoad::fail(const std::string& what) {
  std::lock_guard lock(mutex_);
  if (failures_.size() < kFailuresMax) failures_.push_back(what);
  changed_.notify_all();
}

SteadyLoad::Counts SteadyLoad::counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

std::vector<std::string> SteadyLoad::failures() const {
  std::lock_guard lock(mutex_);
  return failures_;
}

std::vector<std::string> SteadyLoad::sessions() const {
  std::vector<std::string> all;
  for (const auto& client : clients_) all.insert(all.end(), client.sessions.begin(), client.sessions.end());
  return all;
}

// --- a client ---

void SteadyLoad::run(Client& client) {
  try {
    while (!is_stopping_) {
      if (!connect(client)) {
        std::this_thread::sleep_for(kPace);
        continue;
      }
      auto request = make_request(client);
      if (request.operations.empty()) return fail("a client has no pairs left that it may use");
      if (!perform(client, request)) give_up(client, request);
    }
  } catch (const std::exception& error) {
    fail(error.what());
  }
}

// Sends it, and again if that is safe. False: it is not known whether it has taken effect.
bool SteadyLoad::perform(Client& client, Request& request) {
  request.losses = losses_;
  bool is_safe = request.key || (!request.is_batch && request.operations.front().op != "toggle");
  while (true) {
    if (auto answer = send(client, request)) {
      if (take(client, request, *answer)) {
        if (request.is_repeated) count(&Counts::retried);
        return true;
      }
    }
    client.http.reset();
    if (!request.is_repeated) count(&Counts::unanswered);
    if (!is_safe) return false;
    request.is_repeated = true;
    while (!connect(client)) {
      if (is_stopping_) return false;
      std::this_thread::sleep_for(kPace);
    }
  }
}

void SteadyLoad::give_up(Client& client, const Request& request) {
  for (const auto& operation : request.operations) {
    auto& pair = pair_of(client, operation);
    pair.state = LikeState::kUnknown;
    pair.is_retired = true;
  }
}

// Finds a node that says it is ready. Its own first, so that both have clients.
bool SteadyLoad::connect(Client& client) {
  if (client.http && client.port == ports_[client.node] && client.http->is_connected()) return true;
  for (std::size_t i = 0; i < options_.nodes; ++i) {
    auto node = (client.number + i) % options_.nodes;
    std::uint16_t port = ports_[node];
    if (port == 0) continue;
    try {
      HttpClient http(port);
      if (http.get("/readyz").status != 200) continue;
      client.node = node;
      client.port = port;
      client.http.emplace(std::move(http));
      return true;
    } catch (const ConnectionLost&) {
      continue;
    }
  }
  std::lock_guard lock(mutex_);
  ++tries_;
  changed_.notify_all();
  return false;
}

SteadyLoad::Request SteadyLoad::make_request(Client& client) {
  static const std::string kOps[] = {"toggle", "toggle", "like", "unlike"};
  Request request{.operations = {}};
  auto& random = client.random;
  request.is_batch = random() % 6 == 0;
  std::size_t wanted = request.is_batch ? 1 + random() % kBatchMax : 1;
  for (std::size_t tries = 0; tries < 1'000 && request.operations.size() < wanted; ++tries) {
    // Half of all requests go to a few posts, as in life.
    auto post = random() % (random() % 2 == 0 ? std::min<std::size_t>(4, options_.posts.size()) : options_.posts.size());
    LikeOperation operation{.post = post, .session = random() % client.sessions.size(), .op = kOps[random() % 4]};
    if (!pair_of(client, operation).is_retired) request.operations.push_back(std::move(operation));
  }
  bool is_toggle = request.is_batch || (!request.operations.empty() && request.operations.front().op == "toggle");
  if (is_toggle && random() % 2 == 0)
    request.key = options_.name + "-" + std::to_string(client.number) + "-key-" + std::to_string(++client.keys);
  return request;
}

SteadyLoad::Pair& SteadyLoad::pair_of(Client& client, const LikeOperation& operation) {
  return client.pairs[operation.post * client.sessions.size() + operation.session];
}

std::optional<Answer> SteadyLoad::send(Client& client, const Request& request) {
  {
    std::lock_guard lock(mutex_);
    ++tries_;
    changed_.notify_all();
  }
  Headers headers;
  if (request.key) headers.emplace_back("Idempotency-Key", *request.key);
  try {
    if (request.is_batch) {
      json::array items;
      for (const auto& operation : request.operations) {
        items.push_back(json::object{
            {"postId", options_.posts[operation.post]}, {"sessionId", client.sessions[operation.session]}, {"op", operation.op}});
      }
      return client.http->post("/api/likes/batch", serialize(json::object{{"operations", std::move(items)}}), headers);
    }
    const auto& operation = request.operations.front();
    return client.http->call(operation.op == "toggle" ? "POST"
                             : operation.op == "like" ? "PUT"
                                                      : "DELETE",
                             "/api/posts/" + options_.posts[operation.post] + "/like",
                             R"({"sessionId":")" + client.sessions[operation.session] + "\"}", headers);
  } catch (const ConnectionLost&) {
    return std::nullopt;
  }
}

// False: not all of it was done.
bool SteadyLoad::take(Client& client, const Request& request, const Answer& answer) {
  if (answer.status == 503) {
    if (!answer.header("retry-after")) fail("a 503 without Retry-After: " + answer.body);
    return false;
  }
  if (answer.status != 200) {
    fail("answered " + std::to_string(answer.status) + ": " + answer.body);
    return false;
  }
  auto body = answer.json();
  bool is_degraded = is_true(body.as_object(), "degraded");
  if (is_degraded) count(&Counts::degraded);
  bool is_whole = true;
  if (!request.is_batch) {
    is_whole = take_outcome(client, request, request.operations.front(), body.as_object(), is_degraded);
  } else {
    const auto& results = body.at("results").as_array();
    for (std::size_t i = 0; i < results.size(); ++i) {
      is_whole = take_outcome(client, request, request.operations[i], results[i].as_object(), is_degraded) && is_whole;
    }
  }
  if (is_whole) count(&Counts::answers);
  return is_whole;
}

bool SteadyLoad::take_outcome(Client& client, const Request& request, const LikeOperation& operation, const json::object& outcome,
                              bool is_degraded) {
  auto& pair = pair_of(client, operation);
  if (request.is_repeated) pair.is_retired = true;
  auto text =
      operation.op + " of " + options_.posts[operation.post] + " by " + client.sessions[operation.session] + ": " + serialize(outcome);
  if (!outcome.contains("isLiked")) {
    if (!serialize(outcome).contains("unavailable")) fail(text);
    return false;
  }
  auto found = state_from(outcome.at("isLiked").as_bool());
  if (found == LikeState::kLiked && outcome.at("newCount").as_int64() < 1) fail(text + ", but who likes is counted");
  if (operation.op == "like" && found != LikeState::kLiked) fail(text);
  if (operation.op == "unlike" && found != LikeState::kNotLiked) fail(text);
  // Of a batch that was sent again the pairs' states are those of the answers in between.
  bool is_certain =
      !is_degraded && pair.losses == losses_ && pair.state != LikeState::kUnknown && !(request.is_batch && request.is_repeated);
  if (operation.op == "toggle" && is_certain && found == pair.state) fail(text + ", but it was so before");
  pair.state = found;
  pair.losses = request.losses;
  return true;
}

// Sees changes of others. Versions do not go back, whichever node is asked.
void SteadyLoad::run_reader() {
  struct Seen {
    std::int64_t version = 0;
    std::uint64_t losses = 0;
  };
  std::vector<Seen> seen(options_.posts.size());
  Client reader{.number = 0, .node = 0, .random = std::mt19937_64(options_.seed), .sessions = {}, .pairs = {}};
  try {
    for (std::size_t i = 0; !is_stopping_; ++i) {
      reader.number = i / options_.posts.size();  // so that it asks each node in turn
      if (i % options_.posts.size() == 0) reader.http.reset();
      if (!connect(reader)) {
        std::this_thread::sleep_for(kPace);
        continue;
      }
      auto& before = seen[i % options_.posts.size()];
      std::uint64_t losses = losses_;
      try {
        auto answer = reader.http->get("/api/posts/" + options_.posts[i % options_.posts.size()] + "/likes");
        if (answer.status == 503) {
          reader.http.reset();
          continue;
        }
        auto body = answer.json();
        auto version = body.at("version").as_int64();
        bool is_degraded = is_true(body.as_object(), "degraded");
        if (!is_degraded && before.losses == losses_ && version < before.version) {
          fail("a post went back from version " + std::to_string(before.version) + " to " + serialize(body));
        }
        if (!is_degraded) before = {version, losses};
      } catch (const ConnectionLost&) {
        reader.http.reset();
      }
    }
  } catch (const std::exception& error) {
    fail(error.what());
  }
}

// --- afterwards ---

std::vector<std::string> SteadyLoad::missing_from(const Members& members) const {
  std::vector<std::string> missing;
  for (const auto& client : clients_) {
    for (std::size_t post = 0; post < options_.posts.size(); ++post) {
      auto found = members.find(options_.posts[post]);
      for (std::size_t session = 0; session < client.sessions.size(); ++session) {
        const auto& pair = client.pairs[post * client.sessions.size() + session];
        bool is_liked = found != members.end() && found->second.contains(client.sessions[session]);
        if (pair.state == LikeState::kUnknown || state_from(is_liked) == pair.state) continue;
        missing.push_back(client.sessions[session] + (is_liked ? " likes " : " does not like ") + options_.posts[post] +
                          ", but was answered otherwise");
      }
    }
  }
  return missing;
}

}  // namespace hearth::tests
