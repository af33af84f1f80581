#pragma once

// Answered batches on their way back to the io_contexts of their callers: one post an io_context and round, however many
// batches there are. On the client's thread only.

#include <algorithm>
#include <boost/asio/post.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "hearth/drivers/redis/call.h"

namespace hearth::redis {

class Deliveries {
 public:
  // A small number that all batches of one io_context share.
  std::size_t lane_of(const boost::asio::io_context* context) {
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      if (lanes_[i].context == context) return i;
    }
    if (lanes_.size() >= kLanesMax) return 0;
    lanes_.push_back({.context = context});
    return lanes_.size() - 1;
  }

  void add(std::unique_ptr<Batch> batch) {
    if (batch->context == nullptr) return batch->deliver();
    auto& context = *batch->context;
    auto lane = std::ranges::find(lanes_, &context, &Lane::context);
    if (lane != lanes_.end()) return lane->answered.push_back(std::move(batch));
    post(context, std::move(batch));
  }

  void flush() {
    for (Lane& lane : lanes_) {
      if (lane.answered.empty()) continue;
      auto& context = *lane.answered.front()->context;
      post(context, std::exchange(lane.answered, {}));
    }
  }

 private:
  static constexpr std::size_t kLanesMax = 64;

  struct Lane {
    const boost::asio::io_context* context = nullptr;
    std::vector<std::unique_ptr<Batch>> answered = {};
  };

  static void post(boost::asio::io_context& context, std::vector<std::unique_ptr<Batch>> batches) {
    boost::asio::post(context.get_executor(), [answered = std::move(batches)] {
      for (const auto& batch : answered) batch->deliver();
    });
  }
  static void post(boost::asio::io_context& context, std::unique_ptr<Batch> batch) {
    boost::asio::post(context.get_executor(), [answered = std::move(batch)] { answered->deliver(); });
  }

  std::vector<Lane> lanes_;
};

}  // namespace hearth::redis
