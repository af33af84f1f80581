#pragma once

// Which web pages of other origins may call us, and what they are told.

#include <string>
#include <string_view>
#include <vector>

namespace hearth::http {

// Read-only, thus thread-safe.
class CorsPolicy {
 public:
  // Exact origins such as "https://app.example", or "*" for every one. None: no page may.
  explicit CorsPolicy(std::vector<std::string> origins);

  // Appends the header fields of an answer to a request that came with `origin` (empty: with none).
  void append_fields(std::string& out, std::string_view origin) const;
  // The further fields of the answer to a browser's question what it may send. `methods` is as in Allow.
  void append_preflight_fields(std::string& out, std::string_view origin, std::string_view methods) const;

 private:
  bool allows(std::string_view origin) const;

  const std::vector<std::string> origins_;
  const bool allows_all_;
};

}  // namespace hearth::http
