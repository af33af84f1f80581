#pragma once

// Clients for the tests of this folder.

#include <memory>
#include <stdexcept>
#include <utility>

#include "hearth/drivers/redis/client.h"
#include "hearth/drivers/redis/test_servers.h"

namespace hearth::redis {

inline std::unique_ptr<Client> client_of(ClientOptions options) {
  auto client = Client::open(std::move(options));
  if (!client) throw std::runtime_error(client.error().message);
  return *std::move(client);
}

inline std::unique_ptr<Client> connected(ClientOptions options) {
  auto client = client_of(std::move(options));
  if (!eventually([&] { return client->is_connected(); })) throw std::runtime_error("the client does not connect");
  return client;
}

// The answer of a call that has to be answered.
inline Reply must(Outcome<Reply> outcome) {
  if (!outcome) throw std::runtime_error("no answer: " + outcome.error().message);
  return *std::move(outcome);
}

}  // namespace hearth::redis
