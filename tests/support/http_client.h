#pragma once

// A small HTTP client that blocks: one connection, kept alive. It can also send bytes that are no HTTP at all.
//
// Belongs to one thread at a time.

#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::tests {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Answer {
  int status = 0;
  Headers headers;  // names in lower case
  std::string body;

  // The first field of this name, in lower case.
  std::optional<std::string> header(std::string_view name) const;
  // The body. Throws if it is no JSON.
  boost::json::value json() const;
};

// The connection ended before the answer came: what was asked may or may not have been done.
class ConnectionLost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class HttpClient {
 public:
  explicit HttpClient(std::uint16_t port) : port_(port) {}
  HttpClient(HttpClient&& other) noexcept
      : port_(other.port_), fixed_(std::move(other.fixed_)), socket_(std::exchange(other.socket_, -1)), unread_(std::move(other.unread_)) {}
  HttpClient& operator=(HttpClient&&) = delete;
  ~HttpClient() { disconnect(); }

  // Sent with every call from now on.
  void set_header(std::string name, std::string value) { fixed_.emplace_back(std::move(name), std::move(value)); }

  // Asks and waits for the answer; connects first where there is no connection. A body is sent as JSON unless `headers`
  // say otherwise. Throws ConnectionLost.
  Answer call(std::string_view method, std::string_view target, std::string_view body = {}, const Headers& headers = {});
  Answer get(std::string_view target) { return call("GET", target); }
  Answer post(std::string_view target, std::string_view body, const Headers& headers = {}) { return call("POST", target, body, headers); }

  // The bytes of a call.
  std::string compose(std::string_view method, std::string_view target, std::string_view body, const Headers& headers = {}) const;

  // The parts of a call, for those who send something else.
  void connect();
  void disconnect();
  bool is_connected() const { return socket_ >= 0; }
  void send(std::string_view bytes);
  // False: the server no longer takes anything.
  bool try_send(std::string_view bytes);
  // Says that nothing more will be sent.
  void finish_sending();
  Answer receive(bool has_body = true);
  // Everything up to the end of the connection, which may be a hard one.
  std::string receive_rest();

 private:
  bool read_more();

  std::uint16_t port_;
  Headers fixed_;
  int socket_ = -1;
  std::string unread_;
};

}  // namespace hearth::tests
