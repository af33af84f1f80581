#include "hearth/drivers/web/web_client.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <semaphore>
#include <thread>

#include "hearth/drivers/web/test_web_server.h"

namespace hearth::web {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 60'000ms;  // nothing here takes so long

WebRequest local(std::string url) {
  return {.url = std::move(url), .timeout = kPatience, .allows_private = true};
}

std::string names(const TestRequest& request) {
  std::string list;
  for (const auto& [name, value] : request.headers) list += name + " ";
  return list;
}

class WebClientTest : public testing::Test {
 protected:
  WebClient client;
};

TEST_F(WebClientTest, SendsWhatItIsGivenAndReadsTheAnswer) {
  TestWebServer server([](TestAnswer& answer, const TestRequest& request) {
    answer.send(request.method == "PATCH" ? 418 : 200, "got " + request.body, {{"X-One", "  1 "}, {"x-one", "2"}, {"X-Empty", ""}});
  });
  auto request = local(server.url("/a%20b?c=d#e"));
  request.method = "PATCH";
  request.headers = {{"Content-Type", "application/json"}, {"X-Empty", ""}, {"Accept", "image/*"}};
  request.body = std::string("{\0}", 3);
  auto response = client.send(request);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 418);
  EXPECT_EQ(response->body, std::string("got {\0}", 7));
  EXPECT_EQ(response->header("x-one"), "1");
  EXPECT_EQ(response->header("x-empty"), "");
  EXPECT_EQ(response->header("missing"), "");

  auto seen = server.requests().at(0);
  EXPECT_EQ(seen.method, "PATCH");
  EXPECT_EQ(seen.target, "/a%20b?c=d");
  EXPECT_EQ(seen.body, request.body);
  EXPECT_EQ(seen.header("content-type"), "application/json");
  EXPECT_EQ(seen.header("host"), "127.0.0.1:" + std::to_string(server.port()));
  EXPECT_EQ(seen.header("user-agent"), "Hearth");
  EXPECT_EQ(names(seen), "host user-agent content-type x-empty accept content-length ");
}

TEST_F(WebClientTest, KnowsTheMethodsWithAndWithoutABody) {
  TestWebServer server([](TestAnswer& answer, const TestRequest& request) {
    if (request.method == "HEAD") return void(answer.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"));
    answer.send(request.method == "DELETE" ? 204 : 200,
                request.method == "DELETE" ? "" : request.method + request.header("content-length"));
  });
  struct {
    std::string method, body, answer;
  } cases[] = {{"GET", "", "GET"},
               {"HEAD", "", ""},
               {"POST", "", "POST0"},
               {"POST", "x", "POST1"},
               {"PUT", std::string(3'000'000, 'x'), "PUT3000000"},
               {"DELETE", "", ""}};
  for (const auto& c : cases) {
    auto request = local(server.url());
    request.method = c.method;
    request.body = c.body;
    auto response = client.send(request);
    ASSERT_TRUE(response) << c.method << ": " << response.error().message;
    EXPECT_EQ(response->body, c.answer);
    EXPECT_EQ(server.requests().back().body.size(), c.body.size());
  }
  EXPECT_EQ(server.connections(), 1);  // kept
}

TEST_F(WebClientTest, WhatCannotBeSentIsNot) {
  TestWebServer server([](TestAnswer& answer, const TestRequest&) { answer.send(200); });
  auto field_of = [&](const WebRequest& request) {
    auto response = client.send(request);
    EXPECT_TRUE(!response && response.error().code == ErrorCode::kInvalidArgument);
    return response ? "" : response.error().field;
  };
  for (const char* url : {"", "ftp://127.0.0.1/", "file:///etc/passwd", "http://ada@127.0.0.1/"}) EXPECT_EQ(field_of(local(url)), "url");
  auto request = local(server.url());
  for (const auto& header : std::vector<std::pair<std::string, std::string>>{
           {"X-A", "b\r\nX-C: d"}, {"X-A", "b\n"}, {"X-A", std::string("b\0", 2)}, {"X A", "b"}, {"X-A:", "b"}, {"", "b"}}) {
    request.headers = {header};
    EXPECT_EQ(field_of(request), "headers") << header.first;
  }
  request.headers = {};
  request.method = "GET /other";
  EXPECT_EQ(field_of(request), "method");
  EXPECT_EQ(server.connections(), 0);
}

// --- addresses ---

TEST_F(WebClientTest, SpecialAddressesAreNotConnectedTo) {
  TestWebServer server([](TestAnswer& answer, const TestRequest&) { answer.send(200, "secret"); });
  auto port = ":" + std::to_string(server.port()) + "/";
  for (const char* host : {"127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]",
                           "[::ffff:7f00:1]", "127.8.8.8"}) {
    auto response = client.send({.url = "http://" + std::string(host) + port});
    ASSERT_FALSE(response) << host;
    EXPECT_EQ(response.error().code, ErrorCode::kForbidden) << host << ": " << response.error().message;
  }
  EXPECT_EQ(server.connections(), 0);
}

TEST_F(WebClientTest, TheRefusalNamesTheHostAndNoAddress) {
  auto response = client.send({.url = "http://localhost:8080/"});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().message, "localhost:8080 is not on the public internet, and is not connected to");
}

TEST_F(WebClientTest, AKeptConnectionServesNoRequestThatMayNotGoThere) {
  TestWebServer server([](TestAnswer& answer, const TestRequest&) { answer.send(200, "secret"); });
  ASSERT_TRUE(client.send(local(server.url())));
  auto response = client.send({.url = server.url()});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kForbidden);
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST_F(WebClientTest, PortsOfOtherServicesAreRefusedToStrangers) {
  auto response = client.send({.url = "http://192.0.2.1:25/"});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kForbidden);
  EXPECT_TRUE(response.error().message.contains("port")) << response.error().message;
}

TEST_F(WebClientTest, ProxiesOfTheEnvironmentAreNotUsed) {
  TestWebServer proxy([](TestAnswer& answer, const TestRequest&) { answer.send(200, "proxy"); });
  TestWebServer server([](TestAnswer& answer, const TestRequest&) { answer.send(200, "server"); });
  for (const char* name : {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"}) setenv(name, proxy.url().c_str(), 1);
  auto response = client.send(local(server.url()));
  for (const char* name : {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"}) unsetenv(name);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "server");
  EXPECT_EQ(proxy.connections(), 0);
}

TEST_F(WebClientTest, CookiesAreNotKept) {
  TestWebServer server([](TestAnswer& answer, const TestRequest&) { answer.send(200, "", {{"Set-Cookie", "a=b; Path=/"}}); });
  ASSERT_TRUE(client.send(local(server.url())));
  ASSERT_TRUE(client.send(local(server.url())));
  EXPECT_EQ(server.requests().at(1).header("cookie"), "");
}

// --- redirects ---

TEST_F(WebClientTest, ARedirectIsTheAnswerUnlessOneIsAllowed) {
  TestWebServer server([](TestAnswer& answer, const TestRequest& request) {
    if (request.target == "/a") return answer.redirect(302, "b?c");
    if (request.target == "/b?c") return answer.redirect(301, "/d");
    answer.send(200, request.target);
  });
  auto request = local(server.url("/a"));
  EXPECT_EQ(client.send(request)->status, 302);
  request.redirects_max = 2;
  EXPECT_EQ(client.send(request)->body, "/d");
  request.redirects_max = 1;
  auto response = client.send(request);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
}

TEST_F(WebClientTest, ALoopOfRedirectsEnds) {
  TestWebServer server([](TestAnswer& answer, const TestRequest&) { answer.redirect(307, "/again"); });
  auto request = local(server.url());
  request.redirects_max = 5;
  auto response = client.send(request);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(response.error().message.contains("after 5 redirects")) << response.error().message;
  EXPECT_EQ(server.requests().size(), 6u);
}

// The permission is for the host that the request names.
TEST_F(WebClientTest, ARedirectToAnotherPrivateHostIsNotFollowed) {
  TestWebServer inner([](TestAnswer& answer, const TestRequest&) { answer.send(200, "secret"); });
  auto port = ":" + std::to_string(inner.port()) + "/";
  for (const char* host : {"localhost", "127.0.0.2", "[::ffff:127.0.0.1]", "0.0.0.0"}) {
    TestWebServer outer([&](TestAnswer& answer, const TestRequest&) { answer.redirect(302, "http://" + std::string(host) + port); });
    auto request = local(outer.url());
    request.redirects_max = 5;
    auto response = client.send(request);
    ASSERT_FALSE(response) << host;
    EXPECT_EQ(response.error().code, ErrorCode::kForbidden) << host;
  }
  EXPECT_EQ(inner.connections(), 0);
}

TEST_F(WebClientTest, ARedirectToAnotherSchemeIsNotFollowed) {
  for (const char* target : {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:25/_x", "//ada:secret@127.0.0.1/", "http://"}) {
    TestWebServer server([&](TestAnswer& answer, const TestRequest&) { answer.redirect(302, target); });
    auto request = local(server.url());
    request.redirects_max = 5;
    auto response = client.send(request);
    ASSERT_FALSE(response) << target;
    EXPECT_EQ(response.error().code, ErrorCode::kForbidden) << target;
    EXPECT_EQ(server.requests().size(), 1u);
  }
}

TEST_F(WebClientTest, SecretsDoNotFollowToAnotherOrigin) {
  TestWebServer other([](TestAnswer& answer, const TestRequest&) { answer.send(200, "other"); });
  TestWebServer server(
      [&](TestAnswer& answer, const TestRequest& request) { answer.redirect(302, request.target == "/" ? "/same" : other.url("/")); });
  auto request = local(server.url());
  request.headers = {
      {"Authorization", "Bearer key"}, {"X-Hearth-Signature", "abc"}, {"Cookie", "a=b"}, {"Accept", "image/*"}, {"Host", "127.0.0.1"}};
  request.redirects_max = 5;
  auto response = client.send(request);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "other");
  EXPECT_EQ(server.requests().at(1).header("authorization"), "Bearer key");
  EXPECT_EQ(server.requests().at(1).header("x-hearth-signature"), "abc");
  EXPECT_EQ(names(other.requests().at(0)), "host user-agent accept ");
}

TEST_F(WebClientTest, ABodyGoesToNoOtherOrigin) {
  TestWebServer other([](TestAnswer& answer, const TestRequest&) { answer.send(200); });
  TestWebServer server([&](TestAnswer& answer, const TestRequest& request) {
    if (request.target == "/other") return answer.redirect(307, other.url("/"));
    if (request.target == "/here") return answer.redirect(308, "/end");
    answer.send(200, request.method + " " + request.body);
  });
  auto request = local(server.url("/other"));
  request.method = "POST";
  request.body = "payload";
  request.redirects_max = 5;
  EXPECT_EQ(client.send(request)->status, 307);
  EXPECT_EQ(other.connections(), 0);
  request.url = server.url("/here");
  EXPECT_EQ(client.send(request)->body, "POST payload");
}

TEST_F(WebClientTest, APostBecomesAGetWhereBrowsersDoThat) {
  TestWebServer server([&](TestAnswer& answer, const TestRequest& request) {
    if (request.target != "/end") return answer.redirect(std::stoi(request.target.substr(1)), "/end");
    answer.send(200, request.method + request.body + request.header("content-type") + request.header("x-a"));
  });
  struct {
    std::string method, target, answer;
  } cases[] = {{"POST", "/301", "GETa"},         {"POST", "/302", "GETa"},        {"POST", "/303", "GETa"},
               {"PUT", "/303", "GETa"},          {"PUT", "/302", "PUTbodytypea"}, {"POST", "/307", "POSTbodytypea"},
               {"POST", "/308", "POSTbodytypea"}};
  for (const auto& c : cases) {
    auto request = local(server.url(c.target));
    request.method = c.method;
    request.headers = {{"Content-Type", "type"}, {"X-A", "a"}};
    request.body = "body";
    request.redirects_max = 1;
    EXPECT_EQ(client.send(request)->body, c.answer) << c.method << c.target;
  }
}

// --- limits ---

TEST_F(WebClientTest, ABodyMayBeAsLongAsTheLimitAndNoByteMore) {
  TestWebServer server([](TestAnswer& answer, const TestRequest& request) {
    std::string body(std::stoul(request.target.substr(request.target.find('=') + 1)), 'x');
    if (request.target.starts_with("/length")) return answer.send(200, body);
    answer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    if (!body.empty()) answer.write("3e8\r\n" + body.substr(0, 1'000) + "\r\n");
    for (std::size_t i = 1'000; i < body.size(); ++i) answer.write("1\r\nx\r\n");
    answer.write("0\r\n\r\n");
  });
  for (const char* path : {"/length?n=", "/chunked?n="}) {
    auto request = local(server.url(path + std::string("1000")));
    request.answer_bytes_max = 1'000;
    auto response = client.send(request);
    ASSERT_TRUE(response) << path << response.error().message;
    EXPECT_EQ(response->body.size(), 1'000u);
    request.url = server.url(path + std::string("1001"));
    response = client.send(request);
    ASSERT_FALSE(response) << path;
    EXPECT_EQ(response.error().code, ErrorCode::kTooLarge) << path;
  }
}

TEST_F(WebClientTest, ABodyWithoutEndIsLeft) {
  TestWebServer server([](TestAnswer& answer, const TestRequest&) {
    answer.write("HTTP/1.1 200 OK\r\n\r\n");
    const std::string piece(64 * 1024, 'x');
    while (answer.write(piece)) continue;
  });
  auto response = client.send(local(server.url()));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kTooLarge) << response.error().message;
}

// Neither encoding is asked for; a gzip of a gigabyte stays the few bytes that were sent.
TEST_F(WebClientTest, EncodedAnswersAreNotDecoded) {
  TestWebServer server(
      [](TestAnswer& answer, const TestRequest&) { answer.send(200, "\x1f\x8b not really", {{"Content-Encoding", "gzip"}}); });
  auto response = client.send(local(server.url()));
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "\x1f\x8b not really");
  EXPECT_EQ(server.requests().at(0).header("accept-encoding"), "");
}

TEST_F(WebClientTest, AHeadWithoutEndIsLeft) {
  TestWebServer server([&](TestAnswer& answer, const TestRequest& request) {
    const std::string piece = request.target == "/lines" ? "X-A: " + std::string(1'000, 'x') + "\r\n" : std::string(1'000, 'x');
    bool is_open = answer.write("HTTP/1.1 200 OK\r\nX-B: c");
    while (is_open) is_open = answer.write(piece);
  });
  for (const char* path : {"/lines", "/one-line"}) {
    auto response = client.send(local(server.url(path)));
    ASSERT_FALSE(response) << path;
    EXPECT_EQ(response.error().code, ErrorCode::kTooLarge) << path << response.error().message;
    EXPECT_TRUE(response.error().message.contains("the head of the answer")) << response.error().message;
  }
}

TEST_F(WebClientTest, InterimAnswersCountAsHead) {
  TestWebServer server([&](TestAnswer& answer, const TestRequest& request) {
    int interim = std::stoi(request.target.substr(1));
    for (int i = 0; i < interim; ++i) answer.write("HTTP/1.1 103 Early\r\nLink: <a>\r\n\r\n");
    answer.send(200, "end", {{"X-A", "b"}});
  });
  auto response = client.send(local(server.url("/2")));
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->header("link"), "");
  EXPECT_EQ(response->header("x-a"), "b");
  response = client.send(local(server.url("/3000")));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kTooLarge) << response.error().message;
}

TEST_F(WebClientTest, WhatComesAfterTheBodyIsNoHeader) {
  TestWebServer server([&](TestAnswer& answer, const TestRequest&) {
    answer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n1\r\nx\r\n0\r\nX-A: b\r\n\r\n");
  });
  auto response = client.send(local(server.url()));
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "x");
  EXPECT_EQ(response->header("x-a"), "");
}

TEST_F(WebClientTest, ASlowAnswerIsLeftInTime) {
  TestWebServer server([](TestAnswer& answer, const TestRequest& request) {
    if (request.target == "/body") answer.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx");
    answer.wait_for_close();
  });
  for (const char* path : {"/head", "/body"}) {
    auto request = local(server.url(path));
    request.timeout = 50ms;
    auto response = client.send(request);
    ASSERT_FALSE(response) << path;
    EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(response.error().message, "no whole answer from 127.0.0.1:" + std::to_string(server.port()) + " in time");
  }
}

TEST_F(WebClientTest, TheTimeIsForAllRedirectsTogether) {
  std::atomic<int> seen = 0;
  TestWebServer server([&](TestAnswer& answer, const TestRequest&) {
    ++seen;
    std::this_thread::sleep_for(30ms);  // the answer's slowness is the point
    answer.redirect(302, "/");
  });
  auto request = local(server.url());
  request.timeout = 200ms;
  request.redirects_max = 1'000;
  auto response = client.send(request);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
  EXPECT_LE(seen, 8);
}

// --- answers and none ---

TEST_F(WebClientTest, TooManyRequestsIsAnAnswer) {
  TestWebServer server([](TestAnswer& answer, const TestRequest&) { answer.send(429, "slow down", {{"Retry-After", "120"}}); });
  auto response = client.send(local(server.url()));
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 429);
  EXPECT_EQ(response->header("retry-after"), "120");
}

TEST_F(WebClientTest, NoAnswerIsUnavailable) {
  int closed_port = TestWebServer([](TestAnswer&, const TestRequest&) {}).port();
  TestWebServer silent([](TestAnswer& answer, const TestRequest&) { answer.close(); });
  TestWebServer old([](TestAnswer& answer, const TestRequest&) {
    answer.write("220 mail.example ESMTP\r\n");
    answer.close();
  });
  TestWebServer cut([](TestAnswer& answer, const TestRequest&) {
    answer.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx");
    answer.close();
  });
  for (const auto& url : {"http://127.0.0.1:" + std::to_string(closed_port) + "/", silent.url(), old.url(), cut.url()}) {
    auto response = client.send(local(url));
    ASSERT_FALSE(response) << url;
    EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
    EXPECT_TRUE(response.error().message.starts_with("no answer from 127.0.0.1:")) << response.error().message;
  }
}

TEST_F(WebClientTest, AHostWithoutAddressIsUnavailable) {
  auto response = client.send({.url = "http://no-such-host.invalid/"});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(response.error().message, "no answer from no-such-host.invalid: couldn't resolve host name");
}

TEST_F(WebClientTest, StopsAtOnceWhenAsked) {
  std::binary_semaphore has_come(0);
  TestWebServer server([&](TestAnswer& answer, const TestRequest& request) {
    if (request.target == "/first") return answer.send(200);
    has_come.release();
    answer.wait_for_close();
  });
  // On a connection that was kept libcurl has no time-out of its own before the request's.
  ASSERT_TRUE(client.send(local(server.url("/first"))));
  std::stop_source stop;
  std::jthread stopper([&] {
    has_come.acquire();
    stop.request_stop();
  });
  auto begin = std::chrono::steady_clock::now();
  auto response = client.send(local(server.url()), stop.get_token());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(response.error().message.contains("stopped")) << response.error().message;
  EXPECT_FALSE(client.send(local(server.url()), stop.get_token()));
  EXPECT_EQ(server.requests().size(), 2u);
}

TEST_F(WebClientTest, ManyThreadsShareIt) {
  TestWebServer server([](TestAnswer& answer, const TestRequest& request) { answer.send(200, request.target); });
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 24; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < 20; ++i) {
          auto path = "/" + std::to_string(thread) + "/" + std::to_string(i);
          auto response = client.send(local(server.url(path)));
          if (response && response->body == path) ++right;
        }
      });
    }
  }
  EXPECT_EQ(right, 24 * 20);
  EXPECT_LE(server.connections(), 24 * 4);
}

// --- TLS ---

struct FreeOpenSsl {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

// A context with a certificate for 127.0.0.1 that nobody signed but itself.
std::unique_ptr<SSL_CTX, FreeOpenSsl> self_signed() {
  std::unique_ptr<EVP_PKEY, FreeOpenSsl> key(EVP_EC_gen("P-256"));
  std::unique_ptr<X509, FreeOpenSsl> certificate(X509_new());
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3'600);
  X509_set_pubkey(certificate.get(), key.get());
  auto* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("127.0.0.1"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  std::unique_ptr<SSL_CTX, FreeOpenSsl> context(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_use_certificate(context.get(), certificate.get());
  SSL_CTX_use_PrivateKey(context.get(), key.get());
  return context;
}

TEST_F(WebClientTest, ACertificateThatNobodyVouchesForIsRefused) {
  auto context = self_signed();
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in name{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {inet_addr("127.0.0.1")}, .sin_zero = {}};
  socklen_t size = sizeof name;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&name), size), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  getsockname(listener, reinterpret_cast<sockaddr*>(&name), &size);
  int accepted = 0;
  std::jthread server([&] {
    int connection = accept(listener, nullptr, nullptr);
    std::unique_ptr<SSL, FreeOpenSsl> ssl(SSL_new(context.get()));
    SSL_set_fd(ssl.get(), connection);
    accepted = SSL_accept(ssl.get());
    close(connection);
  });
  auto response = client.send(local("https://127.0.0.1:" + std::to_string(ntohs(name.sin_port)) + "/"));
  server.join();
  close(listener);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(response.error().message.contains("peer certificate")) << response.error().message;
  EXPECT_NE(accepted, 1);
}

}  // namespace
}  // namespace hearth::web
