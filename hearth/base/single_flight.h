#pragma once

// Lets one caller at a time do a piece of work that many want, as loading one post.
//
//   while (!is_loaded(key)) {
//     auto lead = co_await flights.join(key);   // empty for those who waited until another had finished
//     if (lead) co_await load(key);             // the flight ends when `lead` goes
//   }
//
// Thread-safe; each waiter resumes on its own executor.

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "hearth/base/task.h"

namespace hearth {

class SingleFlight {
 public:
  // Held by the one who does the work.
  class Lead {
   public:
    Lead() = default;
    Lead(SingleFlight* owner, std::string key) : owner_(owner), key_(std::move(key)) {}
    Lead(Lead&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), key_(std::move(other.key_)) {}
    Lead& operator=(Lead&&) = delete;
    ~Lead() {
      if (owner_) owner_->finish(key_);
    }
    explicit operator bool() const { return owner_ != nullptr; }

   private:
    SingleFlight* owner_ = nullptr;
    std::string key_;
  };

  Task<Lead> join(std::string key);
  // Drops those who wait. REQUIRES: their io_contexts run no more and still exist.
  void abandon_waiters();

 private:
  struct Waiter {
    virtual ~Waiter() = default;
    virtual void resume() = 0;  // posts to the waiter's executor
  };
  template <typename Handler>
  struct HandlerWaiter;

  void finish(const std::string& key);

  std::mutex mutex_;
  std::unordered_map<std::string, std::vector<std::unique_ptr<Waiter>>> flights_;  // bounded by the requests under way
};

}  // namespace hearth
