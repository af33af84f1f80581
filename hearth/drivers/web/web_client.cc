#include "hearth/drivers/web/web_client.h"

#include <curl/curl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <new>
#include <optional>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/base/guarded.h"
#include "hearth/drivers/web/address.h"

namespace hearth::web {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::size_t kIdleLanesMax = 16;  // of each kind; more callers at once make their own and close them
constexpr long kConnectionsPerLaneMax = 4;
constexpr milliseconds kConnectMax{10'000};
constexpr int kPollMs = 60'000;  // libcurl wakes earlier for its own time-outs, and `stop` does
constexpr const char* kUserAgent = "Hearth";

struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeMulti {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

void initialise_once() {
  static const bool is_done = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  HEARTH_ASSERT(is_done);
}

// One request at a time, and the connections that are kept for the next.
struct Lane {
  // In this order: the handle goes before its connections.
  std::unique_ptr<CURLM, FreeMulti> multi{curl_multi_init()};
  std::unique_ptr<CURL, FreeEasy> easy{curl_easy_init()};

  Lane() {
    if (!multi || !easy) throw std::bad_alloc();
    curl_multi_setopt(multi.get(), CURLMOPT_MAXCONNECTS, kConnectionsPerLaneMax);
  }
};

// What is sent to one server, before its answer says where to go on.
struct Hop {
  Url url;
  std::string method;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string_view body;
  bool allows_private = false;
};

// One answer while it comes in; libcurl's callbacks fill it.
struct Exchange {
  std::size_t body_bytes_max = 0;
  bool allows_private = false;
  WebResponse response;
  std::size_t header_bytes = 0;
  bool is_head_done = false;
  bool is_body_too_large = false;
  bool met_special_address = false;
};

std::string in_lower_case(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  auto begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

// --- callbacks; they return what libcurl reads as an error ---

std::size_t on_body(char* bytes, std::size_t /*always 1*/, std::size_t size, void* context) {
  auto& exchange = *static_cast<Exchange*>(context);
  auto& body = exchange.response.body;
  if (size > exchange.body_bytes_max - body.size()) {
    exchange.is_body_too_large = true;
    return CURL_WRITEFUNC_ERROR;
  }
  body.append(bytes, size);
  return size;
}

// A line of the head; after an interim answer (1xx) another head comes. What comes after the body is counted and not kept.
std::size_t on_header(char* bytes, std::size_t /*always 1*/, std::size_t size, void* context) {
  auto& exchange = *static_cast<Exchange*>(context);
  exchange.header_bytes += size;
  if (exchange.header_bytes > kHeaderBytesMax) return CURL_WRITEFUNC_ERROR;
  std::string_view line(bytes, size);
  if (line.starts_with("HTTP/")) {
    exchange.response.headers.clear();
    exchange.is_head_done = false;
    return size;
  }
  line = trimmed(line);
  if (line.empty()) exchange.is_head_done = true;
  auto colon = line.find(':');
  if (exchange.is_head_done || colon == std::string_view::npos) return size;
  exchange.response.headers.emplace_back(in_lower_case(trimmed(line.substr(0, colon))), trimmed(line.substr(colon + 1)));
  return size;
}

// The one place where a connection begins: the address is the one that is connected to, whatever the name resolved to before.
curl_socket_t open_socket(void* context, curlsocktype purpose, curl_sockaddr* address) {
  auto& exchange = *static_cast<Exchange*>(context);
  bool is_allowed = purpose == CURLSOCKTYPE_IPCXN && (exchange.allows_private || is_public(address->addr));
  if (!is_allowed) {
    exchange.met_special_address = true;
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// --- the request ---

template <typename Value>
void set(CURL* easy, CURLoption option, Value value) {
  auto code = curl_easy_setopt(easy, option, value);
  if (code == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
  HEARTH_ASSERT(code == CURLE_OK);
}

void append(HeaderList& list, const std::string& line) {
  auto* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  (void)list.release();
  list.reset(longer);
}

HeaderList header_lines(const Hop& hop) {
  HeaderList list;
  // What libcurl would add by itself.
  append(list, "Expect:");
  bool has_type = std::ranges::any_of(hop.headers, [](const auto& header) { return in_lower_case(header.first) == "content-type"; });
  if (!has_type) append(list, "Content-Type:");
  for (const auto& [name, value] : hop.headers) append(list, value.empty() ? name + ";" : name + ": " + value);
  return list;
}

// Nothing of the process's surroundings has a say: no proxy, no netrc, no cookies, no other protocol.
void set_rules(CURL* easy, Exchange& exchange) {
  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_FOLLOWLOCATION, 0L);
  set(easy, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  set(easy, CURLOPT_PROXY, "");
  set(easy, CURLOPT_NOPROXY, "*");
  set(easy, CURLOPT_NETRC, long{CURL_NETRC_IGNORED});
  set(easy, CURLOPT_USERAGENT, kUserAgent);
  set(easy, CURLOPT_NOSIGNAL, 1L);
  // Without it the end of a request waits for a name server that does not answer.
  set(easy, CURLOPT_QUICK_EXIT, 1L);
  set(easy, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(exchange.body_bytes_max));
  set(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
  set(easy, CURLOPT_OPENSOCKETDATA, &exchange);
  set(easy, CURLOPT_HEADERFUNCTION, on_header);
  set(easy, CURLOPT_HEADERDATA, &exchange);
  set(easy, CURLOPT_WRITEFUNCTION, on_body);
  set(easy, CURLOPT_WRITEDATA, &exchange);
}

void set_request(CURL* easy, const Hop& hop, const std::string& url, curl_slist* headers, milliseconds timeout) {
  set(easy, CURLOPT_URL, url.c_str());
  set(easy, CURLOPT_HTTPHEADER, headers);
  set(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout.count()));
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::min(timeout, kConnectMax).count()));
  bool has_body = !hop.body.empty() || hop.method == "POST" || hop.method == "PUT" || hop.method == "PATCH";
  if (hop.method == "HEAD") {
    set(easy, CURLOPT_NOBODY, 1L);
  } else if (has_body) {
    set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(hop.body.size()));
    set(easy, CURLOPT_POSTFIELDS, hop.body.empty() ? "" : hop.body.data());
  }
  set(easy, CURLOPT_CUSTOMREQUEST, hop.method.c_str());
}

// Runs what the lane was set to. Nothing: `stop` was asked.
std::optional<CURLcode> perform(const Lane& lane, const std::stop_token& stop) {
  CURLM* multi = lane.multi.get();
  std::stop_callback wake(stop, [multi] { curl_multi_wakeup(multi); });
  HEARTH_ASSERT(curl_multi_add_handle(multi, lane.easy.get()) == CURLM_OK);
  int running = 1;
  CURLMcode code = CURLM_OK;
  while (code == CURLM_OK && running != 0 && !stop.stop_requested()) {
    code = curl_multi_perform(multi, &running);
    if (code == CURLM_OK && running != 0) code = curl_multi_poll(multi, nullptr, 0, kPollMs, nullptr);
  }
  std::optional<CURLcode> result;
  if (code != CURLM_OK) result = CURLE_FAILED_INIT;
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg == CURLMSG_DONE) result = message->data.result;
  }
  curl_multi_remove_handle(multi, lane.easy.get());
  return result;
}

// --- what became of it ---

Error late(const std::string& host) {
  return {ErrorCode::kUnavailable, "no whole answer from " + host + " in time"};
}

Error failure(const Exchange& exchange, const std::string& host, std::optional<CURLcode> code) {
  // libcurl calls a line of more than 100 KB out of memory.
  if (exchange.header_bytes > kHeaderBytesMax || code == CURLE_OUT_OF_MEMORY) {
    return {ErrorCode::kTooLarge, "the head of the answer of " + host + " has more than " + std::to_string(kHeaderBytesMax) + " bytes"};
  }
  if (exchange.is_body_too_large || code == CURLE_FILESIZE_EXCEEDED) {
    return {ErrorCode::kTooLarge, "the answer of " + host + " has more than " + std::to_string(exchange.body_bytes_max) + " bytes"};
  }
  if (!code) return {ErrorCode::kUnavailable, "the request to " + host + " was stopped"};
  if (exchange.met_special_address) return {ErrorCode::kForbidden, host + " is not on the public internet, and is not connected to"};
  if (*code == CURLE_OPERATION_TIMEDOUT) return late(host);
  return {ErrorCode::kUnavailable, "no answer from " + host + ": " + in_lower_case(curl_easy_strerror(*code))};
}

bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kMarks.contains(c);
  });
}

Result<void> check_headers(const WebRequest& request) {
  if (!is_token(request.method)) return invalid("method", "the method must be a word");
  for (const auto& [name, value] : request.headers) {
    bool has_control = std::ranges::any_of(value, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
    if (!is_token(name) || has_control) return invalid("headers", "a header must have a name, and no line breaks in its value");
  }
  return {};
}

// --- redirects ---

bool is_redirect(const WebResponse& response) {
  constexpr std::array kStatuses = {301, 302, 303, 307, 308};
  return std::ranges::find(kStatuses, response.status) != kStatuses.end() && !response.header("location").empty();
}

bool becomes_get(int status, std::string_view method) {
  return status == 303 ? method != "HEAD" : (status == 301 || status == 302) && method == "POST";
}

bool may_cross_origins(std::string_view name) {
  auto lower = in_lower_case(name);
  return lower == "accept" || lower == "user-agent";
}

// The request that `answer` asks for instead; nothing when a body would have to go to another origin.
Result<std::optional<Hop>> redirected(const Hop& from, const WebResponse& answer, const std::string& first_host) {
  auto target = resolve_url(from.url, answer.header("location"), "Location");
  if (!target) return fail(ErrorCode::kForbidden, from.url.authority() + " redirects to what is not fetched: " + target.error().message);

  Hop hop = from;
  hop.url = *std::move(target);
  hop.allows_private = from.allows_private && hop.url.host == first_host;
  if (becomes_get(answer.status, from.method)) {
    hop.method = "GET";
    hop.body = {};
    std::erase_if(hop.headers, [](const auto& header) { return in_lower_case(header.first).starts_with("content-"); });
  }
  if (hop.url.has_same_origin(from.url)) return hop;
  if (!hop.body.empty()) return std::nullopt;
  std::erase_if(hop.headers, [](const auto& header) { return !may_cross_origins(header.first); });
  return hop;
}

}  // namespace

// Lanes that wait for the next request. Those that may connect anywhere are apart: a connection of theirs that was kept must not serve
// a request that may not.
class WebClient::Lanes {
 public:
  Result<WebResponse> exchange(const Hop& hop, const WebRequest& request, milliseconds timeout, microseconds& spent,
                               const std::stop_token& stop) {
    auto lane = take(hop.allows_private);
    Exchange exchange{.body_bytes_max = request.answer_bytes_max, .allows_private = hop.allows_private, .response = {}};
    auto headers = header_lines(hop);
    auto url = hop.url.text();
    set_rules(lane->easy.get(), exchange);
    set_request(lane->easy.get(), hop, url, headers.get(), timeout);
    auto code = perform(*lane, stop);

    curl_off_t took = 0;
    long status = 0;
    curl_easy_getinfo(lane->easy.get(), CURLINFO_TOTAL_TIME_T, &took);
    curl_easy_getinfo(lane->easy.get(), CURLINFO_RESPONSE_CODE, &status);
    spent += microseconds(took);
    give_back(std::move(lane), hop.allows_private);
    bool is_cut = request.cuts_answer && (exchange.is_body_too_large || code == CURLE_FILESIZE_EXCEEDED);
    if (code != CURLE_OK && !is_cut) return std::unexpected(failure(exchange, hop.url.authority(), code));
    exchange.response.status = static_cast<int>(status);
    return std::move(exchange.response);
  }

 private:
  using Idle = std::array<std::vector<std::unique_ptr<Lane>>, 2>;

  std::unique_ptr<Lane> take(bool allows_private) {
    auto lane = idle_.with([&](Idle& idle) -> std::unique_ptr<Lane> {
      auto& lanes = idle[allows_private ? 1 : 0];
      if (lanes.empty()) return nullptr;
      auto last = std::move(lanes.back());
      lanes.pop_back();
      return last;
    });
    return lane ? std::move(lane) : std::make_unique<Lane>();
  }

  void give_back(std::unique_ptr<Lane> lane, bool allows_private) {
    curl_easy_reset(lane->easy.get());  // keeps its connections
    idle_.with([&](Idle& idle) {
      auto& lanes = idle[allows_private ? 1 : 0];
      if (lanes.size() < kIdleLanesMax) lanes.push_back(std::move(lane));
    });
  }

  Guarded<Idle> idle_;
};

std::string_view WebResponse::header(std::string_view name) const {
  auto found = std::ranges::find(headers, name, [](const auto& header) { return std::string_view(header.first); });
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

WebClient::WebClient() : lanes_((initialise_once(), std::make_unique<Lanes>())) {}
WebClient::~WebClient() = default;

Result<WebResponse> WebClient::send(const WebRequest& request, std::stop_token stop) {
  if (auto ok = check_headers(request); !ok) return std::unexpected(ok.error());
  auto url = parse_url(request.url, "url");
  if (!url) return std::unexpected(url.error());
  const std::string first_host = url->host;
  Hop hop{*std::move(url), request.method, request.headers, request.body, request.allows_private};

  microseconds spent{0};
  for (int redirects = 0;; ++redirects) {
    const auto host = hop.url.authority();
    if (!hop.allows_private && !is_web_port(hop.url.port)) {
      return fail(ErrorCode::kForbidden, host + " is not connected to: its port is for something else than web servers");
    }
    auto left = request.timeout - std::chrono::duration_cast<milliseconds>(spent);
    if (left <= milliseconds(0)) return std::unexpected(late(host));
    auto response = lanes_->exchange(hop, request, left, spent, stop);
    if (!response || request.redirects_max == 0 || !is_redirect(*response)) return response;
    if (redirects == request.redirects_max) {
      return fail(ErrorCode::kUnavailable, host + " redirects on, after " + std::to_string(redirects) + " redirects");
    }
    auto next = redirected(hop, *response, first_host);
    if (!next) return std::unexpected(next.error());
    if (!*next) return response;
    hop = **std::move(next);
  }
}

}  // namespace hearth::web
