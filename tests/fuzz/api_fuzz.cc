// The whole API: bytes → parser → the executable's own routes on an embedded store → answer.
//
// Besides not crashing, it must hold that an answer is JSON of a status that the API has, and that a refused request has
// liked nothing.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "hearth/app/wiring.h"
#include "hearth/base/assert.h"
#include "hearth/base/json_reader.h"
#include "hearth/base/log.h"
#include "hearth/base/run_to_end.h"
#include "hearth/http/request_parser.h"

namespace hearth {
namespace {

constexpr http::RequestLimits kLimits{.header_bytes_max = 16 * 1024, .body_bytes_max = 1024 * 1024};

// Lives as long as the process; its folder is removed at the next start.
struct Subject {
  Subject() {
    log::configure(log::Level::kOff, log::Format::kLogfmt);
    config.data = std::filesystem::temp_directory_path() / "hearth-api-fuzz" / std::to_string(getpid());
    std::filesystem::remove_all(config.data);
    config.listen.port = 0;
    config.durability = outbox::Durability::kRelaxed;
    hearth = app::Hearth::open(config, clock).value();
    service = app::Service::open(config, *hearth).value();
  }
  ~Subject() {
    hearth->stop();
    service.reset();
    hearth.reset();
    std::filesystem::remove_all(config.data);
  }

  app::Config config;
  SystemClock clock;
  std::unique_ptr<app::Hearth> hearth;
  std::unique_ptr<app::Service> service;
};

Subject& subject() {
  static Subject made;
  return made;
}

bool is_status_of_the_api(int status) {
  for (int known : {200, 201, 204, 400, 401, 403, 404, 405, 409, 413, 415}) {
    if (status == known) return true;
  }
  return false;
}

void check_is_json(std::string body) {
  auto read = read_json_object(body, UnknownFields::kIgnore, [](std::string_view, JsonValue&) -> Result<bool> { return false; });
  // What was merged stands deeper in the answer than it was sent; with many fields it has two more.
  bool is_over_our_limits =
      !read && (read.error().message.find("nested") != std::string::npos || read.error().message.find("more than") != std::string::npos);
  HEARTH_ASSERT(read || is_over_our_limits);
}

void handle(std::string bytes) {
  if (bytes.empty()) return;
  http::Request request;
  request.is_loopback = true;
  http::RequestParser parser(kLimits, request);
  parser.feed(bytes, 0);
  if (parser.state() != http::RequestParser::State::kComplete) return;
  auto head = parser.resolve(bytes);
  http::Response response;
  const http::Handler* handler = subject().service->router().find(head.target, request, response);
  auto before = subject().hearth->live->stats().changes;
  if (handler != nullptr) response = run_to_end((*handler)(request));

  HEARTH_ASSERT(is_status_of_the_api(response.status));
  if (response.status >= 400) HEARTH_ASSERT(subject().hearth->live->stats().changes == before);
  if (response.content_type == "application/json" && !response.body.empty()) check_is_json(response.body);
}

}  // namespace
}  // namespace hearth

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hearth::handle(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
