#include "hearth/likes/stores/redis/redis_look.h"

#include <charconv>
#include <string_view>
#include <utility>

#include "hearth/base/log.h"
#include "hearth/likes/stores/redis/scripts.h"

namespace hearth::likes {
namespace {

using redis::Command;
using redis::Reply;
using redis::ScriptCall;

constexpr char kScanCount[] = "1000";

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

Task<Result<std::vector<std::optional<LiveCount>>>> RedisLook::counts(std::vector<std::string> posts) {
  std::vector<ScriptCall> calls;
  calls.reserve(posts.size());
  for (const auto& post : posts) {
    auto partition = keys_.partition_of(post);
    calls.push_back({.script = &scripts::copy(),
                     .keys = {keys_.likes(partition, post), keys_.liked(partition, post), keys_.version(partition, post)},
                     .arguments = {"0"}});
  }
  auto replies = co_await client_.run_all(std::move(calls));
  std::vector<std::optional<LiveCount>> found(posts.size());
  for (std::size_t i = 0; i < posts.size(); ++i) {
    if (!replies[i]) {
      if (replies[i].error().kind != redis::Failure::Kind::kRefused) co_return std::unexpected(redis::to_error(replies[i].error()));
      log::error("likes", "a key of a post holds something else than likes", {{"post", posts[i]}, {"error", replies[i].error().message}});
      continue;
    }
    const auto& parts = replies[i]->elements;  // version, count, members
    LiveCount count{.version = parts[0].is_nil() ? 0 : number(parts[0].text),
                    .likes = static_cast<std::uint32_t>(parts[1].integer),
                    .members = static_cast<std::uint32_t>(parts[2].integer)};
    bool is_there = !parts[0].is_nil() || count.likes != 0 || count.members != 0;
    if (is_there) found[i] = count;
  }
  co_return found;
}

// `from` is a SCAN cursor of one partition's server and the partition, "cursor/partition"; without tags there is one keyspace.
Task<Result<LivePosts::Page>> RedisLook::scan(std::string from) {
  outbox::Partition partition = 0;
  std::string cursor = "0";
  if (auto slash = from.find('/'); slash != std::string::npos) {
    cursor = from.substr(0, slash);
    partition = static_cast<outbox::Partition>(number(std::string_view(from).substr(slash + 1)));
  }
  std::string prefix = keys_.liked(partition, "");
  std::string pattern = prefix + "*";
  // On Cluster the server is the one that holds the partition's slot.
  Command command({"SCAN", cursor, "MATCH", pattern, "COUNT", kScanCount}, redis::slot_of(keys_.stream(partition)));
  auto page = co_await client_.call(std::move(command));
  if (!page) co_return std::unexpected(redis::to_error(page.error()));
  LivePosts::Page found;
  for (const auto& key : page->elements[1].elements) {
    if (key.text.starts_with(prefix) && is_valid_id(std::string_view(key.text).substr(prefix.size())))
      found.posts.push_back(key.text.substr(prefix.size()));
  }
  const std::string& next = page->elements[0].text;
  if (next != "0") {
    found.next = next + "/" + std::to_string(partition);
  } else if (keys_.is_tagged() && partition + 1 < keys_.partitions()) {
    found.next = "0/" + std::to_string(partition + 1);
  }
  co_return found;
}

}  // namespace hearth::likes
