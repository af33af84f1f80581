#pragma once

// One connection to a server: from its opening to its end, which comes once.
//
// It has two phases. First it is talked on: connect(), then ask() as often as needed, each waiting for its answer. Then
// serve() makes it a pipeline: enqueue() gathers calls, flush() sends what has gathered in one write, and the answers are
// handed to the listener in the order of the calls.
//
// Everything runs on the client's thread. There is no timer: the owner calls check() again and again, which closes a
// connection that is late. Closing ends each call: those handed to the socket as kUnknown, the others as kNotSent.

#include <array>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/result.h"
#include "hearth/base/task.h"
#include "hearth/drivers/redis/call.h"
#include "hearth/drivers/redis/reply_reader.h"
#include "hearth/drivers/redis/url.h"

namespace hearth::redis {

// What the server says about itself.
struct Identity {
  std::string run_id = {};
  std::string version = {};
  bool is_primary = false;
  bool is_cluster = false;
  bool is_loading = false;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // Learns of the calls in a pipeline. May enqueue and close; flush() and delivery belong into round_ended().
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void answered(Connection& from, Call& call, Reply reply, Time now) = 0;
    virtual void failed(Call& call, Failure failure) = 0;
    // What one read brought was handed over, or the connection is closed.
    virtual void round_ended(Time now) = 0;
  };

  Connection(boost::asio::io_context& io, boost::asio::ssl::context* tls, Listener& listener, Address address);  // tls: null without
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Talking. Fails with kUnavailable; the connection is closed then. An error reply of ask() is not a failure.
  Task<Result<void>> connect(Time deadline);
  Task<Result<Reply>> ask(std::vector<std::string_view> words, Time deadline);

  // The pipeline. Returns once the connection is closed.
  Task<void> serve(std::chrono::milliseconds call_timeout);
  // False: something had gathered before.
  bool enqueue(Call& call);
  void flush(Time now);

  void check(Time now);
  void close(std::string reason);

  bool is_open() const { return !is_closed_; }
  bool is_serving() const { return is_serving_ && !is_closed_; }
  bool is_idle() const { return awaited_.empty() && gathered_calls_.empty(); }
  const std::string& close_reason() const { return close_reason_; }
  const Address& address() const { return address_; }

  Identity identity = {};    // set by who asked for it
  bool is_admitted = false;  // likewise

 private:
  using Tcp = boost::asio::ip::tcp;
  using Socket = boost::asio::basic_stream_socket<Tcp, Executor>;
  using Resolver = boost::asio::ip::basic_resolver<Tcp, Executor>;

  Task<Result<void>> connect_socket();
  Task<Result<void>> start_tls();
  template <typename Buffer>
  Task<Result<std::size_t>> read_some(Buffer buffer);
  template <typename Handler>
  void start_write(Handler handler);
  Task<Result<void>> write_all();
  void hand_over_replies(std::string_view bytes);
  void hand_over(Reply reply, Time now);
  std::unexpected<Error> closed_error() const;

  Listener& listener_;
  const Address address_;
  Resolver resolver_;
  Socket socket_;
  std::optional<boost::asio::ssl::stream<Socket&>> tls_;

  ReplyReader reader_;
  std::array<char, 64u << 10> read_buffer_;
  std::string gathered_;
  std::vector<Call*> gathered_calls_;  // null: its answer is of no interest
  std::string sending_;
  std::deque<Call*> awaited_;  // sent, in order

  std::chrono::milliseconds call_timeout_{};
  Time deadline_ = Time::max();  // of what is talked
  bool is_writing_ = false;
  bool is_serving_ = false;
  bool is_closed_ = false;
  std::string close_reason_;
};

}  // namespace hearth::redis
