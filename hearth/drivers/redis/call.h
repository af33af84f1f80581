#pragma once

// A command on its way, and the callers' batches that it belongs to. Owned by the client's thread from submission until
// the last call of the batch is answered; then the batch is handed to its caller.

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "hearth/drivers/redis/client.h"

namespace hearth::redis {

using Time = std::chrono::steady_clock::time_point;

class Batch;
struct Server;

struct Call {
  enum class State : std::uint8_t { kWaiting, kSent, kAnswered };

  std::uint16_t slot = 0;
  Admission admission = Admission::kNeeded;
  State state = State::kWaiting;
  std::uint8_t redirects = 0;
  bool was_sent = false;           // and turned away: what came behind it may have been executed
  bool is_asking = false;          // goes to `asked`, with ASKING before it
  const Script* script = nullptr;  // while it is sent by its hash
  Batch* batch = nullptr;
  std::string wire = {};
  std::string asked = {};            // the address of a redirection by ASK
  Outcome<Reply> outcome = Reply{};  // while it waits: why
  Time retry_at = {};
  Time give_up_at = {};
  Time sent_at = {};
};

Call to_call(Command command);
Call to_call(const ScriptCall& call);
// EVALSHA becomes EVAL.
void send_script_whole(Call& call);

class Batch {
 public:
  // `context`: deliver() runs on its thread; null: on any thread.
  Batch(std::vector<Call> calls_of_it, boost::asio::io_context* context_of_caller)
      : calls(std::move(calls_of_it)), unanswered(calls.size()), context(context_of_caller) {
    for (Call& call : calls) {
      call.batch = this;
      bytes += call.wire.size();
    }
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  virtual ~Batch() = default;

  // Hands the outcomes to the caller. Once.
  virtual void deliver() = 0;

  std::vector<Call> calls;
  std::size_t unanswered;
  std::size_t bytes = 0;
  std::size_t lane = 0;  // the same for all batches of one io_context
  boost::asio::io_context* const context;
};

}  // namespace hearth::redis
