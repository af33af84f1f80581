#include "hearth/likes/stores/redis/layout_move.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

namespace hearth::likes {
namespace {

using redis::Command;
using redis::Reply;

constexpr char kScanCount[] = "1000";

std::unexpected<Error> failed(const redis::Failure& failure) {
  return std::unexpected(redis::to_error(failure));
}

Result<void> all_done(const std::vector<redis::Outcome<Reply>>& replies) {
  for (const auto& reply : replies) {
    if (!reply) return failed(reply.error());
  }
  return {};
}

}  // namespace

// `from` is a cursor of one server and the number of that server, "cursor/number": plain keys are on all of them.
Result<LayoutMove::Found> LayoutMove::scan_keys(const std::string& from, std::string_view pattern) {
  std::string cursor = "0";
  std::size_t number = 0;
  if (auto slash = from.find('/'); slash != std::string::npos) {
    cursor = from.substr(0, slash);
    std::from_chars(from.data() + slash + 1, from.data() + from.size(), number);
  }
  auto servers = client_.servers();
  std::erase_if(servers, [](const redis::ServerInfo& server) { return server.slots.empty(); });
  std::ranges::sort(servers, {}, [](const redis::ServerInfo& server) { return server.slots.front().first; });
  if (number >= servers.size()) return fail(ErrorCode::kUnavailable, "a server of Redis was lost during the move");
  auto page = client_.call_blocking(Command({"SCAN", cursor, "MATCH", pattern, "COUNT", kScanCount}, servers[number].slots.front().first));
  if (!page) return failed(page.error());
  Found found;
  for (auto& key : page->elements[1].elements) found.keys.push_back(std::move(key.text));
  const std::string& next = page->elements[0].text;
  if (next != "0") {
    found.next = next + "/" + std::to_string(number);
  } else if (number + 1 < servers.size()) {
    found.next = "0/" + std::to_string(number + 1);
  }
  return found;
}

// Ids hold no braces: what has one is a tagged key.
Result<LivePosts::Page> LayoutMove::scan(const std::string& from) {
  auto found = scan_keys(from, "post:*");
  if (!found) return std::unexpected(found.error());
  LivePosts::Page page{.posts = {}, .next = std::move(found->next)};
  for (const auto& key : found->keys) {
    for (std::string_view kind : {"post:liked:", "post:likes:", "post:version:"}) {
      auto post = key.starts_with(kind) ? std::string_view(key).substr(kind.size()) : std::string_view();
      if (is_valid_id(post)) page.posts.emplace_back(post);
    }
  }
  std::ranges::sort(page.posts);
  page.posts.erase(std::unique(page.posts.begin(), page.posts.end()), page.posts.end());
  return page;
}

Result<void> LayoutMove::bring(const std::string& post) {
  auto partition = to_.partition_of(post);
  auto old_version = client_.call_blocking(Command({"GET", from_.version(partition, post)}));
  if (!old_version) return failed(old_version.error());
  auto version = client_.call_blocking(Command({"GET", to_.version(partition, post)}));
  if (!version) return failed(version.error());
  bool is_loaded = !version->is_nil() && version->text != "0";
  if (is_loaded && !old_version->is_nil()) return {};
  std::string cursor = "0";
  do {
    auto page = client_.call_blocking(Command({"SSCAN", from_.liked(partition, post), cursor, "COUNT", kScanCount}));
    if (!page) return failed(page.error());
    cursor = page->elements[0].text;
    if (auto added = add(post, page->elements[1].elements); !added) return added;
  } while (cursor != "0");
  if (is_loaded || version->is_nil()) return {};
  auto forgotten = client_.call_blocking(Command({"DEL", to_.version(partition, post)}));  // "SQL does not know it"
  if (!forgotten) return failed(forgotten.error());
  return {};
}

Result<void> LayoutMove::add(const std::string& post, const std::vector<Reply>& sessions) {
  if (sessions.empty()) return {};
  auto partition = to_.partition_of(post);
  auto liked = to_.liked(partition, post);
  std::vector<std::string_view> members{"SADD", liked};
  std::vector<Command> commands;
  for (const auto& session : sessions) {
    members.push_back(session.text);
    commands.push_back(Command({"SADD", to_.session(partition, session.text), post}));
  }
  commands.emplace_back(members);
  return all_done(client_.call_all_blocking(std::move(commands)));
}

Result<void> LayoutMove::remove(const std::string& post) {
  std::vector<Command> commands;
  commands.push_back(Command({"UNLINK", from_.liked(0, post)}));
  commands.push_back(Command({"DEL", from_.likes(0, post)}));
  commands.push_back(Command({"DEL", from_.version(0, post)}));
  return all_done(client_.call_all_blocking(std::move(commands)));
}

Result<void> LayoutMove::remove_rest() {
  std::string from;
  do {
    auto found = scan_keys(from, "session:likes:*");
    if (!found) return std::unexpected(found.error());
    std::vector<Command> commands;
    for (const auto& key : found->keys) {
      if (!key.contains('{')) commands.push_back(Command({"UNLINK", key}));
    }
    if (auto done = all_done(client_.call_all_blocking(std::move(commands))); !done) return done;
    from = std::move(found->next);
  } while (!from.empty());
  std::vector<Command> commands;
  for (outbox::Partition partition = 0; partition < from_.partitions(); ++partition) {
    commands.push_back(Command({"UNLINK", from_.stream(partition)}));
  }
  return all_done(client_.call_all_blocking(std::move(commands)));
}

}  // namespace hearth::likes
