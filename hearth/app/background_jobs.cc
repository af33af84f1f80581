#include "hearth/app/background_jobs.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <string>
#include <utility>

#include "hearth/base/run_to_end.h"
#include "hearth/media/stores/disk_media_store.h"
#include "hearth/media/stores/s3_media_store.h"

namespace hearth::app {
namespace {

constexpr int kHeartbeatsPerLease = 3;
constexpr std::string_view kSyncViews = "sync_views";  // a schedule of that name in jobs.schedules stands for views.sync_cron

Result<std::unique_ptr<media::MediaStore>> open_media(const Config& config, web::WebClient& web, const Clock& clock) {
  if (config.media.store == MediaPlace::kS3) return std::make_unique<media::S3MediaStore>(config.media.s3(), web, clock);
  auto disk = media::DiskMediaStore::open(config.data / "media");
  if (!disk) return std::unexpected(disk.error());
  return std::unique_ptr<media::MediaStore>(*std::move(disk));
}

// The entries of jobs.concurrency, which was validated.
Concurrency concurrency_of(const std::vector<std::string>& entries) {
  std::map<std::string, int, std::less<>> numbers;
  for (const std::string& entry : entries) {
    auto equals = entry.find('=');
    int number = 0;
    std::from_chars(entry.data() + equals + 1, entry.data() + entry.size(), number);
    numbers[entry.substr(0, equals)] = number;
  }
  return [numbers = std::move(numbers)](std::string_view type) -> std::optional<int> {
    auto found = numbers.find(type);
    return found == numbers.end() ? std::nullopt : std::optional(found->second);
  };
}

// This process, for people who look at jobs.
std::string worker_name() {
  char host[64] = "localhost";
  gethostname(host, sizeof host - 1);
  return std::string(host) + ":" + std::to_string(getpid());
}

}  // namespace

Result<std::unique_ptr<BackgroundJobs>> BackgroundJobs::open(const Config& config, const Clock& clock, Sql& sql, Syncs syncs) {
  auto web = std::make_unique<web::WebClient>();
  auto media = open_media(config, *web, clock);
  if (!media) return std::unexpected(media.error());
  return std::unique_ptr<BackgroundJobs>(new BackgroundJobs(config, clock, sql, std::move(syncs), std::move(web), *std::move(media)));
}

BackgroundJobs::BackgroundJobs(const Config& config, const Clock& clock, Sql& sql, Syncs syncs, std::unique_ptr<web::WebClient> web,
                               std::unique_ptr<media::MediaStore> media)
    : config_(config.jobs),
      views_schedule_(config.views.schedule()),
      sql_(sql),
      web_(std::move(web)),
      media_(std::move(media)),
      images_(*media_),
      parts_{.web = *web_,
             .fetches_private = config.fetch.allow_private,
             .webhook_secret = config.webhooks.secret,
             .notification_url = config.webhooks.notifications_url,
             .media = *media_,
             .queue = sql.job_queue(),
             .admin = sql.job_admin(),
             .content = sql.content_jobs(),
             .notifications = sql.notifications(),
             .sync_likes = std::move(syncs.likes),
             .sync_views = std::move(syncs.views),
             .clock = clock},
      runner_(sql.job_queue(), sql.job_signal(), handlers_, clock,
              {.worker = worker_name(), .lease = config_.lease, .heartbeat = config_.lease / kHeartbeatsPerLease, .poll = config_.poll}),
      scheduler_(sql.schedules(), clock) {
  add_built_in_handlers(handlers_, parts_, concurrency_of(config_.concurrency));
}

BackgroundJobs::~BackgroundJobs() {
  stop();
}

Result<void> BackgroundJobs::start() {
  if (auto heard = sql_.hear_jobs(); !heard) return heard;
  if (!config_.workers) return {};
  std::vector<jobs::Schedule> schedules;
  for (const auto& text : config_.schedules) schedules.push_back(jobs::parse_schedule(text).value());
  if (std::ranges::find(schedules, kSyncViews, &jobs::Schedule::name) == schedules.end())
    schedules.push_back(
        jobs::parse_schedule(std::string(kSyncViews) + " | " + views_schedule_ + " | UTC | sync_views | {} | once").value());
  if (auto configured = run_to_end(scheduler_.configure(std::move(schedules))); !configured) return configured;
  runner_.start();
  scheduler_.start();
  return {};
}

void BackgroundJobs::stop() {
  if (std::exchange(is_stopped_, true)) return;
  scheduler_.stop();
  runner_.stop();
  sql_.job_signal().close();
  images_.stop();
}

}  // namespace hearth::app
