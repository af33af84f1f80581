#include "tests/support/job_nodes.h"

#include <boost/json/value.hpp>
#include <fstream>
#include <stdexcept>
#include <utility>

namespace hearth::tests {

JobNodes::JobNodes(SqlKind sql, std::vector<std::string> flags, std::vector<std::string> environment)
    : flags_(std::move(flags)), environment_(std::move(environment)) {
  environment_.emplace_back("HEARTH_JOBS_SCHEDULES=");
  if (sql == SqlKind::kSqlite) return;
  database_ = shared_postgres().create_database("jobs");
  redis_.emplace();
  flags_.push_back("--database-url=" + *database_);
  flags_.push_back("--redis-url=" + redis_->url());
}

ServerProcess& JobNodes::add(std::vector<std::string> flags) {
  if (!database_ && !nodes_.empty()) throw std::logic_error("on SQLite there is one node");
  flags.insert(flags.begin(), flags_.begin(), flags_.end());
  nodes_.emplace_back(ServerOptions{.data = data(nodes_.size()), .flags = std::move(flags), .environment = environment_});
  is_serving_.push_back(true);
  write_ports();
  return nodes_.back();
}

HttpClient JobNodes::client(std::size_t node) const {
  return HttpClient(nodes_[node].port());
}

void JobNodes::kill(std::size_t node) {
  is_serving_[node] = false;
  write_ports();
  nodes_[node].kill();
}

ExitStatus JobNodes::terminate(std::size_t node) {
  is_serving_[node] = false;
  write_ports();
  return nodes_[node].terminate();
}

void JobNodes::start(std::size_t node) {
  nodes_[node].start();
  is_serving_[node] = true;
  write_ports();
}

// Whoever reads the file finds the old one or the new one.
void JobNodes::write_ports() const {
  auto draft = ports();
  draft += ".new";
  std::ofstream file(draft);
  for (std::size_t i = 0; i < nodes_.size(); ++i) file << (is_serving_[i] ? nodes_[i].port() : 0) << '\n';
  file.close();
  if (!file) throw std::runtime_error("cannot write " + draft.string());
  std::filesystem::rename(draft, ports());
}

JobTables JobNodes::tables() const {
  return database_ ? JobTables::of_postgres(*database_) : JobTables::of_sqlite(data(0));
}

std::string JobNodes::errors() const {
  std::string all;
  for (std::size_t i = 0; i < nodes_.size(); ++i) all += "node " + std::to_string(i) + " said:\n" + nodes_[i].errors();
  return all;
}

boost::json::value expect_answer(int status, const Answer& answer) {
  if (answer.status != status) {
    throw std::runtime_error("answered " + std::to_string(answer.status) + " instead of " + std::to_string(status) + ": " + answer.body);
  }
  return answer.json();
}

std::string text_of(const boost::json::value& json, std::string_view field) {
  return std::string(json.at(field).as_string());
}

}  // namespace hearth::tests
