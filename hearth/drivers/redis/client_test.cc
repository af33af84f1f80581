#include "hearth/drivers/redis/client.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <future>
#include <thread>

#include "hearth/base/run_to_end.h"
#include "hearth/drivers/redis/test_clients.h"
#include "hearth/drivers/redis/test_servers.h"

namespace hearth::redis {
namespace {

using std::chrono::milliseconds;
using Kind = Failure::Kind;

// --- commands ---

TEST(Slots, AreThoseOfTheClusterSpecification) {
  EXPECT_EQ(crc16("123456789"), 0x31C3);
  EXPECT_EQ(slot_of("123456789"), 12'739);
  EXPECT_EQ(slot_of("post:likes:{7}:a"), slot_of("7"));
  EXPECT_EQ(slot_of("a{}b"), crc16("a{}b") % kSlots);
  EXPECT_EQ(slot_of("a{b"), crc16("a{b") % kSlots);
  EXPECT_EQ(slot_of("{a}{b}"), slot_of("a"));
}

TEST(Slots, RedisAgrees) {
  RedisServer server({.config = {"cluster-enabled yes"}});
  for (std::string key : {"a", "post:likes:{12}:x", "{}", "{x", "a{b}c{d}", "{{a}}"}) {
    EXPECT_EQ(server.run({"CLUSTER", "KEYSLOT", key}).integer, slot_of(key)) << key;
  }
}

TEST(Client, AUrlThatIsNoneIsRefused) {
  EXPECT_EQ(Client::open({.url = "redis://"}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(Client::open({.url = "rediss://h", .tls_ca_file = "/nowhere"}).error().code, ErrorCode::kInvalidArgument);
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

TEST(Client, NothingToCallIsAnsweredWithNothing) {
  RedisServer server;
  auto client = client_of({.url = server.url()});
  EXPECT_TRUE(run_to_end(client->call_all({})).empty());
  EXPECT_TRUE(run_to_end(client->run_all({})).empty());
  EXPECT_TRUE(client->call_all_blocking({}).empty());
}

TEST(Client, LargeValuesGoBothWays) {
  RedisServer server;
  auto client = connected({.url = server.url()});
  std::string large(10u << 20, 'x');
  large[5u << 20] = '\r';
  EXPECT_EQ(must(client->call_blocking(Command({"SET", "k", large}))).text, "OK");
  EXPECT_EQ(must(client->call_blocking(Command({"GET", "k"}))).text, large);
}

TEST(Client, EachTypeOfReplyArrives) {
  RedisServer server;
  auto client = connected({.url = server.url()});
  EXPECT_TRUE(must(client->call_blocking(Command({"GET", "absent"}))).is_nil());
  EXPECT_EQ(must(client->call_blocking(Command({"EXISTS", "absent"}))).integer, 0);
  auto mixed = client->call_blocking(Command({"EVAL", "return {1, {'two'}, redis.error_reply('THREE is wrong'), false}", "0"}));
  ASSERT_TRUE(mixed) << mixed.error().message;
  ASSERT_EQ(mixed->elements.size(), 4u);
  EXPECT_EQ(mixed->elements[1].elements[0].text, "two");
  EXPECT_EQ(mixed->elements[2].type, Reply::Type::kError);
  EXPECT_EQ(mixed->elements[2].text, "THREE is wrong");
  EXPECT_TRUE(mixed->elements[3].is_nil());
}

TEST(Client, AnErrorOfTheServerIsARefusalOfThatCommandAlone) {
  RedisServer server;
  auto client = connected({.url = server.url()});
  auto outcomes = client->call_all_blocking({Command({"SET", "k", "v"}), Command({"SADD", "k", "m"}), Command({"GET", "k"})});
  EXPECT_TRUE(outcomes[0]);
  ASSERT_FALSE(outcomes[1]);
  EXPECT_EQ(outcomes[1].error().kind, Kind::kRefused);
  EXPECT_TRUE(outcomes[1].error().is("WRONGTYPE"));
  EXPECT_EQ(to_error(outcomes[1].error()).code, ErrorCode::kInternal);
  EXPECT_EQ(outcomes[2]->text, "v");
}

TEST(Client, AFullServerIsUnavailable) {
  RedisServer server({.config = {"maxmemory 1mb", "maxmemory-policy noeviction"}});
  auto client = connected({.url = server.url()});
  std::string large(2u << 20, 'x');
  client->call_blocking(Command({"SET", "k", large}));
  auto outcome = client->call_blocking(Command({"SET", "l", "v"}));
  ASSERT_FALSE(outcome);
  EXPECT_TRUE(outcome.error().is("OOM"));
  EXPECT_EQ(to_error(outcome.error()).code, ErrorCode::kUnavailable);
}

TEST(Client, WhatIsOverItsBoundIsNotSent) {
  RedisServer server;
  auto client = connected({.url = server.url(), .pending_bytes_max = 1'000});
  std::string large(2'000, 'x');
  auto blocking = client->call_blocking(Command({"SET", "k", large}));
  auto awaited = run_to_end(client->call(Command({"SET", "k", large})));
  EXPECT_EQ(blocking.error().kind, Kind::kNotSent);
  EXPECT_EQ(awaited.error().kind, Kind::kNotSent);
  EXPECT_TRUE(client->call_blocking(Command({"SET", "k", "small"})));
}

TEST(Client, TheServerKnowsTheClientByItsName) {
  RedisServer server;
  auto client = connected({.url = server.url() + "/3", .client_name = "somebody"});
  EXPECT_TRUE(client->call_blocking(Command({"SET", "k", "v"})));
  auto list = server.run({"CLIENT", "LIST"}).text;
  EXPECT_NE(list.find("name=somebody"), std::string::npos);
  EXPECT_NE(list.find("db=3"), std::string::npos);
}

// --- scripts ---

const Script& add_script() {
  static const Script script("return redis.call('INCRBY', KEYS[1], ARGV[1])");
  return script;
}

const Script& append_script() {
  static const Script script("return redis.call('APPEND', KEYS[1], ARGV[1])");
  return script;
}

ScriptCall script_call(const Script& script, std::string key, std::string argument) {
  ScriptCall call{.script = &script};
  call.keys.push_back(std::move(key));
  call.arguments.push_back(std::move(argument));
  return call;
}

TEST(Scripts, AreSentAgainToAServerThatForgotThem) {
  RedisServer server;
  auto client = connected({.url = server.url()});
  EXPECT_EQ(must(client->run_blocking(script_call(add_script(), "n", "5"))).integer, 5);
  EXPECT_EQ(must(run_to_end(client->run(script_call(add_script(), "n", "5")))).integer, 10);
  server.run({"SCRIPT", "FLUSH"});
  EXPECT_EQ(must(client->run_blocking(script_call(add_script(), "n", "5"))).integer, 15);
  EXPECT_EQ(server.run({"SCRIPT", "EXISTS", add_script().sha1()}).elements[0].integer, 1);
}

TEST(Scripts, OfOneSlotRunInOrderAlsoWhenTheServerKnowsNone) {
  RedisServer server;
  auto client = connected({.url = server.url()});
  std::vector<ScriptCall> calls;
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    auto word = std::to_string(i) + ",";
    expected += word;
    calls.push_back(script_call(append_script(), "text", word));
  }
  for (auto& outcome : run_to_end(client->run_all(std::move(calls)))) EXPECT_TRUE(outcome);
  EXPECT_EQ(must(client->call_blocking(Command({"GET", "text"}))).text, expected);
}

TEST(Scripts, OneTheServerForgotIsNotSentAfterItsSuccessors) {
  RedisServer server;
  auto client = connected({.url = server.url()});
  EXPECT_TRUE(client->run_blocking(script_call(append_script(), "text", "a")));
  std::vector<ScriptCall> calls;
  calls.push_back(script_call(add_script(), "text", "1"));     // unknown to the server
  calls.push_back(script_call(append_script(), "text", "b"));  // known: executed at once
  auto outcomes = run_to_end(client->run_all(std::move(calls)));
  ASSERT_FALSE(outcomes[0]);
  EXPECT_EQ(outcomes[0].error().kind, Kind::kNotSent);
  EXPECT_TRUE(outcomes[1]);
  EXPECT_EQ(must(client->call_blocking(Command({"GET", "text"}))).text, "ab");
}

// --- a server that goes away ---

TEST(Client, AServerThatWasKilledIsUsedAgainOnceItIsBack) {
  RedisServer server;
  auto client = connected({.url = server.url()});
  server.kill();
  EXPECT_TRUE(eventually([&] { return !client->is_connected(); }));
  EXPECT_EQ(client->call_blocking(Command({"INCR", "n"})).error().kind, Kind::kNotSent);
  server.restart();
  EXPECT_TRUE(eventually([&] { return client->is_connected(); }));
  EXPECT_EQ(must(client->call_blocking(Command({"INCR", "n"}))).integer, 1);
  EXPECT_GT(client->stats().reconnects, 0u);
}

TEST(Client, ACallThatWasOnItsWayWhenTheServerDiedIsUnknown) {
  RedisServer server;
  auto client = connected({.url = server.url()});
  auto waiting = std::async(std::launch::async, [&] { return client->call_blocking(Command({"BLPOP", "absent", "0"})); });
  EXPECT_TRUE(eventually([&] { return server.run({"INFO", "clients"}).text.contains("blocked_clients:1"); }));
  server.kill();
  EXPECT_EQ(waiting.get().error().kind, Kind::kUnknown);
}

TEST(Client, ACallWhoseAnswerNeverComesIsUnknownAndNeverSentAgain) {
  RedisServer server;
  TcpProxy proxy(server.port());
  auto client = connected({.url = proxy.url(), .call_timeout = milliseconds(200)});
  proxy.swallow_answers();
  auto outcome = client->call_blocking(Command({"INCR", "n"}));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, Kind::kUnknown);
  proxy.resume();
  proxy.cut();
  EXPECT_TRUE(eventually([&] { return client->call_blocking(Command({"GET", "n"})).has_value(); }));
  EXPECT_EQ(must(client->call_blocking(Command({"GET", "n"}))).text, "1");
}

TEST(Client, APausedServerExecutesWhatItHasButGetsNothingTwice) {
  RedisServer server;
  auto client = connected({.url = server.url(), .connections_per_server = 1, .call_timeout = milliseconds(200)});
  server.pause();
  auto outcomes = client->call_all_blocking({Command({"INCR", "n"}), Command({"INCR", "n"})});
  EXPECT_EQ(outcomes[0].error().kind, Kind::kUnknown);
  EXPECT_EQ(outcomes[1].error().kind, Kind::kUnknown);
  server.resume();
  EXPECT_TRUE(eventually([&] { return client->call_blocking(Command({"INCR", "m"})).has_value(); }));
  // It read from the old connection before it took the new one, or saw that it was closed.
  auto executed = server.run({"GET", "n"});
  EXPECT_TRUE(executed.is_nil() || executed.text == "2") << executed.text;
}

TEST(Client, CallsAtomicallyCountedSurviveAnyCutAtMostOnce) {
  RedisServer server;
  TcpProxy proxy(server.port());
  auto client = connected({.url = proxy.url(), .call_timeout = milliseconds(2'000)});
  std::int64_t executed = 0;
  std::int64_t unknown = 0;
  for (int round = 0; round < 20; ++round) {
    proxy.delay(milliseconds(round % 3));
    std::vector<Command> commands;
    for (int i = 0; i < 200; ++i) commands.emplace_back(Command({"INCR", "n"}));
    auto answer = std::async(std::launch::async, [&] { return client->call_all_blocking(std::move(commands)); });
    if (round % 2 == 1) proxy.cut();
    for (auto& outcome : answer.get()) {
      if (outcome) ++executed;
      if (!outcome && outcome.error().kind == Kind::kUnknown) ++unknown;
    }
    EXPECT_TRUE(eventually([&] { return client->is_connected(); }));
  }
  auto counted = std::stoll(server.run({"GET", "n"}).text);
  EXPECT_GE(counted, executed);
  EXPECT_LE(counted, executed + unknown);
  EXPECT_GT(executed, 0);
}

TEST(Client, CallsFailWhileNobodyListens) {
  RedisServer server;
  TcpProxy proxy(server.port());
  auto client = connected({.url = proxy.url()});
  proxy.refuse();
  EXPECT_TRUE(eventually([&] { return !client->is_connected(); }));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(client->call_blocking(Command({"INCR", "n"})).error().kind, Kind::kNotSent);
  EXPECT_EQ(to_error(client->call_blocking(Command({"INCR", "n"})).error()).code, ErrorCode::kUnavailable);
  proxy.resume();
  EXPECT_TRUE(eventually([&] { return client->is_connected(); }));
  EXPECT_EQ(must(client->call_blocking(Command({"INCR", "n"}))).integer, 1);
}

TEST(Client, AServerThatSaysNothingIsGivenUp) {
  RedisServer server;
  TcpProxy proxy(server.port());
  proxy.swallow_answers();
  auto client = client_of({.url = proxy.url(), .connect_timeout = milliseconds(100), .call_timeout = milliseconds(100)});
  EXPECT_EQ(client->call_blocking(Command({"INCR", "n"})).error().kind, Kind::kNotSent);
  EXPECT_FALSE(client->is_connected());
  proxy.resume();
  EXPECT_TRUE(eventually([&] { return client->is_connected(); }));
}

TEST(Client, StopFailsWhatIsOnItsWay) {
  RedisServer server;
  auto client = connected({.url = server.url()});
  auto waiting = std::async(std::launch::async, [&] { return client->call_blocking(Command({"BLPOP", "absent", "0"})); });
  EXPECT_TRUE(eventually([&] { return server.run({"INFO", "clients"}).text.contains("blocked_clients:1"); }));
  client->stop();
  client->stop();
  EXPECT_EQ(waiting.get().error().kind, Kind::kUnknown);
  EXPECT_EQ(client->call_blocking(Command({"INCR", "n"})).error().kind, Kind::kNotSent);
  EXPECT_EQ(run_to_end(client->call(Command({"INCR", "n"}))).error().kind, Kind::kNotSent);
}

TEST(Client, StopEndsWhatWaitsForAConnection) {
  RedisServer server;
  TcpProxy proxy(server.port());
  proxy.swallow_answers();
  auto client = client_of({.url = proxy.url(), .call_timeout = milliseconds(60'000)});
  auto waiting = std::async(std::launch::async, [&] { return client->call_blocking(Command({"INCR", "n"})); });
  client->stop();
  EXPECT_EQ(waiting.get().error().kind, Kind::kNotSent);
}

// --- who may be talked to ---

TEST(Admission, AnotherProcessGetsOnlyWhatIsMarked) {
  RedisServer server;
  std::atomic<int> changes = 0;
  auto client = connected({.url = server.url(), .needs_admission = true});
  client->on_change([&] { ++changes; });
  EXPECT_FALSE(client->is_serving());
  EXPECT_EQ(client->call_blocking(Command({"INCR", "n"})).error().kind, Kind::kNotSent);
  EXPECT_TRUE(client->call_blocking(Command({"GET", "n"}, Admission::kBeforeAdmission)));

  auto servers = client->servers();
  ASSERT_EQ(servers.size(), 1u);
  EXPECT_EQ(servers[0].address, server.address());
  EXPECT_TRUE(server.run({"INFO", "server"}).text.contains("run_id:" + servers[0].run_id));
  EXPECT_TRUE(server.run({"INFO", "server"}).text.contains("redis_version:" + servers[0].version));
  EXPECT_EQ(servers[0].slots, (std::vector<std::pair<std::uint16_t, std::uint16_t>>{{0, kSlots - 1}}));
  EXPECT_FALSE(servers[0].is_admitted);

  client->admit("somebody else");
  EXPECT_FALSE(client->is_serving());
  client->admit(servers[0].run_id);
  EXPECT_TRUE(client->is_serving());
  EXPECT_TRUE(client->servers()[0].is_admitted);
  EXPECT_EQ(must(client->call_blocking(Command({"INCR", "n"}))).integer, 1);

  server.kill();
  EXPECT_TRUE(eventually([&] { return !client->is_connected(); }));
  EXPECT_FALSE(client->is_serving());
  EXPECT_GT(changes.load(), 0);
  server.restart();
  EXPECT_TRUE(eventually([&] { return client->is_connected(); }));
  EXPECT_FALSE(client->is_serving());
  EXPECT_EQ(client->call_blocking(Command({"INCR", "n"})).error().kind, Kind::kNotSent);
  client->admit(servers[0].run_id);  // the process before
  EXPECT_EQ(client->call_blocking(Command({"INCR", "n"})).error().kind, Kind::kNotSent);
  EXPECT_EQ(must(client->call_blocking(Command({"GET", "n"}, Admission::kBeforeAdmission))).text, "1");
  client->admit(client->servers()[0].run_id);
  EXPECT_EQ(must(client->call_blocking(Command({"INCR", "n"}))).integer, 2);
}

// Writers at full speed over restarts: nothing gets past the gate to a process that was not admitted.
TEST(Admission, HoldsWhileCallersPress) {
  RedisServer server({.is_persistent = false});
  auto client = connected({.url = server.url(), .needs_admission = true});
  client->admit(client->servers()[0].run_id);
  std::atomic<bool> is_over = false;
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&] {
      while (!is_over) client->call_blocking(Command({"INCR", "n"}));
    });
  }
  for (int round = 0; round < 5; ++round) {
    EXPECT_TRUE(eventually([&] { return server.run({"EXISTS", "n"}).integer == 1; }));
    server.restart();
    EXPECT_TRUE(eventually([&] { return client->is_connected() && !client->servers()[0].is_admitted; }));
    EXPECT_TRUE(must(client->call_blocking(Command({"GET", "n"}, Admission::kBeforeAdmission))).is_nil());
    EXPECT_EQ(server.run({"EXISTS", "n"}).integer, 0);
    client->admit(client->servers()[0].run_id);
  }
  is_over = true;
  for (auto& writer : writers) writer.join();
}

TEST(Admission, EndsWhenThePrimaryIsDemoted) {
  RedisServer server;
  RedisServer other;
  auto client = connected({.url = server.url(), .needs_admission = true});
  auto run_id = client->servers()[0].run_id;
  client->admit(run_id);
  EXPECT_TRUE(client->call_blocking(Command({"INCR", "n"})));
  server.run({"REPLICAOF", "127.0.0.1", std::to_string(other.port())});
  auto refused = client->call_blocking(Command({"INCR", "n"}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Kind::kNotSent);
  EXPECT_FALSE(client->is_connected());
  server.run({"REPLICAOF", "NO", "ONE"});
  EXPECT_TRUE(eventually([&] { return client->is_connected(); }));
  EXPECT_EQ(client->servers()[0].run_id, run_id);  // the same process with other data
  EXPECT_EQ(client->call_blocking(Command({"INCR", "n"})).error().kind, Kind::kNotSent);
}

TEST(Client, APasswordIsNeeded) {
  RedisServer server({.config = {"requirepass secret"}});
  server.authenticate_as("secret");
  auto without = client_of({.url = server.url()});
  auto with = connected({.url = "redis://:secret@" + server.address()});
  EXPECT_TRUE(with->call_blocking(Command({"INCR", "n"})));
  EXPECT_EQ(without->call_blocking(Command({"INCR", "n"})).error().kind, Kind::kNotSent);
}

TEST(Client, AUserHasItsRights) {
  RedisServer server({.config = {"user ada on >pw ~mine:* +@all -client"}});
  auto client = connected({.url = "redis://ada:pw@" + server.address()});
  EXPECT_TRUE(client->call_blocking(Command({"INCR", "mine:n"})));
  auto refused = client->call_blocking(Command({"INCR", "yours:n"}));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is("NOPERM"));
}

TEST(Tls, TheCertificateAndTheNameAreChecked) {
  RedisServer server({.config = {"bind 127.0.0.1 127.0.0.2"}, .has_tls = true});
  TemporaryFolder folder;
  TestCertificates others(folder.path());
  auto by_name = connected({.url = server.tls_url("localhost"), .tls_ca_file = server.ca_file()});
  auto by_address = connected({.url = server.tls_url("127.0.0.1"), .tls_ca_file = server.ca_file()});
  std::string large(1u << 20, 'x');
  EXPECT_TRUE(by_name->call_blocking(Command({"SET", "k", large})));
  EXPECT_EQ(must(by_address->call_blocking(Command({"GET", "k"}))).text, large);

  auto wrong_ca = client_of({.url = server.tls_url(), .tls_ca_file = others.ca});
  auto system_cas = client_of({.url = server.tls_url()});
  auto wrong_name = client_of({.url = server.tls_url("127.0.0.2"), .tls_ca_file = server.ca_file()});
  for (auto* client : {wrong_ca.get(), system_cas.get(), wrong_name.get()}) {
    EXPECT_EQ(client->call_blocking(Command({"GET", "k"})).error().kind, Kind::kNotSent);
    EXPECT_FALSE(client->is_connected());
  }
}

// --- many callers ---

// Each counts in a key of its own, one call after the other, and all in one that they share.
Task<void> count_up(Client& client, std::string key, int rounds, std::atomic<int>& wrong) {
  for (int i = 1; i <= rounds; ++i) {
    std::vector<Command> commands;
    commands.emplace_back(Command({"INCR", key}));
    commands.emplace_back(Command({"INCR", "shared"}));
    auto outcomes = co_await client.call_all(std::move(commands));
    if (!outcomes[0] || !outcomes[1] || outcomes[0]->integer != i) ++wrong;
    auto same = co_await client.call(Command({"GET", key}));
    if (!same || same->text != std::to_string(i)) ++wrong;
  }
}

TEST(Client, ManyIoContextsShareIt) {
  constexpr int kContexts = 4;
  constexpr int kCallers = 16;
  constexpr int kRounds = 50;
  RedisServer server;
  std::array<boost::asio::io_context, kContexts> contexts;  // outlive the client's thread
  auto client = client_of({.url = server.url()});
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int context = 0; context < kContexts; ++context) {
    threads.emplace_back([&, context] {
      auto& io = contexts[static_cast<std::size_t>(context)];
      for (int caller = 0; caller < kCallers; ++caller) {
        auto key = std::to_string(context) + ":" + std::to_string(caller);
        boost::asio::co_spawn(io, count_up(*client, key, kRounds, wrong), boost::asio::detached);
      }
      io.run();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_EQ(must(client->call_blocking(Command({"GET", "shared"}))).text, std::to_string(kContexts * kCallers * kRounds));
  auto stats = client->stats();
  EXPECT_EQ(stats.calls, 1u + 3u * kContexts * kCallers * kRounds);
  EXPECT_EQ(stats.failures, 0u);
  EXPECT_EQ(stats.connections, 2u);
}

}  // namespace
}  // namespace hearth::redis
