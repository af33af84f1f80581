#pragma once

// /metrics: what the parts count, in Prometheus' text format.

#include <prometheus/metric_family.h>

#include <cstdint>
#include <string>
#include <vector>

#include "hearth/http/server.h"

namespace hearth::app {

class Hearth;

class Metrics {
 public:
  void counter(const char* name, const char* help, std::uint64_t value);
  void gauge(const char* name, const char* help, std::uint64_t value);
  // A sum of time, counted in microseconds.
  void seconds(const char* name, const char* help, std::uint64_t micros);
  std::string text() const;

 private:
  prometheus::ClientMetric& add(const char* name, const char* help, prometheus::MetricType type);
  std::vector<prometheus::MetricFamily> families_;
};

std::string render_metrics(const Hearth& hearth, const http::Server::Stats& server);

}  // namespace hearth::app
