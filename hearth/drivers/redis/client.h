#pragma once

// Redis or Valkey for coroutines: one server, Sentinel, or Cluster.
//
//   auto replies = co_await client.call_all({Command({"MGET", a, b}), Command({"SMISMEMBER", c, d})});
//
// All sockets live on one thread of the client. What is pending for a server goes out in one write; what one read
// brought is handed to each io_context in one step, where the callers resume. A command goes to the server that holds
// the slot of its key; on Cluster the client follows MOVED, ASK and failovers, which is safe because a command that was
// redirected was not executed. Whatever else fails is reported and never sent again: see Failure.
//
// A call waits up to a second (never longer than call_timeout) for a server that is just being connected to, and as long
// for one that turns it away with TRYAGAIN, LOADING, CLUSTERDOWN and the like; from a server that could not be reached it
// comes back at once. An answer may take call_timeout; then its connection is closed, and all calls on it fail.
//
// A server that says it is another process than before (its run_id) gets no commands until admit(run_id): whoever keeps
// live state there looks first at what it came back with. Commands marked kBeforeAdmission go through all the same.
//
// Thread-safe. stop() fails what is waiting and joins; the io_contexts of those who wait outlive it.

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hearth/base/result.h"
#include "hearth/base/task.h"

namespace hearth::redis {

inline constexpr std::uint16_t kSlots = 16'384;

// The slot of a key: CRC16 of its hash tag, if it has one.
std::uint16_t slot_of(std::string_view key);
std::uint16_t crc16(std::string_view bytes);

struct Failure {
  enum class Kind : std::uint8_t {
    kNotSent,  // no server took it: nothing was executed
    kUnknown,  // it was sent and no answer came: it may or may not have been executed
    kRefused,  // the server answered with an error, which is `message` ("WRONGTYPE …"); a script that had written before keeps that
  };
  Kind kind = Kind::kNotSent;
  std::string message;

  bool is(std::string_view code) const { return kind == Kind::kRefused && message.starts_with(code); }  // "OOM"
};

template <typename T>
using Outcome = std::expected<T, Failure>;

// For callers that need not tell failures apart: kUnavailable for the first two kinds, kUnavailable for an OOM, kInternal else.
Error to_error(const Failure& failure);

struct Reply {
  enum class Type : std::uint8_t { kNil, kInteger, kText, kArray, kError };  // kError inside an array only
  Type type = Type::kNil;
  std::int64_t integer = 0;
  std::string text = {};  // of a status reply too
  std::vector<Reply> elements = {};

  bool is_nil() const { return type == Type::kNil; }
};

enum class Admission : std::uint8_t { kNeeded, kBeforeAdmission };

// A command as it goes over the wire, and where it goes.
class Command {
 public:
  // The slot is that of words[1], which is the key of most commands.
  explicit Command(const std::vector<std::string_view>& words, Admission admission = Admission::kNeeded);
  // For commands whose key is elsewhere.
  Command(const std::vector<std::string_view>& words, std::uint16_t slot, Admission admission = Admission::kNeeded);

  const std::string& wire() const& { return wire_; }
  std::string wire() && { return std::move(wire_); }
  std::uint16_t slot() const { return slot_; }
  Admission admission() const { return admission_; }

 private:
  std::string wire_;
  std::uint16_t slot_ = 0;
  Admission admission_ = Admission::kNeeded;
};

// A Lua script. It is sent by its hash, and whole to a server that does not know it yet.
class Script {
 public:
  explicit Script(std::string source);
  const std::string& source() const { return source_; }
  const std::string& sha1() const { return sha1_; }

 private:
  std::string source_;
  std::string sha1_;
};

struct ScriptCall {
  const Script* script = nullptr;      // outlives the call
  std::vector<std::string> keys = {};  // at least one; all in one slot
  std::vector<std::string> arguments = {};
  Admission admission = Admission::kNeeded;
};

struct ClientOptions {
  // redis://[[user]:password@]host[:port][/db], rediss:// for TLS; several hosts with commas mean Cluster;
  // redis+sentinel://host:port,host:port/NAME[/db] asks Sentinel for the primary of NAME.
  std::string url;
  std::string client_name = "hearth";
  int connections_per_server = 2;
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds call_timeout{5'000};
  std::chrono::milliseconds reconnect_first{50};  // doubles, with jitter, up to
  std::chrono::milliseconds reconnect_max{2'000};
  std::size_t pending_bytes_max = 64u << 20;  // over it calls fail with kNotSent
  bool needs_admission = false;               // false: every server is admitted
  std::optional<std::string> tls_ca_file = {};
};

// A primary that is connected to.
struct ServerInfo {
  std::string address;  // host:port
  std::string run_id;
  std::string version;  // "7.0.15"
  bool is_admitted = false;
  std::vector<std::pair<std::uint16_t, std::uint16_t>> slots;  // first and last; all of them without Cluster
};

class Client {
 public:
  // Starts to connect and returns at once. kInvalidArgument: the URL.
  static Result<std::unique_ptr<Client>> open(ClientOptions options);
  ~Client();

  Task<Outcome<Reply>> call(Command command);
  // In one go; commands for one slot are executed in the order given. Each succeeds or fails by itself: one that was
  // turned away while those behind it were executed is not sent again (kNotSent).
  Task<std::vector<Outcome<Reply>>> call_all(std::vector<Command> commands);
  Task<Outcome<Reply>> run(ScriptCall call);
  Task<std::vector<Outcome<Reply>>> run_all(std::vector<ScriptCall> calls);

  // The same for threads that may block.
  Outcome<Reply> call_blocking(Command command);
  std::vector<Outcome<Reply>> call_all_blocking(std::vector<Command> commands);
  Outcome<Reply> run_blocking(ScriptCall call);

  bool is_cluster() const;  // of a URL with one host: known once it is connected
  // Whether every slot has a primary that is connected, and admitted.
  bool is_connected() const;
  bool is_serving() const;
  std::vector<ServerInfo> servers() const;
  // Holds over new connections to that process, until it is found to be no primary any more. Without a connection to it
  // now this does nothing: it may have changed since it was looked at.
  void admit(std::string_view run_id);
  // Called on the client's thread when a server was lost, or connected to; for waking, not for work. Set before use;
  // what it captures outlives stop(), during which it is not called.
  void on_change(std::function<void()> listener);

  struct Stats {
    std::uint64_t calls = 0;
    std::uint64_t failures = 0;  // not refused ones
    std::uint64_t reconnects = 0;
    std::uint64_t redirects = 0;
    std::uint64_t connections = 0;  // now
    std::uint64_t micros = 0;       // from sending to the answer, summed over calls
  };
  Stats stats() const;

  void stop();

 private:
  class Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::redis
