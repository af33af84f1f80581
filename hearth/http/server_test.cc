#include "hearth/http/server.h"

#include <gtest/gtest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <semaphore>
#include <set>
#include <thread>
#include <vector>

#include "hearth/base/log.h"
#include "hearth/http/test_client.h"

namespace hearth::http {
namespace {

using namespace std::chrono_literals;

// Holds a handler until the test opens it.
class Gate {
 public:
  Task<void> wait() {
    Executor executor = co_await boost::asio::this_coro::executor;
    Timer timer(executor, Timer::time_point::max());
    executor_ = executor;
    timer_ = &timer;
    entered_.release();
    co_await timer.async_wait(boost::asio::as_tuple(use_task));
  }
  void wait_until_entered() { entered_.acquire(); }
  void open() {
    boost::asio::post(*executor_, [this] { timer_->cancel(); });
  }

 private:
  using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;
  std::binary_semaphore entered_{0};
  std::optional<Executor> executor_;
  Timer* timer_ = nullptr;
};

// Says what it got.
Task<Response> echo(Request& request) {
  Response response{.content_type = "text/plain"};
  response.body = std::string(method_name(request.method)) + " " + std::string(request.path);
  for (const auto& value : request.path_parameters) response.body += " [" + value + "]";
  if (request.is_loopback) response.body += " from " + std::string(request.remote_address);
  response.body += " |" + request.body;
  co_return response;
}

Task<Response> answer_large(Request&) {
  co_return Response{.body = std::string(1 << 20, 'x')};
}

Task<Response> throw_secret(Request&) {
  throw std::runtime_error("secret detail");
  co_return Response{};
}

Task<Response> split_header(Request& request) {
  Response response;
  response.headers.emplace_back("X-Echo", request.path_parameter(0));
  co_return response;
}

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    options_.port = 0;
    options_.threads = 2;
    router_.add(Method::kGet, "/echo/{id}", echo);
    router_.add(Method::kPost, "/echo/{id}", echo);
    router_.add(Method::kGet, "/large", answer_large);
    router_.add(Method::kGet, "/throw", throw_secret);
    router_.add(Method::kGet, "/header/{value}", split_header);
    router_.add(Method::kPost, "/wait", [this](Request& request) { return hold(request); });
  }

  Task<Response> hold(Request& request) {
    std::string body = request.body;
    co_await gate_.wait();
    co_return Response{.body = body + request.body};
  }

  Server& start() {
    auto opened = Server::open(options_, router_, clock_);
    EXPECT_TRUE(opened) << opened.error().message;
    server_ = std::move(*opened);
    server_->start();
    return *server_;
  }
  TestClient client() { return TestClient(server_->port()); }

  Router router_;
  SimulatedClock clock_;
  ServerOptions options_;
  Gate gate_;
  std::unique_ptr<Server> server_;
};

std::string get(std::string_view path, std::string_view fields = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n";
}

std::string post(std::string_view path, std::string_view body, std::string_view fields = "") {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(fields) + "\r\n" + std::string(body);
}

TEST_F(ServerTest, AnswersAndKeepsTheConnection) {
  start();
  TestClient peer(server_->port());
  auto first = peer.ask(post("/echo/a%20b?q=1", "{}"));
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.body, "POST /echo/a%20b [a b] from 127.0.0.1 |{}");
  EXPECT_EQ(first.field("Content-Type"), "text/plain");
  EXPECT_EQ(first.field("Date"), "Tue, 14 Nov 2023 22:13:20 GMT");
  EXPECT_EQ(first.field("Connection"), "");
  auto second = peer.ask(get("/echo/2"));
  EXPECT_EQ(second.body, "GET /echo/2 [2] from 127.0.0.1 |");
  EXPECT_EQ(server_->stats().requests, 2u);
  EXPECT_EQ(server_->stats().connections, 1u);
}

TEST_F(ServerTest, EveryAnswerHasARequestId) {
  start();
  TestClient peer(server_->port());
  EXPECT_EQ(peer.ask(get("/echo/1", "X-Request-Id: mine-1\r\n")).field("X-Request-Id"), "mine-1");
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) ids.insert(peer.ask(get("/nothing", "X-Request-Id: not valid\r\n")).field("X-Request-Id"));
  EXPECT_EQ(ids.size(), 100u);
  EXPECT_EQ(ids.begin()->size(), 16u);
  EXPECT_EQ(peer.ask("bad\r\n\r\n").field("X-Request-Id").size(), 16u);
}

TEST_F(ServerTest, AThousandPipelinedRequestsAreAnsweredInOrder) {
  start();
  TestClient peer(server_->port());
  std::string bytes;
  for (int i = 0; i < 1'000; ++i) {
    bytes += i % 3 == 0 ? get("/echo/" + std::to_string(i)) : post("/echo/" + std::to_string(i), "{\"body\":" + std::to_string(i) + "}");
  }
  peer.send(bytes);
  for (int i = 0; i < 1'000; ++i) {
    auto answer = peer.read();
    ASSERT_EQ(answer.status, 200);
    ASSERT_TRUE(answer.body.find("[" + std::to_string(i) + "]") != std::string::npos) << answer.body;
  }
}

TEST_F(ServerTest, PipelinedLargeAnswersWaitForTheirReader) {
  start();
  TestClient peer(server_->port());
  std::string bytes;
  for (int i = 0; i < 50; ++i) bytes += get("/large");
  peer.send(bytes);
  for (int i = 0; i < 50; ++i) ASSERT_EQ(peer.read().body.size(), std::size_t{1} << 20);
}

TEST_F(ServerTest, ReadsARequestThatComesByteByByte) {
  start();
  TestClient peer(server_->port());
  for (char byte : post("/echo/1", "{\"a\":1}")) peer.send({&byte, 1});
  EXPECT_EQ(peer.read().body, "POST /echo/1 [1] from 127.0.0.1 |{\"a\":1}");
}

TEST_F(ServerTest, ReadsChunkedBodies) {
  start();
  TestClient peer(server_->port());
  std::string head = "POST /echo/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(peer.ask(head + "2\r\n{\"\r\n4;x=y\r\na\":1\r\n1\r\n}\r\n0\r\nX: y\r\n\r\n").body,
            "POST /echo/1 [1] from 127.0.0.1 |{\"a\":1}");
  std::string body(100'000, 'b'), chunks;
  for (std::size_t i = 0; i < body.size(); i += 10) chunks += "a\r\n" + body.substr(i, 10) + "\r\n";
  EXPECT_EQ(peer.ask(head + chunks + "0\r\n\r\n").body, "POST /echo/1 [1] from 127.0.0.1 |" + body);
}

TEST_F(ServerTest, ReadsABodyAsLargeAsTheLimit) {
  start();
  TestClient peer(server_->port());
  std::string body(options_.body_bytes_max, 'b');
  EXPECT_EQ(peer.ask(post("/echo/1", body)).body, "POST /echo/1 [1] from 127.0.0.1 |" + body);
  EXPECT_EQ(peer.ask(post("/echo/2", "small")).body, "POST /echo/2 [2] from 127.0.0.1 |small");
}

TEST_F(ServerTest, TooManyLargeBodiesAtOnceAreRefusedUntilOthersAreDone) {
  options_.large_bodies_bytes_max = 1'500'000;
  start();
  const std::string body(800'000, 'x');
  TestClient first(server_->port());
  first.send(post("/wait", body));
  gate_.wait_until_entered();
  auto refused = TestClient(server_->port()).ask(post("/echo/1", body));
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.field("Connection"), "close");
  EXPECT_EQ(TestClient(server_->port()).ask(post("/echo/1", "small")).status, 200);
  gate_.open();
  EXPECT_EQ(first.read().status, 200);
  EXPECT_EQ(TestClient(server_->port()).ask(post("/echo/1", body)).status, 200) << "what they held was given back";
}

TEST_F(ServerTest, ReadsAHeaderAsLargeAsTheLimit) {
  start();
  TestClient peer(server_->port());
  std::string bytes = get("/echo/1", "X: \r\n");
  bytes.insert(bytes.size() - 4, options_.header_bytes_max - bytes.size(), 'x');
  EXPECT_EQ(peer.ask(bytes).status, 200);
  EXPECT_EQ(peer.ask(bytes + bytes).status, 200);
  EXPECT_EQ(peer.read().status, 200);
}

TEST_F(ServerTest, TellsAClientThatAsksFirstToContinue) {
  start();
  TestClient peer(server_->port());
  EXPECT_EQ(peer.ask("POST /echo/1 HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").status, 100);
  EXPECT_EQ(peer.ask("{}").body, "POST /echo/1 [1] from 127.0.0.1 |{}");
  EXPECT_EQ(peer.ask(post("/echo/1", "{}", "Expect: 100-continue\r\n")).status, 200) << "it came with its body";
  EXPECT_EQ(peer.ask("POST /echo/1 HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n").status, 413);
}

TEST_F(ServerTest, OlderClientsGetWhatTheyUnderstand) {
  start();
  TestClient peer(server_->port());
  auto kept = peer.ask("GET /echo/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(kept.field("Connection"), "keep-alive");
  auto last = peer.ask("GET /echo/2 HTTP/1.0\r\n\r\n");
  EXPECT_EQ(last.status, 200);
  EXPECT_EQ(last.field("Connection"), "close");
  EXPECT_TRUE(peer.is_at_end());
}

TEST_F(ServerTest, ClosesWhenAskedTo) {
  start();
  TestClient peer(server_->port());
  auto answer = peer.ask(get("/echo/1", "Connection: close\r\n") + get("/echo/2"));
  EXPECT_EQ(answer.field("Connection"), "close");
  EXPECT_TRUE(peer.is_at_end());
}

TEST_F(ServerTest, APeerThatHasFinishedSendingGetsItsAnswers) {
  start();
  TestClient peer(server_->port());
  peer.send(get("/echo/1") + post("/wait", "held ") + get("/echo/3"));
  peer.finish_writing();
  gate_.wait_until_entered();
  gate_.open();
  EXPECT_EQ(peer.read().status, 200);
  EXPECT_EQ(peer.read().body, "held held ");
  EXPECT_EQ(peer.read().status, 200);
  EXPECT_TRUE(peer.is_at_end());
}

TEST_F(ServerTest, APeerThatLeavesInTheMiddleOfARequestIsForgotten) {
  start();
  {
    TestClient peer(server_->port());
    peer.send("POST /echo/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{");
    peer.finish_writing();
    EXPECT_TRUE(peer.is_at_end());
  }
  TestClient next(server_->port());
  EXPECT_EQ(next.ask(get("/echo/1")).status, 200);
  EXPECT_EQ(server_->stats().requests, 1u);
}

TEST_F(ServerTest, GarbageAfterAGoodRequestIsRefusedAfterItsAnswer) {
  start();
  TestClient peer(server_->port());
  peer.send(get("/echo/1") + "\x01\x02\x03garbage\r\n\r\n" + std::string(100'000, 'x'));
  EXPECT_EQ(peer.read().status, 200);
  auto refused = peer.read();
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.field("Connection"), "close");
  EXPECT_TRUE(refused.body.starts_with("{\"error\":\"the request is malformed")) << refused.body;
  EXPECT_TRUE(refused.body.find("\"code\":\"invalid_argument\"") != std::string::npos) << refused.body;
  EXPECT_TRUE(peer.is_at_end());
}

struct RefusalCase {
  std::string bytes;
  int status;
  std::string body;
};

TEST_F(ServerTest, WhatIsTooLargeIsRefusedAndTheAnswerArrives) {
  start();
  const std::vector<RefusalCase> cases = {
      {get("/echo/1", "X: " + std::string(20'000, 'x') + "\r\n"), 413,
       R"({"error":"the header is larger than this server takes","code":"too_large","field":"header"})"},
      {get("/" + std::string(500'000, 'x')), 413,
       R"({"error":"the header is larger than this server takes","code":"too_large","field":"header"})"},
      {"POST /echo/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n", 413,
       R"({"error":"the body is larger than this server takes","code":"too_large","field":"body"})"},
      {post("/echo/1", std::string(3'000'000, 'x')), 413,
       R"({"error":"the body is larger than this server takes","code":"too_large","field":"body"})"},
      {"POST /echo/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n" + std::string(1 << 20, 'x') + "\r\n1\r\nx\r\n",
       413, R"({"error":"the body is larger than this server takes","code":"too_large","field":"body"})"},
      {"POST /echo/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(100'000, 'x') + "\r\n", 413,
       R"({"error":"a chunk header or trailer is larger than this server takes","code":"too_large","field":"body"})"},
      {"GET /echo/1 HTTP/1.1\r\n\r\n", 400, R"({"error":"the Host field is missing","code":"invalid_argument","field":"header"})"},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.bytes.substr(0, 80));
    TestClient peer(server_->port());
    auto answer = peer.ask(test.bytes);
    EXPECT_EQ(answer.status, test.status);
    EXPECT_EQ(answer.body, test.body);
    EXPECT_EQ(answer.field("Connection"), "close");
    EXPECT_TRUE(peer.is_at_end());
  }
}

TEST_F(ServerTest, ASlowSenderIsToldSo) {
  options_.request_timeout = 30ms;
  options_.sweep_period = 5ms;
  start();
  for (std::string_view part :
       {"P", "POST /echo/1 HTTP/1.1\r\nHost: h\r\n", "POST /echo/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n{"}) {
    TestClient peer(server_->port());
    auto answer = peer.ask(part);
    EXPECT_EQ(answer.status, 408);
    EXPECT_EQ(answer.body, R"({"error":"the request took too long to arrive","code":"request_timeout"})");
    EXPECT_TRUE(peer.is_at_end());
  }
}

TEST_F(ServerTest, ASenderOfOneByteAtATimeGainsNoTime) {
  options_.request_timeout = 30ms;
  options_.sweep_period = 5ms;
  options_.body_bytes_max = options_.large_bodies_bytes_max = std::size_t{1} << 40;
  start();
  TestClient peer(server_->port());
  peer.send("POST /echo/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n");
  std::atomic<bool> is_answered = false;
  std::thread sender([&] {
    while (!is_answered) {
      peer.send("x");
      std::this_thread::yield();
    }
  });
  EXPECT_EQ(peer.read().status, 408);
  is_answered = true;
  sender.join();
}

TEST_F(ServerTest, AnIdleConnectionIsClosed) {
  options_.idle_timeout = 20ms;
  options_.sweep_period = 5ms;
  start();
  TestClient silent(server_->port());
  EXPECT_TRUE(silent.is_at_end());
  TestClient used(server_->port());
  EXPECT_EQ(used.ask(get("/echo/1")).status, 200);
  EXPECT_TRUE(used.is_at_end());
}

TEST_F(ServerTest, AHandlerMayTakeLongerThanAnyTimeout) {
  options_.idle_timeout = options_.request_timeout = options_.write_timeout = 5ms;
  options_.sweep_period = 1ms;
  start();
  TestClient peer(server_->port());
  peer.send(post("/wait", "{}"));
  gate_.wait_until_entered();
  TestClient idle(server_->port());
  EXPECT_TRUE(idle.is_at_end());  // by now the timeouts have passed
  gate_.open();
  EXPECT_EQ(peer.read().status, 200);
}

TEST_F(ServerTest, APeerThatDoesNotReadIsDropped) {
  options_.write_timeout = 30ms;
  options_.sweep_period = 5ms;
  start();
  TestClient peer(server_->port());
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes += get("/large");
  peer.send(bytes);
  peer.wait_for_hang_up();
  int whole = 0;
  while (peer.read().body.size() == std::size_t{1} << 20) ++whole;
  EXPECT_LT(whole, 100);
}

TEST_F(ServerTest, HeadIsGetWithoutItsBody) {
  start();
  TestClient peer(server_->port());
  peer.send("HEAD /echo/1 HTTP/1.1\r\nHost: h\r\n\r\n" + get("/echo/1"));
  auto head = peer.read(false);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.field("Content-Length"), "33");
  EXPECT_EQ(peer.read().body, "GET /echo/1 [1] from 127.0.0.1 |");
  peer.send("HEAD /nothing HTTP/1.1\r\nHost: h\r\n\r\n" + get("/echo/1"));
  EXPECT_EQ(peer.read(false).status, 404);
  EXPECT_EQ(peer.read().status, 200);
}

TEST_F(ServerTest, AnOtherMethodIsToldWhatIsAllowed) {
  start();
  TestClient peer(server_->port());
  auto answer = peer.ask("DELETE /echo/1 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.field("Allow"), "GET, POST, HEAD, OPTIONS");
  EXPECT_EQ(answer.body, R"({"error":"this path takes GET, POST, HEAD, OPTIONS","code":"method_not_allowed"})");
  EXPECT_EQ(peer.ask(get("/echo/1")).status, 200);
}

TEST_F(ServerTest, OptionsHaveNoBody) {
  start();
  TestClient peer(server_->port());
  auto answer = peer.ask("OPTIONS /echo/1 HTTP/1.1\r\nHost: h\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n\r\n");
  EXPECT_EQ(answer.status, 204);
  EXPECT_EQ(answer.field("Allow"), "GET, POST, HEAD, OPTIONS");
  EXPECT_EQ(answer.field("Content-Length"), "");
  EXPECT_EQ(answer.head.find("Access-Control"), std::string::npos) << "no origin is allowed by default";
  EXPECT_EQ(peer.ask(get("/echo/1")).status, 200);
}

TEST_F(ServerTest, PagesOfAllowedOriginsMayCall) {
  options_.cors_origins = {"https://a.example", "https://b.example"};
  start();
  TestClient peer(server_->port());
  auto preflight =
      peer.ask("OPTIONS /echo/1 HTTP/1.1\r\nHost: h\r\nOrigin: https://b.example\r\nAccess-Control-Request-Method: POST\r\n\r\n");
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.field("Access-Control-Allow-Origin"), "https://b.example");
  EXPECT_EQ(preflight.field("Access-Control-Allow-Methods"), "GET, POST, HEAD, OPTIONS");
  EXPECT_EQ(preflight.field("Access-Control-Allow-Headers"), "Authorization, Content-Type, Idempotency-Key, X-Request-Id");
  EXPECT_EQ(preflight.field("Access-Control-Max-Age"), "600");
  EXPECT_EQ(preflight.field("Vary"), "Origin");

  auto simple = peer.ask(get("/echo/1", "Origin: https://a.example\r\n"));
  EXPECT_EQ(simple.field("Access-Control-Allow-Origin"), "https://a.example");
  EXPECT_TRUE(simple.field("Access-Control-Expose-Headers").find("X-RateLimit-Remaining") != std::string::npos);
  EXPECT_EQ(simple.field("Access-Control-Allow-Methods"), "");

  for (std::string_view fields : {"Origin: https://c.example\r\n", "Origin: https://a.example.evil\r\n", "Origin: null\r\n", ""}) {
    auto other = peer.ask(get("/echo/1", fields));
    EXPECT_EQ(other.status, 200);
    EXPECT_EQ(other.field("Access-Control-Allow-Origin"), "") << fields;
    EXPECT_EQ(other.field("Vary"), "Origin");
  }
}

TEST_F(ServerTest, AStarAllowsEveryOrigin) {
  options_.cors_origins = {"*"};
  start();
  TestClient peer(server_->port());
  EXPECT_EQ(peer.ask(get("/echo/1", "Origin: https://any.example\r\n")).field("Access-Control-Allow-Origin"), "*");
  EXPECT_EQ(peer.ask(get("/echo/1")).field("Access-Control-Allow-Origin"), "");
}

TEST_F(ServerTest, AHandlerThatThrowsIsAnInternalErrorWithoutDetail) {
  log::configure(log::Level::kOff, log::Format::kLogfmt);
  start();
  TestClient peer(server_->port());
  auto answer = peer.ask(get("/throw"));
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.body, R"({"error":"internal error","code":"internal"})");
  EXPECT_EQ(peer.ask(get("/echo/1")).status, 200);
  log::configure(log::Level::kInfo, log::Format::kLogfmt);
}

TEST_F(ServerTest, InputCannotEndAResponseField) {
  start();
  TestClient peer(server_->port());
  auto answer = peer.ask(get("/header/a%0d%0aSet-Cookie:%20x=y%0d%0a%0d%0a%00b"));
  EXPECT_EQ(answer.field("X-Echo"), "a  Set-Cookie: x=y     b");
  EXPECT_EQ(answer.field("Set-Cookie"), "");
}

TEST_F(ServerTest, ConnectionsOverTheLimitAreRefused) {
  options_.connections_max = 20;
  start();
  std::vector<std::unique_ptr<TestClient>> peers;
  for (int i = 0; i < 20; ++i) {
    peers.push_back(std::make_unique<TestClient>(server_->port()));
    ASSERT_EQ(peers.back()->ask(get("/echo/1")).status, 200);
  }
  for (int i = 0; i < 100; ++i) {
    TestClient refused(server_->port());
    refused.send(get("/echo/1"));
    auto answer = refused.read();
    if (answer.status == 0) continue;  // so many at once that some get no answer
    ASSERT_EQ(answer.status, 503);
    ASSERT_EQ(answer.field("Retry-After"), "1");
    ASSERT_TRUE(answer.body.find("\"unavailable\"") != std::string::npos) << answer.body;
  }
  EXPECT_EQ(server_->stats().connections, 20u);
  EXPECT_EQ(server_->stats().refused_connections, 100u);
  EXPECT_EQ(peers[7]->ask(get("/echo/1")).status, 200);
  peers.clear();
  while (server_->stats().connections > 0) std::this_thread::yield();
  EXPECT_EQ(TestClient(server_->port()).ask(get("/echo/1")).status, 200);
}

TEST_F(ServerTest, ManyClientsAtOnceGetTheirOwnAnswers) {
  start();
  std::vector<std::thread> threads;
  for (int t = 0; t < 32; ++t) {
    threads.emplace_back([this, t] {
      TestClient peer(server_->port());
      for (int i = 0; i < 100; ++i) {
        std::string body = std::to_string(t) + "." + std::to_string(i);
        ASSERT_EQ(peer.ask(post("/echo/" + std::to_string(t), body)).body,
                  "POST /echo/" + std::to_string(t) + " [" + std::to_string(t) + "] from 127.0.0.1 |" + body);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(server_->stats().requests, 3'200u);
}

TEST_F(ServerTest, StoppingAnswersWhatIsInFlight) {
  options_.threads = 1;  // the end of the idle connection then says that the other's thread is stopping too
  start();
  TestClient idle(server_->port());
  ASSERT_EQ(idle.ask(get("/echo/1")).status, 200);
  TestClient busy(server_->port());
  busy.send(post("/wait", "{}"));
  gate_.wait_until_entered();

  std::thread stopper([this] { server_->stop(20s); });
  EXPECT_TRUE(idle.is_at_end());
  gate_.open();
  auto answer = busy.read();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "{}{}");
  EXPECT_EQ(answer.field("Connection"), "close");
  EXPECT_TRUE(busy.is_at_end());
  stopper.join();
  EXPECT_FALSE(TestClient(server_->port()).is_connected());
  EXPECT_EQ(server_->stats().connections, 0u);
}

TEST_F(ServerTest, StoppingWaitsForTheRestOfARequest) {
  options_.threads = 1;
  start();
  TestClient idle(server_->port());
  ASSERT_EQ(idle.ask(get("/echo/1")).status, 200);
  TestClient half(server_->port());
  const std::string request = post("/echo/2", "{}");
  half.ask(get("/echo/1") + request.substr(0, 20));

  std::thread stopper([this] { server_->stop(20s); });
  EXPECT_TRUE(idle.is_at_end());
  EXPECT_EQ(half.ask(request.substr(20)).status, 200);
  EXPECT_TRUE(half.is_at_end());
  stopper.join();
}

TEST_F(ServerTest, StoppingDoesNotWaitForARequestThatIsLate) {
  options_.request_timeout = 30ms;
  options_.sweep_period = 5ms;
  start();
  TestClient half(server_->port());
  half.ask(get("/echo/1") + "POST");
  server_->stop(20s);
  EXPECT_EQ(half.read().status, 408);
}

TEST_F(ServerTest, StoppingWaitsNoLongerThanItsGrace) {
  log::configure(log::Level::kOff, log::Format::kLogfmt);
  start();
  TestClient half(server_->port());
  half.send("POST /echo/1 HTTP/1.1\r\n");
  TestClient busy(server_->port());
  busy.send(post("/wait", "{}"));
  gate_.wait_until_entered();
  server_->stop(10ms);
  server_.reset();
  EXPECT_EQ(busy.read().status, 0);
  EXPECT_EQ(half.read().status, 0);
  log::configure(log::Level::kInfo, log::Format::kLogfmt);
}

TEST_F(ServerTest, StopsTwiceAndBeforeStart) {
  start();
  server_->stop(1s);
  server_->stop(1s);
  auto never_started = Server::open(options_, router_, clock_);
  ASSERT_TRUE(never_started);
  (*never_started)->stop(1s);
  (*never_started)->start();
  EXPECT_FALSE(TestClient((*never_started)->port()).ask(get("/echo/1")).status);
}

TEST_F(ServerTest, StoppingAgainAndAgainUnderLoadEnds) {
  for (int round = 0; round < 20; ++round) {
    auto& server = start();
    std::vector<std::thread> threads;
    std::counting_semaphore<> warm{0};
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        TestClient peer(server.port());
        for (int i = 0; peer.ask(get("/echo/1")).status == 200; ++i) {
          if (i == 10) warm.release();
        }
      });
    }
    for (int t = 0; t < 4; ++t) warm.acquire();
    server.stop(20s);
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(server.stats().connections, 0u);
  }
}

TEST_F(ServerTest, SaysWhyItCannotListen) {
  start();
  ServerOptions same = options_;
  same.port = server_->port();
  auto second = Server::open(same, router_, clock_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message, "cannot listen on 127.0.0.1:" + std::to_string(same.port) + ": Address already in use");
  same.host = "no such host";
  EXPECT_FALSE(Server::open(same, router_, clock_));
}

}  // namespace
}  // namespace hearth::http
