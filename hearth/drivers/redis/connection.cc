#include "hearth/drivers/redis/connection.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/write.hpp>
#include <utility>

namespace hearth::redis {
namespace {

constexpr auto use_task_tuple = boost::asio::as_tuple(use_task);
constexpr std::size_t kBufferKeptMax = 1u << 20;  // of a write buffer between writes

void set_socket_options(int socket) {
  auto set = [socket](int level, int name, int value) { setsockopt(socket, level, name, &value, sizeof value); };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

}  // namespace

Connection::Connection(boost::asio::io_context& io, boost::asio::ssl::context* tls, Listener& listener, Address address)
    : listener_(listener), address_(std::move(address)), resolver_(io.get_executor()), socket_(io.get_executor()) {
  if (tls != nullptr) tls_.emplace(socket_, *tls);
}

std::unexpected<Error> Connection::closed_error() const {
  return fail(ErrorCode::kUnavailable, address_.text() + ": " + close_reason_);
}

Task<Result<void>> Connection::connect(Time deadline) {
  auto self = shared_from_this();
  deadline_ = deadline;
  auto done = co_await connect_socket();
  if (done && tls_) done = co_await start_tls();
  deadline_ = Time::max();
  if (!done) close(done.error().message);
  if (is_closed_) co_return closed_error();
  co_return done;
}

Task<Result<void>> Connection::connect_socket() {
  auto [unresolved, endpoints] = co_await resolver_.async_resolve(address_.host, std::to_string(address_.port), use_task_tuple);
  if (unresolved) co_return fail(ErrorCode::kUnavailable, unresolved.message());
  if (is_closed_) co_return closed_error();
  auto [refused, endpoint] = co_await boost::asio::async_connect(socket_, endpoints, use_task_tuple);
  if (refused) co_return fail(ErrorCode::kUnavailable, refused.message());
  set_socket_options(socket_.native_handle());
  co_return Result<void>();
}

Task<Result<void>> Connection::start_tls() {
  boost::system::error_code is_name;
  boost::asio::ip::make_address(address_.host, is_name);
  if (is_name) SSL_set_tlsext_host_name(tls_->native_handle(), address_.host.c_str());
  tls_->set_verify_callback(boost::asio::ssl::host_name_verification(address_.host));
  auto [error] = co_await tls_->async_handshake(boost::asio::ssl::stream_base::client, use_task_tuple);
  if (error) co_return fail(ErrorCode::kUnavailable, "TLS: " + error.message());
  co_return Result<void>();
}

template <typename Buffer>
Task<Result<std::size_t>> Connection::read_some(Buffer buffer) {
  boost::system::error_code error;
  std::size_t size = 0;
  if (tls_) {
    std::tie(error, size) = co_await tls_->async_read_some(buffer, use_task_tuple);
  } else {
    std::tie(error, size) = co_await socket_.async_read_some(buffer, use_task_tuple);
  }
  if (error) co_return fail(ErrorCode::kUnavailable, error.message());
  co_return size;
}

template <typename Handler>
void Connection::start_write(Handler handler) {
  auto bytes = boost::asio::buffer(sending_);
  if (tls_) {
    boost::asio::async_write(*tls_, bytes, std::move(handler));
  } else {
    boost::asio::async_write(socket_, bytes, std::move(handler));
  }
}

Task<Result<void>> Connection::write_all() {
  auto bytes = boost::asio::buffer(sending_);
  boost::system::error_code error;
  if (tls_) {
    error = std::get<0>(co_await boost::asio::async_write(*tls_, bytes, use_task_tuple));
  } else {
    error = std::get<0>(co_await boost::asio::async_write(socket_, bytes, use_task_tuple));
  }
  if (error) co_return fail(ErrorCode::kUnavailable, error.message());
  co_return Result<void>();
}

Task<Result<Reply>> Connection::ask(std::vector<std::string_view> words, Time deadline) {
  auto self = shared_from_this();
  if (is_closed_) co_return closed_error();
  deadline_ = deadline;
  sending_ = Command(words).wire();
  auto written = co_await write_all();
  if (!written) close(written.error().message);
  while (!is_closed_) {
    auto reply = reader_.next();
    if (!reply) {
      close(reply.error().message);
    } else if (*reply) {
      deadline_ = Time::max();
      co_return **std::move(reply);
    } else {
      auto size = co_await read_some(boost::asio::buffer(read_buffer_, ReplyReader::kFeedMax));
      if (size) reader_.feed({read_buffer_.data(), *size});
      if (!size) close(size.error().message);
    }
  }
  co_return closed_error();
}

Task<void> Connection::serve(std::chrono::milliseconds call_timeout) {
  auto self = shared_from_this();
  call_timeout_ = call_timeout;
  sending_.clear();
  is_serving_ = true;
  while (!is_closed_) {
    auto size = co_await read_some(boost::asio::buffer(read_buffer_));
    if (size) {
      hand_over_replies({read_buffer_.data(), *size});
    } else {
      close(size.error().message);
    }
  }
}

void Connection::hand_over_replies(std::string_view bytes) {
  auto now = std::chrono::steady_clock::now();
  while (!bytes.empty() && !is_closed_) {
    auto part = bytes.substr(0, ReplyReader::kFeedMax);
    bytes.remove_prefix(part.size());
    reader_.feed(part);
    while (!is_closed_) {
      auto reply = reader_.next();
      if (!reply) close(reply.error().message);
      if (!reply || !*reply) break;
      hand_over(**std::move(reply), now);
    }
  }
  listener_.round_ended(now);
}

void Connection::hand_over(Reply reply, Time now) {
  if (awaited_.empty()) return close("a reply that nobody asked for");
  Call* call = awaited_.front();
  awaited_.pop_front();
  if (call != nullptr) listener_.answered(*this, *call, std::move(reply), now);
}

bool Connection::enqueue(Call& call) {
  bool is_first = gathered_.empty();
  if (call.is_asking) {
    gathered_ += "*1\r\n$6\r\nASKING\r\n";
    gathered_calls_.push_back(nullptr);
  }
  gathered_ += call.wire;
  gathered_calls_.push_back(&call);
  call.state = Call::State::kSent;
  return is_first;
}

void Connection::flush(Time now) {
  if (is_writing_ || is_closed_ || gathered_.empty()) return;
  for (Call* call : gathered_calls_) {
    if (call != nullptr) call->sent_at = now;
    awaited_.push_back(call);
  }
  gathered_calls_.clear();
  sending_.clear();
  if (sending_.capacity() > kBufferKeptMax) sending_.shrink_to_fit();
  std::swap(sending_, gathered_);
  is_writing_ = true;
  start_write([self = shared_from_this()](boost::system::error_code error, std::size_t) {
    self->is_writing_ = false;
    if (error) self->close(error.message());
    self->flush(std::chrono::steady_clock::now());
  });
}

void Connection::check(Time now) {
  if (is_closed_) return;
  if (now > deadline_) close("no answer in time");
  auto late = [&](const Call* call) { return call != nullptr && now - call->sent_at > call_timeout_; };
  // Before a call that goes after ASKING stands its null.
  if (!awaited_.empty() && (late(awaited_[0]) || (awaited_.size() > 1 && late(awaited_[1])))) close("no answer in time");
}

void Connection::close(std::string reason) {
  if (is_closed_) return;
  is_closed_ = true;
  close_reason_ = std::move(reason);
  boost::system::error_code ignored;
  resolver_.cancel();
  socket_.close(ignored);
  for (Call* call : std::exchange(awaited_, {})) {
    if (call != nullptr) listener_.failed(*call, {.kind = Failure::Kind::kUnknown, .message = closed_error().error().message});
  }
  for (Call* call : std::exchange(gathered_calls_, {})) {
    if (call != nullptr) listener_.failed(*call, {.kind = Failure::Kind::kNotSent, .message = closed_error().error().message});
  }
  if (is_serving_) listener_.round_ended(std::chrono::steady_clock::now());
}

}  // namespace hearth::redis
