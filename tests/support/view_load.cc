#include "tests/support/view_load.h"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <memory>
#include <optional>
#include <stdexcept>

#include "hearth/drivers/redis/test_servers.h"
#include "tests/support/http_client.h"

namespace hearth::tests {
namespace {

constexpr std::size_t kFailuresMax = 20;

}  // namespace

// What belongs to one thread.
struct ViewLoad::Viewer {
  std::mt19937_64 random;
  std::size_t node = 0;
  std::uint16_t port = 0;
  std::unique_ptr<HttpClient> http = {};
};

ViewLoad::ViewLoad(Options options) : options_(std::move(options)), ports_(options_.nodes) {}

ViewLoad::~ViewLoad() {
  is_stopping_ = true;
  for (auto& port : ports_) port = 0;
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void ViewLoad::start() {
  for (std::size_t i = 0; i < options_.threads; ++i) threads_.emplace_back([this, i] { run(i); });
}

void ViewLoad::stop() {
  is_stopping_ = true;
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

void ViewLoad::wait_for(const std::atomic<std::uint64_t>& counter, std::uint64_t count) {
  auto wanted = counter + count;
  if (!redis::eventually([&] { return counter >= wanted; })) throw std::runtime_error("the viewers get no further");
}

// Of three views two are by somebody new, and one by somebody who may have been there.
void ViewLoad::run(std::size_t thread) {
  Viewer viewer{.random = std::mt19937_64(options_.seed * 1'000 + thread), .node = thread % options_.nodes};
  for (std::uint64_t number = 0; !is_stopping_; ++number) {
    const auto& story = options_.stories[viewer.random() % options_.stories.size()];
    auto who = viewer.random() % 3 == 0 && number > 0 ? viewer.random() % number : number;
    view(viewer, story, "viewer-" + std::to_string(thread) + "-" + std::to_string(who));
  }
}

void ViewLoad::view(Viewer& viewer, const std::string& story, const std::string& user) {
  {
    std::lock_guard lock(mutex_);
    viewers_[story].insert(user);
  }
  const std::string body = R"({"userId":")" + user + "\"}";
  while (!try_once(viewer, story, body)) {
    bool is_over = is_stopping_;
    for (auto& port : ports_) is_over = is_over && port == 0;
    if (is_over) return;  // the load is being thrown away
    viewer.node = (viewer.node + 1) % options_.nodes;
  }
}

bool ViewLoad::try_once(Viewer& viewer, const std::string& story, const std::string& body) {
  ++tries_;
  std::uint16_t port = ports_[viewer.node];
  if (port == 0) {
    std::this_thread::yield();
    return false;
  }
  if (!viewer.http || viewer.port != port) viewer.http = std::make_unique<HttpClient>(port);
  viewer.port = port;
  try {
    auto answer = viewer.http->post("/api/stories/" + story + "/view", body);
    if (answer.status == 503) return false;
    if (answer.status != 200) fail(std::to_string(answer.status) + " " + answer.body);
    if (answer.json().as_object().contains("degraded")) ++degraded_;
    ++answers_;
    return true;
  } catch (const ConnectionLost&) {
    viewer.http.reset();
    return false;
  }
}

void ViewLoad::fail(const std::string& what) {
  std::lock_guard lock(mutex_);
  if (failures_.size() < kFailuresMax) failures_.push_back(what);
}

std::map<std::string, std::uint64_t> ViewLoad::viewers() const {
  std::lock_guard lock(mutex_);
  std::map<std::string, std::uint64_t> counts;
  for (const auto& [story, users] : viewers_) counts[story] = users.size();
  return counts;
}

std::vector<std::string> ViewLoad::failures() const {
  std::lock_guard lock(mutex_);
  return failures_;
}

}  // namespace hearth::tests
