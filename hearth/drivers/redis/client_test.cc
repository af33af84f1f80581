#include "hearth/drivers/redis/client.h"

#include <gtest/gtest.h>

#include "hearth/base/run_to_end.h"
#include "hearth/drivers/redis/test_servers.h"

namespace hearth::redis {
namespace {

using std::chrono::milliseconds;

std::unique_ptr<Client> client_of(ClientOptions options) {
  auto client = Client::open(std::move(options));
  if (!client) throw std::runtime_error(client.error().message);
  return *std::move(client);
}

std::unique_ptr<Client> connected(ClientOptions options) {
  auto client = client_of(std::move(options));
  EXPECT_TRUE(eventually([&] { return client->is_connected(); }));
  return client;
}

TEST(Client, AnswersComeInTheOrderOfTheirCommands) {
  RedisServer server;
  auto client = client_of({.url = server.url()});
  std::vector<Command> commands;
  for (int i = 0; i < 1000; ++i) commands.emplace_back(Command({"INCR", "n"}));
  auto outcomes = run_to_end(client->call_all(std::move(commands)));
  ASSERT_EQ(outcomes.size(), 1000u);
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    ASSERT_TRUE(outcomes[i]) << outcomes[i].error().message;
    EXPECT_EQ(outcomes[i]->integer, static_cast<std::int64_t>(i) + 1);
  }
}

TEST(Client, AServerThatWasKilledIsUsedAgainOnceItIsBack) {
  RedisServer server;
  auto client = connected({.url = server.url()});
  server.kill();
  EXPECT_TRUE(eventually([&] { return !client->is_connected(); }));
  EXPECT_EQ(client->call_blocking(Command({"INCR", "n"})).error().kind, Failure::Kind::kNotSent);
  server.restart();
  EXPECT_TRUE(eventually([&] { return client->is_connected(); }));
  EXPECT_EQ(client->call_blocking(Command({"INCR", "n"}))->integer, 1);
}

}  // namespace
}  // namespace hearth::redis
