#include "hearth/app/database_import.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <thread>
#include <utility>

#include "hearth/app/adoption/stores/postgres_diagnosis.h"
#include "hearth/app/redis_guest.h"
#include "hearth/app/wiring.h"
#include "hearth/base/run_to_end.h"
#include "hearth/likes/stores/redis/layout_move.h"
#include "hearth/likes/stores/redis/redis_look.h"
#include "hearth/likes/stores/redis/session_sets.h"

namespace hearth::app {
namespace {

using adoption::PostgresAdoption;
using adoption::Remainder;
using likes::Deployment;

constexpr std::size_t kPostsPerPage = 1'000;
constexpr std::size_t kDoubtsMax = 5'000;  // looked at again together
constexpr int kTriesMax = 3;               // at a post that is liked all the time
constexpr auto kNodeGoneMax = likes::kFallbackAfter + std::chrono::seconds(2);
constexpr std::chrono::milliseconds kNodePoll{100};
constexpr char kMover[] = "hearth-import";

std::vector<PostId> ids_of(const std::vector<std::string>& posts) {
  std::vector<PostId> ids;
  ids.reserve(posts.size());
  for (const auto& post : posts) ids.push_back(PostId::trusted(post));
  return ids;
}

std::vector<std::string> names_of(const std::vector<likes::LedgerPost>& heads) {
  std::vector<std::string> names;
  names.reserve(heads.size());
  for (const auto& head : heads) names.push_back(head.post);
  return names;
}

bool same_sessions(std::vector<std::string> a, std::vector<std::string> b) {
  std::ranges::sort(a);
  std::ranges::sort(b);
  return a == b;
}

}  // namespace

Result<adoption::DatabaseImportReport> DatabaseImport::run() {
  report_ = {.is_dry_run = options_.is_dry_run};
  auto database = postgres::Database::open({.url = *config_.database.url, .connections = 2});
  if (!database) return std::unexpected(database.error());
  if (auto reached = (*database)->ping_blocking(); !reached) return std::unexpected(reached.error());
  std::unique_ptr<redis::Client> redis;
  if (config_.live.store == LiveStore::kRedis) {
    auto client = visit_redis(config_);
    if (!client) return std::unexpected(client.error());
    redis = *std::move(client);
  }
  PostgresAdoption adoption(**database, config_.ledger, options_.is_dry_run ? adoption::Mode::kDryRun : adoption::Mode::kChange);
  adoption::PostgresDiagnosis diagnosis(**database, config_.ledger);
  if (auto checked = adoption.check(); !checked) return std::unexpected(checked.error());
  if (auto prepared = prepare_ratings(adoption); !prepared) return std::unexpected(prepared.error());

  // From here on what other programs write to the ratings is noted, and so comes beside what is read now.
  std::unique_ptr<PostgresSql> sql;
  if (!options_.is_dry_run) {
    auto opened = PostgresSql::open(config_, clock_);
    if (!opened) return std::unexpected(opened.error());
    sql = *std::move(opened);
  }
  if (auto entered = enter_posts(adoption); !entered) return std::unexpected(entered.error());
  if (auto mended = mend_posts(adoption); !mended) return std::unexpected(mended.error());

  Result<void> filled;
  if (redis && sql) {
    filled = fill_redis(*redis, *sql);
  } else if (redis) {
    auto deployment = run_to_end(diagnosis.deployment());
    filled = deployment ? look_at_redis(*redis, diagnosis, *deployment) : std::unexpected(deployment.error());
  } else if (sql) {
    auto hearth = Hearth::open(config_, clock_);
    if (hearth)
      filled =
          verify({(*hearth)->live->posts(), (*hearth)->sql->ledger(), (*hearth)->reconciler, [&] { return (*hearth)->live->flush(); }});
    if (!hearth) filled = std::unexpected(hearth.error());
  }
  if (!filled) return std::unexpected(filled.error());
  if (auto listed = list_orphans(diagnosis); !listed) return std::unexpected(listed.error());
  return std::move(report_);
}

// --- SQL ---

Result<void> DatabaseImport::prepare_ratings(PostgresAdoption& adoption) {
  auto found = adoption.uniqueness();
  if (!found) return std::unexpected(found.error());
  if (!found->has_index && options_.keeps_duplicates) {
    return fail(ErrorCode::kConflict, config_.ledger.ratings_table + ": there is no unique index on (" +
                                          config_.ledger.ratings_post_column + ", " + config_.ledger.ratings_session_column + "), and " +
                                          std::to_string(found->surplus) +
                                          " duplicate rows; without --keep-duplicates the oldest of each stays and the index is made");
  }
  report_.duplicates_removed = found->surplus;
  if (options_.is_dry_run) return {};
  if (auto migrated = PostgresSql::migrate(config_, PostgresSql::Existing::kAdopted); !migrated) return std::unexpected(migrated.error());
  if (found->has_index) return {};
  show("removing duplicates", 0);
  auto removed = adoption.make_unique();
  if (!removed) return std::unexpected(removed.error());
  report_.duplicates_removed = *removed;
  return {};
}

Result<void> DatabaseImport::enter_posts(PostgresAdoption& adoption) {
  std::string after;
  do {
    auto page = adoption.enter_posts(after, kPostsPerPage);
    if (!page) return std::unexpected(page.error());
    report_.posts += page->posts;
    report_.ratings += page->ratings;
    report_.entered += page->entered;
    after = std::move(page->last);
    show("counting ratings", report_.posts);
  } while (!after.empty());
  return {};
}

Result<void> DatabaseImport::mend_posts(PostgresAdoption& adoption) {
  std::string after;
  do {
    auto page = adoption.mend_posts(after, kPostsPerPage);
    if (!page) return std::unexpected(page.error());
    for (auto& post : page->mended) {
      if (post.refusal.empty()) {
        report_.differences.add({.post = std::move(post.post), .where = "posts", .was = post.was, .now = post.now});
      } else {
        report_.left.add({.post = std::move(post.post), .reason = "the table of posts refuses its count: " + post.refusal});
      }
    }
    after = std::move(page->last);
    show("mending counts", report_.differences.total);
  } while (!after.empty());
  return {};
}

Result<void> DatabaseImport::list_orphans(adoption::SqlDiagnosis& sql) {
  auto diagnosis = run_to_end(sql.diagnose());
  if (!diagnosis) return std::unexpected(diagnosis.error());
  report_.orphaned_ratings = std::move(diagnosis->orphaned_ratings);
  report_.orphaned_comments = std::move(diagnosis->orphaned_comments);
  return {};
}

// --- Redis: the layout of its keys ---

Result<void> DatabaseImport::settle_layout(redis::Client& client, PostgresSql& sql, const Deployment& deployment) {
  bool wants_tagged = RedisLive::wants_tagged_keys(config_);
  if (deployment.is_tagged && !wants_tagged) {
    return fail(ErrorCode::kConflict,
                "redis.keys: the keys of this deployment are tagged, and there is no way back; set redis.keys = tagged");
  }
  if (deployment.is_tagged != wants_tagged) return change_layout(client, sql, deployment);
  // An earlier run may have ended between SQL and Redis.
  auto plain = deployment;
  plain.is_tagged = false;
  auto written = client.call_blocking(redis::Command({"GET", likes::kDeploymentKey}));
  if (!written) return std::unexpected(redis::to_error(written.error()));
  if (!deployment.is_tagged || written->text != likes::text_of(plain)) return {};
  auto renamed = client.call_blocking(redis::Command({"SET", likes::kDeploymentKey, likes::text_of(deployment)}));
  if (!renamed) return std::unexpected(redis::to_error(renamed.error()));
  return {};
}

// No node may live: it would go on with the old names.
Result<void> DatabaseImport::change_layout(redis::Client& client, PostgresSql& sql, const Deployment& deployment) {
  if (auto alone = wait_until_alone(sql); !alone) return alone;
  auto held = claim_all(sql, deployment);
  if (!held) return std::unexpected(held.error());
  if (auto released = sql.leases().release(kMover); !released) return released;
  if (auto flushed = flush_plain_streams(sql); !flushed) return flushed;
  held = claim_all(sql, deployment);
  if (!held) return std::unexpected(held.error());
  auto tagged = deployment;
  tagged.is_tagged = true;
  if (auto changed = sql.control().change_deployment(tagged); !changed) return changed;
  for (const auto& one : *held) {
    if (auto reset = sql.ledger().reset_cursor(one.partition, one.lease); !reset) return reset;
  }
  auto written = client.call_blocking(redis::Command({"SET", likes::kDeploymentKey, likes::text_of(tagged)}));
  if (!written) return std::unexpected(redis::to_error(written.error()));
  return sql.leases().release(kMover);
}

// A node that has just stopped counts as alive for a moment.
Result<void> DatabaseImport::wait_until_alone(PostgresSql& sql) {
  auto deadline = clock_.steady() + kNodeGoneMax;
  for (;;) {
    auto lives = sql.control().is_healthy_elsewhere(kMover);
    if (!lives) return std::unexpected(lives.error());
    if (!*lives) return {};
    if (clock_.steady() > deadline) {
      return fail(ErrorCode::kConflict, "a Hearth node is running, and would go on with plain keys; stop all nodes to change their layout");
    }
    std::this_thread::sleep_for(kNodePoll);
  }
}

// Every partition of the outbox, or none.
Result<std::vector<outbox::HeldPartition>> DatabaseImport::claim_all(PostgresSql& sql, const Deployment& deployment) {
  std::vector<outbox::HeldPartition> held;
  for (outbox::Partition partition = 0; partition < deployment.partitions; ++partition) {
    auto one = sql.leases().claim(kMover, partition);
    if (one) {
      held.push_back(*std::move(one));
      continue;
    }
    if (auto released = sql.leases().release(kMover); !released) return std::unexpected(released.error());
    return fail(one.error().code, "a Hearth node is running, or ended without a word a moment ago: " + one.error().message);
  }
  return held;
}

// As a node of the old layout, for a moment. On Cluster there are none: who moves there has stopped the nodes, which brings
// to SQL what their streams held.
Result<void> DatabaseImport::flush_plain_streams(PostgresSql& sql) {
  auto plain = config_;
  plain.redis.keys = RedisKeys::kPlain;
  if (RedisLive::wants_tagged_keys(plain)) return {};
  auto live =
      RedisLive::open(plain, clock_, {sql.ledger(), sql.inbox(), sql.control(), sql.leases(), sql.view_ledger(), sql.view_inbox(), {}});
  if (!live) return std::unexpected(live.error());
  if (auto started = (*live)->start(); !started) return started;
  auto flushed = run_to_end((*live)->flush());
  (*live)->stop();
  return flushed;
}

// Posts that cannot be loaded keep their plain keys.
Result<void> DatabaseImport::move_keys(redis::Client& client, RedisLive& live, likes::RedisKeys keys) {
  likes::LayoutMove move(client, keys);
  auto left_before = report_.left.total;
  std::string from;
  do {
    auto page = move.scan(from);
    if (!page) return std::unexpected(page.error());
    for (const auto& post : page->posts) {
      auto left = report_.left.total;
      auto brought = move.bring(post);
      if (!brought && brought.error().code == ErrorCode::kUnavailable) return brought;
      if (!brought) leave(post, "its keys cannot be moved: " + brought.error().message);
      if (brought) load(live, {post});
      if (report_.left.total != left) continue;
      if (auto removed = move.remove(post); !removed) return removed;
      ++report_.moved;
    }
    from = std::move(page->next);
    show("moving keys", report_.moved);
  } while (!from.empty());
  if (report_.left.total != left_before) return {};
  return move.remove_rest();
}

// --- Redis: its posts ---

Result<void> DatabaseImport::fill_redis(redis::Client& client, PostgresSql& sql) {
  auto deployment = run_to_end(adoption::PostgresDiagnosis(sql.database(), config_.ledger).deployment());
  if (!deployment) return std::unexpected(deployment.error());
  if (*deployment) {
    if (auto settled = settle_layout(client, sql, **deployment); !settled) return settled;
  }
  auto opened =
      RedisLive::open(config_, clock_, {sql.ledger(), sql.inbox(), sql.control(), sql.leases(), sql.view_ledger(), sql.view_inbox(), {}});
  if (!opened) return std::unexpected(opened.error());
  RedisLive& live = **opened;
  if (auto started = live.start(); !started) return started;
  if (live.is_degraded()) return fail(ErrorCode::kUnavailable, "Redis is away, and likes are served from SQL; import when it is back");

  if (live.keys().is_tagged()) {
    if (auto moved = move_keys(client, live, live.keys()); !moved) return moved;
  }
  if (auto loaded = load_all(live, sql.ledger()); !loaded) return loaded;
  if (auto loaded = load_unknown(live, sql.ledger()); !loaded) return loaded;
  show("looking at sessions", report_.loaded);
  auto pruned = likes::SessionSets(client, live.store(), live.keys()).prune();
  if (!pruned) return std::unexpected(pruned.error());
  report_.pruned = *pruned;
  if (auto flushed = run_to_end(live.flush()); !flushed) return flushed;
  likes::Flush flush = [&live] { return live.flush(); };
  likes::LikeReconciler reconciler(live.store(), live.posts(), sql.ledger(), flush);
  if (auto verified = verify({live.posts(), sql.ledger(), reconciler, flush}); !verified) return verified;
  live.stop();
  return {};
}

Result<void> DatabaseImport::load_all(RedisLive& live, likes::LikeLedger& ledger) {
  std::string after;
  for (;;) {
    auto heads = ledger.heads_after(after, kPostsPerPage);
    if (!heads) return std::unexpected(heads.error());
    if (heads->empty()) return {};
    after = heads->back().post;
    load(live, names_of(*heads));
    report_.loaded += heads->size();
    show("loading", report_.loaded);
  }
}

// Posts of Redis that SQL does not know.
Result<void> DatabaseImport::load_unknown(RedisLive& live, likes::LikeLedger& ledger) {
  std::string from;
  do {
    auto page = run_to_end(live.posts().scan(std::move(from)));
    if (!page) return std::unexpected(page.error());
    auto heads = ledger.heads_blocking(page->posts);
    if (!heads) return std::unexpected(heads.error());
    std::erase_if(*heads, [](const likes::LedgerPost& head) { return head.version != 0; });
    load(live, names_of(*heads));
    report_.loaded += heads->size();
    from = std::move(page->next);
  } while (!from.empty());
  return {};
}

// Loads the posts that are not. What a key of another program holds more than SQL is taken up, and counted.
void DatabaseImport::load(RedisLive& live, const std::vector<std::string>& posts) {
  if (posts.empty()) return;
  auto before = run_to_end(live.posts().counts(posts));
  auto heads = run_to_end(live.ledger().heads(posts));
  auto loaded = run_to_end(live.store().read(ids_of(posts), std::nullopt));
  if (!before || !heads || !loaded) {
    auto error = !loaded ? loaded.error() : !heads ? heads.error() : before.error();
    if (posts.size() == 1) {
      leave(posts.front(), "it cannot be loaded: " + error.message);
      return;
    }
    for (const auto& post : posts) load(live, {post});
    return;
  }
  for (std::size_t i = 0; i < posts.size(); ++i) {
    const auto& one = (*before)[i];
    bool was_put_there = one && one->version == 0 && one->members > 0;
    if (was_put_there && (*loaded)[i].likes > (*heads)[i].likes) report_.adopted += (*loaded)[i].likes - (*heads)[i].likes;
  }
}

Result<void> DatabaseImport::look_at_redis(redis::Client& client, adoption::SqlDiagnosis& sql,
                                           const std::optional<Deployment>& deployment) {
  likes::RedisLook look(client, keys_of(config_, deployment));
  std::string from;
  do {
    auto page = run_to_end(look.scan(std::move(from)));
    if (!page) return std::unexpected(page.error());
    auto live = run_to_end(look.counts(page->posts));
    if (!live) return std::unexpected(live.error());
    auto rated = run_to_end(sql.rated(page->posts));
    if (!rated) return std::unexpected(rated.error());
    for (std::size_t i = 0; i < page->posts.size(); ++i) {
      const auto& one = (*live)[i];
      if (one && one->members > (*rated)[i].ratings) report_.adopted += one->members - (*rated)[i].ratings;
    }
    from = std::move(page->next);
  } while (!from.empty());
  return {};
}

// What cannot be loaded cannot be compared either: one reason is enough.
void DatabaseImport::leave(const std::string& post, std::string reason) {
  bool is_listed = std::ranges::find(report_.left.listed, post, &Remainder::post) != report_.left.listed.end();
  if (!is_listed) report_.left.add({.post = post, .reason = std::move(reason)});
}

// --- at the end ---

Result<void> DatabaseImport::verify(const Sides& sides) {
  std::string after;
  std::vector<Doubt> doubts;
  for (;;) {
    auto page = run_to_end(sides.ledger.audit(after, kPostsPerPage));
    if (!page) return std::unexpected(page.error());
    if (page->empty()) return settle(sides, std::move(doubts));
    after = page->back().head.post;
    report_.verified += page->size();
    auto differ = differing(sides, *page);
    if (!differ) return std::unexpected(differ.error());
    std::ranges::move(*differ, std::back_inserter(doubts));
    if (doubts.size() >= kDoubtsMax) {
      if (auto settled = settle(sides, std::exchange(doubts, {})); !settled) return settled;
    }
    show("verifying", report_.verified);
  }
}

// What differs is looked at again after a flush; what then still does, at the same versions, has nothing to do with one.
Result<void> DatabaseImport::settle(const Sides& sides, std::vector<Doubt> doubts) {
  for (int look = 0; look < kTriesMax && !doubts.empty(); ++look) {
    if (auto flushed = run_to_end(sides.flush()); !flushed) return flushed;
    auto again = look_again(sides, doubts);
    if (!again) return std::unexpected(again.error());
    doubts = *std::move(again);
  }
  report_.moving += doubts.size();
  report_.verified -= doubts.size();
  return {};
}

// Those that still differ, and have changed meanwhile. The others that differ are repaired.
Result<std::vector<DatabaseImport::Doubt>> DatabaseImport::look_again(const Sides& sides, const std::vector<Doubt>& doubts) {
  std::vector<likes::AuditedPost> posts;
  for (const auto& doubt : doubts) {
    auto members = run_to_end(sides.ledger.members(doubt.post));
    if (!members) return std::unexpected(members.error());
    posts.push_back({members->head, static_cast<std::uint32_t>(members->sessions.size())});
  }
  auto now = differing(sides, posts);
  if (!now) return now;
  std::vector<Doubt> moving;
  for (auto& doubt : *now) {
    if (std::ranges::find(doubts, doubt) == doubts.end()) {
      moving.push_back(std::move(doubt));
    } else {
      reconcile(sides.reconciler, doubt.post);
    }
  }
  return moving;
}

Result<std::vector<DatabaseImport::Doubt>> DatabaseImport::differing(const Sides& sides, const std::vector<likes::AuditedPost>& posts) {
  std::vector<Doubt> doubts;
  if (posts.empty()) return doubts;
  std::vector<std::string> names;
  for (const auto& audited : posts) names.push_back(audited.head.post);
  auto live = run_to_end(sides.live.clean(std::move(names), /*wants_sessions=*/false));
  if (!live && live.error().code == ErrorCode::kUnavailable) return std::unexpected(live.error());
  if (!live && posts.size() == 1) {
    leave(posts.front().head.post, "its keys cannot be read: " + live.error().message);
    return doubts;
  }
  if (!live) {
    for (const auto& post : posts) {
      auto one = differing(sides, {post});
      if (!one) return one;
      doubts.insert(doubts.end(), one->begin(), one->end());
    }
    return doubts;
  }
  for (std::size_t i = 0; i < posts.size(); ++i) {
    const auto& [head, rows] = posts[i];
    const auto& one = (*live)[i];
    bool agrees = head.likes == rows && (!one || (one->view.likes == rows && one->view.version == head.version));
    if (agrees && one) {
      auto same = has_same_sessions(sides, head.post);
      if (!same) return std::unexpected(same.error());
      agrees = *same;
    }
    if (!agrees) doubts.push_back({.post = head.post, .live_version = one ? one->view.version : 0, .sql_version = head.version});
  }
  return doubts;
}

// One post at a time: it may have many.
Result<bool> DatabaseImport::has_same_sessions(const Sides& sides, const std::string& post) {
  auto live = run_to_end(sides.live.clean({post}, /*wants_sessions=*/true));
  if (!live) return std::unexpected(live.error());
  auto members = run_to_end(sides.ledger.members(post));
  if (!members) return std::unexpected(members.error());
  auto& one = live->front();
  return one && one->has_sessions && same_sessions(std::move(members->sessions), std::move(one->sessions));
}

// Compares with nothing on the way to SQL, and repairs.
void DatabaseImport::reconcile(likes::LikeReconciler& reconciler, const std::string& post) {
  Result<likes::ReconcileReport> compared = likes::ReconcileReport{};
  for (int attempt = 0; attempt < kTriesMax; ++attempt) {
    compared = run_to_end(reconciler.reconcile(PostId::trusted(post)));
    if (compared && compared->repaired == compared->drifted) break;
  }
  if (!compared) {
    leave(post, "it cannot be compared: " + compared.error().message);
    return;
  }
  for (auto& drift : compared->drift) {
    if (compared->repaired == compared->drifted) {
      report_.differences.add({.post = std::move(drift.post), .where = "ratings", .was = drift.ratings, .now = drift.live});
      if (drift.live > drift.ratings) report_.adopted += drift.live - drift.ratings;
    } else {
      report_.left.add({.post = std::move(drift.post),
                        .reason = "live " + std::to_string(drift.live) + ", SQL " + std::to_string(drift.sql) + ", ratings " +
                                  std::to_string(drift.ratings) + "; see the log"});
    }
  }
}

}  // namespace hearth::app
