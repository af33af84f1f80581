#include "tests/support/like_client.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdio>
#include <stdexcept>
#include <utility>

namespace hearth::tests {
namespace {

namespace json = boost::json;

constexpr std::size_t kBatchMax = 12;

[[noreturn]] void wrong(const std::string& what) {
  throw std::logic_error(what);
}

std::string uuid(std::mt19937_64& random) {
  char text[37];
  auto high = random();
  auto low = random();
  std::snprintf(text, sizeof text, "%08x-%04x-%04x-%04x-%012llx", static_cast<unsigned>(high >> 32),
                static_cast<unsigned>(high >> 16 & 0xffff), static_cast<unsigned>(high & 0xffff), static_cast<unsigned>(low >> 48),
                static_cast<unsigned long long>(low & 0xffffffffffff));
  return text;
}

LikeState after(LikeState before, const std::string& op) {
  if (op == "like") return LikeState::kLiked;
  if (op == "unlike") return LikeState::kNotLiked;
  if (before == LikeState::kUnknown) return LikeState::kUnknown;
  return before == LikeState::kLiked ? LikeState::kNotLiked : LikeState::kLiked;
}

LikeState state_from(bool is_liked) {
  return is_liked ? LikeState::kLiked : LikeState::kNotLiked;
}

}  // namespace

LikeClient::LikeClient(std::string name, std::vector<std::string> posts, std::size_t sessions, std::uint64_t seed, bool expects_faults)
    : name_(std::move(name)),
      posts_(std::move(posts)),
      expects_faults_(expects_faults),
      states_(posts_.size() * sessions, LikeState::kNotLiked),
      versions_(posts_.size(), 0),
      random_(seed) {
  for (std::size_t i = 0; i < sessions; ++i) sessions_.push_back(i % 2 == 0 ? name_ + "-" + std::to_string(i) : uuid(random_));
}

// --- asking ---

bool LikeClient::step(HttpClient& http) {
  Request request = make_request();
  begin(request);
  try {
    auto answer = send(http, request);
    // Of a batch, only a part may have been refused.
    if (expects_faults_ && answer.body.contains(R"("code":"unavailable")")) {
      unanswered_ = std::move(request);
      return false;
    }
    take(request, answer);
  } catch (const ConnectionLost&) {
    unanswered_ = std::move(request);
    return false;
  }
  unanswered_changes_.clear();
  return true;
}

// What is asked for stays open until the answer is there.
void LikeClient::begin(const Request& request) {
  unanswered_changes_.clear();
  for (const auto& operation : request.operations) {
    auto& state = state_of(operation);
    unanswered_changes_.push_back({.place = static_cast<std::size_t>(&state - states_.data()), .before = state});
  }
}

Answer LikeClient::send(HttpClient& http, const Request& request) {
  Headers headers;
  if (request.key) headers.emplace_back("Idempotency-Key", *request.key);
  return http.call(request.method, request.target, request.body, headers);
}

LikeOperation LikeClient::random_operation() {
  static const std::string kOps[] = {"toggle", "toggle", "like", "unlike"};
  // Half of all requests go to a few posts, as in life.
  auto post = draw(2) ? random_() % std::min<std::size_t>(4, posts_.size()) : random_() % posts_.size();
  return {.post = post, .session = random_() % sessions_.size(), .op = kOps[random_() % 4]};
}

LikeClient::Request LikeClient::make_request() {
  if (draw(5)) return make_batch();
  return make_single(random_operation());
}

LikeClient::Request LikeClient::make_single(LikeOperation operation) {
  Request request{.method = operation.op == "toggle" ? "POST"
                            : operation.op == "like" ? "PUT"
                                                     : "DELETE",
                  .target = "/api/posts/" + posts_[operation.post] + "/like",
                  .body = R"({"sessionId":")" + sessions_[operation.session] + "\"}",
                  .key = {},
                  .operations = {}};
  if (operation.op == "toggle" && draw(2)) request.key = name_ + "-key-" + std::to_string(++keys_);
  request.operations.push_back(std::move(operation));
  return request;
}

LikeClient::Request LikeClient::make_batch() {
  Request request{.method = "POST", .target = "/api/likes/batch", .body = {}, .key = {}, .operations = {}, .is_batch = true};
  json::array items;
  for (std::size_t i = 0, count = 1 + random_() % kBatchMax; i < count; ++i) {
    auto& operation = request.operations.emplace_back(random_operation());
    items.push_back(json::object{{"postId", posts_[operation.post]}, {"sessionId", sessions_[operation.session]}, {"op", operation.op}});
  }
  request.body = serialize(json::object{{"operations", std::move(items)}});
  if (draw(2)) request.key = name_ + "-key-" + std::to_string(++keys_);
  return request;
}

// --- checking ---

void LikeClient::take(const Request& request, const Answer& answer) {
  if (answer.status != 200) wrong(request.method + " " + request.target + " answered " + std::to_string(answer.status) + answer.body);
  auto body = answer.json();
  if (!request.is_batch) {
    take_outcome(request.operations.front(), body.as_object());
  } else {
    const auto& results = body.at("results").as_array();
    if (results.size() != request.operations.size()) wrong("a batch has as many results as operations: " + answer.body);
    for (std::size_t i = 0; i < results.size(); ++i) take_outcome(request.operations[i], results[i].as_object());
  }
  ++answers_;
}

void LikeClient::take_outcome(const LikeOperation& operation, const json::object& outcome) {
  auto& state = state_of(operation);
  auto text = operation.op + " of " + posts_[operation.post] + " by " + sessions_[operation.session] + ": " + serialize(outcome);
  if (!outcome.contains("isLiked")) wrong(text);
  auto is_liked = state_from(outcome.at("isLiked").as_bool());
  auto expected = after(state, operation.op);
  if (expected != LikeState::kUnknown && is_liked != expected) wrong(text + ", but it was the other way round before");
  if (outcome.at("newCount").as_int64() < (is_liked == LikeState::kLiked ? 1 : 0)) wrong(text + ", but who likes is counted");
  if (const auto* changed = outcome.if_contains("changed"); changed != nullptr && state != LikeState::kUnknown) {
    if (changed->as_bool() != (state != is_liked)) wrong(text + ", but `changed` says otherwise");
  }
  auto version = static_cast<std::uint64_t>(outcome.at("version").as_int64());
  if (version < versions_[operation.post]) wrong(text + ", but a newer version was answered before");
  versions_[operation.post] = version;
  state = is_liked;
}

// --- after a loss ---

void LikeClient::settle(HttpClient& http) {
  if (!unanswered_) return;
  Request request = *std::exchange(unanswered_, std::nullopt);
  if (!request.key) {
    for (const auto& change : unanswered_changes_) states_[change.place] = LikeState::kUnknown;
    return;
  }
  // Whether the first try took effect or not, the states are now those that one try leads to. A version that others have
  // gone past since may be answered again, so it is not compared.
  auto known_versions = versions_;
  std::ranges::fill(versions_, 0);
  auto answer = send(http, request);
  take(request, answer);
  auto again = send(http, request);
  if (again.header("idempotent-replayed") != "true") wrong("an answer that was given again is not marked: " + again.body);
  if (again.status != answer.status || again.body != answer.body) wrong("the same key got " + answer.body + " and then " + again.body);
  for (std::size_t i = 0; i < versions_.size(); ++i) versions_[i] = std::max(versions_[i], known_versions[i]);
}

void LikeClient::forget_unanswered() {
  for (auto change = unanswered_changes_.rbegin(); change != unanswered_changes_.rend(); ++change) states_[change->place] = change->before;
  unanswered_.reset();
}

void LikeClient::compare(HttpClient& http) {
  json::array ids(posts_.begin(), posts_.end());
  for (std::size_t session = 0; session < sessions_.size(); ++session) {
    auto answer = http.post("/api/likes/statuses", serialize(json::object{{"postIds", ids}, {"sessionId", sessions_[session]}}));
    auto body = answer.json();
    const auto& liked = body.at("liked").as_object();
    for (std::size_t post = 0; post < posts_.size(); ++post) {
      auto& known = states_[post * sessions_.size() + session];
      auto found = state_from(liked.at(posts_[post]).as_bool());
      if (known != LikeState::kUnknown && known != found) {
        wrong(sessions_[session] + (found == LikeState::kLiked ? " likes " : " does not like ") + posts_[post] +
              ", but was answered otherwise");
      }
      known = found;
    }
  }
}

}  // namespace hearth::tests
