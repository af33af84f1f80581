#include "hearth/likes/stores/redis/session_sets.h"

#include <utility>

#include "hearth/base/log.h"
#include "hearth/base/run_to_end.h"
#include "hearth/likes/stores/redis/scripts.h"

namespace hearth::likes {
namespace {

using redis::Command;
using redis::Reply;

constexpr char kScanCount[] = "500";

// One page of SCAN or SSCAN, and where it goes on.
Result<std::vector<std::string>> read_page(const redis::Outcome<Reply>& page, std::string& cursor) {
  if (!page) return std::unexpected(redis::to_error(page.error()));
  cursor = page->elements[0].text;
  std::vector<std::string> found;
  for (const auto& element : page->elements[1].elements) found.push_back(element.text);
  return found;
}

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
      auto page = read_page(client_.call_blocking(std::move(command)), cursor);
      if (!page) return std::unexpected(page.error());
      for (const auto& key : *page) {
        bool is_ours = keys_.is_tagged() || !key.contains('{');
        auto pruned = is_ours ? prune_set(key, partition, key.substr(prefix.size())) : Result<void>();
        if (!pruned && pruned.error().code == ErrorCode::kUnavailable) return std::unexpected(pruned.error());
        if (!pruned) log::error("likes", "the set of a session's posts cannot be read", {{"key", key}, {"error", pruned.error().message}});
      }
    } while (cursor != "0");
  }
  return taken_;
}

Result<void> SessionSets::prune_set(const std::string& key, outbox::Partition partition, const std::string& session) {
  std::string cursor = "0";
  do {
    auto page = read_page(client_.call_blocking(Command({"SSCAN", key, cursor, "COUNT", kScanCount})), cursor);
    if (!page) return std::unexpected(page.error());
    // In tagged sets another program may have put posts of other partitions, whose keys are not with these.
    std::erase_if(
        *page, [&](const std::string& post) { return !is_valid_id(post) || (keys_.is_tagged() && keys_.partition_of(post) != partition); });
    if (auto pruned = prune_posts(key, partition, session, *std::move(page)); !pruned) return pruned;
  } while (cursor != "0");
  return {};
}

// Those that are not loaded are loaded, and looked at again: once, for likes go on.
Result<void> SessionSets::prune_posts(const std::string& key, outbox::Partition partition, const std::string& session,
                                      std::vector<std::string> posts) {
  for (int look = 0; look < 2 && !posts.empty(); ++look) {
    redis::ScriptCall call{.script = &scripts::prune(), .keys = {key}, .arguments = {session}};
    for (const auto& post : posts) {
      call.keys.push_back(keys_.liked(partition, post));
      call.keys.push_back(keys_.version(partition, post));
      call.arguments.push_back(post);
    }
    auto pruned = client_.run_blocking(std::move(call));
    if (!pruned) return std::unexpected(redis::to_error(pruned.error()));
    taken_ += static_cast<std::uint64_t>(pruned->elements[0].integer);
    posts.clear();
    std::vector<PostId> unloaded;
    for (const auto& post : pruned->elements[1].elements) {
      posts.push_back(post.text);
      unloaded.push_back(PostId::trusted(post.text));
    }
    if (unloaded.empty()) return {};
    if (auto loaded = run_to_end(store_.read(std::move(unloaded), std::nullopt)); !loaded) return std::unexpected(loaded.error());
  }
  return {};
}

}  // namespace hearth::likes
