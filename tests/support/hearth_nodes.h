#pragma once

// Several Hearths that share one Redis (or Cluster) and one PostgreSQL, and what must be true of them at rest.

#include <deque>
#include <string>
#include <vector>

#include "hearth/drivers/sqlite/temporary_folder.h"
#include "tests/support/http_client.h"
#include "tests/support/server_process.h"
#include "tests/support/steady_load.h"
#include "tests/support/test_stores.h"

namespace hearth::tests {

class HearthNodes {
 public:
  explicit HearthNodes(std::string database_url) : database_url_(std::move(database_url)) {}

  // Starts one more.
  ServerProcess& add(const std::string& redis_url, std::vector<std::string> flags = {});
  ServerProcess& operator[](std::size_t node) { return nodes_[node]; }
  std::size_t size() const { return nodes_.size(); }
  HttpClient client(std::size_t node) const { return HttpClient(nodes_[node].port()); }

  // Content for posts of these names, where there is none yet.
  void add_content(const std::vector<std::string>& posts) const;
  // Returns once all serve from the live store and SQL has all that was answered. Throws if that does not come.
  void settle() const;
  // Where counts, members, the sessions' posts, SQL and the answers of the nodes are not one. REQUIRES: settle(), and no
  // change since.
  std::vector<std::string> differences(const RedisReader& redis, const std::vector<std::string>& posts) const;
  // Who likes what in SQL.
  SteadyLoad::Members members() const;

 private:
  std::string database_url_;
  sqlite::TemporaryFolder folder_;
  std::deque<ServerProcess> nodes_;
};

}  // namespace hearth::tests
