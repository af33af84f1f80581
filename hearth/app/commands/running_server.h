#pragma once

// The server that holds a data folder, for commands that find it locked. Asks over HTTP, as the administrator.

#include <optional>
#include <string>

#include "hearth/base/result.h"

namespace hearth::app {

class RunningServer {
 public:
  // `address` as it was announced: http://HOST:PORT. `admin_key`: that of our own configuration, if any.
  RunningServer(std::string address, std::optional<std::string> admin_key)
      : address_(std::move(address)), admin_key_(std::move(admin_key)) {}

  // The body of a 200; kUnavailable when nobody answers, and what the server says otherwise.
  Result<std::string> get(const std::string& target) const;
  Result<std::string> post(const std::string& target, std::string body, const std::string& content_type) const;
  Result<std::string> remove(const std::string& target) const;

 private:
  struct Question;
  Result<std::string> ask(Question question) const;

  std::string address_;
  std::optional<std::string> admin_key_;
};

}  // namespace hearth::app
