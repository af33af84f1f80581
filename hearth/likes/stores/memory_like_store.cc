#include "hearth/likes/stores/memory_like_store.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/base/log.h"

namespace hearth::likes {
namespace {

constexpr int kLoadRoundsMax = 20;  // a load that others keep overtaking gives up

Error memory_is_full() {
  return {ErrorCode::kUnavailable, "the memory limit is reached and nothing can leave memory yet"};
}

// The content of an idempotency record: the request's hash, then the outcome.
struct [[gnu::packed]] StoredOutcome {
  std::uint8_t is_liked;
  std::uint8_t changed;
  std::uint32_t likes;
  std::uint64_t version;
};

std::string encode_answer(const IdempotencyKey& key, const LikeOutcome& outcome) {
  StoredOutcome stored{outcome.is_liked, outcome.changed, outcome.likes, outcome.version};
  std::string content = key.request;
  content.append(reinterpret_cast<const char*>(&stored), sizeof stored);
  return content;
}

Result<LikeOutcome> replay(const IdempotencyKey& key, std::string_view content) {
  StoredOutcome stored;
  if (content.size() != key.request.size() + sizeof stored || !content.starts_with(key.request)) {
    return fail(ErrorCode::kIdempotencyKeyReused, "this Idempotency-Key came with another request before; use a new key for a new request");
  }
  std::memcpy(&stored, content.data() + key.request.size(), sizeof stored);
  return LikeOutcome{
      .is_liked = stored.is_liked != 0, .likes = stored.likes, .version = stored.version, .changed = stored.changed != 0, .replayed = true};
}

std::uint64_t post_bytes(std::string_view name) {
  constexpr std::uint64_t kSlot = 110;  // key and value of a table that is about 0.7 full
  return kSlot + (name.size() > 15 ? name.size() + 17 : 0);
}

template <typename Members>
std::uint64_t members_bytes(const std::unique_ptr<Members>& members) {
  if (!members) return 0;
  std::uint64_t slots = members->bucket_count();
  return sizeof(Members) + 32 + slots * sizeof(SessionNumber) + slots / 15 * 16;
}

}  // namespace

MemoryLikeStore::MemoryLikeStore(outbox::Journal& journal, LikeLedger& ledger, const Clock& clock, MemoryLikeStoreOptions options)
    : journal_(journal), ledger_(ledger), clock_(clock), options_(options), idempotency_(options.idempotency_bytes_max) {}

MemoryLikeStore::~MemoryLikeStore() = default;

Result<void> MemoryLikeStore::start() {
  auto posts = ledger_.post_count();
  if (!posts) return std::unexpected(posts.error());
  cold_posts_ = *posts;
  auto records = journal_.idempotency_records(clock_.now() - outbox::kIdempotencyPeriod);
  if (!records) return std::unexpected(records.error());
  for (auto& record : *records) {
    auto lock = idempotency_.lock(record.key);
    idempotency_.put(record.key, {.content = std::move(record.content), .sequence = 0, .at = record.at});
  }
  return {};
}

// --- changing ---

Task<Result<LikeOutcome>> MemoryLikeStore::change(LikeChange change) {
  Attempt attempt = try_change(change);
  if (!attempt.is_loaded) attempt = co_await change_after_loading(change);
  if (auto durable = co_await journal_.durable(attempt.sequence); !durable) co_return std::unexpected(durable.error());
  co_return std::move(attempt.outcome);
}

Task<std::vector<Result<LikeOutcome>>> MemoryLikeStore::change_all(std::vector<LikeChange> changes) {
  HEARTH_ASSERT(changes.size() <= kChangesPerBatchMax);
  std::vector<Attempt> attempts;
  attempts.reserve(changes.size());
  std::optional<Error> refusal;  // of a change with a key
  for (const auto& change : changes) {
    if (refusal && change.idempotency) {
      attempts.push_back({.outcome = std::unexpected(*refusal)});
      continue;
    }
    attempts.push_back(try_change(change));
    if (!attempts.back().is_loaded) attempts.back() = co_await change_after_loading(change);
    if (change.idempotency && !attempts.back().outcome) refusal = attempts.back().outcome.error();
  }
  std::vector<Result<LikeOutcome>> outcomes;
  outcomes.reserve(attempts.size());
  for (auto& attempt : attempts) {
    if (auto durable = co_await journal_.durable(attempt.sequence); !durable) attempt.outcome = std::unexpected(durable.error());
    outcomes.push_back(std::move(attempt.outcome));
  }
  co_return outcomes;
}

Task<MemoryLikeStore::Attempt> MemoryLikeStore::change_after_loading(const LikeChange& change) {
  for (int round = 0; round < kLoadRoundsMax; ++round) {
    if (auto loaded = co_await load_members(change.post.str()); !loaded) co_return Attempt{.outcome = std::unexpected(loaded.error())};
    Attempt attempt = try_change(change);
    if (attempt.is_loaded) co_return attempt;
  }
  co_return Attempt{.outcome = fail(ErrorCode::kUnavailable, "the post could not be kept in memory long enough to change it")};
}

MemoryLikeStore::Attempt MemoryLikeStore::try_change(const LikeChange& change) {
  if (!change.idempotency) return try_change_unkeyed(change);
  const std::string& scope = change.idempotency->scope;
  auto now = clock_.now();
  auto lock = idempotency_.lock(scope);
  if (const auto* answer = idempotency_.find(scope, now)) {
    return {.sequence = answer->sequence, .outcome = replay(*change.idempotency, answer->content)};
  }
  if (idempotency_.is_full()) {
    return {.outcome = fail(ErrorCode::kUnavailable, "too many idempotency keys are in use; try again later or without a key")};
  }
  Attempt attempt = try_change_unkeyed(change);
  if (attempt.is_loaded && attempt.outcome) {
    idempotency_.put(scope, {.content = encode_answer(*change.idempotency, *attempt.outcome), .sequence = attempt.sequence, .at = now});
  }
  return attempt;
}

MemoryLikeStore::Attempt MemoryLikeStore::try_change_unkeyed(const LikeChange& change) {
  SessionReference session(sessions_, sessions_.acquire(change.session.view()));
  Shard& shard = shard_of(change.post.view());
  std::lock_guard lock(shard.mutex);
  auto post = find_or_create(shard, change.post.view());
  if (!post) return {.outcome = std::unexpected(post.error())};
  if (*post == nullptr || !ensure_members(**post)) return {.is_loaded = false};
  return change_loaded(shard, **post, change, std::move(session));
}

// The critical section: the event joins the open batch and memory changes, or neither.
MemoryLikeStore::Attempt MemoryLikeStore::change_loaded(Shard& shard, Post& post, const LikeChange& change, SessionReference session) {
  post.is_referenced = true;
  bool was_liked = post.members->contains(session.number());
  bool is_liked = change.action == LikeAction::kToggle ? !was_liked : change.action == LikeAction::kLike;
  LikeOutcome outcome{.is_liked = is_liked, .likes = post.likes, .version = post.version, .changed = is_liked != was_liked};
  if (!outcome.changed && !change.idempotency) return {.sequence = post.changed_in, .outcome = outcome};

  auto now = clock_.now();
  if (outcome.changed) {
    outcome.likes = is_liked ? post.likes + 1 : post.likes - 1;
    outcome.version = std::max({post.version + 1, version_floor_ + 1, static_cast<std::uint64_t>(now.time_since_epoch().count())});
  }
  auto sequence = append(change, outcome, post.version, now);
  if (!sequence) return {.outcome = std::unexpected(sequence.error())};
  if (!outcome.changed) return {.sequence = *sequence, .outcome = outcome};

  std::uint64_t bytes_before = members_bytes(post.members);
  if (is_liked) {
    post.members->insert(session.keep());
  } else {
    post.members->erase(session.number());
    sessions_.release(session.number());  // the reference that the like held
  }
  bytes_ += members_bytes(post.members) - bytes_before;
  post.likes = outcome.likes;
  post.version = outcome.version;
  post.changed_in = *sequence;
  HEARTH_ASSERT(post.likes == post.members->size());
  if (!std::exchange(post.is_listed, true)) shard.changed.emplace_back(change.post.view());
  changes_.fetch_add(1, std::memory_order_relaxed);
  return {.sequence = *sequence, .outcome = outcome};
}

Result<outbox::Sequence> MemoryLikeStore::append(const LikeChange& change, const LikeOutcome& outcome, std::uint64_t previous,
                                                 UtcMicros now) {
  thread_local std::string events;
  events.clear();
  if (outcome.changed) {
    outbox::encode({.post = change.post.view(),
                    .session = change.session.view(),
                    .version = outcome.version,
                    .previous = previous,
                    .likes = outcome.likes,
                    .is_liked = outcome.is_liked,
                    .at = change.at.value_or(now)},
                   events);
  }
  if (!change.idempotency) return journal_.append(events);
  outbox::IdempotencyRecord record{.key = change.idempotency->scope, .content = encode_answer(*change.idempotency, outcome), .at = now};
  return journal_.append(events, &record);
}

// The post if it is in memory, or certainly new; null if the ledger must be asked.
Result<MemoryLikeStore::Post*> MemoryLikeStore::find_or_create(Shard& shard, std::string_view name) {
  if (auto found = shard.posts.find(name); found != shard.posts.end()) return &found->second;
  if (cold_posts_ != 0) return nullptr;
  if (is_over(hard_limit())) return std::unexpected(memory_is_full());
  return &install_head(shard, {.post = std::string(name)});
}

// A post that nobody likes has no sessions to load.
bool MemoryLikeStore::ensure_members(Post& post) {
  if (post.members) return true;
  if (post.likes != 0) return false;
  post.members = std::make_unique<Members>();
  bytes_ += members_bytes(post.members);
  return true;
}

// --- reading ---

Task<Result<std::vector<LikeView>>> MemoryLikeStore::read(std::vector<PostId> posts, std::optional<SessionId> session) {
  HEARTH_ASSERT(posts.size() <= kPostsPerReadMax);
  std::vector<LikeView> views(posts.size());
  outbox::Sequence newest = 0;
  std::vector<std::size_t> waiting;
  for (int round = 0; round < kLoadRoundsMax; ++round) {
    std::vector<std::string> heads;
    std::vector<std::string> members;
    {
      SessionReference reference(sessions_, session ? sessions_.find(session->view()) : 0);
      std::vector<std::size_t> next;
      auto look_at = [&](std::size_t i) {
        auto found = look(posts[i].view(), reference.number(), session.has_value(), views[i], newest);
        if (found == Found::kReady) return;
        next.push_back(i);
        (found == Found::kNeedsHead ? heads : members).push_back(posts[i].str());
      };
      if (round == 0) {
        for (std::size_t i = 0; i < posts.size(); ++i) look_at(i);
      } else {
        for (std::size_t i : waiting) look_at(i);
      }
      waiting = std::move(next);
    }
    if (waiting.empty()) {
      if (auto durable = co_await journal_.durable(newest); !durable) co_return std::unexpected(durable.error());
      co_return views;
    }
    if (!heads.empty()) {
      if (auto loaded = co_await load_heads(std::move(heads)); !loaded) co_return std::unexpected(loaded.error());
    }
    for (auto& post : members) {
      if (auto loaded = co_await load_members(std::move(post)); !loaded) co_return std::unexpected(loaded.error());
    }
  }
  co_return fail(ErrorCode::kUnavailable, "the posts could not be kept in memory long enough to read them");
}

MemoryLikeStore::Found MemoryLikeStore::look(std::string_view name, SessionNumber session, bool wants_session, LikeView& view,
                                             outbox::Sequence& newest) {
  Shard& shard = shard_of(name);
  std::lock_guard lock(shard.mutex);
  auto found = shard.posts.find(name);
  if (found == shard.posts.end()) {
    view = {};
    return cold_posts_ == 0 ? Found::kReady : Found::kNeedsHead;
  }
  Post& post = found->second;
  post.is_referenced = true;
  if (wants_session && !post.members && post.likes != 0) return Found::kNeedsMembers;
  bool is_liked = session != 0 && post.members && post.members->contains(session);
  view = {.likes = post.likes, .version = post.version, .is_liked = is_liked};
  newest = std::max(newest, post.changed_in);
  return Found::kReady;
}

// --- loading ---

// After a failed commit nothing may come from the ledger before it has all that is durable.
Result<void> MemoryLikeStore::check_loadable() const {
  if (!journal_.is_accepting() || passed_ < load_barrier_) return fail(ErrorCode::kUnavailable, "recovering from a failed write");
  if (is_over(hard_limit())) return std::unexpected(memory_is_full());
  return {};
}

Task<Result<void>> MemoryLikeStore::load_heads(std::vector<std::string> posts) {
  std::vector<std::uint64_t> departures;
  departures.reserve(posts.size());
  for (const auto& post : posts) {
    Shard& shard = shard_of(post);
    std::lock_guard lock(shard.mutex);
    departures.push_back(shard.departures);
  }
  if (auto loadable = check_loadable(); !loadable) co_return loadable;
  auto heads = co_await ledger_.heads(std::move(posts));
  if (!heads) co_return std::unexpected(heads.error());
  for (std::size_t i = 0; i < heads->size(); ++i) {
    const LedgerPost& head = (*heads)[i];
    Shard& shard = shard_of(head.post);
    std::lock_guard lock(shard.mutex);
    // Someone else may have loaded it, and it may even have changed and left again since the ledger was read.
    if (shard.departures != departures[i] || shard.posts.contains(head.post)) continue;
    install_head(shard, head);
  }
  co_return Result<void>{};
}

Task<Result<void>> MemoryLikeStore::load_members(std::string post) {
  auto lead = co_await flights_.join(post);
  if (!lead) co_return Result<void>{};  // another has just loaded it; the caller looks again
  std::uint64_t departures;
  {
    Shard& shard = shard_of(post);
    std::lock_guard lock(shard.mutex);
    departures = shard.departures;
  }
  if (auto loadable = check_loadable(); !loadable) co_return loadable;
  auto loaded = co_await ledger_.members(std::move(post));
  if (!loaded) co_return std::unexpected(loaded.error());
  install_members(std::move(*loaded), departures);
  co_return Result<void>{};
}

MemoryLikeStore::Post& MemoryLikeStore::install_head(Shard& shard, const LedgerPost& head) {
  Post& post = shard.posts[head.post];
  post.likes = head.likes;
  post.version = head.version;
  bytes_ += post_bytes(head.post);
  ++posts_;
  if (head.version != 0) {
    --cold_posts_;
    ++loads_;
  }
  return post;
}

void MemoryLikeStore::install_members(LedgerMembers loaded, std::uint64_t departures) {
  auto members = std::make_unique<Members>();
  members->reserve(loaded.sessions.size());
  for (const auto& session : loaded.sessions) {
    if (!is_valid_id(session)) continue;  // of another program, as a second row of one session is
    SessionReference reference(sessions_, sessions_.acquire(session));
    if (members->insert(reference.number()).second) reference.keep();
  }
  if (members->size() != loaded.head.likes) {
    log::warning("likes", "the ledger's count is not that of its rows; the rows are taken",
                 {{"post", loaded.head.post}, {"count", loaded.head.likes}, {"rows", members->size()}});
    loaded.head.likes = static_cast<std::uint32_t>(members->size());
  }

  std::vector<std::unique_ptr<Members>> released;
  {
    Shard& shard = shard_of(loaded.head.post);
    std::lock_guard lock(shard.mutex);
    auto found = shard.posts.find(loaded.head.post);
    bool is_resident = found != shard.posts.end();
    bool is_stale = shard.departures != departures || (is_resident && (found->second.members || found->second.changed_in > passed_));
    if (is_stale) {
      released.push_back(std::move(members));
    } else {
      Post& post = is_resident ? found->second : install_head(shard, loaded.head);
      post.likes = loaded.head.likes;
      post.version = std::max(post.version, loaded.head.version);
      post.members = std::move(members);
      bytes_ += members_bytes(post.members);
    }
  }
  release_all(std::move(released));
}

// --- leaving memory ---

void MemoryLikeStore::on_passed(outbox::Sequence sequence) {
  passed_ = sequence;
  for (auto& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    std::erase_if(shard.changed, [&](const std::string& name) {
      auto found = shard.posts.find(name);
      if (found == shard.posts.end()) return true;
      if (found->second.changed_in > sequence) return false;
      found->second.is_listed = false;
      return true;
    });
  }
}

std::size_t MemoryLikeStore::evict() {
  std::size_t evicted = 0;
  // Twice around: the first time may only find that posts were used lately, or that their sessions can go.
  for (std::size_t i = 0; i < 3 * kShards && is_over(options_.memory_limit); ++i) evicted += evict_from(shards_[next_evicted_++ % kShards]);
  return evicted;
}

// One turn of a CLOCK: what was used since the last turn stays; then the sessions leave; then the post.
std::size_t MemoryLikeStore::evict_from(Shard& shard) {
  std::size_t evicted = 0;
  std::vector<std::unique_ptr<Members>> released;
  {
    std::lock_guard lock(shard.mutex);
    for (auto next = shard.posts.begin(); next != shard.posts.end() && is_over(options_.memory_limit);) {
      auto current = next++;
      Post& post = current->second;
      if (post.changed_in > passed_ || post.is_listed || std::exchange(post.is_referenced, false)) continue;
      if (post.members && post.likes != 0) {
        bytes_ -= members_bytes(post.members);
        released.push_back(std::move(post.members));
        ++shard.departures;  // they may have changed since a load that is under way read the ledger
      } else {
        erase(shard, current, released);
        ++evicted;
      }
    }
  }
  release_all(std::move(released));
  evictions_ += evicted;
  return evicted;
}

// Under the shard's lock, like all that follows it until the post is found missing: a change that finds no cold posts left
// creates one.
void MemoryLikeStore::erase(Shard& shard, Posts::iterator post, std::vector<std::unique_ptr<Members>>& released) {
  bytes_ -= post_bytes(post->first) + members_bytes(post->second.members);
  if (post->second.version != 0) ++cold_posts_;
  if (post->second.members) released.push_back(std::move(post->second.members));
  shard.posts.erase(post);
  ++shard.departures;
  --posts_;
}

void MemoryLikeStore::release_all(std::vector<std::unique_ptr<Members>> released) {
  for (const auto& members : released) {
    for (SessionNumber session : *members) sessions_.release(session);
  }
}

bool MemoryLikeStore::forget(std::string_view name) {
  std::vector<std::unique_ptr<Members>> released;
  {
    Shard& shard = shard_of(name);
    std::lock_guard lock(shard.mutex);
    ++shard.departures;  // also for a load that is under way
    auto found = shard.posts.find(name);
    if (found == shard.posts.end()) return true;
    if (found->second.changed_in > passed_ || found->second.is_listed) return false;
    erase(shard, found, released);
  }
  release_all(std::move(released));
  return true;
}

std::uint64_t MemoryLikeStore::reserve_version(std::uint64_t above) {
  std::uint64_t wanted = std::max(above + 1, static_cast<std::uint64_t>(clock_.now().time_since_epoch().count()));
  std::uint64_t floor = version_floor_;
  do {
    wanted = std::max(wanted, floor + 1);
  } while (!version_floor_.compare_exchange_weak(floor, wanted));
  return wanted;
}

void MemoryLikeStore::on_lost(outbox::Sequence first) {
  load_barrier_ = journal_.durable_mark();
  idempotency_.forget_from(first);
  std::vector<std::unique_ptr<Members>> released;
  for (auto& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    ++shard.departures;  // also for loads that are under way
    for (auto next = shard.posts.begin(); next != shard.posts.end();) {
      auto current = next++;
      if (current->second.changed_in >= first) erase(shard, current, released);
    }
    std::erase_if(shard.changed, [&](const std::string& name) { return !shard.posts.contains(name); });
  }
  release_all(std::move(released));
}

void MemoryLikeStore::prune_idempotency() {
  auto before = clock_.now() - outbox::kIdempotencyPeriod;
  idempotency_.prune(before);
  journal_.prune_idempotency(before);
}

// --- for the rank, reconciling and metrics ---

bool MemoryLikeStore::is_dirty(std::string_view name) const {
  const Shard& shard = shard_of(name);
  std::lock_guard lock(shard.mutex);
  auto found = shard.posts.find(name);
  return found != shard.posts.end() && found->second.changed_in > passed_;
}

std::vector<std::string> MemoryLikeStore::dirty_above(std::uint32_t likes, std::size_t limit) const {
  std::vector<std::pair<std::uint32_t, std::string>> dirty;
  for (const auto& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    for (const auto& name : shard.changed) {
      auto found = shard.posts.find(name);
      if (found != shard.posts.end() && found->second.likes >= likes) dirty.emplace_back(found->second.likes, name);
    }
  }
  auto end = dirty.begin() + static_cast<std::ptrdiff_t>(std::min(limit, dirty.size()));
  std::ranges::partial_sort(dirty, end, std::ranges::greater());
  std::vector<std::string> names;
  for (auto it = dirty.begin(); it != end; ++it) names.push_back(std::move(it->second));
  return names;
}

std::optional<LivePost> MemoryLikeStore::clean_resident(std::string_view name, bool wants_sessions) const {
  const Shard& shard = shard_of(name);
  std::lock_guard lock(shard.mutex);
  auto found = shard.posts.find(name);
  if (found == shard.posts.end() || found->second.changed_in > passed_) return std::nullopt;
  const Post& post = found->second;
  LivePost resident{.view = {.likes = post.likes, .version = post.version}, .sessions = {}, .has_sessions = post.members != nullptr};
  if (post.members && wants_sessions) {
    for (SessionNumber session : *post.members) resident.sessions.push_back(sessions_.name(session));
  }
  return resident;
}

MemoryLikeStore::Stats MemoryLikeStore::stats() const {
  return {.posts = posts_,
          .sessions = sessions_.size(),
          .bytes = bytes_ + sessions_.bytes(),
          .cold_posts = cold_posts_,
          .changes = changes_,
          .loads = loads_,
          .evictions = evictions_};
}

}  // namespace hearth::likes
