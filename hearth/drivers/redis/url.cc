#include "hearth/drivers/redis/url.h"

#include <charconv>
#include <optional>

namespace hearth::redis {
namespace {

constexpr std::uint16_t kRedisPort = 6379;
constexpr std::uint16_t kSentinelPort = 26379;
constexpr std::string_view kField = "redis.url";
constexpr std::size_t kAddressesMax = 64;

std::unexpected<Error> wrong(std::string message) {
  return invalid(std::string(kField), std::move(message));
}

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Cuts `text` at the first `separator` and returns what was before it; nothing, and `text` as it was, without one.
std::optional<std::string_view> take_before(std::string_view& text, char separator) {
  auto at = text.find(separator);
  if (at == std::string_view::npos) return std::nullopt;
  auto before = text.substr(0, at);
  text.remove_prefix(at + 1);
  return before;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    int high = hex_digit(text[i + 1]);
    int low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

Result<void> take_scheme(std::string_view& rest, Url& url) {
  auto end = rest.find("://");
  auto scheme = rest.substr(0, end);
  if (end == std::string_view::npos) return wrong("a URL is needed: redis://host:port");
  rest.remove_prefix(end + 3);
  url.is_tls = scheme.starts_with("rediss");
  if (scheme == "redis" || scheme == "rediss") return {};
  if (scheme != "redis+sentinel" && scheme != "rediss+sentinel")
    return wrong("the URL must begin with redis://, rediss:// or redis+sentinel://");
  url.mode = Mode::kSentinel;
  return {};
}

Result<void> take_credentials(std::string_view& rest, Url& url) {
  auto at = rest.rfind('@');
  if (at == std::string_view::npos) return {};
  auto credentials = rest.substr(0, at);
  rest.remove_prefix(at + 1);
  auto user = take_before(credentials, ':');
  if (!user) return wrong("before the @ of the URL stands [user]:password");
  auto decoded_user = percent_decoded(*user);
  auto decoded_password = percent_decoded(credentials);
  if (!decoded_user || !decoded_password) return wrong("a % in the user or password must be followed by two hexadecimal digits");
  if (decoded_password->empty()) return wrong("the password in the URL is empty");
  url.user = *std::move(decoded_user);
  url.password = *std::move(decoded_password);
  return {};
}

Result<void> take_hosts(std::string_view hosts, Url& url) {
  auto port = url.mode == Mode::kSentinel ? kSentinelPort : kRedisPort;
  while (true) {
    auto next = take_before(hosts, ',');
    auto address = parse_address(next.value_or(hosts), port);
    if (!address) return std::unexpected(address.error());
    url.addresses.push_back(*std::move(address));
    if (!next) break;
  }
  if (url.addresses.size() > kAddressesMax) return wrong("too many hosts in the URL");
  if (url.mode == Mode::kSingle && url.addresses.size() > 1) url.mode = Mode::kCluster;
  return {};
}

Result<void> take_path(std::string_view path, Url& url) {
  if (url.mode == Mode::kSentinel) {
    auto name = take_before(path, '/');
    url.primary_name = name.value_or(path);
    if (url.primary_name.empty()) return wrong("the name of the primary is missing: redis+sentinel://host:port/NAME");
    if (!name) return {};
  }
  if (path.empty()) return {};
  auto database = parse_number<int>(path);
  if (!database || *database < 0) return wrong("the database in the URL must be a number");
  if (url.mode == Mode::kCluster && *database != 0) return wrong("Cluster has only the database 0");
  url.database = *database;
  return {};
}

}  // namespace

std::string Address::text() const {
  bool is_ipv6 = host.contains(':');
  return (is_ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<Address> parse_address(std::string_view text, std::uint16_t default_port) {
  Address address{.host = std::string(text), .port = default_port};
  std::string_view port;
  if (auto colon = text.rfind(':'); colon != std::string_view::npos && !text.ends_with(']')) {
    address.host = text.substr(0, colon);
    port = text.substr(colon + 1);
    auto number = parse_number<std::uint16_t>(port);
    if (!number || *number == 0) return wrong("a port must be a number from 1 to 65535");
    address.port = *number;
  }
  if (address.host.starts_with('[') && address.host.ends_with(']')) address.host = address.host.substr(1, address.host.size() - 2);
  if (address.host.empty()) return wrong("a host is missing");
  return address;
}

Result<Url> parse_url(std::string_view text) {
  Url url;
  auto rest = text;
  if (auto taken = take_scheme(rest, url); !taken) return std::unexpected(taken.error());
  if (auto taken = take_credentials(rest, url); !taken) return std::unexpected(taken.error());
  if (rest.contains('?') || rest.contains('#')) return wrong("the URL takes no query: everything else has a setting of its own");
  auto hosts = take_before(rest, '/');
  auto path = hosts ? rest : std::string_view();
  if (auto taken = take_hosts(hosts.value_or(rest), url); !taken) return std::unexpected(taken.error());
  if (auto taken = take_path(path, url); !taken) return std::unexpected(taken.error());
  return url;
}

}  // namespace hearth::redis
