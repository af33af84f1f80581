#include "hearth/likes/stores/redis/session_sets.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "hearth/base/log.h"
#include "hearth/base/run_to_end.h"
#include "hearth/likes/stores/redis/scripts.h"

namespace hearth::likes {
namespace {

using redis::Command;

constexpr char kScanCount[] = "200";

constexpr std::size_t kPostsPerLoad = 500;

}  // namespace

// Without tags there is one keyspace; on Cluster the server of a partition's sets is the one of its slot.
Result<std::uint64_t> SessionSets::prune() {
  taken_ = 0;
  outbox::Partition partitions = keys_.is_tagged() ? keys_.partitions() : 1;
  for (outbox::Partition partition = 0; partition < partitions; ++partition) {
    auto prefix = keys_.session(partition, "");
    auto pattern = prefix + "*";
    std::string cursor = "0";
    do {
      Command command({"SCAN", cursor, "MATCH", pattern, "COUNT", kScanCount}, redis::slot_of(keys_.stream(partition)));
      auto page = client_.call_blocking(std::move(command));
      if (!page) return std::unexpected(redis::to_error(page.error()));
      cursor = page->elements[0].text;
      std::vector<Part> parts;
      for (const auto& key : page->elements[1].elements) {
        bool is_ours = keys_.is_tagged() || !key.text.contains('{');
        if (is_ours) parts.push_back({.key = key.text, .partition = partition, .session = key.text.substr(prefix.size())});
      }
      if (auto pruned = prune_sets(std::move(parts)); !pruned) return std::unexpected(pruned.error());
    } while (cursor != "0");
  }
  return taken_;
}

// Many sets at once, and of each a part at a time.
Result<void> SessionSets::prune_sets(std::vector<Part> parts) {
  while (!parts.empty()) {
    auto rest = read_posts(parts);
    if (!rest) return std::unexpected(rest.error());
    if (auto pruned = prune_posts(std::move(parts)); !pruned) return pruned;
    parts = *std::move(rest);
  }
  return {};
}

// Fills in the posts of the parts, and returns those that go on behind them.
Result<std::vector<SessionSets::Part>> SessionSets::read_posts(std::vector<Part>& parts) {
  std::vector<Command> commands;
  for (const auto& part : parts) commands.push_back(Command({"SSCAN", part.key, part.cursor, "COUNT", kScanCount}));
  auto pages = client_.call_all_blocking(std::move(commands));
  std::vector<Part> rest;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Part& part = parts[i];
    if (!pages[i]) {
      if (pages[i].error().kind != redis::Failure::Kind::kRefused) return std::unexpected(redis::to_error(pages[i].error()));
      log::error("likes", "the set of a session's posts cannot be read", {{"key", part.key}, {"error", pages[i].error().message}});
      continue;
    }
    // In tagged sets another program may have put posts of other partitions, whose keys are not with these.
    for (auto& post : pages[i]->elements[1].elements) {
      bool is_ours = is_valid_id(post.text) && (!keys_.is_tagged() || keys_.partition_of(post.text) == part.partition);
      if (is_ours) part.posts.push_back(std::move(post.text));
    }
    const std::string& next = pages[i]->elements[0].text;
    if (next != "0") rest.push_back({.key = part.key, .partition = part.partition, .session = part.session, .cursor = next});
  }
  return rest;
}

redis::ScriptCall SessionSets::call_for(const Part& part) const {
  redis::ScriptCall call{.script = &scripts::prune(), .keys = {part.key}, .arguments = {part.session}};
  for (const auto& post : part.posts) {
    call.keys.push_back(keys_.liked(part.partition, post));
    call.keys.push_back(keys_.version(part.partition, post));
    call.arguments.push_back(post);
  }
  return call;
}

// Posts that are not loaded are loaded, and looked at again: once, for likes go on.
Result<void> SessionSets::prune_posts(std::vector<Part> parts) {
  for (int look = 0; look < 2; ++look) {
    std::erase_if(parts, [](const Part& part) { return part.posts.empty(); });
    std::vector<redis::ScriptCall> calls;
    for (const auto& part : parts) calls.push_back(call_for(part));
    auto answers = run_to_end(client_.run_all(std::move(calls)));
    std::vector<PostId> unloaded;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      parts[i].posts.clear();
      if (!answers[i]) {
        if (answers[i].error().kind != redis::Failure::Kind::kRefused) return std::unexpected(redis::to_error(answers[i].error()));
        log::error("likes", "the set of a session's posts cannot be mended",
                   {{"key", parts[i].key}, {"error", answers[i].error().message}});
        continue;
      }
      taken_ += static_cast<std::uint64_t>(answers[i]->elements[0].integer);
      for (const auto& post : answers[i]->elements[1].elements) {
        parts[i].posts.push_back(post.text);
        unloaded.push_back(PostId::trusted(post.text));
      }
    }
    for (std::size_t begin = 0; begin < unloaded.size(); begin += kPostsPerLoad) {
      auto end = std::min(begin + kPostsPerLoad, unloaded.size());
      std::vector<PostId> some(unloaded.begin() + static_cast<std::ptrdiff_t>(begin), unloaded.begin() + static_cast<std::ptrdiff_t>(end));
      auto loaded = run_to_end(store_.read(std::move(some), std::nullopt));
      if (!loaded && loaded.error().code == ErrorCode::kUnavailable) return std::unexpected(loaded.error());
      if (!loaded) log::error("likes", "a post in the set of a session cannot be loaded", {{"error", loaded.error().message}});
    }
  }
  return {};
}

}  // namespace hearth::likes
