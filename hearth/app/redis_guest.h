#pragma once

// Redis for commands that look at it, or prepare it, without being a node.

#include <memory>
#include <optional>

#include "hearth/app/config.h"
#include "hearth/drivers/redis/client.h"
#include "hearth/likes/live_control.h"
#include "hearth/likes/stores/redis/redis_keys.h"

namespace hearth::app {

// A client that is connected to every server. kUnavailable if that does not come about in a few seconds. Blocks.
Result<std::unique_ptr<redis::Client>> visit_redis(const Config& config);

// Names as the deployment has them; before the first start, as configured.
likes::RedisKeys keys_of(const Config& config, const std::optional<likes::Deployment>& deployment);

}  // namespace hearth::app
