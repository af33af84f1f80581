#pragma once

// Reads and runs tests/api/*.test: requests and the answers that are expected, as text. tests/api/README.md describes the form.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/support/http_client.h"

namespace hearth::tests {

struct ApiStep {
  int line = 0;
  std::string name;  // of the case that it belongs to
  std::string method;
  std::string target;
  Headers headers = {};
  std::string body = {};
  int status = 0;
  Headers expected_headers = {};   // a value of "<absent>": no such field
  std::string expected_body = {};  // JSON, or empty: whatever comes
};

struct ApiScript {
  std::string configuration;  // which servers it is for
  std::vector<ApiStep> steps;

  // Throws with the line that cannot be read.
  static ApiScript read(const std::filesystem::path& path);
};

using Variables = std::map<std::string, std::string>;

// Sends the step and returns what differs from what is expected, or "". Values that it keeps go into `variables`.
std::string run_step(const ApiStep& step, HttpClient& http, Variables& variables);

}  // namespace hearth::tests
