#pragma once

// Hears notices (LISTEN, NOTIFY) of one channel on a connection of its own.
//
// A lost connection is made again with back-off, and a notice is given after each, because some may have been missed. Behind a
// transaction pooler LISTEN may be refused, or heard by nobody: then there are no notices, and that is no error. So a notice is
// a hint to look, never the only reason to.

#include <functional>
#include <memory>
#include <string>

#include "hearth/base/result.h"

namespace hearth::postgres {

class Listener {
 public:
  // `on_notice` is called on the listener's thread. kInvalidArgument: the URL. Does not wait for the server.
  static Result<std::unique_ptr<Listener>> open(std::string url, std::string channel, std::function<void()> on_notice);
  ~Listener();

  bool is_listening() const;
  // Safe twice.
  void stop();

 private:
  class Impl;
  explicit Listener(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::postgres
