#pragma once

// What all nodes agree on about the live store; kept in SQL, by the database's clock.
//
// The rules: a node falls back to SQL only when no node has reported the live store healthy for kFallbackAfter; a node
// that alone cannot reach it answers "not ready" instead. The live store serves again only when the inbox is empty, and
// that is decided in the transaction that changes the mode. A server of the live store that started anew is used by
// nobody until one node has compared it with SQL and admitted it for all.
//
// These block: for background threads. kUnavailable: SQL cannot be reached. Thread-safe.

#include <chrono>
#include <string>

#include "hearth/base/result.h"

namespace hearth::likes {

inline constexpr std::chrono::milliseconds kFallbackAfter{3'000};

enum class LiveMode : std::uint8_t { kLive, kFallback };

struct Deployment {
  std::string id;          // the same in SQL and in the live store
  int partitions = 0;      // of the outbox; fixed at first start
  bool is_tagged = false;  // keys carry hash tags
};

class LiveControl {
 public:
  virtual ~LiveControl() = default;

  // What was kept at the first start ever; keeps `proposed` if this is the first.
  virtual Result<Deployment> deployment(const Deployment& proposed) = 0;
  // Keys were moved to another layout, or the partitions were counted anew.
  virtual Result<void> change_deployment(const Deployment& to) = 0;

  virtual Result<LiveMode> mode() = 0;
  // `node` reaches the live store and serves from it.
  virtual Result<void> report_healthy(const std::string& node) = 0;
  // Whether a node has reported so within kFallbackAfter.
  virtual Result<bool> is_healthy_elsewhere(const std::string& node) = 0;
  // Makes the mode kFallback, with an inbox that takes changes, unless a node has reported a healthy live store within
  // kFallbackAfter. Returns the mode now.
  virtual Result<LiveMode> enter_fallback() = 0;
  // Makes the mode kLive if no operation of origin kFallback is left in the inbox; otherwise the inbox takes no more of them,
  // so that it can be emptied, until it is, or until enter_fallback() is called again. Returns the mode now.
  virtual Result<LiveMode> leave_fallback() = 0;

  // Servers (by the id of their run) that were compared with SQL.
  virtual Result<bool> is_admitted(const std::string& run_id) = 0;
  virtual Result<void> admit(const std::string& run_id) = 0;
};

}  // namespace hearth::likes
