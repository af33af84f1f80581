#pragma once

// One connection: reads requests, has them handled one after another, writes their answers in order.
//
// advance() is plain code that goes on until it must wait for the peer or has a whole request; serve() is the coroutine
// around it, which waits and runs handlers. Answers of pipelined requests are gathered and written together when no
// further request is complete.
//
// Belongs to the one thread of its worker.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hearth/base/task.h"
#include "hearth/http/poller.h"
#include "hearth/http/request_parser.h"
#include "hearth/http/router.h"
#include "hearth/http/socket.h"

namespace hearth::http {

class Worker;

class Connection final : public Pollable {
 public:
  // `is_refused`: gets a 503 whatever it sends.
  Connection(Worker& worker, Socket socket, PeerAddress peer, bool is_refused);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  static Task<void> serve(std::unique_ptr<Connection> connection);

  void on_ready(std::uint32_t events) override;
  void sweep(std::uint64_t tick);  // gives up what is late
  void stop();                     // an idle connection ends, a busy one after its answer
  void abort();                    // ends now, unless a handler runs

  std::size_t place = 0;  // in the worker's list

 private:
  enum class Next { kWait, kYield, kHandle, kEnd };
  enum class Phase : std::uint8_t { kIdle, kReceiving, kHandling, kWriting, kDraining };

  // What can be done without waiting. Those that return false set what to wait for, or is_over_.
  Next advance();
  bool parse();    // a whole request is there
  bool receive();  // something came
  bool flush();    // all answers are written
  Next drain();
  bool make_room();
  bool may_hold_body();
  void wait_in(Phase phase);
  void on_late();

  const Handler* route(Response& refusal);
  Response failed(const char* what);
  void answer(const Response& response);
  void refuse(const Response& response);
  void append(const Response& response, bool keep_alive);
  void resolve_head();
  std::string_view message() const { return {buffer_.data() + begin_, end_ - begin_}; }

  Worker& worker_;
  Socket socket_;
  const PeerAddress peer_;
  const bool is_refused_;
  Parking parking_;

  // What has arrived: the message being read begins at begin_, is consumed up to parsed_, and there are bytes up to end_.
  std::vector<char> buffer_;
  std::size_t begin_ = 0;
  std::size_t parsed_ = 0;
  std::size_t end_ = 0;
  Request request_;
  RequestParser parser_;
  RequestHead head_;
  char generated_id_[16] = {};
  bool was_told_to_continue_ = false;
  std::size_t large_body_ = 0;  // bytes that the worker knows the body holds, if it is large

  std::string out_;  // answers, written up to written_
  std::size_t written_ = 0;
  std::size_t drained_ = 0;
  int requests_this_turn_ = 0;  // handled since the coroutine last gave way to others

  std::uint64_t deadline_ = UINT64_MAX;  // in ticks of the worker
  Phase phase_ = Phase::kHandling;
  bool is_readable_ = false;
  bool has_peer_finished_ = false;  // an event said so: reading on will find the end
  bool is_closing_ = false;         // after what is in out_
  bool is_over_ = false;
};

}  // namespace hearth::http
