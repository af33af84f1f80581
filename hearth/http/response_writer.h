#pragma once

// Writes an answer as bytes.

#include <string>
#include <string_view>

#include "hearth/http/cors.h"
#include "hearth/http/request.h"

namespace hearth::http {

// What an answer says about its request and connection.
struct AnswerContext {
  std::string_view date;  // the whole line
  std::string_view request_id;
  std::string_view origin;
  const CorsPolicy& cors;
  bool keep_alive = true;
  bool is_http_1_0 = false;
  bool is_head = false;
  bool is_preflight = false;
};

// "Date: Fri, 20 Nov 2026 08:00:00 GMT\r\n"
std::string date_line(std::int64_t unix_seconds);

void append_response(std::string& out, const Response& response, const AnswerContext& context);

}  // namespace hearth::http
