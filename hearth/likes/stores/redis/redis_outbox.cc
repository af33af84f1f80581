#include "hearth/likes/stores/redis/redis_outbox.h"

#include <array>
#include <charconv>
#include <utility>

#include "hearth/base/hash.h"

namespace hearth::likes {
namespace {

using redis::Command;
using redis::Reply;

std::uint64_t number(std::string_view text, bool& is_valid) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) is_valid = false;
  return value;
}

outbox::Position position_of(std::string_view id) {
  bool is_valid = true;
  auto dash = id.find('-');
  return {.major = number(id.substr(0, dash), is_valid), .minor = number(id.substr(dash + 1), is_valid)};
}

std::string id_of(outbox::Position position) {
  return std::to_string(position.major) + "-" + std::to_string(position.minor);
}

// "post session version previous likes liked at"; ids hold no space. An empty post where it is something else.
outbox::LikeChanged parse(std::string_view text) {
  std::array<std::string_view, 7> parts;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    bool is_last = i + 1 == parts.size();
    auto end = is_last ? text.size() : text.find(' ');
    if (end == std::string_view::npos) return {};
    parts[i] = text.substr(0, end);
    text.remove_prefix(is_last ? end : end + 1);
  }
  bool is_valid = is_valid_id(parts[0]) && is_valid_id(parts[1]);
  outbox::LikeChanged event{.post = parts[0],
                            .session = parts[1],
                            .version = number(parts[2], is_valid),
                            .previous = number(parts[3], is_valid),
                            .likes = static_cast<std::uint32_t>(number(parts[4], is_valid)),
                            .is_liked = parts[5] == "1",
                            .at = UtcMicros(std::chrono::microseconds(static_cast<std::int64_t>(number(parts[6], is_valid))))};
  return is_valid ? event : outbox::LikeChanged{};
}

// An entry is [id, ["e", text]]; entries of other programs may be anything.
StreamEvent event_of(const Reply& entry) {
  const Reply& fields = entry.elements[1];
  return {position_of(entry.elements[0].text), fields.elements.size() == 2 ? fields.elements[1].text : std::string()};
}

std::vector<StreamEvent> events_of(const Reply& reply) {
  std::vector<StreamEvent> events;
  events.reserve(reply.elements.size());
  for (const auto& entry : reply.elements) events.push_back(event_of(entry));
  return events;
}

}  // namespace

StreamEvent::StreamEvent(outbox::Position at, std::string content) : position(at), text(std::move(content)), event(parse(text)) {}
StreamEvent::StreamEvent(StreamEvent&& other) noexcept : position(other.position), text(std::move(other.text)), event(parse(text)) {}

std::uint64_t entry_checksum(const StreamEvent& event) {
  return checksum64(event.text);
}

Result<StreamPage> RedisOutbox::read(outbox::Partition partition, const LedgerCursor& after, std::size_t limit,
                                     redis::Admission admission) {
  bool is_new = after.position == outbox::Position{};
  auto stream = keys_.stream(partition);
  auto from = is_new ? std::string("-") : id_of(after.position);
  auto count = std::to_string(limit + 1);
  auto reply = client_.call_blocking(Command({"XRANGE", stream, from, "+", "COUNT", count}, admission));
  if (!reply) return std::unexpected(redis::to_error(reply.error()));
  StreamPage page{.events = events_of(*reply)};
  if (is_new) return page;
  page.is_same =
      !page.events.empty() && page.events.front().position == after.position && entry_checksum(page.events.front()) == after.checksum;
  if (!page.is_same) return StreamPage{.is_same = false, .events = {}};
  std::vector<StreamEvent> rest;
  rest.reserve(page.events.size() - 1);
  for (std::size_t i = 1; i < page.events.size(); ++i) rest.push_back(std::move(page.events[i]));
  return StreamPage{.events = std::move(rest)};
}

Task<Result<std::vector<std::vector<StreamEvent>>>> RedisOutbox::read_after(std::vector<outbox::Position> after, std::size_t limit) {
  auto count = std::to_string(limit);
  std::vector<Command> commands;
  for (std::size_t partition = 0; partition < after.size(); ++partition) {
    auto stream = keys_.stream(static_cast<outbox::Partition>(partition));
    auto from = "(" + id_of(after[partition]);
    commands.push_back(Command({"XRANGE", stream, from, "+", "COUNT", count}));
  }
  auto replies = co_await client_.call_all(std::move(commands));
  std::vector<std::vector<StreamEvent>> events;
  for (const auto& reply : replies) {
    if (!reply) co_return std::unexpected(redis::to_error(reply.error()));
    events.push_back(events_of(*reply));
  }
  co_return events;
}

Task<Result<std::vector<outbox::Position>>> RedisOutbox::ends() {
  std::vector<Command> commands;
  for (outbox::Partition partition = 0; partition < keys_.partitions(); ++partition) {
    auto stream = keys_.stream(partition);
    commands.push_back(Command({"XREVRANGE", stream, "+", "-", "COUNT", "1"}));
  }
  auto replies = co_await client_.call_all(std::move(commands));
  std::vector<outbox::Position> ends;
  for (const auto& reply : replies) {
    if (!reply) co_return std::unexpected(redis::to_error(reply.error()));
    ends.push_back(reply->elements.empty() ? outbox::Position{} : position_of(reply->elements[0].elements[0].text));
  }
  co_return ends;
}

Result<void> RedisOutbox::trim(outbox::Partition partition, outbox::Position position) {
  auto stream = keys_.stream(partition);
  auto id = id_of(position);
  auto trimmed = client_.call_blocking(Command({"XTRIM", stream, "MINID", id}));
  if (!trimmed) return std::unexpected(redis::to_error(trimmed.error()));
  return {};
}

Result<std::uint64_t> RedisOutbox::size() {
  std::vector<Command> commands;
  for (outbox::Partition partition = 0; partition < keys_.partitions(); ++partition) {
    auto stream = keys_.stream(partition);
    commands.push_back(Command({"XLEN", stream}));
  }
  std::uint64_t entries = 0;
  for (const auto& reply : client_.call_all_blocking(std::move(commands))) {
    if (!reply) return std::unexpected(redis::to_error(reply.error()));
    entries += static_cast<std::uint64_t>(reply->integer);
  }
  return entries;
}

}  // namespace hearth::likes
