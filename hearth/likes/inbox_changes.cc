#include "hearth/likes/inbox_changes.h"

#include <algorithm>

namespace hearth::likes {

void InboxChanges::make(const std::vector<LikeChange>& changes, UtcMicros now) {
  bool has_refused_key = false;
  for (const auto& wanted : changes) {
    const auto& key = wanted.idempotency;
    auto kept = key ? answer_of(*key) : std::nullopt;
    if (key && has_refused_key) kept = fail(ErrorCode::kIdempotencyKeyReused, "a key before this one was refused");
    if (kept) {
      has_refused_key = has_refused_key || !*kept;
      outcomes.push_back(*std::move(kept));
      continue;
    }
    LikeOutcome outcome = change(wanted, now);
    if (key) {
      answers.emplace(key->scope, KeptAnswer{key->request, outcome});
      answered.push_back({.post = wanted.post, .key = *key, .outcome = outcome, .at = now});
    }
    outcomes.push_back(outcome);
  }
  keep_last_operations();
}

std::optional<Result<LikeOutcome>> InboxChanges::answer_of(const IdempotencyKey& key) const {
  auto kept = answers.find(key.scope);
  if (kept == answers.end()) return std::nullopt;
  if (kept->second.request != key.request) {
    return fail(ErrorCode::kIdempotencyKeyReused, "this Idempotency-Key came with another request before");
  }
  LikeOutcome outcome = kept->second.outcome;
  outcome.replayed = true;
  return outcome;
}

// What changes nothing here is an operation too: the live store, when it is back, may know otherwise.
LikeOutcome InboxChanges::change(const LikeChange& change, UtcMicros now) {
  Post& post = posts[change.post.str()];
  std::pair pair(change.post.str(), change.session.str());
  bool was_liked = liked.contains(pair);
  bool is_liked = change.action == LikeAction::kToggle ? !was_liked : change.action == LikeAction::kLike;
  if (is_liked != was_liked) {
    if (is_liked) {
      liked.insert(pair);
      ++post.likes;
    } else {
      liked.erase(pair);
      --post.likes;
    }
    post.version = std::max(post.version + 1, static_cast<std::uint64_t>(now.time_since_epoch().count()));
  }
  operations.push_back({.post = pair.first, .session = pair.second, .is_liked = is_liked, .at = change.at.value_or(now), .after = post});
  return {.is_liked = is_liked, .likes = post.likes, .version = post.version, .changed = is_liked != was_liked};
}

void InboxChanges::keep_last_operations() {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  std::vector<Operation> last;
  for (auto operation = operations.rbegin(); operation != operations.rend(); ++operation) {
    if (seen.emplace(operation->post, operation->session).second) last.push_back(*operation);
  }
  std::ranges::reverse(last);
  operations = std::move(last);
}

}  // namespace hearth::likes
