#include "hearth/http/request_parser.h"

#include <array>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <charconv>
#include <optional>

#include "hearth/base/assert.h"
#include "hearth/base/ids.h"
#include "hearth/base/json_reader.h"
#include "hearth/http/router.h"

namespace hearth::http {
namespace {

namespace beast_http = boost::beast::http;
using ErrorOfBeast = boost::beast::error_code;
using BeastView = boost::beast::string_view;

// More is reserved only as it arrives: a declared length alone takes no memory.
constexpr std::size_t kBodyReservedMax = 64 * 1024;

std::string_view view(BeastView text) {
  return {text.data(), text.size()};
}

bool equals_ignoring_case(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    if (c != lower[i]) return false;
  }
  return true;
}

Method method_of(std::string_view name) {
  for (auto method : {Method::kPost, Method::kGet, Method::kPut, Method::kDelete, Method::kHead, Method::kOptions}) {
    if (name == method_name(method)) return method;
  }
  return Method::kOther;
}

// A part of the message. Kept as a place rather than a view: the bytes may move while the header is still arriving.
struct Slice {
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
  bool is_given = false;

  std::string_view in(std::string_view message) const { return is_given ? message.substr(offset, size) : std::string_view(); }
};

// What was read of one request so far.
struct Progress {
  std::string_view message;  // of the current feed()
  Method method = Method::kOther;
  bool is_header_done = false;
  bool is_http_1_0 = false;
  bool expects_continue = false;
  Slice target, host, authorization, content_type, idempotency_key, origin, forwarded_for, user_agent, request_id, requested_method;

  Slice place_of(std::string_view part) const {
    return {static_cast<std::uint32_t>(part.data() - message.data()), static_cast<std::uint32_t>(part.size()), true};
  }
};

enum class Field : std::uint8_t {
  kOther,
  kHost,
  kAuthorization,
  kContentType,
  kIdempotencyKey,
  kOrigin,
  kForwardedFor,
  kUserAgent,
  kRequestId,
  kRequestedMethod,
  // These say how the message is to be read.
  kConnection,
  kContentLength,
  kTransferEncoding,
  kExpect,
  kUpgrade,
};

Field field_of(std::string_view name) {
  auto is = [&](std::string_view lower) { return equals_ignoring_case(name, lower); };
  switch (name.size()) {
    case 4:
      return is("host") ? Field::kHost : Field::kOther;
    case 6:
      return is("origin") ? Field::kOrigin : is("expect") ? Field::kExpect : Field::kOther;
    case 7:
      return is("upgrade") ? Field::kUpgrade : Field::kOther;
    case 10:
      return is("user-agent") ? Field::kUserAgent : is("connection") ? Field::kConnection : Field::kOther;
    case 12:
      return is("content-type") ? Field::kContentType : is("x-request-id") ? Field::kRequestId : Field::kOther;
    case 13:
      return is("authorization") ? Field::kAuthorization : Field::kOther;
    case 14:
      return is("content-length") ? Field::kContentLength : Field::kOther;
    case 15:
      return is("idempotency-key") ? Field::kIdempotencyKey : is("x-forwarded-for") ? Field::kForwardedFor : Field::kOther;
    case 16:
      return is("proxy-connection") ? Field::kConnection : Field::kOther;
    case 17:
      return is("transfer-encoding") ? Field::kTransferEncoding : Field::kOther;
    case 29:
      return is("access-control-request-method") ? Field::kRequestedMethod : Field::kOther;
    default:
      return Field::kOther;
  }
}

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// Notes a field of the header, or returns why the request must be refused.
std::string_view note_field(Progress& progress, Field field, std::string_view value) {
  auto set_once = [&](Slice& slice, std::string_view refusal) {
    if (slice.is_given) return refusal;
    slice = progress.place_of(value);
    return std::string_view();
  };
  switch (field) {
    case Field::kHost:
      return set_once(progress.host, "Host is given twice");
    case Field::kAuthorization:
      return set_once(progress.authorization, "Authorization is given twice");
    case Field::kContentType:
      return set_once(progress.content_type, "Content-Type is given twice");
    case Field::kIdempotencyKey:
      return set_once(progress.idempotency_key, "Idempotency-Key is given twice");
    case Field::kOrigin:
      return set_once(progress.origin, "Origin is given twice");
    // The last proxy is the one that may be trusted: of several lines the last counts.
    case Field::kForwardedFor:
      progress.forwarded_for = progress.place_of(value);
      return {};
    case Field::kUserAgent:
      progress.user_agent = progress.place_of(value);
      return {};
    case Field::kRequestId:
      progress.request_id = progress.place_of(value);
      return {};
    case Field::kRequestedMethod:
      progress.requested_method = progress.place_of(value);
      return {};
    case Field::kExpect:
      progress.expects_continue = equals_ignoring_case(value, "100-continue");
      return {};
    // The full parser has compared these with each other by now, but takes lists.
    case Field::kContentLength:
      return is_digits(value) ? "" : "Content-Length must be digits";
    case Field::kTransferEncoding:
      if (progress.is_http_1_0) return "HTTP/1.0 knows no Transfer-Encoding";
      return equals_ignoring_case(value, "chunked") ? "" : "the only Transfer-Encoding taken is chunked";
    case Field::kConnection:
    case Field::kUpgrade:
    case Field::kOther:
      return {};
  }
  return {};
}

Error header_too_large() {
  return {ErrorCode::kTooLarge, "the header is larger than this server takes", "header"};
}

// The plain way: a whole request in one piece, each line of the shape nearly all clients send, with a Content-Length or no
// body. It reads the headers of a browser in a sixth of the full parser's time, and judges nothing: whatever is not plain,
// right or wrong, is the full parser's. The fuzz target holds the two to the same result.
class PlainReader {
 public:
  PlainReader(Progress& progress, const RequestLimits& limits) : progress_(progress), limits_(limits), rest_(progress.message) {}

  struct Found {
    std::size_t header_bytes;
    std::string_view body;
  };
  std::optional<Found> read() {
    if (!read_request_line()) return std::nullopt;
    while (!rest_.starts_with("\r\n")) {
      if (!read_field()) return std::nullopt;
    }
    rest_.remove_prefix(2);
    std::size_t header_bytes = progress_.message.size() - rest_.size();
    bool is_plain = progress_.host.is_given && header_bytes <= limits_.header_bytes_max && length_ <= limits_.body_bytes_max;
    if (!is_plain || length_ > rest_.size()) return std::nullopt;
    progress_.is_header_done = true;
    return Found{header_bytes, rest_.substr(0, length_)};
  }

 private:
  bool read_request_line() {
    auto method_end = rest_.substr(0, 8).find(' ');
    if (method_end == std::string_view::npos) return false;
    progress_.method = method_of(rest_.substr(0, method_end));
    rest_.remove_prefix(method_end + 1);
    auto target = rest_.substr(0, rest_.find(' '));
    rest_.remove_prefix(target.size());
    constexpr std::string_view kEnd = " HTTP/1.1\r\n";
    if (progress_.method == Method::kOther || !target.starts_with('/') || !rest_.starts_with(kEnd)) return false;
    bool is_odd = false;
    for (unsigned char c : target) is_odd |= c <= ' ' || c >= 0x7f;
    rest_.remove_prefix(kEnd.size());
    progress_.target = progress_.place_of(target);
    return !is_odd;
  }

  bool read_field() {
    std::size_t name_end = 0;
    while (name_end < rest_.size() && kPlainName[static_cast<unsigned char>(rest_[name_end])]) ++name_end;
    auto name = rest_.substr(0, name_end);
    auto line_end = rest_.find('\r', name_end);
    if (name.empty() || line_end == std::string_view::npos || rest_[name_end] != ':') return false;
    auto value = rest_.substr(name_end + 1, line_end - name_end - 1);
    rest_.remove_prefix(line_end);
    bool is_folded = rest_.size() < 3 || rest_[2] == ' ' || rest_[2] == '\t';
    if (is_folded || rest_[1] != '\n') return false;
    rest_.remove_prefix(2);
    bool is_odd = false;
    for (unsigned char c : value) is_odd |= c < ' ' || c == 0x7f;
    if (is_odd) return false;
    while (value.starts_with(' ')) value.remove_prefix(1);
    while (value.ends_with(' ')) value.remove_suffix(1);
    return take_field(field_of(name), value);
  }

  bool take_field(Field field, std::string_view value) {
    switch (field) {
      case Field::kTransferEncoding:
      case Field::kExpect:
      case Field::kUpgrade:
        return false;
      case Field::kConnection:
        return equals_ignoring_case(value, "keep-alive");
      case Field::kContentLength:
        if (has_length_ || !is_digits(value) || value.size() > 9) return false;
        std::from_chars(value.data(), value.data() + value.size(), length_);
        has_length_ = true;
        return true;
      default:
        return note_field(progress_, field, value).empty();
    }
  }

  static constexpr std::array<bool, 256> kPlainName = [] {
    std::array<bool, 256> plain{};
    for (int c = 'a'; c <= 'z'; ++c) plain[c] = plain[c - 0x20] = true;
    for (int c = '0'; c <= '9'; ++c) plain[c] = true;
    plain['-'] = plain['_'] = true;
    return plain;
  }();

  Progress& progress_;
  const RequestLimits& limits_;
  std::string_view rest_;
  std::size_t length_ = 0;
  bool has_length_ = false;
};

// Beast's parser reports what it finds through these; it checks the grammar of lines, tokens and chunks.
class BeastParser final : public beast_http::basic_parser<true> {
 public:
  BeastParser(Progress& progress, std::string& body, const RequestLimits& limits) : progress_(progress), body_(body) {
    header_limit(static_cast<std::uint32_t>(limits.header_bytes_max));
    body_limit(limits.body_bytes_max);
  }

  Error error_of(const ErrorOfBeast& ec) const {
    if (!refusal_.empty()) return {ErrorCode::kInvalidArgument, std::string(refusal_), "header"};
    if (ec == beast_http::error::header_limit) return header_too_large();
    if (ec == beast_http::error::body_limit) return {ErrorCode::kTooLarge, "the body is larger than this server takes", "body"};
    return {ErrorCode::kInvalidArgument, "the request is malformed: " + ec.message(), progress_.is_header_done ? "body" : "header"};
  }

 private:
  void on_request_impl(beast_http::verb, BeastView method, BeastView target, int version, ErrorOfBeast& ec) override {
    progress_.method = method_of(view(method));
    progress_.is_http_1_0 = version == 10;
    auto path = view(target);
    // A proxy's form of the target, http://host/path: the path is what counts.
    for (std::string_view scheme : {"http://", "https://"}) {
      if (!path.starts_with(scheme)) continue;
      auto slash = path.find('/', scheme.size());
      if (slash == std::string_view::npos) return refuse("the request target has no path", ec);
      path.remove_prefix(slash);
      break;
    }
    bool is_server_wide = path == "*" && progress_.method == Method::kOptions;
    if (!path.starts_with('/') && !is_server_wide) return refuse("the request target must be a path", ec);
    progress_.target = progress_.place_of(path);
  }

  void on_field_impl(beast_http::field, BeastView beast_name, BeastView beast_value, ErrorOfBeast& ec) override {
    if (progress_.is_header_done) return;  // a trailer
    auto name = view(beast_name);
    auto value = view(beast_value);
    if (is_folded(name, value)) return refuse("folded header lines are not taken", ec);
    auto refusal = note_field(progress_, field_of(name), value);
    if (!refusal.empty()) refuse(refusal, ec);
  }

  void on_header_impl(ErrorOfBeast& ec) override {
    if (!progress_.is_http_1_0 && !progress_.host.is_given) return refuse("the Host field is missing", ec);
    progress_.is_header_done = true;
  }

  void on_body_init_impl(const boost::optional<std::uint64_t>& length, ErrorOfBeast&) override {
    body_.reserve(std::min<std::uint64_t>(length.value_or(0), kBodyReservedMax) + kJsonPadding);
  }

  std::size_t on_body_impl(BeastView part, ErrorOfBeast&) override {
    body_ += view(part);
    return part.size();
  }

  void on_chunk_header_impl(std::uint64_t, BeastView, ErrorOfBeast&) override {}

  std::size_t on_chunk_body_impl(std::uint64_t, BeastView part, ErrorOfBeast&) override {
    body_ += view(part);
    return part.size();
  }

  void on_finish_impl(ErrorOfBeast&) override {}
  void on_response_impl(int, BeastView, int, ErrorOfBeast&) override { HEARTH_ASSERT(false); }

  // Beast joins folded lines in a buffer of its own, or skips a fold that comes first.
  bool is_folded(std::string_view name, std::string_view value) const {
    const char* begin = name.data() + name.size();
    const char* end = progress_.message.data() + progress_.message.size();
    if (value.data() < begin || value.data() + value.size() > end) return true;
    return std::string_view(begin, value.data() - begin).find('\n') != std::string_view::npos;
  }

  void refuse(std::string_view why, ErrorOfBeast& ec) {
    refusal_ = why;
    ec = beast_http::error::bad_value;
  }

  Progress& progress_;
  std::string& body_;
  std::string_view refusal_;
};

}  // namespace

struct RequestParser::Parser {
  Progress progress;
  std::optional<BeastParser> beast;  // once a request has turned out not to be plain; good for one each
};

RequestParser::RequestParser(RequestLimits limits, Request& request)
    : limits_(limits), request_(request), parser_(std::make_unique<Parser>()) {
  reset();
}

RequestParser::~RequestParser() = default;

void RequestParser::reset() {
  if (request_.body.capacity() > kBodyKeptMax) std::string().swap(request_.body);  // an assignment would keep the memory
  request_.body.clear();
  parser_->progress = {};
  parser_->beast.reset();
  state_ = State::kNeedsMore;
  header_bytes_ = 0;
}

bool RequestParser::is_header_done() const {
  return parser_->progress.is_header_done;
}

std::size_t RequestParser::feed(std::string_view message, std::size_t from) {
  HEARTH_ASSERT(state_ == State::kNeedsMore && from < message.size());
  auto& [progress, beast] = *parser_;
  progress.message = message;
  if (!beast) {
    if (auto plain = PlainReader(progress, limits_).read()) return complete(plain->header_bytes, plain->body);
    progress = {};
    progress.message = message;
    beast.emplace(progress, request_.body, limits_);
  }
  return feed_in_full(message, from);
}

std::size_t RequestParser::complete(std::size_t header_bytes, std::string_view body) {
  state_ = State::kComplete;
  header_bytes_ = header_bytes;
  request_.body.reserve(body.size() + kJsonPadding);
  request_.body = body;
  return header_bytes + body.size();
}

std::size_t RequestParser::feed_in_full(std::string_view message, std::size_t from) {
  auto& beast = *parser_->beast;
  while (state_ == State::kNeedsMore && from < message.size()) {
    ErrorOfBeast ec;
    from += beast.put(boost::asio::const_buffer(message.data() + from, message.size() - from), ec);
    if (header_bytes_ == 0 && is_header_done()) header_bytes_ = from;
    if (ec == beast_http::error::need_more) break;
    if (ec) {
      fail(beast.error_of(ec));
    } else if (beast.is_done()) {
      state_ = State::kComplete;
      request_.body.reserve(request_.body.size() + kJsonPadding);
    }
  }
  std::size_t header_bytes = is_header_done() ? header_bytes_ : message.size();
  if (header_bytes > limits_.header_bytes_max) fail(header_too_large());
  return from;
}

void RequestParser::fail(Error error) {
  state_ = State::kFailed;
  error_ = std::move(error);
}

RequestHead RequestParser::resolve(std::string_view message) {
  const auto& [progress, beast] = *parser_;
  request_.method = progress.method;
  request_.path = {};
  request_.authorization = progress.authorization.in(message);
  request_.content_type = progress.content_type.in(message);
  request_.idempotency_key = progress.idempotency_key.in(message);
  request_.origin = progress.origin.in(message);
  request_.forwarded_for = progress.forwarded_for.in(message);
  request_.user_agent = progress.user_agent.in(message);
  auto request_id = progress.request_id.in(message);
  request_.request_id = is_valid_id(request_id) ? request_id : std::string_view();
  return {.target = progress.target.in(message),
          .keep_alive = progress.is_header_done && (!beast || beast->keep_alive()),  // a plain request keeps it
          .is_http_1_0 = progress.is_http_1_0,
          .expects_continue = progress.expects_continue && !progress.is_http_1_0,
          .is_preflight = progress.requested_method.is_given};
}

}  // namespace hearth::http
