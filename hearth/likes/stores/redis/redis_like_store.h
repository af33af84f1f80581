#pragma once

// The live store in Redis: likes as sets and counters that every Hearth node, and other programs, share.
//
// A change is one script (change.lua): membership, count, version and the event in the partition's stream, all or none. What
// was sent and got no answer is kUnavailable and is not tried again: it may have happened.
//
// A post without a version is not loaded. The first who asks for it loads it from the ledger: its sessions are staged,
// then installed at once with the ledger's version (stage.lua, install.lua). That SQL does not know a post is remembered for
// kUnknownKept, so that pages of posts which nobody likes ask SQL once.
//
// How durable an answer is depends on Redis' appendfsync and replication.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/guarded.h"
#include "hearth/base/single_flight.h"
#include "hearth/drivers/redis/client.h"
#include "hearth/likes/like_ledger.h"
#include "hearth/likes/like_store.h"
#include "hearth/likes/stores/redis/redis_keys.h"

namespace hearth::likes {

inline constexpr std::chrono::seconds kUnknownKept{3'600};

class RedisLikeStore final : public LikeStore {
 public:
  RedisLikeStore(redis::Client& client, LikeLedger& ledger, const Clock& clock, RedisKeys keys);

  Task<Result<LikeOutcome>> change(LikeChange change) override;
  Task<std::vector<Result<LikeOutcome>>> change_all(std::vector<LikeChange> changes) override;
  Task<Result<std::vector<LikeView>>> read(std::vector<PostId> posts, std::optional<SessionId> session) override;

  // Like change_all(), for keys that come with one post each: all of a partition in one step, and what fails keeps nothing
  // else from being made.
  Task<std::vector<Result<LikeOutcome>>> change_unordered(std::vector<LikeChange> changes);
  // Loads those of the posts that are not.
  Task<Result<void>> load(std::vector<std::string> posts);
  // Makes an answer that was given elsewhere the answer of its key.
  Task<Result<void>> remember(PostId post, IdempotencyKey key, LikeOutcome outcome, std::chrono::milliseconds rest);

  // While the outbox is full changes are refused; not those of change_unordered(), which drain the inbox.
  void set_outbox_full(bool is_full) { is_outbox_full_ = is_full; }
  // Drops the coroutines that wait for a load. REQUIRES: their io_contexts run no more and still exist.
  void abandon_waiters() { flights_.abandon_waiters(); }

  struct Stats {
    std::uint64_t changes = 0;
    std::uint64_t loads = 0;
  };
  Stats stats() const { return {.changes = changes_, .loads = loads_}; }

 private:
  struct Group {
    outbox::Partition partition = 0;
    std::vector<std::size_t> items;
  };
  struct View {
    std::vector<std::string> posts;
    std::optional<std::string> session;
    std::vector<Group> groups;
  };

  // Posts to look up in SQL together. Written by the one who leads the flight, before `is_done`.
  struct Gathering {
    std::set<std::string> posts;
    std::set<std::string> known;  // to SQL
    Result<void> outcome;
    std::atomic<bool> is_done = false;
  };

  std::vector<Group> grouped(const std::vector<LikeChange>& changes) const;
  redis::ScriptCall call_for(const Group& group, const std::vector<LikeChange>& changes) const;
  Task<std::vector<Result<LikeOutcome>>> change_in_order(std::vector<LikeChange> changes);
  Task<Result<void>> claim(IdempotencyKey key);
  Task<std::vector<std::string>> read_once(const View& view, std::vector<LikeView>& views, Result<void>& outcome);
  Task<Result<std::vector<std::string>>> load_unknown(std::vector<std::string> posts);
  Task<Result<void>> sort_out(Gathering& gathered);
  Task<Result<void>> install(std::vector<std::string> posts);
  Task<Result<void>> load_members(std::string post);
  Task<Result<int>> stage_and_install(const LedgerMembers& members);
  redis::ScriptCall install_call(const std::string& post, std::uint64_t version, std::size_t staged, const std::string& staging) const;
  std::string now() const;
  std::string staging_key(outbox::Partition partition);

  redis::Client& client_;
  LikeLedger& ledger_;
  const Clock& clock_;
  const RedisKeys keys_;
  SingleFlight flights_;
  Guarded<std::shared_ptr<Gathering>> gathering_{std::make_shared<Gathering>()};
  const std::string loader_;  // names the staging sets of this process
  std::atomic<std::uint64_t> next_load_{0};
  std::atomic<bool> is_outbox_full_{false};
  std::atomic<std::uint64_t> changes_{0};
  std::atomic<std::uint64_t> loads_{0};
};

}  // namespace hearth::likes
