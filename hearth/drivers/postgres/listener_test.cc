#include "hearth/drivers/postgres/listener.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "hearth/drivers/postgres/connection.h"
#include "hearth/drivers/postgres/test_server.h"

namespace hearth::postgres {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

PostgresServer& server() {
  static PostgresServer made;
  return made;
}

class ListenerTest : public testing::Test {
 protected:
  std::unique_ptr<Listener> listen(const std::string& channel = "news") {
    return Listener::open(url_, channel,
                          [this] {
                            std::lock_guard lock(mutex_);
                            ++notices_;
                            changed_.notify_all();
                          })
        .value();
  }
  // Waits for a notice beyond those that were waited for.
  bool hears() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, seconds(30), [this] { return notices_ > seen_; })) return false;
    seen_ = notices_;
    return true;
  }
  int notices() {
    std::lock_guard lock(mutex_);
    return notices_;
  }
  void execute(const std::string& sql) const { Connection::connect({.url = url_}).execute(sql); }

  std::mutex mutex_;
  std::condition_variable changed_;
  int notices_ = 0;
  int seen_ = 0;
  std::string url_ = server().create_database("listener");
};

TEST_F(ListenerTest, ANoticeIsHeardOnceItsTransactionHasCommitted) {
  auto listener = listen();
  ASSERT_TRUE(hears()) << "when it begins";
  EXPECT_TRUE(listener->is_listening());
  auto other = Connection::connect({.url = url_});
  other.execute("BEGIN; NOTIFY news");
  execute("NOTIFY other_news; NOTIFY \"News\"");
  EXPECT_EQ(notices(), seen_);
  other.execute("COMMIT");
  EXPECT_TRUE(hears());
  execute("NOTIFY news, 'with a payload'");
  EXPECT_TRUE(hears());
}

TEST_F(ListenerTest, AChannelMayHaveAnyName) {
  auto listener = listen("The \"News\"; DROP");
  ASSERT_TRUE(hears());
  execute(R"(NOTIFY "The ""News""; DROP")");
  EXPECT_TRUE(hears());
}

TEST_F(ListenerTest, ALostConnectionIsMadeAgainAndGivesANotice) {
  auto listener = listen();
  ASSERT_TRUE(hears());
  execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
  EXPECT_TRUE(hears()) << "something may have been missed";
  execute("NOTIFY news");
  EXPECT_TRUE(hears());
  server().kill();
  while (listener->is_listening()) usleep(1'000);
  server().start();
  EXPECT_TRUE(hears());
  execute("NOTIFY news");
  EXPECT_TRUE(hears());
}

TEST_F(ListenerTest, AUrlThatCannotBeReadIsRefused) {
  auto refused = Listener::open("mysql://nobody", "news", [] {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(ListenerTest, StopsAtOnceWhateverItWaitsFor) {
  auto stops = [](Listener& listener) {
    auto began = steady_clock::now();
    listener.stop();
    listener.stop();
    return steady_clock::now() - began < seconds(2);
  };
  auto listening = listen();
  ASSERT_TRUE(hears());
  EXPECT_TRUE(stops(*listening));
  execute("NOTIFY news");
  EXPECT_EQ(notices(), seen_) << "not after stop()";

  // A server that takes connections and says nothing.
  int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(silent, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(silent, 5), 0);
  ASSERT_EQ(getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size), 0);
  auto url = "postgres://hearth@127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/nothing";
  auto connecting = Listener::open(url, "news", [] {}).value();
  int taken = accept(silent, nullptr, nullptr);
  EXPECT_FALSE(connecting->is_listening());
  EXPECT_TRUE(stops(*connecting));
  close(taken);
  close(silent);

  auto refused = Listener::open(url, "news", [] {}).value();
  EXPECT_TRUE(stops(*refused));
}

}  // namespace
}  // namespace hearth::postgres
