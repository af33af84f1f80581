#include "hearth/app/redis_live.h"

#include <boost/unordered/unordered_flat_map.hpp>

#include <unistd.h>

#include <algorithm>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <random>
#include <thread>
#include <utility>

#include "hearth/app/metrics.h"
#include "hearth/base/hash.h"
#include "hearth/base/log.h"

namespace hearth::app {
namespace {

using namespace std::chrono_literals;

constexpr auto kGuardPeriod = 500ms;
constexpr auto kBalancePeriod = 1s;
constexpr auto kViewDrainPeriod = 500ms;  // until views that came while Redis was away are in it
constexpr auto kFlushPoll = 5ms;
constexpr auto kStartTimeout = 15s;
constexpr auto kStartPoll = 50ms;
constexpr std::uint64_t kEntryBytes = 200;  // of an entry in Redis, about

std::string random_hex() {
  std::random_device random;
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text(32, '0');
  for (char& digit : text) digit = kDigits[random() % 16];
  return text;
}

std::string node_name() {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  return std::string(host) + "-" + std::to_string(getpid()) + "-" + random_hex().substr(0, 8);
}

bool is_several_hosts(std::string_view url) {
  return url.find(',') != std::string_view::npos && !url.starts_with("redis+sentinel");
}

// The posts whose changes SQL does not have, as they were when they were asked for.
class TailDirtyPosts final : public content::DirtyPosts {
 public:
  explicit TailDirtyPosts(std::vector<likes::RedisTail::ChangedPost> posts) : posts_(std::move(posts)) {
    std::ranges::sort(posts_, [](const auto& a, const auto& b) { return a.likes > b.likes; });
    for (const auto& post : posts_) names_.emplace(post.post, post.likes);
  }
  bool is_dirty(std::string_view post) const override { return names_.contains(post); }
  std::vector<std::string> above(std::uint32_t likes, std::size_t limit) const override {
    std::vector<std::string> found;
    for (const auto& post : posts_) {
      if (post.likes < likes || found.size() == limit) break;
      found.push_back(post.post);
    }
    return found;
  }
  bool is_frozen() const override { return true; }

 private:
  std::vector<likes::RedisTail::ChangedPost> posts_;  // most likes first
  boost::unordered_flat_map<std::string, std::uint32_t, TextHash, std::equal_to<>> names_;
};

}  // namespace

bool RedisLive::wants_tagged_keys(const Config& config) {
  return config.redis.keys == RedisKeys::kTagged || is_several_hosts(*config.redis.url);
}

Result<std::unique_ptr<RedisLive>> RedisLive::open(const Config& config, const Clock& clock, Ground ground) {
  bool is_tagged = wants_tagged_keys(config);
  likes::Deployment proposed{.id = random_hex(), .partitions = config.live.partitions, .is_tagged = is_tagged};
  auto deployment = ground.control.deployment(proposed);
  if (!deployment) return std::unexpected(deployment.error());
  if (deployment->is_tagged != is_tagged) {
    return fail(ErrorCode::kConflict, std::string("redis.keys: the keys of this deployment are ") +
                                          (deployment->is_tagged ? "tagged" : "plain") + "; `hearth import --from-database` moves them");
  }
  if (deployment->partitions != config.live.partitions) {
    log::warning("app", "the number of partitions was fixed at the first start; live.partitions is not taken",
                 {{"partitions", deployment->partitions}});
  }
  redis::ClientOptions options{.url = *config.redis.url, .needs_admission = true};
  if (config.redis.tls_ca_file) options.tls_ca_file = config.redis.tls_ca_file->string();
  auto client = redis::Client::open(std::move(options));
  if (!client) return std::unexpected(client.error());
  return std::unique_ptr<RedisLive>(new RedisLive(config, clock, std::move(ground), *std::move(deployment), *std::move(client)));
}

RedisLive::RedisLive(const Config& config, const Clock& clock, Ground ground, likes::Deployment deployment,
                     std::unique_ptr<redis::Client> client)
    : clock_(clock),
      ground_(std::move(ground)),
      node_(node_name()),
      keys_(deployment.is_tagged ? likes::KeyLayout::kTagged : likes::KeyLayout::kPlain, deployment.partitions),
      outbox_entries_max_(config.outbox.bytes_max / kEntryBytes),
      uses_redis_for_views_(config.views.redis_enabled),
      client_(std::move(client)),
      live_store_(*client_, ground_.ledger, clock, keys_),
      posts_(*client_, live_store_, clock, keys_),
      outbox_(*client_, keys_),
      check_(outbox_, posts_, ground_.ledger, keys_),
      flusher_(outbox_, posts_, ground_.ledger, check_, ground_.on_flushed),
      tail_(outbox_, ground_.ledger),
      guard_({.client = *client_,
              .clock = clock,
              .store = live_store_,
              .inbox = ground_.inbox,
              .control = ground_.control,
              .leases = ground_.leases,
              .check = check_,
              .keys = keys_,
              .deployment = std::move(deployment),
              .node = node_}),
      store_(live_store_, ground_.inbox, guard_),
      live_views_(*client_, ground_.view_ledger, clock, keys_, config.views.dedup_ttl),
      views_(live_views_, ground_.view_inbox, [this] { return views_place(); }),
      view_drainer_(ground_.view_inbox, live_views_),
      limiter_(*client_, keys_),
      guard_task_({.name = "live", .period = kGuardPeriod, .retry_max = 1s}, [this] { return guard_.step(); }),
      flush_task_({.name = "flusher", .period = config.flush.interval, .retry_max = 2s}, [this] { return flush_step(); }),
      view_drain_task_({.name = "views", .period = kViewDrainPeriod, .retry_max = 2s}, [this] { return drain_views(); }) {
  client_->on_change([this] {
    guard_.on_change();
    tail_.forget();
    guard_task_.wake();
  });
}

RedisLive::~RedisLive() {
  stop();
}

Result<void> RedisLive::start() {
  auto deadline = clock_.steady() + kStartTimeout;
  // A Redis that is there is looked at, also when likes were served from SQL before.
  auto connected_by = clock_.steady() + likes::kFallbackAfter;
  while (!client_->is_connected() && clock_.steady() < connected_by) std::this_thread::sleep_for(kStartPoll);
  while (guard_.served_from() == likes::ServedFrom::kNowhere) {
    auto step = guard_.step();
    bool is_hopeless = !step && (step.error().code == ErrorCode::kConflict || step.error().code == ErrorCode::kInvalidArgument);
    if (is_hopeless) return std::unexpected(step.error());
    if (guard_.served_from() != likes::ServedFrom::kNowhere) break;
    if (clock_.steady() > deadline) return std::unexpected(guard_.reason());
    std::this_thread::sleep_for(kStartPoll);
  }
  guard_task_.start();
  flush_task_.start();
  view_drain_task_.start();
  return {};
}

void RedisLive::stop() {
  if (std::exchange(is_stopped_, true)) return;
  guard_task_.stop();
  flush_task_.stop();
  view_drain_task_.stop();
  // So that the other nodes need not wait for the leases, nor SQL for what was answered last.
  for (bool more = true; more && client_->is_serving();) {
    auto step = flush_step();
    if (!step) log::warning("app", "SQL is behind; another node or the next start brings it up to date", {{"error", step.error().message}});
    more = step.value_or(false);
  }
  if (auto released = ground_.leases.release(node_); !released) {
    log::warning("app", "the leases of this node are left to end", {{"error", released.error().message}});
  }
  client_->stop();
  live_store_.abandon_waiters();
  live_views_.abandon_waiters();
  tail_.abandon_waiters();
}

// --- to SQL ---

Result<bool> RedisLive::flush_step() {
  if (!client_->is_serving()) return false;
  if (clock_.steady() >= next_balance_) {
    // First: the outbox fills when SQL is away, and then nothing is balanced.
    if (auto looked = look_at_outbox(); !looked) return std::unexpected(looked.error());
    if (auto balanced = balance(); !balanced) return std::unexpected(balanced.error());
  }
  bool more = false;
  std::optional<Error> failure;
  for (const auto& held : held_) {
    auto moved = flusher_.run_once(held);
    if (moved) {
      more = more || *moved;
    } else if (moved.error().code == ErrorCode::kConflict) {
      next_balance_ = {};  // the lease went to another node, or was renewed under another number
    } else {
      failure = moved.error();
    }
  }
  if (failure) return std::unexpected(*failure);
  ++flush_steps_;
  return more;
}

Result<void> RedisLive::balance() {
  auto held = ground_.leases.balance(node_, keys_.partitions());
  if (!held) return std::unexpected(held.error());
  held_ = *std::move(held);
  partitions_held_ = held_.size();
  next_balance_ = clock_.steady() + kBalancePeriod;
  return {};
}

Result<void> RedisLive::look_at_outbox() {
  auto entries = outbox_.size();
  if (!entries) return std::unexpected(entries.error());
  outbox_entries_ = *entries;
  live_store_.set_outbox_full(*entries > outbox_entries_max_);
  return {};
}

Task<Result<void>> RedisLive::flush() {
  if (guard_.served_from() != likes::ServedFrom::kLive) co_return fail(ErrorCode::kUnavailable, "Redis is away");
  auto wanted = co_await outbox_.ends();
  if (!wanted) co_return std::unexpected(wanted.error());
  auto deadline = clock_.steady() + kFlushTimeout;
  boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor> timer(
      co_await boost::asio::this_coro::executor);
  std::optional<std::uint64_t> steps;  // when the ledger was there: what follows from a batch comes in the same step
  for (;;) {
    auto done = co_await is_flushed(*wanted);
    if (!done) co_return std::unexpected(done.error());
    if (*done && !ground_.on_flushed) co_return Result<void>{};
    if (steps && flush_steps_ > *steps) co_return Result<void>{};
    if (*done && !steps) steps = flush_steps_;
    if (clock_.steady() > deadline) co_return fail(ErrorCode::kUnavailable, "SQL is behind and does not catch up");
    flush_task_.wake();
    timer.expires_after(kFlushPoll);
    co_await timer.async_wait(use_task);
  }
}

Task<Result<bool>> RedisLive::is_flushed(std::vector<outbox::Position> wanted) {
  auto cursors = co_await ground_.ledger.cursors();
  if (!cursors) co_return std::unexpected(cursors.error());
  for (const auto& [partition, cursor] : *cursors) {
    if (partition < 0 || static_cast<std::size_t>(partition) >= wanted.size()) continue;
    auto& position = wanted[static_cast<std::size_t>(partition)];
    if (cursor.position >= position) position = {};
  }
  co_return std::ranges::all_of(wanted, [](const auto& position) { return position == outbox::Position{}; });
}

// --- for readers ---

likes::LikesOf RedisLive::likes_of() {
  return [this](SessionId session, std::size_t limit) { return likes_of_session(session.str(), limit); };
}

// The tail first: what SQL gets meanwhile is then in both, and counts once.
Task<Result<std::vector<likes::LikedPost>>> RedisLive::likes_of_session(std::string session, std::size_t limit) {
  if (guard_.served_from() == likes::ServedFrom::kSql) co_return co_await ground_.inbox.likes_of(std::move(session), limit);
  auto tail = co_await tail_.events_of(session);
  if (!tail) co_return std::unexpected(tail.error());
  likes::ReadTail read_tail = [events = *std::move(tail)]() -> Result<std::vector<likes::TailEvent>> { return events; };
  co_return co_await ground_.ledger.likes_of(std::move(session), limit, std::move(read_tail));
}

content::ReadDirty RedisLive::dirty() {
  return [this] { return read_dirty(); };
}

Task<Result<std::shared_ptr<const content::DirtyPosts>>> RedisLive::read_dirty() {
  std::vector<likes::RedisTail::ChangedPost> posts;
  if (guard_.served_from() != likes::ServedFrom::kSql) {
    auto changed = co_await tail_.changed_posts();
    if (!changed) co_return std::unexpected(changed.error());
    posts = *std::move(changed);
  }
  std::shared_ptr<const content::DirtyPosts> dirty = std::make_shared<TailDirtyPosts>(std::move(posts));
  co_return dirty;
}

// --- views ---

Result<views::SwitchingViewStore::Store> RedisLive::views_place() const {
  using Store = views::SwitchingViewStore::Store;
  if (!uses_redis_for_views_) return Store::kSql;
  switch (guard_.served_from()) {
    case likes::ServedFrom::kLive:
      return Store::kLive;
    case likes::ServedFrom::kSql:
      return Store::kSql;
    case likes::ServedFrom::kNowhere:
      break;
  }
  return std::unexpected(guard_.reason());
}

Result<bool> RedisLive::drain_views() {
  if (!uses_redis_for_views_ || guard_.served_from() != likes::ServedFrom::kLive) return false;
  return view_drainer_.run_once();
}

Result<void> RedisLive::is_ready() const {
  if (guard_.served_from() == likes::ServedFrom::kNowhere) return std::unexpected(guard_.reason());
  return {};
}

LiveStats RedisLive::stats() const {
  auto flushed = flusher_.stats();
  std::uint64_t entries = outbox_entries_;
  return {.changes = live_store_.stats().changes,
          .outbox_bytes = entries * kEntryBytes,
          .outbox_entries = entries,
          .flush_batches = flushed.batches,
          .flush_events = flushed.events,
          .flush_posts = flushed.posts,
          .flush_rows = flushed.rows,
          .flush_gaps = flushed.gaps,
          .flush_micros = flushed.micros,
          .is_degraded = guard_.served_from() == likes::ServedFrom::kSql};
}

void RedisLive::add_metrics(Metrics& metrics) const {
  auto client = client_->stats();
  metrics.counter("hearth_redis_calls_total", "Commands sent to Redis.", client.calls);
  metrics.counter("hearth_redis_failures_total", "Commands that were not sent or got no answer.", client.failures);
  metrics.counter("hearth_redis_reconnects_total", "Connections to Redis that were made again.", client.reconnects);
  metrics.counter("hearth_redis_redirects_total", "Commands that another server of the Cluster took.", client.redirects);
  metrics.gauge("hearth_redis_connections", "Connections to Redis.", client.connections);
  metrics.seconds("hearth_redis_call_seconds_total", "From sending to the answer, summed over commands.", client.micros);
  metrics.counter("hearth_likes_loads_total", "Posts that were loaded from SQL.", live_store_.stats().loads);
  auto views = live_views_.counters();
  metrics.counter("hearth_views_asked_total", "Views that this node brought to Redis.", views.views);
  metrics.counter("hearth_views_counted_total", "Of them, those that counted.", views.counted);
  metrics.counter("hearth_views_loads_total", "Stories and chapters that were loaded from SQL.", views.loads);
  metrics.gauge("hearth_outbox_partitions_held", "Partitions whose lease this node holds.", partitions_held_);
}

}  // namespace hearth::app
