#include "hearth/http/server.h"

#include <algorithm>
#include <mutex>
#include <random>
#include <thread>

#include "hearth/http/worker.h"

namespace hearth::http {

struct Server::Impl {
  Impl(ServerOptions options, const Router& router, const Clock& clock)
      : shared{.options = options, .router = router, .clock = clock, .cors = CorsPolicy(options.cors_origins)} {}

  Shared shared;
  std::uint16_t port = 0;
  std::vector<std::unique_ptr<Worker>> workers;
  std::mutex mutex;
  bool is_started = false;
  bool is_stopped = false;
};

Result<std::unique_ptr<Server>> Server::open(ServerOptions options, const Router& router, const Clock& clock) {
  int threads = options.threads > 0 ? options.threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  auto impl = std::make_unique<Impl>(std::move(options), router, clock);
  impl->port = impl->shared.options.port;
  auto listeners = listen_on(impl->shared.options.host, impl->port, threads);
  if (!listeners) return std::unexpected(std::move(listeners.error()));
  std::random_device random;
  for (auto& listener : *listeners) {
    std::uint64_t seed = std::uint64_t{random()} << 32 | random();
    impl->workers.push_back(std::make_unique<Worker>(impl->shared, std::move(listener), seed));
  }
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() {
  stop(std::chrono::milliseconds(0));
}

std::uint16_t Server::port() const {
  return impl_->port;
}

void Server::start() {
  std::lock_guard lock(impl_->mutex);
  if (std::exchange(impl_->is_started, true) || impl_->is_stopped) return;
  for (auto& worker : impl_->workers) worker->start();
}

void Server::stop(std::chrono::milliseconds grace) {
  std::lock_guard lock(impl_->mutex);
  if (std::exchange(impl_->is_stopped, true)) return;
  if (!impl_->is_started) return impl_->workers.clear();  // closes what listens
  for (auto& worker : impl_->workers) worker->stop(grace);
  for (auto& worker : impl_->workers) worker->join();
}

Server::Stats Server::stats() const {
  Stats stats{.connections = impl_->shared.connections, .requests = 0, .refused_connections = impl_->shared.refused_connections};
  for (const auto& worker : impl_->workers) stats.requests += worker->requests();
  return stats;
}

}  // namespace hearth::http
