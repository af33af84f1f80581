#include "hearth/likes/stores/redis/redis_like_store.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <random>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/base/log.h"
#include "hearth/likes/stores/redis/scripts.h"

namespace hearth::likes {
namespace {

using redis::Command;
using redis::Outcome;
using redis::Reply;
using redis::ScriptCall;

constexpr int kLoadRoundsMax = 5;  // a post that is loaded and gone again, each time
constexpr std::size_t kSessionsPerStage = 500;
constexpr char kStagingSeconds[] = "60";

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

char letter(LikeAction action) {
  return action == LikeAction::kToggle ? 't' : action == LikeAction::kLike ? 'l' : 'u';
}

Error full() {
  return {ErrorCode::kUnavailable, "SQL is behind, and the outbox is full; try again later"};
}

Error reused() {
  return {ErrorCode::kIdempotencyKeyReused, "this Idempotency-Key came with another request before"};
}

// What change.lua says of one change.
Result<LikeOutcome> outcome_of(const Reply& reply) {
  if (reply.type == Reply::Type::kArray && reply.elements.size() == 5) {
    const auto& parts = reply.elements;
    return LikeOutcome{.is_liked = parts[0].integer == 1,
                       .likes = static_cast<std::uint32_t>(parts[1].type == Reply::Type::kText ? number(parts[1].text) : parts[1].integer),
                       .version = number(parts[2].text),
                       .changed = parts[3].integer == 1,
                       .replayed = parts[4].integer == 1};
  }
  if (reply.text == "REUSED") return std::unexpected(reused());
  if (reply.text.starts_with("OOM")) return fail(ErrorCode::kUnavailable, "the live store is out of memory");
  log::error("likes", "Redis refuses a change; does a key of likes hold something else?", {{"error", reply.text}});
  return fail(ErrorCode::kInternal, reply.text);
}

std::string random_name() {
  std::random_device random;
  return std::to_string((std::uint64_t{random()} << 32) | random());
}

}  // namespace

RedisLikeStore::RedisLikeStore(redis::Client& client, LikeLedger& ledger, const Clock& clock, RedisKeys keys)
    : client_(client), ledger_(ledger), clock_(clock), keys_(keys), loader_(random_name()) {}

std::string RedisLikeStore::now() const {
  return std::to_string(clock_.now().time_since_epoch().count());
}

std::string RedisLikeStore::staging_key(outbox::Partition partition) {
  return keys_.staging(partition, loader_ + "-" + std::to_string(next_load_++));
}

// --- changing ---

Task<Result<LikeOutcome>> RedisLikeStore::change(LikeChange change) {
  if (is_outbox_full_) co_return std::unexpected(full());
  if (change.idempotency && keys_.is_tagged()) {
    auto claimed = co_await claim(*change.idempotency);
    if (!claimed) co_return std::unexpected(claimed.error());
  }
  std::vector<LikeChange> one;
  one.push_back(std::move(change));
  auto outcomes = co_await change_unordered(std::move(one));
  co_return std::move(outcomes.front());
}

Task<std::vector<Result<LikeOutcome>>> RedisLikeStore::change_all(std::vector<LikeChange> changes) {
  HEARTH_ASSERT(changes.size() <= kChangesPerBatchMax);
  if (is_outbox_full_) co_return std::vector<Result<LikeOutcome>>(changes.size(), std::unexpected(full()));
  bool has_keys = std::ranges::any_of(changes, [](const LikeChange& change) { return change.idempotency.has_value(); });
  if (has_keys) co_return co_await change_in_order(std::move(changes));
  co_return co_await change_unordered(std::move(changes));
}

// The record of an answer is in its post's slot. The same key with a request for a post of another slot would not find it;
// so the request is noted first where only the key decides. Noted and never answered, it holds the key for the same request.
Task<Result<void>> RedisLikeStore::claim(IdempotencyKey key) {
  std::string name = keys_.claim(key.scope);
  std::string life = std::to_string(std::chrono::milliseconds(kIdempotencyKept).count());
  std::vector<Command> commands;
  commands.push_back(Command({"SET", name, key.request, "PX", life, "NX"}));
  commands.push_back(Command({"GET", name}));
  auto replies = co_await client_.call_all(std::move(commands));
  for (const auto& reply : replies) {
    if (!reply) co_return std::unexpected(redis::to_error(reply.error()));
  }
  if (!replies[1]->is_nil() && replies[1]->text != key.request) co_return std::unexpected(reused());
  co_return Result<void>{};
}

// One after the other: what is made of a batch with keys is its beginning.
Task<std::vector<Result<LikeOutcome>>> RedisLikeStore::change_in_order(std::vector<LikeChange> changes) {
  std::vector<Result<LikeOutcome>> outcomes;
  outcomes.reserve(changes.size());
  std::optional<Error> refusal;
  for (auto& one : changes) {
    bool is_keyed = one.idempotency.has_value();
    if (is_keyed && refusal) {
      outcomes.emplace_back(std::unexpected(*refusal));
      continue;
    }
    outcomes.push_back(co_await change(std::move(one)));
    if (is_keyed && !outcomes.back()) refusal = outcomes.back().error();
  }
  co_return outcomes;
}

std::vector<RedisLikeStore::Group> RedisLikeStore::grouped(const std::vector<LikeChange>& changes) const {
  std::vector<Group> groups;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    auto partition = keys_.partition_of(changes[i].post.view());
    auto group = std::ranges::find(groups, partition, &Group::partition);
    if (group == groups.end()) group = groups.insert(group, Group{.partition = partition, .items = {}});
    group->items.push_back(i);
  }
  return groups;
}

ScriptCall RedisLikeStore::call_for(const Group& group, const std::vector<LikeChange>& changes) const {
  bool has_records = changes[group.items.front()].idempotency.has_value();  // then all have keys
  ScriptCall call{.script = &scripts::change()};
  call.keys.reserve(1 + group.items.size() * 5);
  call.arguments.reserve(3 + group.items.size() * 5);
  call.keys.push_back(keys_.stream(group.partition));
  std::string time = now();
  call.arguments = {time, has_records ? "1" : "0", std::to_string(std::chrono::milliseconds(kIdempotencyKept).count())};
  for (std::size_t i : group.items) {
    const LikeChange& change = changes[i];
    call.keys.push_back(keys_.likes(group.partition, change.post.view()));
    call.keys.push_back(keys_.liked(group.partition, change.post.view()));
    call.keys.push_back(keys_.session(group.partition, change.session.view()));
    call.keys.push_back(keys_.version(group.partition, change.post.view()));
    call.arguments.push_back(change.post.str());
    call.arguments.push_back(change.session.str());
    call.arguments.emplace_back(1, letter(change.action));
    call.arguments.push_back(change.at ? std::to_string(change.at->time_since_epoch().count()) : time);
    if (!has_records) continue;
    call.keys.push_back(keys_.record(group.partition, change.idempotency->scope));
    call.arguments.push_back(change.idempotency->request);
  }
  return call;
}

Task<std::vector<Result<LikeOutcome>>> RedisLikeStore::change_unordered(std::vector<LikeChange> changes) {
  std::vector<Result<LikeOutcome>> outcomes(changes.size());
  auto refuse = [&](const Group& group, const Error& error) {
    for (std::size_t i : group.items) outcomes[i] = std::unexpected(error);
  };
  auto pending = grouped(changes);
  for (int round = 0; !pending.empty(); ++round) {
    std::vector<ScriptCall> calls;
    calls.reserve(pending.size());
    for (const auto& group : pending) calls.push_back(call_for(group, changes));
    auto replies = co_await client_.run_all(std::move(calls));

    std::vector<Group> unloaded;
    std::vector<std::string> posts;
    for (std::size_t g = 0; g < pending.size(); ++g) {
      Group& group = pending[g];
      if (!replies[g]) {
        refuse(group, redis::to_error(replies[g].error()));
      } else if (replies[g]->type == Reply::Type::kArray && replies[g]->elements.size() == group.items.size()) {
        for (std::size_t i = 0; i < group.items.size(); ++i) outcomes[group.items[i]] = outcome_of(replies[g]->elements[i]);
        changes_ += group.items.size();
      } else {
        for (std::size_t i : group.items) posts.push_back(changes[i].post.str());
        unloaded.push_back(std::move(group));
      }
    }
    pending = std::move(unloaded);
    if (pending.empty()) break;
    Result<void> loaded = fail(ErrorCode::kUnavailable, "a post is dropped from the live store again and again; try again later");
    if (round < kLoadRoundsMax) loaded = co_await load(std::move(posts));
    if (loaded) continue;
    for (const auto& group : pending) refuse(group, loaded.error());
    break;
  }
  co_return outcomes;
}

Task<Result<void>> RedisLikeStore::remember(PostId post, IdempotencyKey key, LikeOutcome outcome, std::chrono::milliseconds rest) {
  std::string record = std::to_string(outcome.is_liked ? 1 : 0) + " " + std::to_string(outcome.likes) + " " +
                       std::to_string(outcome.version) + " " + std::to_string(outcome.changed ? 1 : 0) + " " + key.request;
  std::string name = keys_.record(keys_.partition_of(post.view()), key.scope);
  std::string life = std::to_string(std::max<std::int64_t>(1, rest.count()));
  Command command({"SET", name, record, "PX", life, "NX"});
  auto kept = co_await client_.call(std::move(command));
  if (!kept) co_return std::unexpected(redis::to_error(kept.error()));
  co_return Result<void>{};
}

// --- reading ---

Task<Result<std::vector<LikeView>>> RedisLikeStore::read(std::vector<PostId> posts, std::optional<SessionId> session) {
  HEARTH_ASSERT(posts.size() <= kPostsPerReadMax);
  View view;
  if (session) view.session = session->str();
  view.posts.reserve(posts.size());
  for (std::size_t i = 0; i < posts.size(); ++i) {
    view.posts.push_back(posts[i].str());
    // Without tags all keys are on one server, and one command reads them all.
    auto partition = keys_.is_tagged() ? keys_.partition_of(posts[i].view()) : 0;
    auto group = std::ranges::find(view.groups, partition, &Group::partition);
    if (group == view.groups.end()) group = view.groups.insert(group, Group{.partition = partition, .items = {}});
    group->items.push_back(i);
  }
  std::vector<LikeView> views(posts.size());
  for (int round = 0;; ++round) {
    Result<void> outcome;
    auto unloaded = co_await read_once(view, views, outcome);
    if (!outcome) co_return std::unexpected(outcome.error());
    if (unloaded.empty()) co_return views;
    if (round == kLoadRoundsMax)
      co_return fail(ErrorCode::kUnavailable, "a post is dropped from the live store again and again; try again later");
    if (auto loaded = co_await load(std::move(unloaded)); !loaded) co_return std::unexpected(loaded.error());
  }
}

// Fills `views` and returns the posts that are not loaded. Counts and versions are one MGET a group, flags one command: of the
// post's own members for one post, so that members which another program added show at once; else of the session's posts.
Task<std::vector<std::string>> RedisLikeStore::read_once(const View& view, std::vector<LikeView>& views, Result<void>& outcome) {
  std::vector<Command> commands;
  for (const auto& group : view.groups) {
    std::vector<std::string> names{"MGET"};
    for (std::size_t i : group.items) {
      names.push_back(keys_.likes(group.partition, view.posts[i]));
      names.push_back(keys_.version(group.partition, view.posts[i]));
    }
    commands.emplace_back(std::vector<std::string_view>(names.begin(), names.end()));
    if (!view.session) continue;
    if (group.items.size() == 1) {
      auto liked = keys_.liked(group.partition, view.posts[group.items.front()]);
      commands.emplace_back(std::vector<std::string_view>{"SISMEMBER", liked, *view.session});
    } else {
      auto of_session = keys_.session(group.partition, *view.session);
      std::vector<std::string_view> words{"SMISMEMBER", of_session};
      for (std::size_t i : group.items) words.push_back(view.posts[i]);
      commands.emplace_back(words);
    }
  }
  auto replies = co_await client_.call_all(std::move(commands));

  std::vector<std::string> unloaded;
  std::size_t next = 0;
  for (const auto& group : view.groups) {
    const auto& counts = replies[next++];
    const Outcome<Reply>* flags = view.session ? &replies[next++] : nullptr;
    if (!counts || (flags != nullptr && !*flags)) {
      outcome = std::unexpected(redis::to_error(counts ? flags->error() : counts.error()));
      co_return unloaded;
    }
    for (std::size_t n = 0; n < group.items.size(); ++n) {
      const Reply& likes = counts->elements[2 * n];
      const Reply& version = counts->elements[2 * n + 1];
      LikeView& one = views[group.items[n]];
      if (version.is_nil()) unloaded.push_back(view.posts[group.items[n]]);
      one.likes = likes.is_nil() ? 0 : static_cast<std::uint32_t>(number(likes.text));
      one.version = version.is_nil() ? 0 : number(version.text);
      if (flags == nullptr) continue;
      const Reply& answer = **flags;
      one.is_liked = (answer.type == Reply::Type::kArray ? answer.elements[n].integer : answer.integer) == 1;
    }
  }
  co_return unloaded;
}

// --- loading ---

Task<Result<void>> RedisLikeStore::load(std::vector<std::string> posts) {
  auto known = co_await load_unknown(posts);
  if (!known) co_return std::unexpected(known.error());
  for (auto& post : *known) {
    // Those who waited for another's load look again themselves: change.lua and read() tell them.
    auto lead = co_await flights_.join(post);
    if (!lead) continue;
    if (auto loaded = co_await load_members(std::move(post)); !loaded) co_return loaded;
  }
  co_return Result<void>{};
}

// Loads those of the posts that SQL does not know and returns the others. What many ask for at once is one question to SQL: while
// it is under way the next gathers.
Task<Result<std::vector<std::string>>> RedisLikeStore::load_unknown(std::vector<std::string> posts) {
  auto gathered = gathering_.with([&](std::shared_ptr<Gathering>& open) {
    open->posts.insert(posts.begin(), posts.end());
    return open;
  });
  while (!gathered->is_done) {
    auto lead = co_await flights_.join("heads of posts");  // no id holds a space
    if (!lead || gathered->is_done) continue;
    gathering_.with([](std::shared_ptr<Gathering>& open) { open = std::make_shared<Gathering>(); });
    gathered->outcome = co_await sort_out(*gathered);
    gathered->is_done = true;
  }
  if (!gathered->outcome) co_return std::unexpected(gathered->outcome.error());
  std::vector<std::string> known;
  for (auto& post : posts) {
    if (gathered->known.contains(post)) known.push_back(std::move(post));
  }
  std::ranges::sort(known);
  known.erase(std::unique(known.begin(), known.end()), known.end());
  co_return known;
}

Task<Result<void>> RedisLikeStore::sort_out(Gathering& gathered) {
  auto heads = co_await ledger_.heads({gathered.posts.begin(), gathered.posts.end()});
  if (!heads) co_return std::unexpected(heads.error());
  std::vector<std::string> unknown;
  for (auto& head : *heads) {
    if (head.version == 0) {
      unknown.push_back(std::move(head.post));
    } else {
      gathered.known.insert(std::move(head.post));
    }
  }
  if (unknown.empty()) co_return Result<void>{};
  co_return co_await install(std::move(unknown));
}

ScriptCall RedisLikeStore::install_call(const std::string& post, std::uint64_t version, std::size_t staged,
                                        const std::string& staging) const {
  auto partition = keys_.partition_of(post);
  return {.script = &scripts::install(),
          .keys = {keys_.likes(partition, post), keys_.liked(partition, post), keys_.version(partition, post), keys_.stream(partition),
                   staging},
          .arguments = {post, std::to_string(version), std::to_string(staged), now(), keys_.session(partition, ""),
                        std::to_string(kUnknownKept.count())}};
}

// Posts that SQL does not know.
Task<Result<void>> RedisLikeStore::install(std::vector<std::string> posts) {
  std::vector<ScriptCall> calls;
  calls.reserve(posts.size());
  for (const auto& post : posts) calls.push_back(install_call(post, 0, 0, staging_key(keys_.partition_of(post))));
  auto replies = co_await client_.run_all(std::move(calls));
  for (const auto& reply : replies) {
    if (!reply) co_return std::unexpected(redis::to_error(reply.error()));
  }
  loads_ += posts.size();
  co_return Result<void>{};
}

Task<Result<void>> RedisLikeStore::load_members(std::string post) {
  for (int round = 0; round < kLoadRoundsMax; ++round) {
    auto members = co_await ledger_.members(post);
    if (!members) co_return std::unexpected(members.error());
    auto installed = co_await stage_and_install(*members);
    if (!installed) co_return std::unexpected(installed.error());
    if (*installed < 0) continue;  // Redis was emptied meanwhile
    ++loads_;
    co_return Result<void>{};
  }
  co_return fail(ErrorCode::kUnavailable, "the live store loses what is loaded; try again later");
}

Task<Result<int>> RedisLikeStore::stage_and_install(const LedgerMembers& members) {
  auto partition = keys_.partition_of(members.head.post);
  auto staging = staging_key(partition);
  const auto& sessions = members.sessions;
  for (std::size_t begin = 0; begin < sessions.size(); begin += kSessionsPerStage) {
    ScriptCall call{.script = &scripts::stage(),
                    .keys = {keys_.version(partition, members.head.post), staging},
                    .arguments = {members.head.post, kStagingSeconds}};
    for (std::size_t i = begin; i < std::min(begin + kSessionsPerStage, sessions.size()); ++i) {
      call.keys.push_back(keys_.session(partition, sessions[i]));
      call.arguments.push_back(sessions[i]);
    }
    auto staged = co_await client_.run(std::move(call));
    if (!staged) co_return std::unexpected(redis::to_error(staged.error()));
    if (staged->integer == 0) co_return 0;
  }
  auto installed = co_await client_.run(install_call(members.head.post, members.head.version, sessions.size(), staging));
  if (!installed) co_return std::unexpected(redis::to_error(installed.error()));
  co_return static_cast<int>(installed->integer);
}

}  // namespace hearth::likes
