#include "tests/support/http_client.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <cctype>
#include <cerrno>
#include <cstring>

#include "tests/support/child_process.h"

namespace hearth::tests {
namespace {

[[noreturn]] void lost(const std::string& what) {
  throw ConnectionLost(what);
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

bool names(const Headers& headers, std::string_view lower_name) {
  return std::ranges::any_of(headers, [&](const auto& header) { return lower(header.first) == lower_name; });
}

Answer parse_head(std::string_view head) {
  Answer answer;
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  if (!head.starts_with(kVersion)) throw std::runtime_error("this is no HTTP answer: " + std::string(head));
  answer.status = std::stoi(std::string(head.substr(kVersion.size(), 3)));
  for (auto at = head.find("\r\n"); at != std::string_view::npos && at + 2 < head.size();) {
    auto end = head.find("\r\n", at + 2);
    auto line = head.substr(at + 2, end == std::string_view::npos ? end : end - at - 2);
    auto colon = line.find(": ");
    if (colon == std::string_view::npos) throw std::runtime_error("this is no header line: " + std::string(line));
    answer.headers.emplace_back(lower(line.substr(0, colon)), line.substr(colon + 2));
    at = end;
  }
  return answer;
}

}  // namespace

std::optional<std::string> Answer::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return std::nullopt;
}

boost::json::value Answer::json() const {
  boost::system::error_code error;
  auto value = boost::json::parse(body, error);
  if (error) throw std::runtime_error("the body is no JSON: " + body);
  return value;
}

Answer HttpClient::call(std::string_view method, std::string_view target, std::string_view body, const Headers& headers) {
  if (!is_connected()) connect();
  try {
    send(compose(method, target, body, headers));
    auto answer = receive(method != "HEAD");
    if (answer.header("connection") == "close") disconnect();
    return answer;
  } catch (const ConnectionLost&) {
    disconnect();
    throw;
  }
}

std::string HttpClient::compose(std::string_view method, std::string_view target, std::string_view body, const Headers& headers) const {
  std::string out(method);
  out.append(" ").append(target).append(" HTTP/1.1\r\n");
  if (!names(headers, "host")) out += "Host: localhost\r\n";
  if (!body.empty() && !names(headers, "content-type")) out += "Content-Type: application/json\r\n";
  if (!body.empty() || method == "POST") out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  for (const auto* list : {&fixed_, &headers}) {
    for (const auto& [name, value] : *list) out.append(name).append(": ").append(value).append("\r\n");
  }
  out += "\r\n";
  out += body;
  return out;
}

void HttpClient::connect() {
  disconnect();
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  timeval patience{.tv_sec = kPatience.count(), .tv_usec = 0};
  int on = 1;
  setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port_);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return;
  std::string reason = std::strerror(errno);
  disconnect();
  lost("connect: " + reason);
}

void HttpClient::disconnect() {
  if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  unread_.clear();
}

bool HttpClient::try_send(std::string_view bytes) {
  while (!bytes.empty()) {
    auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void HttpClient::send(std::string_view bytes) {
  if (!try_send(bytes)) lost(std::string("send: ") + std::strerror(errno));
}

void HttpClient::finish_sending() {
  ::shutdown(socket_, SHUT_WR);
}

// False: the server has closed the connection.
bool HttpClient::read_more() {
  char bytes[16 * 1024];
  ssize_t size = 0;
  do {
    size = recv(socket_, bytes, sizeof bytes, 0);
  } while (size < 0 && errno == EINTR);  // this process was stopped, and goes on
  if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) throw std::runtime_error("the server neither answers nor closes");
  if (size > 0) unread_.append(bytes, static_cast<std::size_t>(size));
  return size > 0;
}

Answer HttpClient::receive(bool has_body) {
  std::size_t head_end = 0;
  while ((head_end = unread_.find("\r\n\r\n")) == std::string::npos) {
    if (!read_more()) lost("closed before the answer");
  }
  Answer answer = parse_head(std::string_view(unread_).substr(0, head_end));
  unread_.erase(0, head_end + 4);
  auto length = answer.header("content-length");
  std::size_t size = length && has_body ? std::stoul(*length) : 0;
  while (unread_.size() < size) {
    if (!read_more()) lost("closed within the answer");
  }
  answer.body = unread_.substr(0, size);
  unread_.erase(0, size);
  return answer;
}

std::string HttpClient::receive_rest() {
  while (read_more()) {
  }
  return std::exchange(unread_, {});
}

}  // namespace hearth::tests
