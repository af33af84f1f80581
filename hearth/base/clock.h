#pragma once

// Time comes in through the constructor; nothing below app/ reads the real clock itself.

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>

#include "hearth/base/result.h"

namespace hearth {

using UtcMicros = std::chrono::sys_time<std::chrono::microseconds>;

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual UtcMicros now() const = 0;                                 // wall clock: may step
  virtual std::chrono::steady_clock::time_point steady() const = 0;  // never goes back: for durations
  // Since the machine started, also while it slept; never goes back. Times of one boot_id() can be compared over processes.
  virtual std::chrono::microseconds boot() const {
    return std::chrono::duration_cast<std::chrono::microseconds>(steady().time_since_epoch());
  }
  virtual std::string boot_id() const { return {}; }  // another for each start of the machine; empty: not known
};

class SystemClock final : public Clock {
 public:
  UtcMicros now() const override { return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()); }
  std::chrono::steady_clock::time_point steady() const override { return std::chrono::steady_clock::now(); }
  std::chrono::microseconds boot() const override;
  std::string boot_id() const override;
};

// A clock that moves only when told to, for tests. Thread-safe.
class SimulatedClock final : public Clock {
 public:
  explicit SimulatedClock(UtcMicros start = UtcMicros(std::chrono::seconds(1'700'000'000)))
      : micros_(start.time_since_epoch().count()), booted_at_(micros_.load()) {}
  UtcMicros now() const override { return UtcMicros(std::chrono::microseconds(micros_.load() + wall_step_.load())); }
  std::chrono::steady_clock::time_point steady() const override {
    return std::chrono::steady_clock::time_point(std::chrono::microseconds(micros_.load()));
  }
  std::chrono::microseconds boot() const override { return std::chrono::microseconds(micros_.load() - booted_at_.load()); }
  std::string boot_id() const override { return "boot-" + std::to_string(boots_.load()); }

  void advance(std::chrono::microseconds by) { micros_ += by.count(); }
  void step_wall(std::chrono::microseconds by) { wall_step_ += by.count(); }  // the wall clock alone
  void reboot() {
    booted_at_ = micros_.load();
    ++boots_;
  }

 private:
  std::atomic<std::int64_t> micros_;
  std::atomic<std::int64_t> wall_step_{0};
  std::atomic<std::int64_t> booted_at_;
  std::atomic<int> boots_{1};
};

// RFC 3339 in UTC with milliseconds: "2026-01-31T12:00:00.000Z".
std::string to_rfc3339(UtcMicros time);
// Takes any RFC 3339 time, with or without fraction, with "Z" or an offset. Fails with kInvalidArgument naming `field`.
Result<UtcMicros> parse_rfc3339(std::string_view text, std::string_view field);

}  // namespace hearth
