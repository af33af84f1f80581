#include "hearth/likes/stores/redis/redis_live_posts.h"

#include <boost/unordered/unordered_flat_set.hpp>

#include <charconv>
#include <utility>

#include "hearth/base/hash.h"
#include "hearth/base/log.h"
#include "hearth/likes/stores/redis/scripts.h"

namespace hearth::likes {
namespace {

using redis::Admission;
using redis::Command;
using redis::Reply;
using redis::ScriptCall;

constexpr std::size_t kMembersAtOnce = 20'000;  // read in one script; more are scanned
constexpr int kScansMax = 5;                    // of a large post that changes meanwhile; then one script reads it all
constexpr char kScanCount[] = "1000";

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

struct Copied {
  std::uint64_t version = 0;
  std::uint32_t count = 0;
  std::size_t members = 0;
};

Copied head_of(const Reply& reply) {
  const auto& parts = reply.elements;
  return {.version = parts[0].is_nil() ? 0 : number(parts[0].text),
          .count = static_cast<std::uint32_t>(parts[1].integer),
          .members = static_cast<std::size_t>(parts[2].integer)};
}

std::vector<std::string> members_of(Reply& reply) {
  std::vector<std::string> sessions;
  sessions.reserve(reply.elements.size() - 3);
  for (std::size_t i = 3; i < reply.elements.size(); ++i) sessions.push_back(std::move(reply.elements[i].text));
  return sessions;
}

}  // namespace

ScriptCall RedisLivePosts::copy_call(const std::string& post, std::size_t members_max, Admission admission) const {
  auto partition = keys_.partition_of(post);
  return {.script = &scripts::copy(),
          .keys = {keys_.likes(partition, post), keys_.liked(partition, post), keys_.version(partition, post)},
          .arguments = {std::to_string(members_max)},
          .admission = admission};
}

Task<Result<std::vector<std::optional<LivePost>>>> RedisLivePosts::clean(std::vector<std::string> posts, bool wants_sessions) {
  std::vector<ScriptCall> calls;
  calls.reserve(posts.size());
  for (const auto& post : posts) calls.push_back(copy_call(post, 0, Admission::kNeeded));
  auto replies = co_await client_.run_all(std::move(calls));
  std::vector<std::optional<LivePost>> found(posts.size());
  for (std::size_t i = 0; i < posts.size(); ++i) {
    if (!replies[i] && replies[i].error().kind == redis::Failure::Kind::kRefused) {
      log::error("likes", "a key of a post holds something else; the post cannot be compared",
                 {{"post", posts[i]}, {"error", replies[i].error().message}});
      continue;
    }
    if (!replies[i]) co_return std::unexpected(redis::to_error(replies[i].error()));
    Copied head = head_of(*replies[i]);
    if (replies[i]->elements[0].is_nil()) {
      if (head.members == 0 && head.count == 0) continue;
      // Another program put it there: loading it takes its members up.
      std::vector<std::string> one{posts[i]};
      if (auto loaded = co_await store_.load(std::move(one)); !loaded) co_return std::unexpected(loaded.error());
      auto again = co_await client_.run(copy_call(posts[i], 0, Admission::kNeeded));
      if (!again) co_return std::unexpected(redis::to_error(again.error()));
      if (again->elements[0].is_nil()) continue;
      head = head_of(*again);
    }
    LivePost live{.view = {.likes = head.count, .version = head.version}};
    if (wants_sessions) {
      auto members = co_await copy(posts[i]);
      if (!members) co_return std::unexpected(members.error());
      if (members->head.version == head.version) {
        live.view.likes = members->head.likes;
        live.sessions = std::move(members->sessions);
        live.has_sessions = true;
      }
    }
    found[i] = std::move(live);
  }
  co_return found;
}

Task<Result<bool>> RedisLivePosts::is_dirty(std::string /*post*/) {
  co_return false;
}

Task<Result<bool>> RedisLivePosts::forget(std::string post, std::uint64_t version) {
  co_return co_await drop(std::move(post), version, Admission::kNeeded);
}

Task<Result<bool>> RedisLivePosts::drop(std::string post, std::uint64_t version, Admission admission) {
  auto partition = keys_.partition_of(post);
  ScriptCall call{.script = &scripts::drop(),
                  .keys = {keys_.likes(partition, post), keys_.liked(partition, post), keys_.version(partition, post)},
                  .arguments = {post, std::to_string(version), keys_.session(partition, "")},
                  .admission = admission};
  auto dropped = co_await client_.run(std::move(call));
  if (!dropped) co_return std::unexpected(redis::to_error(dropped.error()));
  co_return dropped->integer == 1;
}

Task<Result<std::optional<std::uint64_t>>> RedisLivePosts::reserve_version(std::string post, std::uint64_t above) {
  ScriptCall call{.script = &scripts::reserve(),
                  .keys = {keys_.version(keys_.partition_of(post), post)},
                  .arguments = {std::to_string(above), std::to_string(clock_.now().time_since_epoch().count())}};
  auto reserved = co_await client_.run(std::move(call));
  if (!reserved) co_return std::unexpected(redis::to_error(reserved.error()));
  if (reserved->is_nil()) co_return std::nullopt;
  co_return number(reserved->text);
}

Task<Result<void>> RedisLivePosts::recount(std::string post) {
  auto partition = keys_.partition_of(post);
  ScriptCall call{.script = &scripts::recount(),
                  .keys = {keys_.likes(partition, post), keys_.liked(partition, post), keys_.version(partition, post)}};
  auto recounted = co_await client_.run(std::move(call));
  if (!recounted) co_return std::unexpected(redis::to_error(recounted.error()));
  co_return Result<void>{};
}

Task<Result<std::vector<std::uint64_t>>> RedisLivePosts::versions(std::vector<std::string> posts, Admission admission) {
  std::vector<Command> commands;
  commands.reserve(posts.size());
  for (const auto& post : posts) {
    auto key = keys_.version(keys_.partition_of(post), post);
    commands.emplace_back(std::vector<std::string_view>{"GET", key}, admission);
  }
  auto replies = co_await client_.call_all(std::move(commands));
  std::vector<std::uint64_t> versions;
  versions.reserve(posts.size());
  for (const auto& reply : replies) {
    if (!reply) co_return std::unexpected(redis::to_error(reply.error()));
    versions.push_back(reply->is_nil() ? 0 : number(reply->text));
  }
  co_return versions;
}

Task<Result<LedgerMembers>> RedisLivePosts::copy(std::string post, Admission admission) {
  auto reply = co_await client_.run(copy_call(post, kMembersAtOnce, admission));
  if (!reply) co_return std::unexpected(redis::to_error(reply.error()));
  Copied head = head_of(*reply);
  if (head.members > kMembersAtOnce) co_return co_await copy_large(std::move(post), admission);
  co_return LedgerMembers{.head = {std::move(post), head.count, head.version}, .sessions = members_of(*reply)};
}

// Scans the members between two looks at the version, so that Redis serves others meanwhile.
Task<Result<LedgerMembers>> RedisLivePosts::copy_large(std::string post, Admission admission) {
  auto liked = keys_.liked(keys_.partition_of(post), post);
  for (int scans = 0; scans < kScansMax; ++scans) {
    auto before = co_await client_.run(copy_call(post, 0, admission));
    if (!before) co_return std::unexpected(redis::to_error(before.error()));
    boost::unordered_flat_set<std::string, TextHash, std::equal_to<>> sessions;
    std::string cursor = "0";
    do {
      Command command({"SSCAN", liked, cursor, "COUNT", kScanCount}, admission);
      auto page = co_await client_.call(std::move(command));
      if (!page) co_return std::unexpected(redis::to_error(page.error()));
      cursor = page->elements[0].text;
      for (auto& session : page->elements[1].elements) sessions.insert(std::move(session.text));
    } while (cursor != "0");
    auto after = co_await client_.run(copy_call(post, 0, admission));
    if (!after) co_return std::unexpected(redis::to_error(after.error()));
    Copied head = head_of(*before);
    if (head.version != head_of(*after).version || sessions.size() != head.members) continue;
    co_return LedgerMembers{.head = {std::move(post), head.count, head.version}, .sessions = {sessions.begin(), sessions.end()}};
  }
  auto all = co_await client_.run(copy_call(post, SIZE_MAX / 2, admission));
  if (!all) co_return std::unexpected(redis::to_error(all.error()));
  Copied head = head_of(*all);
  co_return LedgerMembers{.head = {std::move(post), head.count, head.version}, .sessions = members_of(*all)};
}

}  // namespace hearth::likes
