#include "hearth/likes/inbox_drainer.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "hearth/base/log.h"
#include "hearth/base/run_to_end.h"

namespace hearth::likes {
namespace {

constexpr std::size_t kOperationsPerStep = 500;

// The time too: the ids of another database, or of one that was set back, may be the same.
IdempotencyKey key_of(const InboxOperation& operation) {
  return {.scope = "inbox:" + std::to_string(operation.id) + ":" + std::to_string(operation.at.time_since_epoch().count()),
          .request = operation.is_liked ? "like" : "unlike"};
}

}  // namespace

Result<bool> InboxDrainer::run_once() {
  auto operations = inbox_.operations(kOperationsPerStep);
  if (!operations) return std::unexpected(operations.error());
  if (operations->empty()) return false;
  std::vector<LikeChange> changes;
  std::vector<std::uint64_t> made;
  for (const auto& operation : *operations) {
    // Only another program can have written an id that Hearth does not take.
    if (!is_valid_id(operation.post) || !is_valid_id(operation.session)) {
      log::warning("inbox", "an operation names an id that cannot be one; it is dropped", {{"post", operation.post}});
      made.push_back(operation.id);
      continue;
    }
    changes.push_back({.post = PostId::trusted(operation.post),
                       .session = SessionId::trusted(operation.session),
                       .action = operation.is_liked ? LikeAction::kLike : LikeAction::kUnlike,
                       .at = operation.at,
                       .idempotency = key_of(operation)});
  }
  auto outcomes = run_to_end(make_(std::move(changes)));
  std::optional<Error> failure;
  std::size_t next = 0;
  for (const auto& operation : *operations) {
    if (!is_valid_id(operation.post) || !is_valid_id(operation.session)) continue;
    const auto& outcome = outcomes[next++];
    if (!outcome) {
      failure = outcome.error();
      break;  // later ones of the same post must not overtake it
    }
    made.push_back(operation.id);
  }
  bool more = operations->size() == kOperationsPerStep;
  bool is_from_fallback = std::ranges::any_of(*operations, [](const auto& one) { return one.origin == InboxOrigin::kFallback; });
  if (!more && is_from_fallback && before_empty_) {
    if (auto done = before_empty_(); !done) return std::unexpected(done.error());
  }
  if (auto removed = inbox_.remove(made); !removed) return std::unexpected(removed.error());
  if (failure) return std::unexpected(*failure);
  return more;
}

}  // namespace hearth::likes
