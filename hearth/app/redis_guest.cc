#include "hearth/app/redis_guest.h"

#include <chrono>
#include <thread>
#include <utility>

#include "hearth/app/redis_live.h"

namespace hearth::app {
namespace {

constexpr std::chrono::seconds kConnectMax{5};
constexpr std::chrono::milliseconds kConnectPoll{20};

}  // namespace

Result<std::unique_ptr<redis::Client>> visit_redis(const Config& config) {
  redis::ClientOptions options{.url = *config.redis.url, .client_name = "hearth-guest"};
  if (config.redis.tls_ca_file) options.tls_ca_file = config.redis.tls_ca_file->string();
  auto client = redis::Client::open(std::move(options));
  if (!client) return client;
  auto deadline = std::chrono::steady_clock::now() + kConnectMax;
  while (!(*client)->is_serving()) {
    if (std::chrono::steady_clock::now() > deadline) return fail(ErrorCode::kUnavailable, "Redis cannot be reached; see redis.url");
    std::this_thread::sleep_for(kConnectPoll);
  }
  return client;
}

likes::RedisKeys keys_of(const Config& config, const std::optional<likes::Deployment>& deployment) {
  bool is_tagged = deployment ? deployment->is_tagged : RedisLive::wants_tagged_keys(config);
  return {is_tagged ? likes::KeyLayout::kTagged : likes::KeyLayout::kPlain, deployment ? deployment->partitions : config.live.partitions};
}

}  // namespace hearth::app
