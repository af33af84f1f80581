#include "hearth/jobs/job_signal.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/detached.hpp>
#include <memory>
#include <thread>
#include <vector>

#include "hearth/base/run_to_end.h"

namespace hearth::jobs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kLong{60};

Task<void> wait_so_often(JobSignal& signal, int waits, std::atomic<int>& done) {
  std::uint64_t seen = 0;
  for (int i = 0; i < waits; ++i) {
    auto count = co_await signal.wait_async(seen, kLong);
    EXPECT_GT(count, seen);
    seen = count;
  }
  ++done;
}

TEST(JobSignal, ANoticeBetweenLookingAndWaitingIsNotMissed) {
  JobSignal signal;
  auto seen = signal.count();
  signal.notify();
  EXPECT_EQ(signal.wait(seen, kLong), seen + 1);
  EXPECT_EQ(run_to_end(signal.wait_async(seen, kLong)), seen + 1);
}

TEST(JobSignal, AWaitEndsWithItsTime) {
  JobSignal signal;
  signal.notify();
  EXPECT_EQ(signal.wait(1, milliseconds(1)), 1u);
  EXPECT_EQ(run_to_end(signal.wait_async(1, milliseconds(1))), 1u);
  EXPECT_EQ(signal.wait(1, milliseconds(0)), 1u);
  EXPECT_EQ(run_to_end(signal.wait_async(1, milliseconds(-1))), 1u);
}

TEST(JobSignal, TheLongestWaitIsOne) {
  JobSignal signal;
  std::jthread waits([&] { EXPECT_EQ(run_to_end(signal.wait_async(0, milliseconds::max())), 1u); });
  std::jthread blocks([&] { EXPECT_EQ(signal.wait(0, milliseconds::max()), 1u); });
  signal.notify();
}

TEST(JobSignal, EveryoneWhoWaitsHears) {
  constexpr int kThreads = 2;
  constexpr int kCoroutines = 8;  // of each of as many threads
  constexpr int kWaits = 500;
  JobSignal signal;
  std::atomic<int> done = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      std::uint64_t seen = 0;
      for (int j = 0; j < kWaits; ++j) seen = signal.wait(seen, kLong);
      ++done;
    });
    threads.emplace_back([&] {
      boost::asio::io_context loop(1);
      for (int j = 0; j < kCoroutines; ++j) boost::asio::co_spawn(loop, wait_so_often(signal, kWaits, done), boost::asio::detached);
      loop.run();
    });
  }
  while (done < kThreads * (1 + kCoroutines)) {
    signal.notify();
    std::this_thread::yield();
  }
}

TEST(JobSignal, ClosingEndsEveryWaitAndThoseThatComeLater) {
  JobSignal signal;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { EXPECT_EQ(signal.wait(0, kLong), 0u); });
    threads.emplace_back([&] { EXPECT_EQ(run_to_end(signal.wait_async(0, kLong)), 0u); });
  }
  EXPECT_FALSE(signal.is_closed());
  signal.close();
  EXPECT_TRUE(signal.is_closed());
  threads.clear();
  EXPECT_EQ(signal.wait(0, kLong), 0u);
  EXPECT_EQ(run_to_end(signal.wait_async(0, kLong)), 0u);
  signal.close();
}

TEST(JobSignal, ACoroutineThatEndsWhileItWaitsIsForgotten) {
  JobSignal signal;
  std::atomic<int> done = 0;
  {
    boost::asio::io_context loop(1);
    boost::asio::co_spawn(loop, wait_so_often(signal, 2, done), boost::asio::detached);
    loop.poll();
    signal.notify();
    loop.poll();
  }
  signal.notify();
  EXPECT_EQ(done, 0);
}

}  // namespace
}  // namespace hearth::jobs
