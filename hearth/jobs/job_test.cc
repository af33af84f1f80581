#include "hearth/jobs/job.h"

#include <gtest/gtest.h>

namespace hearth::jobs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Job, WaitsTwiceAsLongAfterEachFailureUpToALimit) {
  EXPECT_EQ(retry_delay(1, kRetryBase, kRetryMax, 0), seconds(2));
  EXPECT_EQ(retry_delay(2, kRetryBase, kRetryMax, 0), seconds(4));
  EXPECT_EQ(retry_delay(10, kRetryBase, kRetryMax, 0), seconds(1'024));
  EXPECT_EQ(retry_delay(100, kRetryBase, kRetryMax, 0), kRetryMax);
  EXPECT_EQ(retry_delay(1, kRetryBase, kRetryMax, 1), milliseconds(2'400));
}

TEST(Job, StatusAndIdAreReadAsTheyAreWritten) {
  for (auto status : {JobStatus::kPending, JobStatus::kProcessing, JobStatus::kCompleted, JobStatus::kDead, JobStatus::kCancelled})
    EXPECT_EQ(parse_job_status(to_text(status)), status);
  EXPECT_FALSE(parse_job_status("failed"));
  EXPECT_EQ(parse_job_id(to_text(JobId(42)), "id").value(), JobId(42));
  for (const char* text : {"", "0", "-1", "4x", "99999999999999999999"}) EXPECT_FALSE(parse_job_id(text, "id")) << text;
}

TEST(Job, DraftsOverALimitAreRefusedByField) {
  auto field_of = [](const JobDraft& draft) {
    auto checked = check(draft);
    return checked ? std::string() : checked.error().field;
  };
  EXPECT_EQ(field_of({.type = "send_mail"}), "");
  EXPECT_EQ(field_of({.type = ""}), "jobType");
  EXPECT_EQ(field_of({.type = "send mail"}), "jobType");
  EXPECT_EQ(field_of({.type = "a", .payload = std::string(kPayloadBytesMax + 1, ' ')}), "payload");
  EXPECT_EQ(field_of({.type = "a", .priority = 11}), "priority");
  EXPECT_EQ(field_of({.type = "a", .priority = -1}), "priority");
  EXPECT_EQ(field_of({.type = "a", .idempotency_key = ""}), "idempotencyKey");
  EXPECT_EQ(field_of({.type = "a", .max_attempts = 0}), "maxAttempts");
  EXPECT_EQ(field_of({.type = "a", .idempotency_key = "k", .debounce = Debounce{"d", seconds(1)}}), "debounce");
  EXPECT_EQ(field_of({.type = "a", .url = "https://a.example", .debounce = Debounce{"d", seconds(1)}}), "debounce");
  EXPECT_EQ(field_of({.type = "a", .debounce = Debounce{"d", seconds(86'401)}}), "debounce.seconds");
}

TEST(Job, AWebhookIsPostedToTheUrlOfItsPayload) {
  EXPECT_EQ(url_in_payload(R"({"event":{"url":"inner"},"url":"https://example.org/hook"})").value(), "https://example.org/hook");
  for (const char* payload : {"{}", R"({"url":7})", R"({"url":null})"})
    EXPECT_EQ(url_in_payload(payload).error().field, "payload.url") << payload;
}

}  // namespace
}  // namespace hearth::jobs
