#include "hearth/views/stores/redis/redis_view_store.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/base/log.h"
#include "hearth/views/stores/redis/scripts.h"

namespace hearth::views {
namespace {

using redis::Command;
using redis::Outcome;
using redis::Reply;
using redis::ScriptCall;
using std::chrono::milliseconds;

constexpr int kLoadRoundsMax = 5;  // an item that is loaded and gone again, each time
constexpr std::size_t kItemsPerScript = 250;
constexpr std::size_t kKeysPerRead = 500;
constexpr std::size_t kConsideredOfHour = 1'000;
// Hours end on nodes when they do not yet, or no longer, on Redis.
constexpr std::chrono::hours kClocksApart{1};

template <typename Number = std::uint64_t>
Number number(std::string_view text) {
  Number value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::uint64_t number_of(const Reply& reply) {
  if (reply.type == Reply::Type::kInteger) return static_cast<std::uint64_t>(reply.integer);
  return number(reply.text);  // 0 for nil
}

UtcMicros utc(std::int64_t micros) {
  return UtcMicros(std::chrono::microseconds(micros));
}
std::string micros(UtcMicros time) {
  return std::to_string(time.time_since_epoch().count());
}
std::string millis(milliseconds duration) {
  return std::to_string(duration.count());
}

std::string bytes_of(Viewer viewer) {
  std::string bytes(sizeof viewer, '\0');
  for (std::size_t i = 0; i < sizeof viewer; ++i) bytes[i] = static_cast<char>(viewer >> (8 * i));
  return bytes;
}

Error error_of(const redis::Failure& failure) {
  if (failure.kind != redis::Failure::Kind::kRefused || failure.is("OOM")) return redis::to_error(failure);
  // The hashes of viewers are not declared to Cluster, so that it cannot send the script after them while it moves a slot.
  if (failure.message.contains("non local key")) return {ErrorCode::kUnavailable, "the item's keys are being moved; try again later"};
  log::error("views", "Redis refuses a command; does a key of views hold something else?", {{"error", failure.message}});
  return redis::to_error(failure);
}

// "story:ID"; nothing for what is none.
std::optional<ViewedItem> item_named(std::string_view member) {
  for (auto kind : {ViewedKind::kStory, ViewedKind::kChapter}) {
    std::string prefix = std::string(name_of(kind)) + ":";
    if (!member.starts_with(prefix) || !is_valid_id(member.substr(prefix.size()))) continue;
    return ViewedItem{kind, ViewedId::trusted(std::string(member.substr(prefix.size())))};
  }
  log::error("views", "a mark names no story and no chapter", {{"mark", std::string(member)}});
  return std::nullopt;
}

std::vector<UtcHour> hours_from(UtcHour first, UtcHour last) {
  std::vector<UtcHour> hours;
  for (auto hour = first; hour <= last; hour += std::chrono::hours(1)) hours.push_back(hour);
  return hours;
}

}  // namespace

RedisViewStore::RedisViewStore(redis::Client& client, ViewLedger& ledger, const Clock& clock, redis::KeyNames names,
                               std::chrono::hours window, Time time)
    : client_(client), ledger_(ledger), clock_(clock), keys_(names), window_(window), time_(time), rankings_(clock) {}

std::string RedisViewStore::given_time() const {
  return time_ == Time::kOfClock ? micros(clock_.now()) : "";
}

// --- counting ---

ScriptCall RedisViewStore::call_for(const View& view) const {
  const ViewedItem& item = view.item;
  auto partition = keys_.partition(item);
  return {.script = &scripts::view(),
          .keys = {keys_.count(item), keys_.buffer(item), keys_.direct(item), keys_.last_sync(item), keys_.marks(partition)},
          .arguments = {ViewKeys::member(item), item.id.str(), keys_.hours(item.kind, partition), keys_.seen(item), millis(window_),
                        bytes_of(view.viewer), view.previous ? bytes_of(*view.previous) : "", view.counts ? "1" : "0",
                        view.at ? micros(*view.at) : "", given_time()}};
}

Task<Result<ViewOutcome>> RedisViewStore::view(View view) {
  std::vector<View> one;
  one.push_back(std::move(view));
  auto outcomes = co_await view_all(std::move(one));
  co_return std::move(outcomes.front());
}

Task<std::vector<Result<ViewOutcome>>> RedisViewStore::view_all(std::vector<View> views) {
  std::vector<Result<ViewOutcome>> outcomes(views.size());
  std::vector<std::size_t> pending(views.size());
  for (std::size_t i = 0; i < views.size(); ++i) pending[i] = i;
  views_ += views.size();
  for (int round = 0; !pending.empty(); ++round) {
    std::vector<ScriptCall> calls;
    calls.reserve(pending.size());
    for (std::size_t i : pending) calls.push_back(call_for(views[i]));
    auto replies = co_await client_.run_all(std::move(calls));

    std::vector<std::size_t> unloaded;
    std::vector<ViewedItem> items;
    for (std::size_t n = 0; n < pending.size(); ++n) {
      std::size_t i = pending[n];
      if (!replies[n]) {
        outcomes[i] = std::unexpected(error_of(replies[n].error()));
      } else if (replies[n]->elements.size() == 2) {
        bool is_first = replies[n]->elements[0].integer == 1;
        outcomes[i] = ViewOutcome{.is_first = is_first, .views = number_of(replies[n]->elements[1])};
        if (is_first && views[i].counts) ++counted_;
      } else {
        unloaded.push_back(i);
        items.push_back(views[i].item);
      }
    }
    pending = std::move(unloaded);
    if (pending.empty()) break;
    Result<void> loaded = fail(ErrorCode::kUnavailable, "an item is dropped from the live store again and again; try again later");
    if (round < kLoadRoundsMax) loaded = co_await load(std::move(items));
    if (loaded) continue;
    for (std::size_t i : pending) outcomes[i] = std::unexpected(loaded.error());
    break;
  }
  co_return outcomes;
}

// --- reading ---

Task<Result<std::vector<ViewTotal>>> RedisViewStore::totals(std::vector<ViewedItem> items) {
  HEARTH_ASSERT(items.size() <= kItemsPerReadMax);
  std::vector<ViewTotal> totals(items.size());
  std::vector<std::size_t> wanted(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) wanted[i] = i;
  for (int round = 0; !wanted.empty(); ++round) {
    Result<void> outcome;
    wanted = co_await read_totals(items, wanted, totals, outcome);
    if (!outcome) co_return std::unexpected(outcome.error());
    if (wanted.empty()) break;
    if (round == kLoadRoundsMax) {
      co_return fail(ErrorCode::kUnavailable, "items are dropped from the live store again and again; try again later");
    }
    std::vector<ViewedItem> unloaded;
    for (std::size_t i : wanted) unloaded.push_back(items[i]);
    auto loaded = co_await load(std::move(unloaded));
    if (!loaded) co_return std::unexpected(loaded.error());
  }
  co_return totals;
}

// Returns those that are not loaded.
Task<std::vector<std::size_t>> RedisViewStore::read_totals(const std::vector<ViewedItem>& items, const std::vector<std::size_t>& wanted,
                                                           std::vector<ViewTotal>& totals, Result<void>& outcome) {
  std::map<redis::KeyNames::Partition, std::vector<std::size_t>> groups;
  for (std::size_t i : wanted) groups[keys_.partition(items[i])].push_back(i);
  std::vector<Command> commands;
  for (const auto& [partition, members] : groups) {
    std::vector<std::string> names;
    names.reserve(3 * members.size());
    for (std::size_t i : members) {
      names.push_back(keys_.count(items[i]));
      names.push_back(keys_.buffer(items[i]));
      names.push_back(keys_.last_sync(items[i]));
    }
    std::vector<std::string_view> words{"MGET"};
    words.insert(words.end(), names.begin(), names.end());
    commands.emplace_back(words);
  }
  auto replies = co_await client_.call_all(std::move(commands));

  std::vector<std::size_t> unloaded;
  std::size_t next = 0;
  for (const auto& [partition, members] : groups) {
    const auto& reply = replies[next++];
    if (!reply) {
      outcome = std::unexpected(error_of(reply.error()));
      co_return unloaded;
    }
    for (std::size_t n = 0; n < members.size(); ++n) {
      const Reply* found = &reply->elements[3 * n];
      if (found[0].is_nil()) {
        unloaded.push_back(members[n]);
        continue;
      }
      ViewTotal& total = totals[members[n]];
      total.buffered = number_of(found[1]);
      total.views = number_of(found[0]) + total.buffered;
      total.synced_at = found[2].is_nil() ? std::nullopt : std::optional(utc(number<std::int64_t>(found[2].text)));
    }
  }
  co_return unloaded;
}

Task<Result<std::vector<HourViews>>> RedisViewStore::hours(ViewedItem item, UtcHour since) {
  auto now = hour_of(clock_.now());
  auto asked = hours_from(std::max(since, now - kHoursKept), now + kClocksApart);
  std::vector<Command> commands;
  commands.reserve(asked.size());
  for (auto hour : asked) {
    auto key = keys_.hour(item.kind, keys_.partition(item), hour);
    commands.push_back(Command({"ZSCORE", key, item.id.view()}));
  }
  auto replies = co_await client_.call_all(std::move(commands));
  std::vector<HourViews> hours;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (!replies[i]) co_return std::unexpected(error_of(replies[i].error()));
    if (auto views = number_of(*replies[i]); views > 0) hours.push_back({.hour = asked[i], .views = views});
  }
  co_return hours;
}

Task<Result<std::vector<ItemViews>>> RedisViewStore::trending(UtcHour since, std::size_t limit) {
  HEARTH_ASSERT(limit <= kTrendingMax);
  return rankings_.get(since, limit, [this, since] { return ranking(since); });
}

Task<Result<std::vector<ItemViews>>> RedisViewStore::ranking(UtcHour since) {
  auto now = hour_of(clock_.now());
  auto last = std::to_string(kConsideredOfHour - 1);
  std::vector<Command> commands;
  for (auto hour : hours_from(std::max(since, now - kHoursKeptInRedis), now + kClocksApart)) {
    for (redis::KeyNames::Partition partition = 0; partition < keys_.partitions(); ++partition) {
      auto key = keys_.hour(ViewedKind::kStory, partition, hour);
      commands.push_back(Command({"ZREVRANGE", key, "0", last, "WITHSCORES"}));
    }
  }
  auto replies = co_await client_.call_all(std::move(commands));
  std::unordered_map<std::string, std::uint64_t> sums;
  for (auto& reply : replies) {
    if (!reply) co_return std::unexpected(error_of(reply.error()));
    for (std::size_t i = 0; i + 1 < reply->elements.size(); i += 2) {
      sums[std::move(reply->elements[i].text)] += number_of(reply->elements[i + 1]);
    }
  }
  std::vector<std::pair<std::string, std::uint64_t>> stories(sums.begin(), sums.end());
  auto middle = stories.begin() + static_cast<std::ptrdiff_t>(std::min(kTrendingMax, stories.size()));
  auto is_before = [](const auto& a, const auto& b) { return std::tie(b.second, a.first) < std::tie(a.second, b.first); };
  std::ranges::partial_sort(stories, middle, is_before);
  std::vector<ItemViews> most;
  for (auto story = stories.begin(); story != middle; ++story) {
    most.push_back({.id = ViewedId::trusted(std::move(story->first)), .views = story->second});
  }
  co_return most;
}

// --- loading ---

// Those who wait for another's load look again themselves. Flights are joined in the order of items, so that no two wait for
// each other.
Task<Result<void>> RedisViewStore::load(std::vector<ViewedItem> items) {
  std::set<ViewedItem> wanted(items.begin(), items.end());
  std::vector<SingleFlight::Lead> leads;
  std::vector<ViewedItem> own;
  for (const auto& item : wanted) {
    auto lead = co_await flights_.join(ViewKeys::member(item));
    if (!lead) continue;
    leads.push_back(std::move(lead));
    own.push_back(item);
  }
  if (own.empty()) co_return Result<void>{};
  co_return co_await reload(std::move(own));
}

Task<Result<void>> RedisViewStore::reload(std::vector<ViewedItem> items) {
  auto totals = co_await ledger_.totals(items);
  if (!totals) co_return std::unexpected(totals.error());
  std::map<redis::KeyNames::Partition, ScriptCall> groups;
  std::vector<ScriptCall> calls;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto& item = items[i];
    const auto& total = (*totals)[i];
    ScriptCall& call = groups[keys_.partition(item)];
    if (call.script == nullptr) call = {.script = &scripts::install(), .arguments = {millis(kCleanKept)}};
    call.keys.insert(call.keys.end(), {keys_.count(item), keys_.buffer(item), keys_.direct(item), keys_.last_sync(item)});
    call.arguments.insert(call.arguments.end(), {std::to_string(total.views), std::to_string(total.direct),
                                                 total.synced_at ? micros(*total.synced_at) : std::string()});
    if (call.keys.size() == 4 * kItemsPerScript) calls.push_back(std::exchange(call, {}));
  }
  for (auto& [partition, call] : groups) {
    if (call.script != nullptr) calls.push_back(std::move(call));
  }
  auto replies = co_await client_.run_all(std::move(calls));
  for (const auto& reply : replies) {
    if (!reply) co_return std::unexpected(error_of(reply.error()));
    loads_ += static_cast<std::uint64_t>(reply->integer);
  }
  co_return Result<void>{};
}

// --- to SQL ---

Task<Result<std::vector<RedisViewStore::Marked>>> RedisViewStore::marked(UtcMicros until, std::size_t limit) {
  auto age = std::max(clock_.now() - until, std::chrono::microseconds(0));
  std::vector<ScriptCall> calls;
  for (redis::KeyNames::Partition partition = 0; partition < keys_.partitions(); ++partition) {
    calls.push_back({.script = &scripts::marked(),
                     .keys = {keys_.marks(partition)},
                     .arguments = {std::to_string(age.count()), std::to_string(limit), given_time()}});
  }
  auto replies = co_await client_.run_all(std::move(calls));
  std::vector<Marked> marked;
  for (const auto& reply : replies) {
    if (!reply) co_return std::unexpected(error_of(reply.error()));
    for (std::size_t i = 0; i + 1 < reply->elements.size(); i += 2) {
      auto item = item_named(reply->elements[i].text);
      if (item) marked.push_back({.item = *std::move(item), .since_ms = number<std::int64_t>(reply->elements[i + 1].text)});
    }
  }
  std::ranges::sort(marked, {}, &Marked::since_ms);
  if (marked.size() > limit) marked.erase(marked.begin() + static_cast<std::ptrdiff_t>(limit), marked.end());
  co_return marked;
}

Task<Result<std::vector<CountedItem>>> RedisViewStore::buffered(UtcMicros until, std::size_t limit) {
  auto found = co_await marked(until, limit);
  if (!found) co_return std::unexpected(found.error());
  co_return co_await read_counted(*std::move(found));
}

// The total of an item is read before its hours: a view that comes between keeps the mark, so that its hour is read again.
// All hours that Redis keeps anyway are read, for late views are of earlier ones than the mark says if they come during a sync.
Task<Result<std::vector<CountedItem>>> RedisViewStore::read_counted(std::vector<Marked> marked) {
  auto now = hour_of(clock_.now());
  auto last = now + kClocksApart;
  auto first_of = [&](const Marked& mark) {
    auto since = hour_of(utc(1'000 * mark.since_ms)) - kClocksApart;
    return std::max(std::min(since, now - kHoursKeptInRedis), now - kDedupeWindowMax);
  };
  std::vector<Command> commands;
  for (const auto& mark : marked) {
    auto count = keys_.count(mark.item);
    auto buffer = keys_.buffer(mark.item);
    auto direct = keys_.direct(mark.item);
    commands.push_back(Command({"MGET", count, buffer, direct}));
    for (auto hour : hours_from(first_of(mark), last)) {
      auto key = keys_.hour(mark.item.kind, keys_.partition(mark.item), hour);
      commands.push_back(Command({"ZSCORE", key, mark.item.id.view()}));
    }
  }
  auto replies = co_await client_.call_all(std::move(commands));
  for (const auto& reply : replies) {
    if (!reply) co_return std::unexpected(error_of(reply.error()));
  }
  std::vector<CountedItem> items;
  std::size_t next = 0;
  for (auto& mark : marked) {
    const auto& total = replies[next++]->elements;
    CountedItem counted{.item = mark.item, .views = number_of(total[0]) + number_of(total[1]), .direct = number_of(total[2])};
    for (auto hour : hours_from(first_of(mark), last)) {
      if (auto views = number_of(*replies[next++]); views > 0) counted.hours.push_back({.hour = hour, .views = views});
    }
    items.push_back(std::move(counted));
  }
  co_return items;
}

Task<Result<void>> RedisViewStore::settle(std::vector<CountedItem> items, std::vector<WrittenItem> written, UtcMicros at) {
  HEARTH_ASSERT(items.size() == written.size());
  std::map<redis::KeyNames::Partition, ScriptCall> groups;
  std::vector<ScriptCall> calls;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto& item = items[i].item;
    auto partition = keys_.partition(item);
    ScriptCall& call = groups[partition];
    if (call.script == nullptr) {
      auto hours = keys_.hours(ViewedKind::kStory, partition) + " " + keys_.hours(ViewedKind::kChapter, partition);
      call = {.script = &scripts::settle(),
              .keys = {keys_.marks(partition)},
              .arguments = {micros(at), millis(kCleanKept), millis(kHoursKeptInRedis), hours, given_time()}};
    }
    call.keys.insert(call.keys.end(), {keys_.count(item), keys_.buffer(item), keys_.direct(item), keys_.last_sync(item)});
    call.arguments.insert(call.arguments.end(), {ViewKeys::member(item), std::to_string(items[i].views), std::to_string(items[i].direct),
                                                 std::to_string(written[i].views), std::to_string(written[i].direct)});
    if (call.keys.size() == 1 + 4 * kItemsPerScript) calls.push_back(std::exchange(call, {}));
  }
  for (auto& [partition, call] : groups) {
    if (call.script != nullptr) calls.push_back(std::move(call));
  }
  auto replies = co_await client_.run_all(std::move(calls));
  for (const auto& reply : replies) {
    if (!reply) co_return std::unexpected(error_of(reply.error()));
  }
  co_return Result<void>{};
}

Task<Result<BufferedStats>> RedisViewStore::stats() {
  std::vector<Command> commands;
  for (redis::KeyNames::Partition partition = 0; partition < keys_.partitions(); ++partition) {
    auto key = keys_.marks(partition);
    commands.push_back(Command({"ZRANGE", key, "0", "-1"}));
  }
  auto found = co_await client_.call_all(std::move(commands));
  BufferedStats stats;
  std::vector<Command> reads;
  for (const auto& marks : found) {
    if (!marks) co_return std::unexpected(error_of(marks.error()));
    for (std::size_t begin = 0; begin < marks->elements.size(); begin += kKeysPerRead) {
      std::vector<std::string> names;
      for (std::size_t i = begin; i < std::min(begin + kKeysPerRead, marks->elements.size()); ++i) {
        auto item = item_named(marks->elements[i].text);
        if (!item) continue;
        ++(item->kind == ViewedKind::kStory ? stats.stories : stats.chapters);
        names.push_back(keys_.buffer(*item));
      }
      if (names.empty()) continue;
      std::vector<std::string_view> words{"MGET"};
      words.insert(words.end(), names.begin(), names.end());
      reads.emplace_back(words);
    }
  }
  auto buffers = co_await client_.call_all(std::move(reads));
  for (const auto& buffer : buffers) {
    if (!buffer) co_return std::unexpected(error_of(buffer.error()));
    for (const auto& views : buffer->elements) stats.views += number_of(views);
  }
  co_return stats;
}

}  // namespace hearth::views
