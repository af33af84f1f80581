#pragma once

// What the executable does by itself: the built-in job types.

#include <functional>
#include <optional>
#include <string>

#include "hearth/base/clock.h"
#include "hearth/base/task.h"
#include "hearth/content/content_jobs.h"
#include "hearth/content/content_store.h"
#include "hearth/drivers/web/web_client.h"
#include "hearth/jobs/job_admin.h"
#include "hearth/jobs/job_handlers.h"
#include "hearth/jobs/job_queue.h"
#include "hearth/media/media_store.h"
#include "hearth/notifications/notification_store.h"

namespace hearth::app {

// What the handlers work with. All outlive them.
struct BuiltInParts {
  web::WebClient& web;
  bool fetches_private = false;                      // also from loopback and private addresses
  std::optional<std::string> webhook_secret = {};    // signs what is posted; absent: nothing is signed
  std::optional<std::string> notification_url = {};  // notifications are posted there too
  media::MediaStore& media;
  jobs::JobQueue& queue;
  jobs::JobAdmin& admin;
  content::ContentJobs& content;
  notifications::NotificationStore& notifications;
  std::function<Task<Result<void>>(PostId post)> sync_likes;  // brings SQL and live state of the post together
  std::function<Task<Result<std::string>>()> sync_views;      // brings views to SQL; the result is JSON
  const Clock& clock;
};

// How many of a type run at once on this node; absent: what suits it.
using Concurrency = std::function<std::optional<int>(std::string_view type)>;

void add_built_in_handlers(jobs::JobHandlers& handlers, const BuiltInParts& parts, const Concurrency& concurrency);

// Queues process_image in the transaction that makes a post with an image, once for each image of a post.
content::OnCreated image_jobs(jobs::JobQueue& queue);

}  // namespace hearth::app
