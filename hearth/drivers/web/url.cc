#include "hearth/drivers/web/url.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <new>

namespace hearth::web {
namespace {

struct FreeParser {
  void operator()(CURLU* parser) const { curl_url_cleanup(parser); }
};
using Parser = std::unique_ptr<CURLU, FreeParser>;

Parser make_parser() {
  Parser parser(curl_url());
  if (!parser) throw std::bad_alloc();
  return parser;
}

std::unexpected<Error> refused(std::string_view field, std::string_view why) {
  return invalid(std::string(field), std::string(field) + " must be an http or https URL" + std::string(why));
}

// Controls, spaces, and what a URL holds only percent-encoded because other parsers read it as something else.
bool is_forbidden(unsigned char c) {
  return c <= 0x20 || c == 0x7f || c == '"' || c == '<' || c == '>' || c == '\\';
}

std::string part(const Parser& parser, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(parser.get(), which, &text, flags) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

std::string in_lower_case(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

Result<Url> read_parts(const Parser& parser, std::string_view field) {
  Url url;
  url.scheme = in_lower_case(part(parser, CURLUPART_SCHEME));
  if (url.scheme != "http" && url.scheme != "https") return refused(field, "");
  url.host = in_lower_case(part(parser, CURLUPART_HOST));
  bool is_ascii = std::ranges::none_of(url.host, [](unsigned char c) { return c >= 0x80; });
  if (url.host.empty() || !is_ascii) return refused(field, " with a host in ASCII (xn--… for other names)");
  auto port = part(parser, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  std::from_chars(port.data(), port.data() + port.size(), url.port);
  if (url.port == 0) return refused(field, " with a port from 1 to 65535");
  url.path = part(parser, CURLUPART_PATH);
  auto query = part(parser, CURLUPART_QUERY);
  if (!query.empty()) url.path += "?" + query;
  return url;
}

// `base` was read into the parser before, or nothing.
Result<Url> read(const Parser& parser, std::string_view text, std::string_view field) {
  if (text.size() > kUrlBytesMax) return refused(field, " of at most " + std::to_string(kUrlBytesMax) + " bytes");
  if (std::ranges::any_of(text, is_forbidden)) return refused(field, " without spaces, quotes and backslashes");
  auto code = curl_url_set(parser.get(), CURLUPART_URL, std::string(text).c_str(), CURLU_DISALLOW_USER | CURLU_URLENCODE);
  if (code == CURLUE_OUT_OF_MEMORY) throw std::bad_alloc();
  if (code == CURLUE_USER_NOT_ALLOWED) return refused(field, " without a user or password in it");
  if (code != CURLUE_OK) return refused(field, "");
  return read_parts(parser, field);
}

int default_port(std::string_view scheme) {
  return scheme == "https" ? 443 : 80;
}

}  // namespace

std::string Url::authority() const {
  return port == default_port(scheme) ? host : host + ":" + std::to_string(port);
}

std::string Url::text() const {
  return scheme + "://" + authority() + path;
}

Result<Url> parse_url(std::string_view url, std::string_view field) {
  // libcurl forgives one slash, and three.
  auto colon = url.find(':');
  auto rest = colon == std::string_view::npos ? std::string_view() : url.substr(colon + 1);
  if (!rest.starts_with("//") || rest.starts_with("///")) return refused(field, "");
  return read(make_parser(), url, field);
}

Result<Url> resolve_url(const Url& base, std::string_view location, std::string_view field) {
  auto parser = make_parser();
  if (curl_url_set(parser.get(), CURLUPART_URL, base.text().c_str(), 0) != CURLUE_OK) return refused(field, "");
  return read(parser, location, field);
}

bool is_web_port(int port) {
  return port == 80 || port == 443 || port >= 1024;
}

Result<void> check_url(std::string_view url, std::string_view field) {
  auto parsed = parse_url(url, field);
  if (!parsed) return std::unexpected(parsed.error());
  if (!is_web_port(parsed->port)) return refused(field, " with port 80, 443 or one from 1024");
  return {};
}

}  // namespace hearth::web
