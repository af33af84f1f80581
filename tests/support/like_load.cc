#include "tests/support/like_load.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "tests/support/sql_state.h"

namespace hearth::tests {
namespace {

namespace json = boost::json;

constexpr std::size_t kSessionsPerClient = 8;

}  // namespace

LikeLoad::LikeLoad(std::vector<std::string> posts, std::size_t clients, std::uint64_t seed, bool expects_faults)
    : posts_(std::move(posts)), expects_faults_(expects_faults), seen_versions_(posts_.size(), 0) {
  for (std::size_t i = 0; i < clients; ++i)
    clients_.emplace_back("client-" + std::to_string(i), posts_, kSessionsPerClient, seed + i, expects_faults);
}

LikeLoad::~LikeLoad() {
  join();
}

void LikeLoad::start(std::uint16_t port) {
  answers_ = 0;
  has_lost_server_ = false;
  for (auto& client : clients_) threads_.emplace_back([this, &client, port] { run_client(client, port); });
  threads_.emplace_back([this, port] { run_reader(port); });
}

void LikeLoad::run_client(LikeClient& client, std::uint16_t port) {
  HttpClient http(port);
  try {
    while (client.step(http)) {
      std::lock_guard lock(mutex_);
      ++answers_;
      changed_.notify_one();
    }
    std::lock_guard lock(mutex_);
    has_lost_server_ = true;
    changed_.notify_one();
  } catch (const std::exception& error) {
    fail(error.what());
  }
}

// Sees changes of others, whose answers may still be under way: none of them may be taken back.
void LikeLoad::run_reader(std::uint16_t port) {
  HttpClient http(port);
  try {
    for (std::size_t i = 0;; i = (i + 1) % posts_.size()) {
      auto answer = http.get("/api/posts/" + posts_[i] + "/likes");
      if (expects_faults_ && answer.status == 503) continue;
      auto body = answer.json();
      auto version = static_cast<std::uint64_t>(body.at("version").as_int64());
      if (version < seen_versions_[i]) fail(posts_[i] + " went back to an older version: " + serialize(body));
      seen_versions_[i] = std::max(seen_versions_[i], version);
    }
  } catch (const ConnectionLost&) {
    return;  // as is meant
  } catch (const std::exception& error) {
    fail(error.what());
  }
}

void LikeLoad::wait_for_answers(std::uint64_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return answers_ >= count || has_lost_server_ || !failures_.empty(); });
}

void LikeLoad::join() {
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

void LikeLoad::fail(const std::string& what) {
  std::lock_guard lock(mutex_);
  failures_.push_back(what);
  changed_.notify_one();
}

void LikeLoad::forget_unanswered() {
  for (auto& client : clients_) client.forget_unanswered();
}

void LikeLoad::settle_and_compare(std::uint16_t port) {
  HttpClient http(port);
  try {
    for (auto& client : clients_) client.settle(http);
    for (auto& client : clients_) client.compare(http);
    auto counts = http.post("/api/likes/counts", serialize(json::object{{"postIds", json::array(posts_.begin(), posts_.end())}})).json();
    auto members = this->members();
    for (std::size_t i = 0; i < posts_.size(); ++i) {
      auto count = counts.at("counts").at(posts_[i]).as_int64();
      if (count != members[posts_[i]]) {
        fail(posts_[i] + " counts " + std::to_string(count) + ", and " + std::to_string(members[posts_[i]]) + " sessions like it");
      }
      auto version = static_cast<std::uint64_t>(http.get("/api/posts/" + posts_[i] + "/likes").json().at("version").as_int64());
      bool is_old = version < seen_versions_[i];
      for (const auto& client : clients_) is_old = is_old || version < client.newest_version(i);
      if (is_old) fail(posts_[i] + " is at version " + std::to_string(version) + ", older than one that was answered");
    }
  } catch (const std::exception& error) {
    fail(error.what());
  }
}

std::map<std::string, std::int64_t> LikeLoad::members() const {
  std::map<std::string, std::int64_t> members;
  for (const auto& client : clients_) {
    for (std::size_t post = 0; post < posts_.size(); ++post) {
      for (std::size_t session = 0; session < client.sessions().size(); ++session) {
        if (client.state(post, session) == LikeState::kLiked) ++members[posts_[post]];
      }
    }
  }
  return members;
}

void LikeLoad::compare_with_sql(std::uint16_t port, const std::filesystem::path& data) {
  HttpClient http(port);
  try {
    if (auto flushed = http.post("/api/admin/flush", ""); flushed.status != 200) return fail("the flush answered " + flushed.body);
    auto ledger = read_ledger(data);
    for (const auto& post : posts_) {
      auto live = http.get("/api/posts/" + post + "/likes").json();
      if (ledger[post].version != live.at("version").as_int64() || ledger[post].likes != live.at("likes").as_int64()) {
        fail(post + ": the ledger has " + std::to_string(ledger[post].likes) + " at version " + std::to_string(ledger[post].version) +
             ", live is " + serialize(live));
      }
    }
    auto members = this->members();
    for (const auto& [post, likes] : read_projection(data)) {
      if (likes != members[post]) fail(post + ": posts.likes is " + std::to_string(likes) + " instead of " + std::to_string(members[post]));
    }
  } catch (const std::exception& error) {
    fail(error.what());
  }
  compare_stopped_sql(data);
}

void LikeLoad::compare_stopped_sql(const std::filesystem::path& data) {
  auto ledger = read_ledger(data);
  for (std::size_t post = 0; post < posts_.size(); ++post) {
    std::set<std::string> sessions;
    for (const auto& client : clients_) {
      for (std::size_t i = 0; i < client.sessions().size(); ++i) {
        if (client.state(post, i) == LikeState::kLiked) sessions.insert(client.sessions()[i]);
      }
    }
    const auto& row = ledger[posts_[post]];
    if (row.sessions != sessions) fail(posts_[post] + ": post_ratings does not hold the sessions that like it");
    if (row.likes != static_cast<std::int64_t>(sessions.size())) {
      fail(posts_[post] + ": post_counts has " + std::to_string(row.likes) + " instead of " + std::to_string(sessions.size()));
    }
  }
}

}  // namespace hearth::tests
