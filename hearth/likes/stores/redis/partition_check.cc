#include "hearth/likes/stores/redis/partition_check.h"

#include <utility>

#include "hearth/base/log.h"
#include "hearth/base/run_to_end.h"

namespace hearth::likes {
namespace {

constexpr std::size_t kPostsPerPage = 2'000;
constexpr auto kAnyServer = redis::Admission::kBeforeAdmission;

}  // namespace

Result<bool> PartitionCheck::run(const outbox::HeldPartition& held) {
  auto cursor = ledger_.cursor(held.partition);
  if (!cursor) return std::unexpected(cursor.error());
  auto page = outbox_.read(held.partition, *cursor, 0, kAnyServer);
  if (!page) return std::unexpected(page.error());
  if (page->is_same) return false;
  log::warning("likes", "Redis has not what SQL has followed; comparing the posts of the partition", {{"partition", held.partition}});
  std::string after;
  for (;;) {
    auto heads = ledger_.heads_after(after, kPostsPerPage);
    if (!heads) return std::unexpected(heads.error());
    if (heads->empty()) break;
    after = heads->back().post;
    std::erase_if(*heads, [&](const LedgerPost& head) { return keys_.partition_of(head.post) != held.partition; });
    if (auto compared = compare(held, *cursor, *std::move(heads)); !compared) return std::unexpected(compared.error());
  }
  if (auto reset = ledger_.reset_cursor(held.partition, held.lease); !reset) return std::unexpected(reset.error());
  return true;
}

Result<void> PartitionCheck::compare(const outbox::HeldPartition& held, const LedgerCursor& cursor, std::vector<LedgerPost> page) {
  if (page.empty()) return {};
  std::vector<std::string> names;
  for (const auto& head : page) names.push_back(head.post);
  auto versions = run_to_end(posts_.versions(std::move(names), kAnyServer));
  if (!versions) return std::unexpected(versions.error());
  for (std::size_t i = 0; i < page.size(); ++i) {
    std::uint64_t live = (*versions)[i];
    if (live == 0 || live == page[i].version) continue;
    if (live < page[i].version) {
      auto dropped = run_to_end(posts_.drop(page[i].post, live, kAnyServer));
      if (!dropped) return std::unexpected(dropped.error());
      continue;
    }
    auto copy = run_to_end(posts_.copy(page[i].post, kAnyServer));
    if (!copy) return std::unexpected(copy.error());
    LedgerBatch batch{.partition = held.partition, .events = {}, .copies = {}, .cursor = cursor, .lease = held.lease};
    batch.copies.push_back(*std::move(copy));
    if (auto applied = ledger_.apply(batch); !applied) return std::unexpected(applied.error());
  }
  return {};
}

}  // namespace hearth::likes
