// The path of a request: bytes in two pieces → parser → router → a handler that reads the body as JSON → answer.
//
// The first two bytes of an input say where the rest is cut in two. Besides not crashing, it must hold that the cut changes
// nothing, that what is passed on raw is JSON, and that text survives being written and read again.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "hearth/base/assert.h"
#include "hearth/base/json_reader.h"
#include "hearth/base/json_writer.h"
#include "hearth/base/run_to_end.h"
#include "hearth/http/problem.h"
#include "hearth/http/request_parser.h"
#include "hearth/http/response_writer.h"
#include "hearth/http/router.h"

namespace hearth::http {
namespace {

constexpr RequestLimits kLimits{.header_bytes_max = 16 * 1024, .body_bytes_max = 64 * 1024};

struct Read {
  RequestParser::State state = RequestParser::State::kNeedsMore;
  Request request;
  RequestHead head;
  std::size_t consumed = 0;
};

// Reads one request. `held` takes the bytes that the views point into.
Read read_request(std::string_view first, std::string_view second, std::string& held) {
  Read read;
  RequestParser parser(kLimits, read.request);
  std::size_t position = 0;
  for (auto piece : {first, second}) {
    held += piece;
    if (position == held.size()) continue;
    auto next = parser.feed(held, position);
    read.consumed += next - position;
    position = next;
    if (parser.state() != RequestParser::State::kNeedsMore) break;
    if (parser.is_header_done()) {
      held.erase(parser.header_bytes(), position - parser.header_bytes());
      position = parser.header_bytes();
    }
  }
  read.state = parser.state();
  read.head = parser.resolve(held);
  return read;
}

// One in a single piece is read by the parser's plain way, one in two pieces by the full one.
bool is_same(const Read& one, const Read& two) {
  auto fields = [](const Request& r) {
    return std::tie(r.method, r.body, r.authorization, r.content_type, r.idempotency_key, r.origin, r.forwarded_for, r.user_agent,
                    r.request_id);
  };
  auto head = [](const Read& r) {
    return std::tie(r.head.target, r.head.keep_alive, r.head.is_http_1_0, r.head.expects_continue, r.head.is_preflight, r.consumed);
  };
  return fields(one.request) == fields(two.request) && head(one) == head(two);
}

// What a body handed out: checked when it has been read to its end, because one thread reads one body at a time.
struct Seen {
  std::vector<std::string> texts;
  std::vector<std::string> raws;
};

template <typename T>
Result<bool> taken(const Result<T>& result) {
  if (!result) return std::unexpected(result.error());
  return true;
}

// The first letter of a key says as what its value is read.
Result<bool> take(std::string_view key, JsonValue& value, UnknownFields unknown, Seen& seen) {
  auto on_field = [&](std::string_view name, JsonValue& member) { return take(name, member, unknown, seen); };
  auto on_item = [&](std::size_t index, JsonValue& item) -> Result<void> {
    auto read = index % 2 == 0 ? take("raw", item, unknown, seen) : take("object", item, unknown, seen);
    if (!read) return std::unexpected(read.error());
    return {};
  };
  switch (key.empty() ? '\0' : key.front()) {
    case 's': {
      auto text = value.string(key);
      if (text) seen.texts.emplace_back(*text);
      return taken(text);
    }
    case 'r': {
      auto text = value.raw(key);
      if (text) seen.raws.emplace_back(*text);
      return taken(text);
    }
    case 'i':
      return taken(value.integer(key));
    case 'b':
      return taken(value.boolean(key));
    case 'o':
      return taken(value.object(key, unknown, on_field));
    case 'a':
      return taken(value.array(key, 100, on_item));
    case 'n':
      return value.is_null() || value.is_string();
    default:
      return false;
  }
}

void check(const Seen& seen) {
  for (const auto& raw : seen.raws) {
    std::string body = "{\"raw\":" + raw + "}";
    std::string again;
    auto read = read_json_object(body, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) {
      auto text = value.raw(key);
      if (text) again = *text;
      return taken(text);
    });
    // What stood at the deepest level allowed stands one deeper now only if it was an item; it is JSON in any case.
    HEARTH_ASSERT(read ? again == raw : read.error().message.find("nested") != std::string::npos);
  }
  for (const auto& text : seen.texts) {
    std::string body;
    JsonWriter(body).begin_object().field("text", text).end_object();
    std::string again;
    auto read = read_json_object(body, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) {
      auto unescaped = value.string(key);
      if (unescaped) again = *unescaped;
      return taken(unescaped);
    });
    HEARTH_ASSERT(read && again == text);
  }
}

Task<Response> read_body(Request& request) {
  Response response;
  for (auto unknown : {UnknownFields::kRefuse, UnknownFields::kIgnore}) {
    Seen seen;
    std::string before = request.body;
    auto read =
        read_json_object(request.body, unknown, [&](std::string_view key, JsonValue& value) { return take(key, value, unknown, seen); });
    HEARTH_ASSERT(request.body == before);
    if (!read) response = problem(read.error());
    check(seen);
  }
  for (const auto& value : request.path_parameters) response.headers.emplace_back("X-Echo", value);
  for (const auto& [key, value] : request.query_parameters) response.headers.emplace_back("X-Query", key + "=" + value);
  co_return response;
}

const Router& router() {
  static const Router& made = [] -> Router& {
    auto& building = *new Router();
    building.add(Method::kGet, "/", read_body);
    building.add(Method::kGet, "/api/posts/{postId}/likes", read_body);
    building.add(Method::kPost, "/api/posts/{postId}/like", read_body);
    building.add(Method::kPut, "/api/users/{userId}/following/{targetId}", read_body);
    building.add(Method::kDelete, "/api/users/following", read_body);
    return building;
  }();
  return made;
}

// An answer must end where it says, and no input may have added a line to its head.
void check_answer(std::string_view bytes, const Response& response, bool is_head) {
  auto end = bytes.find("\r\n\r\n");
  HEARTH_ASSERT(end != std::string_view::npos);
  bool has_body = response.status != 204 && !is_head;
  HEARTH_ASSERT(bytes.size() - end - 4 == (has_body ? response.body.size() : 0));
  auto head = bytes.substr(0, end);
  for (std::size_t i = 0; i < head.size(); ++i) {
    bool is_line_end = head[i] == '\r' && i + 1 < head.size() && head[i + 1] == '\n';
    HEARTH_ASSERT((head[i] != '\n' || (i > 0 && head[i - 1] == '\r')) && (head[i] != '\r' || is_line_end) && head[i] != '\0');
  }
}

void answer(Read& read) {
  static const auto& cors = *new CorsPolicy({"https://app.example"});
  Response response;
  if (read.state == RequestParser::State::kComplete) {
    if (const Handler* handler = router().find(read.head.target, read.request, response)) response = run_to_end((*handler)(read.request));
  }
  bool is_head = read.request.method == Method::kHead;
  std::string bytes;
  append_response(bytes, response,
                  {.date = "Date: Fri, 20 Nov 2026 08:00:00 GMT\r\n",
                   .request_id = read.request.request_id,
                   .origin = read.request.origin,
                   .cors = cors,
                   .keep_alive = read.head.keep_alive,
                   .is_http_1_0 = read.head.is_http_1_0,
                   .is_head = is_head,
                   .is_preflight = read.head.is_preflight});
  check_answer(bytes, response, is_head);
}

void run(std::string_view bytes, std::size_t cut) {
  for (int pipelined = 0; pipelined < 8 && !bytes.empty(); ++pipelined) {
    cut = std::min(cut, bytes.size());
    std::string held_whole, held_cut;
    Read whole = read_request(bytes, {}, held_whole);
    Read in_two = read_request(bytes.substr(0, cut), bytes.substr(cut), held_cut);
    bool is_complete = whole.state == RequestParser::State::kComplete;
    HEARTH_ASSERT(is_complete == (in_two.state == RequestParser::State::kComplete));
    if (is_complete) HEARTH_ASSERT(is_same(whole, in_two));
    answer(in_two);
    if (!is_complete) return;
    bytes.remove_prefix(whole.consumed);
  }
}

}  // namespace
}  // namespace hearth::http

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  std::size_t cut = data[0] * 256u + data[1];
  hearth::http::run({reinterpret_cast<const char*>(data) + 2, size - 2}, cut % (size - 1));
  return 0;
}
