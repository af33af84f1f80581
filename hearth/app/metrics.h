#pragma once

// /metrics: what the parts count, in Prometheus' text format.

#include <string>

#include "hearth/http/server.h"

namespace hearth::app {

class Hearth;

std::string render_metrics(const Hearth& hearth, const http::Server::Stats& server);

}  // namespace hearth::app
