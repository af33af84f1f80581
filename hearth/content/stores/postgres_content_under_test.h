#pragma once

// For tests: content in a database of its own on one PostgreSQL, with two nodes.

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "hearth/content/content_under_test.h"
#include "hearth/content/stores/postgres_content_export.h"
#include "hearth/content/stores/postgres_content_jobs.h"
#include "hearth/content/stores/postgres_content_pages.h"
#include "hearth/content/stores/postgres_content_store.h"
#include "hearth/content/stores/postgres_rank.h"
#include "hearth/drivers/postgres/migrations.h"
#include "hearth/drivers/postgres/test_server.h"

namespace hearth::content {

class PostgresContentUnderTest final : public ContentUnderTest {
 public:
  explicit PostgresContentUnderTest(const Clock& clock) : clock_(clock), url_(server().create_database("content")) {
    open();
    if (auto done = postgres::migrate(database(), postgres::kMigrations); !done) throw std::runtime_error(done.error().message);
  }

  ContentStore& store(std::size_t node = 0) override { return nodes_[node % nodes_.size()]->store; }
  ContentPages& pages() override { return nodes_[0]->pages; }
  std::unique_ptr<RankCandidates> rank(ReadDirty read_dirty) override {
    return std::make_unique<PostgresRank>(database(), std::move(read_dirty));
  }
  ContentJobs& jobs() override { return nodes_[0]->jobs; }
  ContentStore& store_with(OnCreated on_created) override {
    followed_ = std::make_unique<PostgresContentStore>(database(), clock_, std::move(on_created));
    return *followed_;
  }
  Result<void> write(std::function<Result<void>(SqlTransaction)> work) override {
    return database().write_blocking([&](postgres::Connection& connection) { return work(&connection); });
  }
  Result<void> for_each(UseUser use_user, UsePost use_post) override {
    return PostgresContentExport(database()).for_each(use_user, use_post);
  }
  void restart() override { open(); }
  void project(const std::map<std::string, std::uint32_t>& likes) override {
    std::vector<std::string> posts;
    std::vector<std::int64_t> counts;
    for (const auto& [post, count] : likes) {
      posts.push_back(post);
      counts.push_back(count);
    }
    // The other node's connections, for tests that do this while this node is in the middle of a read.
    auto written = database(1).write_blocking([&](postgres::Connection& connection) -> Result<void> {
      connection.run("UPDATE posts SET likes = counted.likes FROM unnest($1, $2) AS counted (id, likes) WHERE posts.id = counted.id", posts,
                     counts);
      connection.run(
          "INSERT INTO outbox_cursors AS cursors (consumer, partition, position_major) VALUES ('ledger', -1, 1) "
          "ON CONFLICT (consumer, partition) DO UPDATE SET position_major = cursors.position_major + 1");
      return {};
    });
    ASSERT_TRUE(written);
  }
  std::int64_t count(const char* select_count) override {
    return database()
        .read_blocking(
            [&](postgres::Connection& connection) -> Result<std::int64_t> { return connection.query(select_count).first().integer(0); })
        .value();
  }

  const std::string& url() const { return url_; }
  postgres::Database& database(std::size_t node = 0) { return *nodes_[node]->database; }

 private:
  struct Node {
    Node(const std::string& url, const Clock& clock)
        : database(postgres::Database::open({.url = url}).value()), store(*database, clock), pages(*database), jobs(*database) {}

    std::unique_ptr<postgres::Database> database;
    PostgresContentStore store;
    PostgresContentPages pages;
    PostgresContentJobs jobs;
  };

  static postgres::PostgresServer& server() {
    static postgres::PostgresServer server;
    return server;
  }
  void open() {
    for (auto& node : nodes_) node = std::make_unique<Node>(url_, clock_);
  }

  const Clock& clock_;
  const std::string url_;
  std::array<std::unique_ptr<Node>, 2> nodes_;
  std::unique_ptr<PostgresContentStore> followed_;
};

}  // namespace hearth::content
