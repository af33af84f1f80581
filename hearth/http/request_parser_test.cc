#include "hearth/http/request_parser.h"

#include <gtest/gtest.h>

#include <vector>

#include "hearth/base/json_reader.h"
#include "hearth/http/router.h"

namespace hearth::http {
namespace {

constexpr RequestLimits kLimits{.header_bytes_max = 512, .body_bytes_max = 64};

// Everything that came of parsing, as text that can be compared.
struct Parsed {
  RequestParser::State state = RequestParser::State::kNeedsMore;
  std::string summary;
  Error error;
  std::size_t consumed = 0;  // of the message
};

// Feeds `pieces` as a connection does: the message grows, and its consumed body is dropped. The buffer moves each time.
Parsed parse(const std::vector<std::string_view>& pieces) {
  Request request;
  RequestParser parser(kLimits, request);
  std::string held;
  std::size_t position = 0;
  Parsed parsed;
  for (auto piece : pieces) {
    std::string moved = held + std::string(piece);
    std::fill(held.begin(), held.end(), '?');
    held.swap(moved);
    if (held.size() == position) continue;
    auto before = position;
    position = parser.feed(held, position);
    parsed.consumed += position - before;
    if (parser.state() != RequestParser::State::kNeedsMore) break;
    if (parser.is_header_done()) {
      held.erase(parser.header_bytes(), position - parser.header_bytes());
      position = parser.header_bytes();
    }
  }
  parsed.state = parser.state();
  if (parsed.state == RequestParser::State::kFailed) parsed.error = parser.error();
  auto head = parser.resolve(held);
  auto add = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) parsed.summary += std::string(name) + "=" + std::string(value) + "\n";
  };
  add("method", method_name(request.method));
  add("target", head.target);
  add("close", head.keep_alive ? "" : "yes");
  add("continue", head.expects_continue ? "yes" : "");
  add("authorization", request.authorization);
  add("type", request.content_type);
  add("key", request.idempotency_key);
  add("origin", request.origin);
  add("forwarded", request.forwarded_for);
  add("agent", request.user_agent);
  add("id", request.request_id);
  add("body", request.body);
  if (parsed.state == RequestParser::State::kComplete && !request.body.empty()) {
    EXPECT_GE(request.body.capacity() - request.body.size(), kJsonPadding);
  }
  return parsed;
}

std::string post(std::string_view fields, std::string_view body = "") {
  return "POST /a HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + "\r\n" + std::string(body);
}

const std::string kFullRequest =
    "POST /api/posts/p%201/like?x=1 HTTP/1.1\r\nhost: h\r\nAUTHORIZATION: Bearer abc\r\nContent-Type:application/json\r\n"
    "Idempotency-Key: k1  \r\nOrigin: https://a.example\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2, 3.3.3.3\r\n"
    "User-Agent: test \t\r\nX-Request-Id: id-1\r\nX-Other: \xc3\xa9\r\nContent-Length: 13\r\n\r\n{\"hello\":\"x\"}";
const std::string kFullSummary =
    "method=POST\ntarget=/api/posts/p%201/like?x=1\nauthorization=Bearer abc\ntype=application/json\nkey=k1\n"
    "origin=https://a.example\nforwarded=2.2.2.2, 3.3.3.3\nagent=test\nid=id-1\nbody={\"hello\":\"x\"}\n";

const std::string kChunkedRequest = post(
    "Transfer-Encoding: Chunked\r\n", "5;name=value\r\nhello\r\n1\r\n \r\n00a\r\n0123456789\r\n0\r\nAuthorization: Bearer trailer\r\n\r\n");
const std::string kChunkedSummary = "method=POST\ntarget=/a\nbody=hello 0123456789\n";

TEST(RequestParser, ReadsWhatHearthNeeds) {
  auto parsed = parse({kFullRequest});
  EXPECT_EQ(parsed.state, RequestParser::State::kComplete);
  EXPECT_EQ(parsed.summary, kFullSummary);
}

TEST(RequestParser, ReadsChunksAndIgnoresTrailers) {
  auto parsed = parse({kChunkedRequest});
  EXPECT_EQ(parsed.state, RequestParser::State::kComplete);
  EXPECT_EQ(parsed.summary, kChunkedSummary);
}

TEST(RequestParser, ReadsTheSameWhereverItIsSplit) {
  for (const auto& [bytes, summary] : {std::pair(kFullRequest, kFullSummary), std::pair(kChunkedRequest, kChunkedSummary)}) {
    std::string_view all = bytes;
    for (std::size_t i = 0; i <= all.size(); ++i) {
      auto parsed = parse({all.substr(0, i), all.substr(i)});
      ASSERT_EQ(parsed.state, RequestParser::State::kComplete) << i;
      ASSERT_EQ(parsed.summary, summary) << i;
    }
    std::vector<std::string_view> single_bytes;
    for (std::size_t i = 0; i < all.size(); ++i) single_bytes.push_back(all.substr(i, 1));
    auto parsed = parse(single_bytes);
    EXPECT_EQ(parsed.state, RequestParser::State::kComplete);
    EXPECT_EQ(parsed.summary, summary);
  }
}

TEST(RequestParser, LeavesTheNextRequestAlone) {
  for (const auto& bytes : {kFullRequest, kChunkedRequest, std::string("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")}) {
    auto parsed = parse({bytes + "GET /next HTTP/1.1\r\n"});
    EXPECT_EQ(parsed.state, RequestParser::State::kComplete);
    EXPECT_EQ(parsed.consumed, bytes.size());
  }
}

TEST(RequestParser, WaitsForTheRest) {
  for (std::size_t i = 1; i < kFullRequest.size(); ++i) {
    ASSERT_EQ(parse({std::string_view(kFullRequest).substr(0, i)}).state, RequestParser::State::kNeedsMore) << i;
  }
}

struct HeadCase {
  std::string bytes;
  std::string summary;
};

TEST(RequestParser, TakesWhatTheStandardAsksFor) {
  const std::vector<HeadCase> cases = {
      {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "method=GET\ntarget=/\n"},
      {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "method=GET\ntarget=/\n"},
      {"GET / HTTP/1.0\r\n\r\n", "method=GET\ntarget=/\nclose=yes\n"},
      {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "method=GET\ntarget=/\n"},
      {"GET / HTTP/1.1\r\nHost: h\r\nConnection: te, Close\r\n\r\n", "method=GET\ntarget=/\nclose=yes\n"},
      {"GET http://h/a?b HTTP/1.1\r\nHost: h\r\n\r\n", "method=GET\ntarget=/a?b\n"},
      {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "method=OPTIONS\ntarget=*\n"},
      {"PATCH /a HTTP/1.1\r\nHost: h\r\n\r\n", "method=OTHER\ntarget=/a\n"},
      {"MADE-UP /a HTTP/1.1\r\nHost: h\r\n\r\n", "method=OTHER\ntarget=/a\n"},
      {"DELETE /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}", "method=DELETE\ntarget=/a\nbody={}\n"},
      {post("Content-Length: 0\r\n"), "method=POST\ntarget=/a\n"},
      {post("Content-Length: 2\r\nContent-Length: 2\r\n", "{}"), "method=POST\ntarget=/a\nbody={}\n"},
      {post("Expect: 100-Continue\r\nContent-Length: 2\r\n", "{}"), "method=POST\ntarget=/a\ncontinue=yes\nbody={}\n"},
      {post("X-Request-Id: two words\r\n"), "method=POST\ntarget=/a\n"},
      {post("X-Request-Id: " + std::string(129, 'x') + "\r\n"), "method=POST\ntarget=/a\n"},
  };
  for (const auto& test : cases) {
    auto parsed = parse({test.bytes});
    EXPECT_EQ(parsed.state, RequestParser::State::kComplete) << test.bytes;
    EXPECT_EQ(parsed.summary, test.summary) << test.bytes;
  }
}

TEST(RequestParser, RefusesWhatIsMalformedOrAmbiguous) {
  using namespace std::string_literals;
  const std::vector<std::string> cases = {
      "\x16\x03\x01\x02\x01\x01\xfc\x03\x03",  // TLS to a plain port
      "GET\r\n\r\n",
      "GET /\r\n\r\n",
      " GET / HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
      "GET / HTTP/1.1\nHost: h\n\n",
      "GET / HTTP/2.0\r\nHost: h\r\n\r\n",
      "GET / HTTP/1.2\r\nHost: h\r\n\r\n",
      "GET / HTTP/0.9\r\n\r\n",
      "GET / http/1.1\r\nHost: h\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "GET a HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET * HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n",
      "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /a\x01 HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET /a\0 HTTP/1.1\r\nHost: h\r\n\r\n"s,
      "GET / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
      "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
      "GET / HTTP/1.1\r\n Host: h\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\n: empty\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n folded\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nX:\r\n folded\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n"s,
      "GET / HTTP/1.1\r\nHost: h\r\nX: a\x7f\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: h\r\nX: a\nb: c\r\n\r\n",
      post("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"),
      post("Idempotency-Key: a\r\nidempotency-key: b\r\n"),
      post("Content-Type: a\r\nContent-Type: b\r\n"),
      post("Origin: a\r\nOrigin: b\r\n"),
      post("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"),
      post("Content-Length: 2, 2\r\n", "{}"),
      post("Content-Length: -1\r\n"),
      post("Content-Length: +2\r\n", "{}"),
      post("Content-Length: 0x2\r\n", "{}"),
      post("Content-Length: \r\n"),
      post("Content-Length: 99999999999999999999999\r\n"),
      post("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
      post("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", "0\r\n\r\n"),
      post("Transfer-Encoding: gzip\r\n"),
      post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
      post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"),
      post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
      post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
      "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      post("Transfer-Encoding: chunked\r\n", "x\r\nhello\r\n"),
      post("Transfer-Encoding: chunked\r\n", "-1\r\nhello\r\n"),
      post("Transfer-Encoding: chunked\r\n", "2\r\nhello\r\n0\r\n\r\n"),
      post("Transfer-Encoding: chunked\r\n", "2\nhe\n0\n\n\r\n"),
      post("Transfer-Encoding: chunked\r\n", "10000000000000000\r\nhello"),
      post("Transfer-Encoding: chunked\r\n", "0\r\nContent-Length: 5\r\n\r\n"),
  };
  for (const auto& bytes : cases) {
    auto parsed = parse({bytes});
    ASSERT_EQ(parsed.state, RequestParser::State::kFailed) << bytes;
    EXPECT_EQ(parsed.error.code, ErrorCode::kInvalidArgument) << bytes;
    EXPECT_FALSE(parsed.error.message.empty());
    for (std::size_t i = 1; i < bytes.size(); ++i) {
      auto split = parse({std::string_view(bytes).substr(0, i), std::string_view(bytes).substr(i)});
      // A header that was cut is read on at its end only; until then a fault in it may stay unseen.
      ASSERT_NE(split.state, RequestParser::State::kComplete) << bytes << " split at " << i;
    }
  }
}

TEST(RequestParser, BoundsHeaderAndBody) {
  auto with_header_of = [](std::size_t size) {
    std::string bytes = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
    return bytes + std::string(size - bytes.size() - 4, 'x') + "\r\n\r\n";
  };
  EXPECT_EQ(parse({with_header_of(512)}).state, RequestParser::State::kComplete);
  const std::vector<std::string> too_large = {
      with_header_of(513),
      "GET /" + std::string(600, 'a'),
      "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(600, 'a'),
      post("Content-Length: 65\r\n"),
      post("Transfer-Encoding: chunked\r\n", "40\r\n" + std::string(64, 'x') + "\r\n1\r\n"),
      post("Transfer-Encoding: chunked\r\n", "41\r\n"),
  };
  for (const auto& bytes : too_large) {
    auto parsed = parse({bytes});
    ASSERT_EQ(parsed.state, RequestParser::State::kFailed) << bytes;
    EXPECT_EQ(parsed.error.code, ErrorCode::kTooLarge) << bytes;
  }
  EXPECT_EQ(parse({post("Content-Length: 64\r\n", std::string(64, 'x'))}).state, RequestParser::State::kComplete);
  EXPECT_EQ(parse({post("Transfer-Encoding: chunked\r\n", "40\r\n" + std::string(64, 'x') + "\r\n0\r\n\r\n")}).state,
            RequestParser::State::kComplete);
}

TEST(RequestParser, AFailedRequestStillHasItsId) {
  auto parsed = parse({post("X-Request-Id: mine\r\nOrigin: https://a.example\r\nContent-Length: 65\r\n")});
  EXPECT_EQ(parsed.summary, "method=POST\ntarget=/a\nclose=yes\norigin=https://a.example\nid=mine\n");
}

}  // namespace
}  // namespace hearth::http
