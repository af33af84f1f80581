#include "hearth/app/handlers/built_in.h"

#include <stdexcept>
#include <utility>

#include "hearth/app/handlers/images.h"
#include "hearth/app/handlers/payloads.h"
#include "hearth/app/handlers/webhook.h"
#include "hearth/base/digest.h"
#include "hearth/base/json_writer.h"
#include "hearth/base/run_to_end.h"

namespace hearth::app {
namespace {

using jobs::Completed;
using jobs::Failed;
using jobs::HandlerOptions;
using jobs::JobRun;
using jobs::Outcome;

constexpr std::size_t kPrunedAtOnce = 1'000;
constexpr std::size_t kUrlHashDigits = 16;

// The notification and the job that posts it on are made together, with the end of this one: neither is lost or doubled.
Outcome send_notification(const BuiltInParts& parts, const SendNotification& payload, const JobRun& run) {
  std::optional<jobs::JobDraft> onward;
  if (parts.notification_url) onward = jobs::JobDraft{.type = "webhook", .payload = run.job.payload, .url = parts.notification_url};
  return Completed{.effect = [&parts, draft = payload.draft, onward = std::move(onward)](SqlTransaction transaction) -> Result<void> {
    auto id = parts.notifications.add(transaction, draft, parts.clock.now());
    if (!id) return std::unexpected(id.error());
    return onward ? parts.queue.enqueue_in(transaction, *onward) : Result<void>();
  }};
}

Outcome sync_like_count(const BuiltInParts& parts, const SyncLikeCount& payload, const JobRun& /*run*/) {
  auto synced = run_to_end(parts.sync_likes(payload.post));
  if (!synced) return Failed{.error = synced.error().message};
  return Completed{};
}

Outcome sync_views(const BuiltInParts& parts, const SyncViews& /*payload*/, const JobRun& /*run*/) {
  auto report = run_to_end(parts.sync_views());
  if (!report) return Failed{.error = report.error().message};
  return Completed{.result = *std::move(report)};
}

// Runs `prune` until it finds less than it may delete; returns how much went.
template <typename Prune>
Result<std::size_t> prune_all(const JobRun& run, Prune prune) {
  for (std::size_t total = 0;;) {
    auto deleted = run_to_end(prune());
    if (!deleted) return std::unexpected(deleted.error());
    total += *deleted;
    if (*deleted < kPrunedAtOnce) return total;
    if (run.stop.stop_requested()) return fail(ErrorCode::kUnavailable, "stopped");
  }
}

Outcome cleanup_expired(const BuiltInParts& parts, const CleanupExpired& payload, const JobRun& run) {
  auto now = parts.clock.now();
  auto before = now - std::chrono::days(payload.older_than_days);
  std::string result;
  JsonWriter json(result);
  json.begin_object();
  auto jobs = prune_all(run, [&] { return parts.admin.prune(before, kPrunedAtOnce); });
  if (!jobs) return Failed{.error = jobs.error().message};
  auto keys = prune_all(run, [&] { return parts.content.prune_idempotency_keys(now, kPrunedAtOnce); });
  if (!keys) return Failed{.error = keys.error().message};
  auto notifications = prune_all(run, [&] { return parts.notifications.prune(before, kPrunedAtOnce); });
  if (!notifications) return Failed{.error = notifications.error().message};
  json.field("jobs", *jobs).field("idempotencyKeys", *keys).field("notifications", *notifications).end_object();
  return Completed{.result = std::move(result)};
}

Outcome recompute_rankings(const BuiltInParts& parts, const RecomputeRankings& payload, const JobRun& /*run*/) {
  auto posts = run_to_end(parts.content.find_hot_posts(parts.clock.now(), payload.limit));
  if (!posts) return Failed{.error = posts.error().message};
  std::string result;
  JsonWriter(result).begin_object().field("posts", posts->size()).end_object();
  return Completed{.result = std::move(result),
                   .effect = [&content = parts.content, posts = *std::move(posts)](SqlTransaction transaction) {
                     return content.keep_hot_posts(transaction, posts);
                   }};
}

// A handler of its own parts: `run(parts, payload, run)`.
template <typename Payload, typename Run>
void add(jobs::JobHandlers& handlers, const std::string& type, HandlerOptions options, const BuiltInParts& parts,
         const Concurrency& concurrency, Run run) {
  options.concurrency = concurrency(type).value_or(options.concurrency);
  handlers.add<Payload>(type, options,
                        [&parts, run](const Payload& payload, const JobRun& job_run) { return run(parts, payload, job_run); });
}

}  // namespace

void add_built_in_handlers(jobs::JobHandlers& handlers, const BuiltInParts& parts, const Concurrency& concurrency) {
  using std::chrono::minutes;
  add<ProcessImage>(handlers, "process_image", {.concurrency = 2, .timeout = minutes(2)}, parts, concurrency, process_image);
  add<GenerateThumbnail>(handlers, "generate_thumbnail", {.concurrency = 2, .timeout = minutes(2)}, parts, concurrency, generate_thumbnail);
  add<SendNotification>(handlers, "send_notification", {.concurrency = 2, .timeout = minutes(1), .batch = 100}, parts, concurrency,
                        send_notification);
  add<SyncLikeCount>(handlers, "sync_like_count", {.concurrency = 4, .timeout = minutes(1), .batch = 16}, parts, concurrency,
                     sync_like_count);
  add<SyncViews>(handlers, "sync_views", {.concurrency = 1, .timeout = minutes(30)}, parts, concurrency, sync_views);
  add<CleanupExpired>(handlers, "cleanup_expired", {.concurrency = 1, .timeout = minutes(30)}, parts, concurrency, cleanup_expired);
  add<RecomputeRankings>(handlers, "recompute_rankings", {.concurrency = 1, .timeout = minutes(5)}, parts, concurrency, recompute_rankings);

  HandlerOptions options{.concurrency = concurrency("webhook").value_or(8), .timeout = minutes(1)};
  handlers.set_webhook(options, [&parts](const JobRun& run) {
    return post_webhook(parts.web, {.secret = parts.webhook_secret, .allows_private = parts.fetches_private}, parts.clock, run);
  });
}

content::OnCreated image_jobs(jobs::JobQueue& queue) {
  return [&queue](SqlTransaction transaction, const content::Post& post) {
    if (!post.image_url) return;
    jobs::JobDraft draft{.type = "process_image"};
    draft.idempotency_key = "process_image:" + post.id.str() + ":" + sha256_hex(*post.image_url).substr(0, kUrlHashDigits);
    draft.payload.clear();
    JsonWriter(draft.payload).begin_object().field("postId", post.id.view()).field("imageUrl", *post.image_url).end_object();
    auto queued = queue.enqueue_in(transaction, draft);
    if (!queued) throw std::runtime_error("queue process_image: " + queued.error().message);
  };
}

}  // namespace hearth::app
