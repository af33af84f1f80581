#pragma once

// Nodes of Hearth that work off one queue: one on SQLite, or several on PostgreSQL with the Redis that they need for being
// several.
//
// They have no schedules, unless flags say so: there are the jobs that a test makes, and no others. Where they serve is written
// to a file, which workers of other processes read.

#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hearth/drivers/redis/test_servers.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "tests/support/http_client.h"
#include "tests/support/job_tables.h"
#include "tests/support/server_process.h"
#include "tests/support/test_stores.h"

namespace hearth::tests {

class JobNodes {
 public:
  // `flags` and `environment` are those of each node. None runs yet.
  explicit JobNodes(SqlKind sql, std::vector<std::string> flags = {}, std::vector<std::string> environment = {});

  // Starts one more, with these flags too. REQUIRES: on SQLite there is none.
  ServerProcess& add(std::vector<std::string> flags = {});
  ServerProcess& operator[](std::size_t node) { return nodes_[node]; }
  std::size_t size() const { return nodes_.size(); }
  HttpClient client(std::size_t node = 0) const;

  void kill(std::size_t node);
  // Asks it to stop, and returns how it ended.
  ExitStatus terminate(std::size_t node);
  void start(std::size_t node);

  // REQUIRES: on SQLite, a node that has been started once.
  JobTables tables() const;
  const std::filesystem::path& folder() const { return folder_.path(); }
  // A line a node: its port, 0 while it does not serve.
  std::filesystem::path ports() const { return folder_.path() / "ports"; }
  // What they all said, for a test that failed.
  std::string errors() const;

 private:
  void write_ports() const;
  std::filesystem::path data(std::size_t node) const { return folder_.path() / ("node-" + std::to_string(node)); }

  sqlite::TemporaryFolder folder_;
  std::vector<std::string> flags_;
  std::vector<std::string> environment_;
  std::optional<std::string> database_;
  std::optional<redis::RedisServer> redis_;
  std::deque<ServerProcess> nodes_;
  std::vector<bool> is_serving_;
};

// What an answer must be. Throws with the answer otherwise.
boost::json::value expect_answer(int status, const Answer& answer);
// A field of an answer that is text.
std::string text_of(const boost::json::value& json, std::string_view field);

}  // namespace hearth::tests
