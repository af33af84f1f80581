#include "hearth/drivers/redis/router.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "hearth/base/log.h"

namespace hearth::redis {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kPatience{1'000};   // for a server that may be there in a moment
constexpr milliseconds kRetryPause{50};    // after TRYAGAIN and its like
constexpr milliseconds kLivedLong{1'000};  // a connection lost before counts as one that failed
constexpr std::uint8_t kRedirectsMax = 16;
constexpr std::size_t kAdmittedMax = 1'024;
constexpr std::string_view kLog = "redis";

void count(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);  // only one thread writes
}

// "run_id:6a0f…" of INFO.
std::string_view info_field(std::string_view info, std::string_view name) {
  for (auto at = info.find(name); at != std::string_view::npos; at = info.find(name, at + 1)) {
    bool begins_line = at == 0 || info[at - 1] == '\n';
    auto rest = info.substr(at + name.size());
    if (begins_line && rest.starts_with(':')) return rest.substr(1, rest.find_first_of("\r\n") - 1);
  }
  return {};
}

Identity identity_of(std::string_view info) {
  return {.run_id = std::string(info_field(info, "run_id")),
          .version = std::string(info_field(info, "redis_version")),
          .is_primary = info_field(info, "role") == "master",
          .is_cluster = info_field(info, "redis_mode") == "cluster",
          .is_loading = info_field(info, "loading") == "1"};
}

milliseconds sweep_period(milliseconds call_timeout) {
  return std::clamp(call_timeout / 8, milliseconds(5), milliseconds(50));
}

}  // namespace

bool Server::is_connected() const {
  return std::ranges::any_of(connections, [](const auto& connection) { return connection && connection->is_serving(); });
}

Connection* Server::pick(std::size_t lane) const {
  for (std::size_t i = 0; i < connections.size(); ++i) {
    auto* connection = connections[(lane + i) % connections.size()].get();
    if (connection != nullptr && connection->is_serving()) return connection;
  }
  return nullptr;
}

Router::Router(boost::asio::io_context& io, const ClientOptions& options, Url url, boost::asio::ssl::context* tls)
    : io_(io),
      options_(options),
      url_(std::move(url)),
      tls_(tls),
      patience_(std::min(kPatience, options.call_timeout)),
      mode_(url_.mode),
      unmapped_since_(steady_clock::now()),
      known_addresses_(url_.addresses),
      discovery_timer_(io),
      sweep_timer_(io),
      is_cluster_(url_.mode == Mode::kCluster) {}

void Router::start() {
  boost::asio::co_spawn(io_, keep_discovering(), boost::asio::detached);
  boost::asio::co_spawn(io_, sweep_until_stopped(), boost::asio::detached);
}

void Router::stop() {
  is_stopping_ = true;
  on_change({});
  if (discovery_) discovery_->close("stopped");
  auto close_all = [](Server& server) {
    for (auto& connection : server.connections) {
      if (connection) connection->close("stopped");
    }
  };
  for (auto& [address, server] : servers_) close_all(*server);
  for (auto& server : leaving_) close_all(*server);
  route_waiting(steady_clock::now());
  deliveries_.flush();
  publish();
}

// --- calls ---

void Router::take(std::vector<std::unique_ptr<Batch>> batches) {
  auto now = steady_clock::now();
  for (auto& batch : batches) {
    Batch* taken = batch.release();  // finish() takes it back
    taken->lane = deliveries_.lane_of(taken->context);
    std::size_t calls = taken->calls.size();
    for (std::size_t i = 0; i < calls; ++i) {  // the last finish() ends the batch
      taken->calls[i].give_up_at = now + patience_;
      route(taken->calls[i], now);
    }
  }
  round_ended(now);
}

void Router::route(Call& call, Time now) {
  auto not_sent = [&](std::string why) { finish(call, std::unexpected(Failure{Failure::Kind::kNotSent, std::move(why)})); };
  if (is_stopping_) return not_sent("the client is stopping");
  if (call.was_sent && !may_follow_its_successors(call, now)) return;
  Server* server = slots_[call.slot];
  if (call.is_asking) {
    auto asked = servers_.find(call.asked);
    call.is_asking = asked != servers_.end();
    if (call.is_asking) server = asked->second.get();
  }
  if (server == nullptr) {
    if (now - unmapped_since_ < patience_) return wait(call, now, "no server is known for the slot");
    return not_sent("no server is known for the slot");
  }
  Connection* connection = server->pick(call.batch->lane);
  if (connection == nullptr) {
    auto why = server->address.text() + " is not connected";
    if (!server->is_unreachable && now - server->down_since < patience_) return wait(call, now, std::move(why));
    return not_sent(std::move(why));
  }
  if (call.admission == Admission::kNeeded && !is_admitted(*connection)) {
    return not_sent(server->address.text() + " is not admitted yet");
  }
  send(call, *connection);
}

void Router::send(Call& call, Connection& connection) {
  if (connection.enqueue(call)) to_flush_.push_back(&connection);
}

void Router::wait_again(Call& call, Time now, milliseconds pause, std::string why) {
  if (!call.was_sent) call.give_up_at = now + patience_;
  call.was_sent = true;
  call.retry_at = now + pause;
  if (pause == milliseconds(0)) is_waiting_due_ = true;
  wait(call, now, std::move(why));
}

void Router::wait(Call& call, Time now, std::string why) {
  if (now >= call.give_up_at) return finish(call, std::unexpected(Failure{Failure::Kind::kNotSent, std::move(why)}));
  call.state = Call::State::kWaiting;
  waiting_.push_back(&call);
}

// A call that was turned away goes again only in its place: calls for its slot that stand behind it in its batch were
// sent with it. While one of them is on its way it waits; once one was executed it is too late.
bool Router::may_follow_its_successors(Call& call, Time now) {
  if (now < call.retry_at) {
    waiting_.push_back(&call);
    return false;
  }
  for (const Call* later = &call + 1; later != call.batch->calls.data() + call.batch->calls.size(); ++later) {
    if (later->slot != call.slot || later->state == Call::State::kWaiting) continue;
    bool is_untouched = !later->outcome && later->outcome.error().kind == Failure::Kind::kNotSent;
    if (later->state == Call::State::kSent) {
      is_waiting_due_ = true;  // after the next answers
      waiting_.push_back(&call);
      return false;
    }
    if (!is_untouched) {
      finish(call, std::unexpected(Failure{Failure::Kind::kNotSent, "turned away, and what came behind it was not"}));
      return false;
    }
  }
  return true;
}

void Router::route_waiting(Time now) {
  is_waiting_due_ = false;
  for (Call* call : std::exchange(waiting_, {})) route(*call, now);
}

void Router::answered(Connection& from, Call& call, Reply reply, Time now) {
  count(micros_, static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now - call.sent_at).count()));
  if (reply.type == Reply::Type::kError) return turned_away(from, call, std::move(reply.text), now);
  finish(call, std::move(reply));
}

// What was turned away in one of these ways was not executed.
void Router::turned_away(Connection& from, Call& call, std::string message, Time now) {
  call.is_asking = false;
  auto again = [&](milliseconds pause) { wait_again(call, now, pause, message); };
  std::string_view text = message;
  if (is_cluster_ && (text.starts_with("MOVED ") || text.starts_with("ASK "))) return redirected(from, call, message, now);
  if (call.script != nullptr && text.starts_with("NOSCRIPT")) {
    send_script_whole(call);
    return again(milliseconds(0));
  }
  if (text.starts_with("TRYAGAIN") || text.starts_with("LOADING")) return again(kRetryPause);
  if (text.starts_with("CLUSTERDOWN") || text.starts_with("MASTERDOWN")) {
    want_discovery();
    return again(kRetryPause);
  }
  if (text.starts_with("READONLY")) {  // it was demoted
    leave(from);
    return again(kRetryPause);
  }
  finish(call, std::unexpected(Failure{Failure::Kind::kRefused, std::move(message)}));
}

// "MOVED 3999 127.0.0.1:6381" or "ASK …"; without a host it is that of the server that says so.
void Router::redirected(Connection& from, Call& call, const std::string& message, Time now) {
  count(redirects_);
  auto target = std::string_view(message).substr(message.rfind(' ') + 1);
  auto address = parse_address(target.starts_with(':') ? from.address().host + std::string(target) : std::string(target), 0);
  if (!address || ++call.redirects > kRedirectsMax) {
    return finish(call, std::unexpected(Failure{Failure::Kind::kNotSent, "redirected without end: " + message}));
  }
  Server& server = server_at(*address);
  call.is_asking = message.starts_with("ASK ");
  if (call.is_asking) {
    call.asked = server.address.text();
    server.last_asked = now;
  } else {
    slots_[call.slot] = &server;
    want_discovery();
  }
  wait_again(call, now, milliseconds(0), message);
}

void Router::failed(Call& call, Failure failure) {
  finish(call, std::unexpected(std::move(failure)));
}

void Router::finish(Call& call, Outcome<Reply> outcome) {
  count(calls_);
  if (!outcome && outcome.error().kind != Failure::Kind::kRefused) count(failures_);
  call.outcome = std::move(outcome);
  call.state = Call::State::kAnswered;
  if (--call.batch->unanswered > 0) return;
  std::unique_ptr<Batch> batch(call.batch);
  pending_bytes_.fetch_sub(batch->bytes, std::memory_order_relaxed);
  deliveries_.add(std::move(batch));
}

void Router::round_ended(Time now) {
  if (is_waiting_due_) route_waiting(now);
  for (Connection* connection : std::exchange(to_flush_, {})) connection->flush(now);
  deliveries_.flush();
}

// --- servers ---

Server& Router::server_at(const Address& address) {
  auto& server = servers_[address.text()];
  if (server) return *server;
  server = std::make_shared<Server>(Server{.address = address, .connections = {}, .down_since = steady_clock::now()});
  server->connections.resize(static_cast<std::size_t>(options_.connections_per_server));
  for (std::size_t i = 0; i < server->connections.size(); ++i) {
    boost::asio::co_spawn(io_, keep_connected(server, i), boost::asio::detached);
  }
  return *server;
}

void Router::leave(const Connection& demoted) {
  auto found = servers_.find(demoted.address().text());
  if (found == servers_.end()) return;
  auto is_it = [&](const auto& connection) { return connection.get() == &demoted; };
  if (std::ranges::any_of(found->second->connections, is_it)) leave(found->first);  // else it was left before
}

// It is no primary any more, or no longer part of the map. Should it come back, it is looked at first: others may have
// written in the meantime.
void Router::leave(std::string address) {
  auto server = servers_.extract(address).mapped();
  server->is_leaving = true;
  for (auto& connection : server->connections) {
    if (!connection) continue;
    view_.with([&](View& view) { view.admitted.erase(connection->identity.run_id); });
    connection->is_admitted = false;
  }
  for (Server*& owner : slots_) {
    if (owner != server.get()) continue;
    owner = nullptr;
    unmapped_since_ = steady_clock::now();
  }
  leaving_.push_back(std::move(server));
  publish();
  want_discovery();
}

Task<void> Router::keep_connected(std::shared_ptr<Server> server, std::size_t index) {
  Timer pause(io_);
  int failures = 0;
  while (!is_stopping_ && !server->is_leaving) {
    auto connection = std::make_shared<Connection>(io_, tls_, listener(), server->address);
    server->connections[index] = connection;
    auto opened = co_await open_connection(*connection);
    if (opened && !server->is_leaving) {
      auto since = steady_clock::now();
      became_ready(*server, *connection);
      co_await connection->serve(options_.call_timeout);
      failures = steady_clock::now() - since >= kLivedLong ? -1 : 0;
    }
    connection->close(opened ? "left" : opened.error().message);
    if (is_stopping_ || server->is_leaving) break;
    auto level = failures > 0 ? log::Level::kDebug : log::Level::kWarning;  // once a loss
    if (log::is_enabled(level))
      log::write(level, kLog, "a server is not connected", {{"server", server->address.text()}, {"reason", connection->close_reason()}});
    if (!server->is_connected() && !opened) server->is_unreachable = true;
    was_lost(*server);
    if (++failures == 0) continue;
    pause.expires_after(backoff(failures - 1));
    co_await pause.async_wait(boost::asio::as_tuple(use_task));
  }
}

Task<Result<void>> Router::open_connection(Connection& connection) {
  auto deadline = steady_clock::now() + options_.connect_timeout;
  auto opened = co_await connection.connect(deadline);
  if (!opened) co_return opened;
  opened = co_await log_in(connection, deadline);
  if (!opened) co_return opened;
  auto info = co_await connection.ask({"INFO"}, deadline);
  if (!info) co_return std::unexpected(info.error());
  auto unusable = [&](std::string why) { return fail(ErrorCode::kUnavailable, connection.address().text() + ": " + why); };
  if (info->type != Reply::Type::kText) co_return unusable(info->text);
  connection.identity = identity_of(info->text);
  if (connection.identity.run_id.empty()) co_return unusable("INFO names no run_id");
  if (connection.identity.is_loading) co_return unusable("it is loading its data");
  if (!connection.identity.is_primary) co_return unusable("it is a replica");
  co_return Result<void>();
}

Task<Result<void>> Router::log_in(Connection& connection, Time deadline) {
  std::vector<std::vector<std::string_view>> commands;
  if (!url_.password.empty() && !url_.user.empty()) commands.push_back({"AUTH", url_.user, url_.password});
  if (!url_.password.empty() && url_.user.empty()) commands.push_back({"AUTH", url_.password});
  auto database = std::to_string(url_.database);
  if (url_.database != 0) commands.push_back({"SELECT", database});
  for (const auto& command : commands) {
    auto reply = co_await connection.ask(command, deadline);
    if (!reply) co_return std::unexpected(reply.error());
    if (reply->type == Reply::Type::kError) co_return fail(ErrorCode::kUnavailable, connection.address().text() + ": " + reply->text);
  }
  co_await connection.ask({"CLIENT", "SETNAME", options_.client_name}, deadline);  // it is for people; a user may lack the right
  co_return Result<void>();
}

void Router::became_ready(Server& server, Connection& connection) {
  const Identity& identity = connection.identity;
  log::info(kLog, "a server is connected", {{"server", server.address.text()}, {"version", identity.version}, {"run_id", identity.run_id}});
  if (server.was_connected) count(reconnects_);
  server.was_connected = true;
  server.is_unreachable = false;
  check_admission(connection);
  if (identity.is_cluster && mode_ == Mode::kSingle) {  // one member was named
    mode_ = Mode::kCluster;
    is_cluster_ = true;
    want_discovery();
  }
  boost::asio::post(io_, [this] {  // once it serves
    publish();
    is_waiting_due_ = true;
    round_ended(steady_clock::now());
  });
}

void Router::was_lost(Server& server) {
  if (!server.is_connected() && !server.is_unreachable) server.down_since = steady_clock::now();
  publish();
  want_discovery();
  is_waiting_due_ = true;
  round_ended(steady_clock::now());
}

bool Router::check_admission(Connection& connection) {
  connection.is_admitted =
      !options_.needs_admission || view_.with([&](const View& view) { return view.admitted.contains(connection.identity.run_id); });
  return connection.is_admitted;
}

void Router::admit(std::string_view run_id) {
  view_.with([&](View& view) {
    // What is not connected any more may have changed since it was looked at.
    if (std::ranges::find(view.servers, run_id, &ServerInfo::run_id) == view.servers.end()) return;
    if (view.admitted.size() >= kAdmittedMax) view.admitted.clear();
    view.admitted.emplace(run_id);
    look_over(view);
  });
}

void Router::look_over(View& view) {
  bool is_serving = is_connected_;
  for (ServerInfo& server : view.servers) {
    server.is_admitted = !options_.needs_admission || view.admitted.contains(server.run_id);
    if (!server.slots.empty() && !server.is_admitted) is_serving = false;
  }
  is_serving_of_all_ = is_serving;
}

// An entry for each process: two connections of one server may have found two.
void Router::publish() {
  std::vector<ServerInfo> servers;
  std::uint64_t connections = 0;
  for (const auto& [address, server] : servers_) {
    auto slots = slots_of(*server);
    for (const auto& connection : server->connections) {
      if (!connection || !connection->is_serving()) continue;
      ++connections;
      const Identity& identity = connection->identity;
      if (std::ranges::find(servers, identity.run_id, &ServerInfo::run_id) != servers.end()) continue;
      servers.push_back({.address = address, .run_id = identity.run_id, .version = identity.version, .slots = slots});
    }
  }
  connections_ = connections;
  bool is_connected = std::ranges::all_of(slots_, [](const Server* server) { return server != nullptr && server->is_connected(); });
  auto listener = view_.with([&](View& view) {
    // One connection more or less to a server that is there all the same is no news.
    auto is_same = [](const ServerInfo& a, const ServerInfo& b) {
      return a.address == b.address && a.run_id == b.run_id && a.slots == b.slots;
    };
    bool is_news = is_connected != is_connected_ || !std::ranges::equal(servers, view.servers, is_same);
    view.servers = std::move(servers);
    is_connected_ = is_connected;
    look_over(view);
    return is_news ? view.listener : nullptr;
  });
  if (listener) listener();
}

std::vector<std::pair<std::uint16_t, std::uint16_t>> Router::slots_of(const Server& server) const {
  std::vector<std::pair<std::uint16_t, std::uint16_t>> ranges;
  for (std::uint16_t slot = 0; slot < kSlots; ++slot) {
    if (slots_[slot] != &server) continue;
    if (!ranges.empty() && ranges.back().second + 1 == slot) {
      ranges.back().second = slot;
    } else {
      ranges.emplace_back(slot, slot);
    }
  }
  return ranges;
}

std::vector<ServerInfo> Router::servers() const {
  return view_.with([](const View& view) { return view.servers; });
}

void Router::on_change(std::function<void()> listener) {
  view_.with([&](View& view) { view.listener = std::move(listener); });
}

Client::Stats Router::stats() const {
  return {.calls = calls_,
          .failures = failures_,
          .reconnects = reconnects_,
          .redirects = redirects_,
          .connections = connections_,
          .micros = micros_};
}

milliseconds Router::backoff(int failures) {
  auto delay = std::min(options_.reconnect_max, options_.reconnect_first * (1 << std::min(failures, 10)));
  return delay / 2 + milliseconds(std::uniform_int_distribution<milliseconds::rep>(0, delay.count() / 2)(random_));
}

// --- time ---

Task<void> Router::sweep_until_stopped() {
  while (!is_stopping_) {
    sweep_timer_.expires_after(sweep_period(options_.call_timeout));
    co_await sweep_timer_.async_wait(boost::asio::as_tuple(use_task));
    sweep(steady_clock::now());
  }
}

void Router::sweep(Time now) {
  auto check_all = [now](Server& server) {
    for (const auto& connection : server.connections) {
      if (!connection) continue;
      connection->check(now);
      if (server.is_leaving && connection->is_idle()) connection->close("left");
    }
  };
  for (const auto& [address, server] : servers_) check_all(*server);
  for (const auto& server : leaving_) check_all(*server);
  std::erase_if(leaving_, [](const auto& server) {
    return std::ranges::none_of(server->connections, [](const auto& connection) { return connection && connection->is_open(); });
  });
  if (discovery_) discovery_->check(now);
  is_waiting_due_ = !waiting_.empty();
  round_ended(now);
}

}  // namespace hearth::redis
