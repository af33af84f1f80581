#pragma once

// One HTTP request and its answer, as handlers see them.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hearth/base/result.h"

namespace hearth::http {

enum class Method : std::uint8_t { kGet, kPost, kPut, kDelete, kHead, kOptions, kOther };

// Views are valid while the request is handled: the connection owns the bytes until the answer is written.
struct Request {
  Method method = Method::kGet;
  std::string_view path;  // as sent, without the query
  std::string body;       // whole; capacity leaves kJsonPadding spare bytes

  // The header fields that Hearth reads; empty when absent.
  std::string_view authorization;
  std::string_view content_type;
  std::string_view idempotency_key;
  std::string_view origin;
  std::string_view forwarded_for;
  std::string_view user_agent;

  std::string_view request_id;      // the client's, if valid, or ours
  std::string_view remote_address;  // of the socket, without port
  bool is_loopback = false;         // the socket's address is loopback

  // Decoded parameters of the path, in the order of the route's pattern, and of the query. Set by the router.
  std::vector<std::string> path_parameters;
  std::vector<std::pair<std::string, std::string>> query_parameters;

  // The `index`-th {parameter} of the route.
  const std::string& path_parameter(std::size_t index) const { return path_parameters.at(index); }
  std::optional<std::string_view> query(std::string_view name) const {
    for (const auto& [key, value] : query_parameters) {
      if (key == name) return value;
    }
    return std::nullopt;
  }
};

struct Response {
  int status = 200;
  std::string body = {};
  std::string_view content_type = "application/json";  // a literal
  // Further header fields: names are literals, values free of CR and LF.
  std::vector<std::pair<std::string_view, std::string>> headers = {};
};

}  // namespace hearth::http
