#include "hearth/http/request_parser.h"

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <optional>

#include "hearth/base/assert.h"
#include "hearth/base/ids.h"
#include "hearth/base/json_reader.h"

namespace hearth::http {
namespace {

namespace beast_http = boost::beast::http;
using ErrorOfBeast = boost::beast::error_code;
using BeastView = boost::beast::string_view;

// More is reserved only as it arrives: a declared length alone takes no memory.
constexpr std::size_t kBodyReservedMax = 64 * 1024;
// A connection that had one large body does not hold its memory for ever.
constexpr std::size_t kBodyKeptMax = 64 * 1024;

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

Method method_of(beast_http::verb verb) {
  switch (verb) {
    case beast_http::verb::get:
      return Method::kGet;
    case beast_http::verb::post:
      return Method::kPost;
    case beast_http::verb::put:
      return Method::kPut;
    case beast_http::verb::delete_:
      return Method::kDelete;
    case beast_http::verb::head:
      return Method::kHead;
    case beast_http::verb::options:
      return Method::kOptions;
    default:
      return Method::kOther;
  }
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
  explicit Progress(Request& r) : request(r) {}

  Request& request;
  std::string_view message;  // of the current feed()
  std::optional<Error> failure;
  bool is_header_done = false;
  bool is_http_1_0 = false;
  bool expects_continue = false;
  Slice target, host, authorization, content_type, idempotency_key, origin, forwarded_for, user_agent, request_id, requested_method;
};

Error header_too_large() {
  return {ErrorCode::kTooLarge, "the header is larger than this server takes", "header"};
}

std::uint32_t offset_of(const Progress& progress, std::string_view part) {
  return static_cast<std::uint32_t>(part.data() - progress.message.data());
}

// Beast's parser reports what it finds through these; it checks the grammar of lines, tokens and chunks.
class BeastParser final : public beast_http::basic_parser<true> {
 public:
  explicit BeastParser(Request& request) : progress(request) {}
  Progress progress;

  Error error_of(const ErrorOfBeast& ec) const {
    if (progress.failure) return *progress.failure;
    if (ec == beast_http::error::header_limit) return header_too_large();
    if (ec == beast_http::error::body_limit) return {ErrorCode::kTooLarge, "the body is larger than this server takes", "body"};
    return {ErrorCode::kInvalidArgument, "the request is malformed: " + ec.message(), progress.is_header_done ? "body" : "header"};
  }

 private:
  void on_request_impl(beast_http::verb verb, BeastView, BeastView target, int version, ErrorOfBeast& ec) override {
    progress.request.method = method_of(verb);
    progress.is_http_1_0 = version == 10;
    auto path = view(target);
    // A proxy's form of the target, http://host/path: the path is what counts.
    for (std::string_view scheme : {"http://", "https://"}) {
      if (!path.starts_with(scheme)) continue;
      auto slash = path.find('/', scheme.size());
      if (slash == std::string_view::npos) return refuse("the request target has no path", ec);
      path.remove_prefix(slash);
      break;
    }
    bool is_server_wide = path == "*" && progress.request.method == Method::kOptions;
    if (!path.starts_with('/') && !is_server_wide) return refuse("the request target must be a path", ec);
    progress.target = {offset_of(progress, path), static_cast<std::uint32_t>(path.size()), true};
  }

  void on_field_impl(beast_http::field field, BeastView beast_name, BeastView beast_value, ErrorOfBeast& ec) override {
    if (progress.is_header_done) return;  // a trailer
    auto name = view(beast_name);
    auto value = view(beast_value);
    if (is_folded(name, value)) return refuse("folded header lines are not taken", ec);
    switch (field) {
      case beast_http::field::host:
        return set_once(progress.host, "Host", value, ec);
      case beast_http::field::authorization:
        return set_once(progress.authorization, "Authorization", value, ec);
      case beast_http::field::content_type:
        return set_once(progress.content_type, "Content-Type", value, ec);
      case beast_http::field::content_length:
        return on_content_length(value, ec);
      case beast_http::field::transfer_encoding:
        return on_transfer_encoding(value, ec);
      case beast_http::field::origin:
        return set_once(progress.origin, "Origin", value, ec);
      case beast_http::field::access_control_request_method:
        return set(progress.requested_method, value);
      case beast_http::field::user_agent:
        return set(progress.user_agent, value);
      case beast_http::field::expect:
        progress.expects_continue = equals_ignoring_case(value, "100-continue");
        return;
      case beast_http::field::unknown:
        return on_other_field(name, value, ec);
      default:
        return;
    }
  }

  void on_other_field(std::string_view name, std::string_view value, ErrorOfBeast& ec) {
    if (equals_ignoring_case(name, "idempotency-key")) return set_once(progress.idempotency_key, "Idempotency-Key", value, ec);
    // The last proxy is the one that may be trusted: of several lines the last counts.
    if (equals_ignoring_case(name, "x-forwarded-for")) return set(progress.forwarded_for, value);
    if (equals_ignoring_case(name, "x-request-id")) return set(progress.request_id, value);
  }

  // Beast has compared it with earlier ones and with Transfer-Encoding by now, but takes lists.
  void on_content_length(std::string_view value, ErrorOfBeast& ec) {
    if (value.empty() || value.find_first_not_of("0123456789") != std::string_view::npos) {
      return refuse("Content-Length must be digits", ec);
    }
  }

  void on_transfer_encoding(std::string_view value, ErrorOfBeast& ec) {
    if (!equals_ignoring_case(value, "chunked")) return refuse("the only Transfer-Encoding taken is chunked", ec);
    if (progress.is_http_1_0) return refuse("HTTP/1.0 knows no Transfer-Encoding", ec);
  }

  void on_header_impl(ErrorOfBeast& ec) override {
    if (!progress.is_http_1_0 && !progress.host.is_given) return refuse("the Host field is missing", ec);
    progress.is_header_done = true;
  }

  void on_body_init_impl(const boost::optional<std::uint64_t>& length, ErrorOfBeast&) override {
    progress.request.body.reserve(std::min<std::uint64_t>(length.value_or(0), kBodyReservedMax) + kJsonPadding);
  }

  std::size_t on_body_impl(BeastView part, ErrorOfBeast&) override {
    progress.request.body += view(part);
    return part.size();
  }

  void on_chunk_header_impl(std::uint64_t, BeastView, ErrorOfBeast&) override {}

  std::size_t on_chunk_body_impl(std::uint64_t, BeastView part, ErrorOfBeast&) override {
    progress.request.body += view(part);
    return part.size();
  }

  void on_finish_impl(ErrorOfBeast&) override {
    auto& body = progress.request.body;
    if (body.capacity() - body.size() < kJsonPadding) body.reserve(body.size() + kJsonPadding);
  }

  void on_response_impl(int, BeastView, int, ErrorOfBeast&) override { HEARTH_ASSERT(false); }

  // Beast joins folded lines in a buffer of its own, or skips a fold that comes first.
  bool is_folded(std::string_view name, std::string_view value) const {
    const char* begin = name.data() + name.size();
    const char* end = progress.message.data() + progress.message.size();
    if (value.data() < begin || value.data() + value.size() > end) return true;
    return std::string_view(begin, value.data() - begin).find('\n') != std::string_view::npos;
  }

  void set(Slice& slice, std::string_view value) const {
    slice = {offset_of(progress, value), static_cast<std::uint32_t>(value.size()), true};
  }

  void set_once(Slice& slice, std::string_view name, std::string_view value, ErrorOfBeast& ec) {
    if (slice.is_given) return refuse(std::string(name) + " is given twice", ec);
    set(slice, value);
  }

  void refuse(std::string message, ErrorOfBeast& ec) {
    progress.failure = Error{ErrorCode::kInvalidArgument, std::move(message), "header"};
    ec = beast_http::error::bad_value;
  }
};

}  // namespace

struct RequestParser::Parser {
  std::optional<BeastParser> beast;  // good for one request each
};

RequestParser::RequestParser(RequestLimits limits, Request& request)
    : limits_(limits), request_(request), parser_(std::make_unique<Parser>()) {
  reset();
}

RequestParser::~RequestParser() = default;

void RequestParser::reset() {
  if (request_.body.capacity() > kBodyKeptMax) request_.body = {};
  request_.body.clear();
  request_.method = Method::kOther;
  auto& beast = parser_->beast.emplace(request_);
  beast.header_limit(static_cast<std::uint32_t>(limits_.header_bytes_max));
  beast.body_limit(limits_.body_bytes_max);
  state_ = State::kNeedsMore;
  header_bytes_ = 0;
}

bool RequestParser::is_header_done() const {
  return parser_->beast->progress.is_header_done;
}

std::size_t RequestParser::feed(std::string_view message, std::size_t from) {
  HEARTH_ASSERT(state_ == State::kNeedsMore && from < message.size());
  auto& beast = *parser_->beast;
  beast.progress.message = message;
  while (state_ == State::kNeedsMore && from < message.size()) {
    ErrorOfBeast ec;
    from += beast.put(boost::asio::const_buffer(message.data() + from, message.size() - from), ec);
    if (header_bytes_ == 0 && is_header_done()) header_bytes_ = from;
    if (ec == beast_http::error::need_more) break;
    if (ec) {
      fail(beast.error_of(ec));
    } else if (beast.is_done()) {
      state_ = State::kComplete;
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
  auto& beast = *parser_->beast;
  const auto& progress = beast.progress;
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
          .keep_alive = progress.is_header_done && beast.keep_alive(),
          .is_http_1_0 = progress.is_http_1_0,
          .expects_continue = progress.expects_continue && !progress.is_http_1_0,
          .is_preflight = progress.requested_method.is_given};
}

}  // namespace hearth::http
