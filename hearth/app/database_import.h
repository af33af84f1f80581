#pragma once

// `hearth import --from-database`: makes the likes of another program's database, and of its Redis, Hearth's own.
//
// In this order, each step leaving what the next needs: the schema; ratings without duplicates under a unique index; their
// posts in post_counts; right counts in the table of posts; with Redis the layout of its keys, every post loaded (which
// takes up members that other programs put there, and sends them to SQL); at last count and sessions of every post compared
// with SQL. It may be stopped and made again at any point, and while likes go on through Hearth; only the layout of keys
// changes with no node running. Works in pages: memory does not grow with the data.
//
// Blocks; for a command.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hearth/app/adoption/import_report.h"
#include "hearth/app/adoption/stores/postgres_adoption.h"
#include "hearth/app/config.h"
#include "hearth/app/postgres_sql.h"
#include "hearth/app/redis_live.h"
#include "hearth/base/clock.h"
#include "hearth/drivers/redis/client.h"
#include "hearth/likes/like_reconciler.h"
#include "hearth/likes/stores/redis/redis_keys.h"

namespace hearth::app {

struct DatabaseImportOptions {
  bool is_dry_run = false;
  bool keeps_duplicates = false;  // then an index that is missing is refused
  std::function<void(const char* what, std::uint64_t posts)> progress;
};

class DatabaseImport {
 public:
  // REQUIRES: database.url is set.
  DatabaseImport(const Config& config, const Clock& clock, DatabaseImportOptions options)
      : config_(config), clock_(clock), options_(std::move(options)) {}

  Result<adoption::DatabaseImportReport> run();

 private:
  Result<void> prepare_ratings(adoption::PostgresAdoption& adoption);
  Result<void> enter_posts(adoption::PostgresAdoption& adoption);
  Result<void> mend_posts(adoption::PostgresAdoption& adoption);
  Result<void> list_orphans(adoption::SqlDiagnosis& diagnosis);

  // With Redis. `client` is a guest.
  Result<void> look_at_redis(redis::Client& client, adoption::SqlDiagnosis& sql, const std::optional<likes::Deployment>& deployment);
  Result<void> settle_layout(redis::Client& client, PostgresSql& sql, const likes::Deployment& deployment);
  Result<void> change_layout(redis::Client& client, PostgresSql& sql, const likes::Deployment& deployment);
  Result<void> wait_until_alone(PostgresSql& sql);
  static Result<std::vector<outbox::HeldPartition>> claim_all(PostgresSql& sql, const likes::Deployment& deployment);
  Result<void> flush_plain_streams(PostgresSql& sql);
  Result<void> fill_redis(redis::Client& client, PostgresSql& sql);
  Result<void> move_keys(redis::Client& client, RedisLive& live, likes::RedisKeys keys);
  Result<void> load_all(RedisLive& live, likes::LikeLedger& ledger);
  Result<void> load_unknown(RedisLive& live, likes::LikeLedger& ledger);
  void load(RedisLive& live, const std::vector<std::string>& posts);

  struct Sides {
    likes::LivePosts& live;
    likes::LikeLedger& ledger;
    likes::LikeReconciler& reconciler;
    likes::Flush flush;
  };
  // A post whose sides differ.
  struct Doubt {
    std::string post;
    std::uint64_t live_version = 0;
    std::uint64_t sql_version = 0;
    friend bool operator==(const Doubt&, const Doubt&) = default;
  };
  Result<void> verify(const Sides& sides);
  Result<void> settle(const Sides& sides, std::vector<Doubt> doubts);
  Result<bool> has_same_sessions(const Sides& sides, const std::string& post);
  Result<std::vector<Doubt>> differing(const Sides& sides, const std::vector<likes::AuditedPost>& posts);
  Result<std::vector<Doubt>> look_again(const Sides& sides, const std::vector<Doubt>& doubts);
  void reconcile(likes::LikeReconciler& reconciler, const std::string& post);
  void leave(const std::string& post, std::string reason);
  void show(const char* what, std::uint64_t posts) const {
    if (options_.progress) options_.progress(what, posts);
  }

  const Config& config_;
  const Clock& clock_;
  const DatabaseImportOptions options_;
  adoption::DatabaseImportReport report_;
};

}  // namespace hearth::app
