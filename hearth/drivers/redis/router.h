#pragma once

// Which server gets a call, and what becomes of it there. The part of the client that runs on its one thread.
//
// Every mode is a map from slots to primaries: one server for all of them, the one that Sentinel names, or Cluster's own
// map. discover() finds the map and is run again whenever something suggests that it has changed. Each server of the map
// is kept connected, whatever happens to its connections.
//
// What waits (for a connection, for the next try of a call that a server turned away) waits in one list, for
// kPatience at most, and is looked at after every event and every sweep. A server that could not be reached fails its
// calls at once until it is back.

#include <array>
#include <atomic>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/ssl/context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/guarded.h"
#include "hearth/drivers/redis/call.h"
#include "hearth/drivers/redis/client.h"
#include "hearth/drivers/redis/connection.h"
#include "hearth/drivers/redis/deliveries.h"
#include "hearth/drivers/redis/url.h"

namespace hearth::redis {

// A primary. Alive as long as the map names it or one of its connections is open.
struct Server {
  Address address;
  std::vector<std::shared_ptr<Connection>> connections;  // one a lane; null before the first try
  bool is_leaving = false;                               // takes no more calls; ends when the last is answered
  bool is_unreachable = false;                           // since the last connection was lost, one could not be made
  bool was_connected = false;
  Time down_since;       // of the last connection; since it is known
  Time last_asked = {};  // by a redirection that is no part of the map

  bool is_connected() const;
  Connection* pick(std::size_t lane) const;
};

class Router final : Connection::Listener {
 public:
  // REQUIRES: all of it outlives the router; `tls` is null without TLS.
  Router(boost::asio::io_context& io, const ClientOptions& options, Url url, boost::asio::ssl::context* tls);

  // On the client's thread.
  void start();
  void take(std::vector<std::unique_ptr<Batch>> batches);
  void stop();

  // On any thread.
  bool is_cluster() const { return is_cluster_; }
  bool is_connected() const { return is_connected_; }
  bool is_serving() const { return is_serving_of_all_; }
  std::vector<ServerInfo> servers() const;
  void admit(std::string_view run_id);
  void on_change(std::function<void()> listener);
  Client::Stats stats() const;
  std::atomic<std::size_t>& pending_bytes() { return pending_bytes_; }

 private:
  struct SlotRange {
    std::uint16_t first = 0;
    std::uint16_t last = 0;
    Address address;
  };
  struct View {
    std::vector<ServerInfo> servers = {};
    std::set<std::string, std::less<>> admitted = {};
    std::function<void()> listener = {};
  };
  using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;

  // Calls.
  void route(Call& call, Time now);
  void send(Call& call, Connection& connection);
  void wait(Call& call, Time now, std::string why);
  void wait_again(Call& call, Time now, std::chrono::milliseconds pause, std::string why);
  bool may_follow_its_successors(Call& call, Time now);
  void route_waiting(Time now);
  void answered(Connection& from, Call& call, Reply reply, Time now) override;
  void turned_away(Connection& from, Call& call, std::string message, Time now);
  void redirected(Connection& from, Call& call, const std::string& message, Time now);
  void failed(Call& call, Failure failure) override;
  void finish(Call& call, Outcome<Reply> outcome);
  void round_ended(Time now) override;

  Connection::Listener& listener() { return *this; }

  // Servers.
  Server& server_at(const Address& address);
  void leave(const Connection& demoted);
  void leave(std::string address);
  Task<void> keep_connected(std::shared_ptr<Server> server, std::size_t index);
  Task<Result<void>> open_connection(Connection& connection);
  Task<Result<void>> log_in(Connection& connection, Time deadline);
  void became_ready(Server& server, Connection& connection);
  void was_lost(Server& server);
  bool check_admission(Connection& connection);
  bool is_admitted(Connection& connection) { return connection.is_admitted || check_admission(connection); }
  void look_over(View& view);
  void publish();
  std::vector<std::pair<std::uint16_t, std::uint16_t>> slots_of(const Server& server) const;
  std::chrono::milliseconds backoff(int failures);

  // The map.
  Task<void> keep_discovering();
  void want_discovery();
  Task<Result<std::vector<SlotRange>>> discover();
  Task<Result<std::vector<SlotRange>>> ask_sentinel();
  Task<Result<std::vector<SlotRange>>> ask_cluster();
  Task<Result<Reply>> ask_discovery(std::vector<std::string_view> words);
  void use_map(const std::vector<SlotRange>& map);

  Task<void> sweep_until_stopped();
  void sweep(Time now);

  boost::asio::io_context& io_;
  const ClientOptions& options_;
  const Url url_;
  boost::asio::ssl::context* const tls_;
  const std::chrono::milliseconds patience_;

  Mode mode_;
  std::map<std::string, std::shared_ptr<Server>> servers_;  // by address
  std::vector<std::shared_ptr<Server>> leaving_;
  std::array<Server*, kSlots> slots_{};
  Time unmapped_since_;
  std::vector<Call*> waiting_;
  bool is_waiting_due_ = false;        // something has changed for them
  std::vector<Connection*> to_flush_;  // within one round
  Deliveries deliveries_;

  std::vector<Address> known_addresses_;  // that can be asked for the map
  std::size_t next_known_ = 0;
  std::shared_ptr<Connection> discovery_;  // kept between two questions
  bool is_discovery_wanted_ = false;
  Timer discovery_timer_;
  Timer sweep_timer_;
  bool is_stopping_ = false;
  std::minstd_rand random_{std::random_device{}()};

  mutable Guarded<View> view_;
  std::atomic<bool> is_cluster_;
  std::atomic<bool> is_connected_ = false;
  std::atomic<bool> is_serving_of_all_ = false;
  std::atomic<std::size_t> pending_bytes_ = 0;
  std::atomic<std::uint64_t> calls_ = 0;
  std::atomic<std::uint64_t> failures_ = 0;
  std::atomic<std::uint64_t> reconnects_ = 0;
  std::atomic<std::uint64_t> redirects_ = 0;
  std::atomic<std::uint64_t> connections_ = 0;
  std::atomic<std::uint64_t> micros_ = 0;
};

}  // namespace hearth::redis
