#include "hearth/base/single_flight.h"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/post.hpp>

namespace hearth {

template <typename Handler>
struct SingleFlight::HandlerWaiter final : Waiter {
  explicit HandlerWaiter(Handler h) : handler(std::move(h)) {}
  void resume() override {
    auto executor = boost::asio::get_associated_executor(handler);
    boost::asio::post(executor, std::move(handler));
  }
  Handler handler;
};

Task<SingleFlight::Lead> SingleFlight::join(std::string key) {
  bool leads = false;
  co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<Executor>, void()>(
      [this, &key, &leads](auto handler) {
        auto waiter = std::make_unique<HandlerWaiter<decltype(handler)>>(std::move(handler));
        {
          std::lock_guard lock(mutex_);
          auto [flight, is_new] = flights_.try_emplace(key);
          leads = is_new;
          if (!leads) {
            flight->second.push_back(std::move(waiter));
            return;
          }
        }
        waiter->resume();
      },
      use_task);
  if (leads) co_return Lead(this, std::move(key));
  co_return Lead();
}

void SingleFlight::abandon_waiters() {
  std::unordered_map<std::string, std::vector<std::unique_ptr<Waiter>>> abandoned;
  std::lock_guard lock(mutex_);
  abandoned.swap(flights_);
}

void SingleFlight::finish(const std::string& key) {
  std::vector<std::unique_ptr<Waiter>> waiters;
  {
    std::lock_guard lock(mutex_);
    auto flight = flights_.find(key);
    if (flight == flights_.end()) return;  // abandoned
    waiters = std::move(flight->second);
    flights_.erase(flight);
  }
  for (auto& waiter : waiters) waiter->resume();
}

}  // namespace hearth
