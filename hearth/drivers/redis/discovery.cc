// Where the primaries are: the part of the router that asks for the map and takes it over.
#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <charconv>

#include "hearth/base/log.h"
#include "hearth/drivers/redis/router.h"

namespace hearth::redis {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kDiscoveryPeriod{10'000};  // without a reason
constexpr milliseconds kSentinelPeriod{1'000};    // the old primary may go on for those who do not ask
constexpr milliseconds kDiscoveryGap{100};        // with one
constexpr milliseconds kDiscoveryTimeout{2'000};  // of one that is asked
constexpr std::chrono::seconds kAskedKept{60};    // for a server that is only redirected to
constexpr std::size_t kKnownMax = 1'024;
constexpr std::string_view kLog = "redis";

// [host, port, …]; an empty host is that of the one that says so.
std::optional<Address> address_of(const Reply& node, const Address& said_by) {
  if (node.elements.size() < 2) return std::nullopt;
  const std::string& host = node.elements[0].text;
  auto port = node.elements[1].integer;
  if (node.elements[1].type == Reply::Type::kText)
    std::from_chars(node.elements[1].text.data(), node.elements[1].text.data() + node.elements[1].text.size(), port);
  if (port < 1 || port > 65'535) return std::nullopt;
  return Address{.host = host.empty() ? said_by.host : host, .port = static_cast<std::uint16_t>(port)};
}

bool is_complete(const std::array<Server*, kSlots>& slots) {
  return std::ranges::find(slots, nullptr) == slots.end();
}

}  // namespace

void Router::want_discovery() {
  is_discovery_wanted_ = true;
  discovery_timer_.cancel();
}

Task<void> Router::keep_discovering() {
  constexpr auto use_task_tuple = boost::asio::as_tuple(use_task);
  Timer pause(io_);
  int failures = 0;
  while (!is_stopping_) {
    is_discovery_wanted_ = false;
    auto map = co_await discover();
    if (is_stopping_) break;
    if (map) use_map(*map);
    if (!map && failures == 0) log::warning(kLog, "the servers could not be found", {{"reason", map.error().message}});
    if (!map) unmapped_since_ = steady_clock::now() - patience_;  // nobody waits for what nobody knows
    failures = map ? 0 : failures + 1;
    if (discovery_ && !is_connected_) discovery_->close("another is asked next");  // it may know less than the others
    pause.expires_after(map ? kDiscoveryGap : backoff(failures - 1));
    co_await pause.async_wait(use_task_tuple);
    if (is_stopping_) break;
    if (is_discovery_wanted_ || !map) continue;
    discovery_timer_.expires_after(mode_ == Mode::kSentinel ? kSentinelPeriod : kDiscoveryPeriod);
    co_await discovery_timer_.async_wait(use_task_tuple);
  }
}

Task<Result<std::vector<Router::SlotRange>>> Router::discover() {
  switch (mode_) {
    case Mode::kSingle:
      co_return std::vector<SlotRange>{{.last = kSlots - 1, .address = url_.addresses.front()}};
    case Mode::kSentinel:
      co_return co_await ask_sentinel();
    case Mode::kCluster:
      co_return co_await ask_cluster();
  }
  co_return fail(ErrorCode::kInternal, "no such mode");
}

// Asks the one that answered last, else the others in turn.
Task<Result<Reply>> Router::ask_discovery(std::vector<std::string_view> words) {
  auto timeout = std::min(options_.connect_timeout, kDiscoveryTimeout);
  Result<Reply> reply = fail(ErrorCode::kUnavailable, "nobody to ask");
  for (std::size_t tries = known_addresses_.size() + 1; tries > 0 && !is_stopping_; --tries) {
    auto deadline = steady_clock::now() + timeout;
    if (!discovery_ || !discovery_->is_open()) {
      discovery_ = std::make_shared<Connection>(io_, tls_, listener(), known_addresses_[next_known_++ % known_addresses_.size()]);
      auto opened = co_await discovery_->connect(deadline);
      if (opened && mode_ == Mode::kCluster) opened = co_await log_in(*discovery_, deadline);
      if (!opened) {
        discovery_->close(opened.error().message);
        reply = std::unexpected(opened.error());
        continue;
      }
    }
    reply = co_await discovery_->ask(words, deadline);
    if (reply && reply->type == Reply::Type::kArray) co_return reply;
    auto why = reply ? "answered " + (reply->is_nil() ? "that it does not know" : reply->text) : reply.error().message;
    reply = fail(ErrorCode::kUnavailable, discovery_->address().text() + ": " + why);
    discovery_->close(why);
  }
  co_return reply;
}

Task<Result<std::vector<Router::SlotRange>>> Router::ask_sentinel() {
  auto reply = co_await ask_discovery({"SENTINEL", "get-master-addr-by-name", url_.primary_name});
  if (!reply) co_return std::unexpected(reply.error());
  auto address = reply->elements.size() == 2 ? address_of(*reply, discovery_->address()) : std::nullopt;
  if (!address) co_return fail(ErrorCode::kUnavailable, "Sentinel gave no address");
  co_return std::vector<SlotRange>{{.last = kSlots - 1, .address = *std::move(address)}};
}

Task<Result<std::vector<Router::SlotRange>>> Router::ask_cluster() {
  auto reply = co_await ask_discovery({"CLUSTER", "SLOTS"});
  if (!reply) co_return std::unexpected(reply.error());
  std::vector<SlotRange> map;
  auto known = url_.addresses;
  for (const Reply& entry : reply->elements) {  // first, last, primary, replicas
    if (entry.elements.size() < 3) co_return fail(ErrorCode::kUnavailable, "CLUSTER SLOTS was answered in another form");
    auto first = entry.elements[0].integer;
    auto last = entry.elements[1].integer;
    auto primary = address_of(entry.elements[2], discovery_->address());
    if (first < 0 || last < first || last >= kSlots || !primary) co_return fail(ErrorCode::kUnavailable, "CLUSTER SLOTS makes no sense");
    map.push_back({.first = static_cast<std::uint16_t>(first), .last = static_cast<std::uint16_t>(last), .address = *primary});
    for (std::size_t i = 2; i < entry.elements.size(); ++i) {
      auto node = address_of(entry.elements[i], discovery_->address());
      if (node && known.size() < kKnownMax && std::ranges::find(known, *node) == known.end()) known.push_back(*std::move(node));
    }
  }
  known_addresses_ = std::move(known);
  co_return map;
}

void Router::use_map(const std::vector<SlotRange>& map) {
  auto now = steady_clock::now();
  std::array<Server*, kSlots> slots{};
  for (const SlotRange& range : map) std::fill(slots.begin() + range.first, slots.begin() + range.last + 1, &server_at(range.address));
  bool was_complete = is_complete(slots_);
  slots_ = slots;
  if (was_complete && !is_complete(slots_)) unmapped_since_ = now;

  std::vector<std::string> superfluous;
  for (const auto& [address, server] : servers_) {
    bool is_owner = std::ranges::find(slots_, server.get()) != slots_.end();
    if (!is_owner && now - server->last_asked > kAskedKept) superfluous.push_back(address);
  }
  for (const auto& address : superfluous) leave(address);
  publish();
  is_waiting_due_ = true;
  round_ended(now);
}

}  // namespace hearth::redis
