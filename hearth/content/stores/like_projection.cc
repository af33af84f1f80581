#include "hearth/content/stores/like_projection.h"

#include <boost/unordered/unordered_flat_set.hpp>

#include <utility>

#include "hearth/base/hash.h"
#include "hearth/base/log.h"
#include "hearth/outbox/event.h"

namespace hearth::content {
namespace {

using IdSet = boost::unordered_flat_set<std::string, TextHash, std::equal_to<>>;

}  // namespace

struct LikeProjection::Step {
  OutboxCursor from;
  OutboxCursor to;
  IdSet posts;
  std::size_t entries = 0;
};

LikeProjection::LikeProjection(sqlite::Database& database, outbox::Journal& journal, LedgerCounts ledger)
    : database_(database), journal_(journal), ledger_cursor_(std::move(ledger.cursor)), projector_(database, std::move(ledger.counts)) {}

Result<std::size_t> LikeProjection::run_once() {
  // The ledger's cursor first: the posts are read, and the ledger is asked, after it.
  auto ledger = ledger_cursor_();
  if (!ledger) return std::unexpected(ledger.error());
  auto step = next_step();
  if (!step) return std::unexpected(step.error());
  auto is_whole = add_changed_posts(*step, *ledger);
  if (!is_whole) return std::unexpected(is_whole.error());
  if (!*is_whole) return start_over(step->from, *ledger);
  if (step->entries == 0 && step->posts.empty()) return std::size_t{0};

  auto counts = projector_.ask_ledger({step->posts.begin(), step->posts.end()});
  if (!counts) return std::unexpected(counts.error());
  auto written = database_.write_blocking([&](sqlite::Connection& connection) -> Result<void> {
    LikeProjector::write(connection, *counts);
    write_cursor(connection, kContentConsumer, step->to);
    return {};
  });
  if (!written) return std::unexpected(written.error());
  return step->entries + step->posts.size();
}

Result<outbox::Sequence> LikeProjection::cursor() {
  return database_.read_blocking(
      [](sqlite::Connection& connection) -> Result<outbox::Sequence> { return read_cursor(connection, kContentConsumer).sequence; });
}

// A step from the cursor, with the posts that were never projected.
Result<LikeProjection::Step> LikeProjection::next_step() {
  return database_.read_blocking([](sqlite::Connection& connection) -> Result<Step> {
    Step step;
    step.from = read_cursor(connection, kContentConsumer);
    step.to = step.from;
    ++step.to.steps;
    for (auto& post : LikeProjector::never_projected(connection)) step.posts.insert(std::move(post));
    return step;
  });
}

// Adds the posts of the entries up to the ledger's cursor. False: the log is not the one that the cursor is in.
Result<bool> LikeProjection::add_changed_posts(Step& step, outbox::Sequence ledger) {
  if (ledger < step.from.sequence) return false;
  if (ledger == step.from.sequence) return true;
  auto entries = journal_.read(step.from.sequence, kProjectedBytesPerStep);
  if (!entries) return std::unexpected(entries.error());
  // Asked after the read: what trimming left of the entry at the cursor, it left of those behind it as well.
  auto checksum = journal_.checksum_at(step.from.sequence);
  if (!checksum) return std::unexpected(checksum.error());
  if (*checksum != step.from.checksum) return false;
  if (*checksum == 0 && !entries->empty() && entries->front().sequence != step.from.sequence + 1) return false;

  for (const auto& entry : *entries) {
    if (entry.sequence > ledger || (step.entries > 0 && step.posts.size() >= kProjectedPostsPerStep)) break;
    auto decoded = outbox::decode(entry.events, [&](const outbox::LikeChanged& event) { step.posts.emplace(event.post); });
    if (!decoded) return std::unexpected(decoded.error());
    step.to.sequence = entry.sequence;
    ++step.entries;
  }
  if (step.entries == 0) return true;
  auto at_end = journal_.checksum_at(step.to.sequence);
  if (!at_end) return std::unexpected(at_end.error());
  step.to.checksum = *at_end;
  return true;
}

// Makes every post one that was never projected, and goes on from where the ledger is.
Result<std::size_t> LikeProjection::start_over(OutboxCursor from, outbox::Sequence ledger) {
  auto checksum = journal_.checksum_at(ledger);
  if (!checksum) return std::unexpected(checksum.error());
  log::warning("projection", "the outbox does not go on where it was read last; asking the ledger for all posts",
               {{"cursor", from.sequence}, {"ledger", ledger}});
  return database_.write_blocking([&](sqlite::Connection& connection) -> Result<std::size_t> {
    std::size_t posts = LikeProjector::forget_versions(connection);
    write_cursor(connection, kContentConsumer, {ledger, *checksum, from.steps + 1});
    return posts + 1;
  });
}

}  // namespace hearth::content
