#include "hearth/http/connection.h"

#include <sys/epoll.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cstring>
#include <utility>

#include "hearth/base/log.h"
#include "hearth/http/problem.h"
#include "hearth/http/response_writer.h"
#include "hearth/http/worker.h"

namespace hearth::http {
namespace {

constexpr std::size_t kBufferFirst = 4 * 1024;          // enough for most requests
constexpr std::size_t kBufferKeptMax = 16 * 1024;       // of a connection that waits
constexpr std::size_t kBufferBeyondHeader = 16 * 1024;  // for a body, beside the largest header
constexpr std::size_t kRoomMin = 2 * 1024;              // less is not worth a recv()
constexpr std::size_t kGatheredMax = 64 * 1024;         // of answers to pipelined requests
constexpr int kRequestsPerTurn = 64;                    // before a connection that never pauses gives way to others
// A close with unread input would make the kernel drop our last answer, so that input is read and thrown away, up to:
constexpr std::size_t kDrainedMax = 4 * 1024 * 1024;
constexpr std::chrono::milliseconds kDrainTimeout{2'000};
constexpr std::uint64_t kNoDeadline = UINT64_MAX;

RequestLimits limits_of(const ServerOptions& options) {
  return {.header_bytes_max = options.header_bytes_max, .body_bytes_max = options.body_bytes_max};
}

}  // namespace

Connection::Connection(Worker& worker, Socket socket, PeerAddress peer, bool is_refused)
    : worker_(worker),
      socket_(std::move(socket)),
      peer_(std::move(peer)),
      is_refused_(is_refused),
      buffer_(kBufferFirst),
      parser_(limits_of(worker.options()), request_) {
  request_.remote_address = peer_.text;
  request_.is_loopback = peer_.is_loopback;
  worker_.add(*this, is_refused_);
}

Connection::~Connection() {
  worker_.resize_large_body(large_body_, 0);
  worker_.remove(*this, is_refused_);
}

Task<void> Connection::serve(std::unique_ptr<Connection> connection) {
  auto& self = *connection;
  if (self.is_refused_) self.refuse(problem({ErrorCode::kUnavailable, "too many connections are open: try again later"}));
  for (;;) {
    switch (self.advance()) {
      case Next::kEnd:
        co_return;
      case Next::kWait:
        co_await self.parking_.wait();
        break;
      case Next::kYield:
        co_await boost::asio::post(use_task);
        break;
      case Next::kHandle: {
        Response response;
        try {
          if (const Handler* handler = self.route(response)) response = co_await (*handler)(self.request_);
        } catch (const std::exception& error) {
          response = self.failed(error.what());
        }
        self.answer(response);
      }
    }
  }
}

Connection::Next Connection::advance() {
  for (;;) {
    if (is_over_) return Next::kEnd;
    if (phase_ == Phase::kDraining) return drain();
    bool is_full = out_.size() >= kGatheredMax;
    if (!is_closing_ && !is_full && parse()) return Next::kHandle;
    if (!flush()) return is_over_ ? Next::kEnd : Next::kWait;
    if (is_full) continue;
    if (is_closing_) {
      socket_.finish_writing();
      wait_in(Phase::kDraining);
      continue;
    }
    if (requests_this_turn_ >= kRequestsPerTurn) {
      requests_this_turn_ = 0;
      return Next::kYield;
    }
    if (!receive()) return is_over_ ? Next::kEnd : Next::kWait;
  }
}

bool Connection::parse() {
  if (parsed_ == begin_) {
    // Some clients end a body with a line break that its length does not count.
    while (begin_ < end_ && (buffer_[begin_] == '\r' || buffer_[begin_] == '\n')) ++begin_;
    parsed_ = begin_;
  }
  if (parsed_ == end_) return false;
  parsed_ = begin_ + parser_.feed(message(), parsed_ - begin_);
  switch (parser_.state()) {
    case RequestParser::State::kFailed:
      refuse(problem(parser_.error()));
      return false;
    case RequestParser::State::kComplete:
      resolve_head();
      phase_ = Phase::kHandling;
      deadline_ = kNoDeadline;
      return true;
    case RequestParser::State::kNeedsMore:
      break;
  }
  if (!may_hold_body()) {
    refuse(problem({ErrorCode::kUnavailable, "too many large bodies are on their way: try again later"}));
    return false;
  }
  if (parser_.is_header_done() && !was_told_to_continue_) {
    resolve_head();
    if (head_.expects_continue && request_.body.empty()) out_ += "HTTP/1.1 100 Continue\r\n\r\n";
    was_told_to_continue_ = true;
  }
  return false;
}

bool Connection::receive() {
  if (is_readable_) {
    if (!make_room()) {
      refuse(problem({ErrorCode::kTooLarge, "a chunk header or trailer is larger than this server takes", "body"}));
      return true;
    }
    std::size_t room = buffer_.size() - end_;
    auto [outcome, bytes] = socket_.read(buffer_.data() + end_, room);
    if (outcome == Socket::Outcome::kDone && bytes > 0) {
      end_ += bytes;
      // Less than there was room for: nothing is left, and the next event will say when there is.
      is_readable_ = bytes == room || has_peer_finished_;
      return true;
    }
    is_readable_ = false;
    // Whole requests that came before the end have been answered by now.
    if (outcome != Socket::Outcome::kWouldBlock) return is_over_ = true, false;
  }
  bool is_idle = begin_ == end_;
  if (is_idle && worker_.is_stopping()) {
    is_over_ = true;
  } else {
    wait_in(is_idle ? Phase::kIdle : Phase::kReceiving);
  }
  return false;
}

// The header bytes of the request stay where they are; what was consumed after them is dropped.
bool Connection::make_room() {
  if (begin_ == end_) begin_ = parsed_ = end_ = 0;
  auto move_down = [this](std::size_t to, std::size_t from) {
    std::memmove(buffer_.data() + to, buffer_.data() + from, end_ - from);
    end_ -= from - to;
  };
  if (parser_.is_header_done()) {
    std::size_t header_end = begin_ + parser_.header_bytes();
    move_down(header_end, parsed_);
    parsed_ = header_end;
  }
  if (buffer_.size() - end_ < kRoomMin && begin_ > 0) {
    move_down(0, begin_);
    parsed_ -= std::exchange(begin_, 0);
  }
  std::size_t largest = worker_.options().header_bytes_max + kBufferBeyondHeader;
  if (buffer_.size() - end_ < kRoomMin && buffer_.size() < largest) buffer_.resize(std::min(2 * buffer_.size(), largest));
  return end_ < buffer_.size();
}

// Of small bodies the number of connections is limit enough.
bool Connection::may_hold_body() {
  std::size_t held = request_.body.capacity();
  if (held <= kBodyKeptMax) held = 0;
  return worker_.resize_large_body(std::exchange(large_body_, held), held);
}

bool Connection::flush() {
  while (written_ < out_.size()) {
    auto [outcome, bytes] = socket_.write(std::string_view(out_).substr(written_));
    if (outcome == Socket::Outcome::kFailed) return is_over_ = true, false;
    if (outcome == Socket::Outcome::kWouldBlock) return wait_in(Phase::kWriting), false;
    written_ += bytes;
  }
  written_ = 0;
  out_.clear();
  if (out_.capacity() > 2 * kGatheredMax) out_.shrink_to_fit();
  return true;
}

Connection::Next Connection::drain() {
  char unwanted[16 * 1024];
  while (is_readable_) {
    auto [outcome, bytes] = socket_.read(unwanted, sizeof unwanted);
    drained_ += bytes;
    if (outcome == Socket::Outcome::kWouldBlock) {
      is_readable_ = false;
    } else if (outcome == Socket::Outcome::kFailed || bytes == 0 || drained_ > kDrainedMax) {
      return Next::kEnd;
    }
  }
  return worker_.is_stopping() ? Next::kEnd : Next::kWait;
}

void Connection::wait_in(Phase phase) {
  requests_this_turn_ = 0;
  if (phase_ == phase) return;
  phase_ = phase;
  const auto& options = worker_.options();
  switch (phase) {
    case Phase::kIdle:
      deadline_ = worker_.tick_after(options.idle_timeout);
      break;
    case Phase::kReceiving:
      deadline_ = worker_.tick_after(options.request_timeout);
      break;
    case Phase::kWriting:
      deadline_ = worker_.tick_after(options.write_timeout);
      break;
    case Phase::kDraining:
      deadline_ = worker_.tick_after(kDrainTimeout);
      break;
    case Phase::kHandling:
      deadline_ = kNoDeadline;
      break;
  }
}

const Handler* Connection::route(Response& refusal) {
  return worker_.router().find(head_.target, request_, refusal);
}

Response Connection::failed(const char* what) {
  log::error("http", "a handler threw", {{"path", request_.path}, {"request_id", request_.request_id}, {"error", what}});
  return problem({ErrorCode::kInternal, what});
}

void Connection::answer(const Response& response) {
  bool keep_alive = head_.keep_alive && !worker_.is_stopping();
  append(response, keep_alive);
  is_closing_ = !keep_alive;
  worker_.count_request();
  ++requests_this_turn_;
  begin_ = parsed_;
  if (begin_ == end_ && buffer_.size() > kBufferKeptMax) {
    buffer_.resize(kBufferFirst);
    buffer_.shrink_to_fit();
    begin_ = parsed_ = end_ = 0;
  }
  parser_.reset();
  may_hold_body();
  was_told_to_continue_ = false;
}

void Connection::refuse(const Response& response) {
  resolve_head();
  append(response, false);
  is_closing_ = true;
  std::string().swap(request_.body);
  may_hold_body();
  begin_ = parsed_ = end_ = 0;
}

void Connection::append(const Response& response, bool keep_alive) {
  bool is_options = request_.method == Method::kOptions;
  append_response(out_, response,
                  {.date = worker_.date(),
                   .request_id = request_.request_id,
                   .origin = request_.origin,
                   .cors = worker_.cors(),
                   .keep_alive = keep_alive,
                   .is_http_1_0 = head_.is_http_1_0,
                   .is_head = request_.method == Method::kHead,
                   .is_preflight = is_options && head_.is_preflight});
}

void Connection::resolve_head() {
  head_ = parser_.resolve(message());
  if (!request_.request_id.empty()) return;
  worker_.write_request_id(generated_id_);
  request_.request_id = {generated_id_, sizeof generated_id_};
}

void Connection::on_ready(std::uint32_t events) {
  bool is_end = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  has_peer_finished_ |= is_end;
  is_readable_ |= is_end || (events & EPOLLIN) != 0;
  parking_.resume();
}

void Connection::sweep(std::uint64_t tick) {
  if (tick < deadline_) return;
  deadline_ = kNoDeadline;
  on_late();
  parking_.resume();
}

void Connection::on_late() {
  if (phase_ == Phase::kReceiving) return refuse(request_timeout_problem());
  if (phase_ == Phase::kWriting) socket_.close_hard();  // its send buffer is not worth keeping either
  is_over_ = true;
}

void Connection::stop() {
  if (phase_ != Phase::kIdle && phase_ != Phase::kDraining) return;
  is_readable_ = true;  // something may just have arrived
  parking_.resume();
}

void Connection::abort() {
  if (phase_ == Phase::kHandling) return;
  is_over_ = true;
  parking_.resume();
}

}  // namespace hearth::http
