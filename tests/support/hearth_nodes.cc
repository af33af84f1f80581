#include "tests/support/hearth_nodes.h"

#include <boost/json/value.hpp>
#include <map>
#include <set>
#include <stdexcept>

namespace hearth::tests {
namespace {

bool is_settled(HttpClient http) {
  try {
    auto ready = http.get("/readyz");
    if (ready.status != 200) return false;
    auto flushed = http.post("/api/admin/flush", "");
    if (flushed.status != 200) return false;
    return !http.get("/api/posts/none/likes").body.contains("degraded");
  } catch (const ConnectionLost&) {
    return false;
  }
}

std::string text(const RedisPost& post) {
  return std::to_string(post.likes) + " likes of " + std::to_string(post.sessions.size()) + " sessions at " + std::to_string(post.version);
}

std::string text(const SqlPost& post) {
  return text(RedisPost{.likes = post.likes, .version = post.version, .sessions = post.sessions});
}

}  // namespace

ServerProcess& HearthNodes::add(const std::string& redis_url, std::vector<std::string> flags) {
  flags.push_back("--redis-url=" + redis_url);
  flags.push_back("--database-url=" + database_url_);
  auto data = folder_.path() / ("node-" + std::to_string(nodes_.size()));
  return nodes_.emplace_back(ServerOptions{.data = std::move(data), .flags = std::move(flags)});
}

void HearthNodes::add_content(const std::vector<std::string>& posts) const {
  auto http = client(0);
  if (auto user = http.call("PUT", "/api/users/ada", R"({"username":"ada"})"); user.status != 200) throw std::runtime_error(user.body);
  for (const auto& post : posts) {
    auto created = http.post("/api/posts", R"({"id":")" + post + R"(","authorId":"ada"})");
    if (created.status != 201) throw std::runtime_error(created.body);
  }
}

void HearthNodes::settle() const {
  for (std::size_t node = 0; node < size(); ++node) {
    if (redis::eventually([&] { return is_settled(client(node)); })) continue;
    throw std::runtime_error("node " + std::to_string(node) + " does not come to rest: " + client(node).get("/readyz").body +
                             client(node).post("/api/admin/flush", "").body + nodes_[node].errors());
  }
}

SteadyLoad::Members HearthNodes::members() const {
  SteadyLoad::Members members;
  for (auto& [post, state] : read_postgres_ledger(database_url_)) members[post] = std::move(state.sessions);
  return members;
}

std::vector<std::string> HearthNodes::differences(const RedisReader& redis, const std::vector<std::string>& posts) const {
  std::vector<std::string> found;
  auto ledger = read_postgres_ledger(database_url_);
  auto projection = read_postgres_projection(database_url_);
  std::map<std::string, std::set<std::string>> posts_by_session;
  for (const auto& post : posts) {
    for (std::size_t node = 0; node < size(); ++node) {
      auto likes = client(node).get("/api/posts/" + post + "/likes").json().at("likes").as_int64();
      if (likes != ledger[post].likes) {
        found.push_back(post + ": node " + std::to_string(node) + " shows " + std::to_string(likes) + ", SQL has " + text(ledger[post]));
      }
    }
    auto live = redis.post(post).value_or(RedisPost{});
    const auto& row = ledger[post];
    if (live != RedisPost{.likes = row.likes, .version = row.version, .sessions = row.sessions}) {
      found.push_back(post + ": Redis has " + text(live) + ", SQL " + text(row));
    }
    if (live.likes != static_cast<std::int64_t>(live.sessions.size())) found.push_back(post + ": Redis has " + text(live));
    if (projection.contains(post) && projection[post] != live.likes) {
      found.push_back(post + ": posts.likes is " + std::to_string(projection[post]) + ", Redis has " + text(live));
    }
    for (const auto& session : live.sessions) posts_by_session[session].insert(post);
  }
  for (const auto& [session, liked] : posts_by_session) {
    if (redis.posts_of(session) != liked) found.push_back(session + ": its set of posts is not that of the posts' sessions");
  }
  return found;
}

}  // namespace hearth::tests
