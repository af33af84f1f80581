#pragma once

// The queue: what enqueues jobs, claims them and ends them.
//
// Promises, checked on every implementation by job_queue_conformance.h and job_endings_conformance.h:
//  - A job that was enqueued is claimed until it ends; each attempt has one owner, and ends once (guarantee 6).
//  - Within what a claim asks for, a higher priority comes first, then what was due first.
//  - A claim costs the same however many jobs ended or are not due. A type that is paused, limited or full starves no other.
//  - One idempotency key makes one job, however many ask at once, while that job is active and kIdempotencyKeyKept after.
//  - What ends a job and its effect commit together.
//
// Times are those of the database's clock. Thread-safe. Coroutines run on the io_context thread of their caller.

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "hearth/base/sql_transaction.h"
#include "hearth/base/task.h"
#include "hearth/jobs/job.h"

namespace hearth::jobs {

struct EnqueuedJob {
  Job job;
  bool is_duplicate = false;  // of a key that is taken: `job` is the first one, and nothing was changed
};

// Which jobs a claim may take.
struct TypeLimit {
  std::string type;
  std::size_t limit = 0;
};

struct ClaimRequest {
  std::string worker = {};            // who claims, for people: 1 … 128 bytes
  std::vector<TypeLimit> types = {};  // at most so many of each; none: any type but those of `except`
  std::vector<std::string> except = {};
  std::size_t limit = 1;  // of all, 1 … kJobsPerClaimMax
  std::chrono::milliseconds lease = kLeaseDefault;
  bool takes_webhooks = false;  // true: only jobs with a url, of any type; false: only jobs without
};

struct ClaimedJob {
  JobId id{};
  std::string type;
  std::string payload;
  std::optional<std::string> url = {};
  int attempts = 0;  // this one included
  int max_attempts = 0;
  UtcMicros scheduled_for{};
  UtcMicros started_at{};
  std::string lease_token;
  UtcMicros lease_expires_at{};
};

struct Claim {
  std::vector<ClaimedJob> jobs;
  // When the first job that this claim could take later is due; absent if it knows of none. Such a job may be there now, if
  // another claim was at it. Paused types do not count.
  std::optional<std::chrono::milliseconds> next_due_in = {};
};

// Written in the transaction that ends the job. Its failure fails the ending. May run twice, in different transactions.
using Effect = std::function<Result<void>(SqlTransaction)>;

struct Completed {
  std::optional<std::string> result = {};  // JSON
  Effect effect = nullptr;
};
struct Failed {
  std::string error;
  std::optional<std::chrono::milliseconds> retry_after = {};  // instead of the usual delay
  bool is_final = false;                                      // trying again cannot help: dead at once
};
struct Snoozed {  // not an attempt: the job waits for so long
  std::chrono::milliseconds wait{0};
};
using Outcome = std::variant<Completed, Failed, Snoozed>;

struct Ending {
  JobId job{};
  std::string lease_token;
  Outcome outcome;
};

struct Ended {
  JobStatus status = JobStatus::kCompleted;  // kPending: it is tried again
  bool is_repeated = false;                  // it had ended so already, with this token
};

struct LeaseRenewal {
  JobId job{};
  std::string lease_token;
  std::optional<std::string> progress = {};  // JSON
};
struct Renewed {
  bool is_cancelled = false;  // stop working on it
  UtcMicros lease_expires_at{};
};

class JobQueue {
 public:
  virtual ~JobQueue() = default;

  // All or none, in one transaction, answered in order. Callers that wait together may share a transaction.
  // REQUIRES: drafts.size() <= kJobsPerEnqueueMax, each one checked.
  virtual Task<Result<std::vector<EnqueuedJob>>> enqueue(std::vector<JobDraft> drafts) = 0;
  // The same for one, within a transaction of others. wake() when that has committed.
  virtual Result<void> enqueue_in(SqlTransaction transaction, const JobDraft& draft) = 0;

  virtual Task<Result<Claim>> claim(ClaimRequest request) = 0;

  // Each ends, or not, by itself, answered in order; the outer error means that none did. kNotFound: no such job.
  // kStaleLease: the token is not that of the job's present attempt. kConflict: it was cancelled, or ended otherwise with
  // this token. Another error: the effect's, and the attempt goes on.
  virtual Task<Result<std::vector<Result<Ended>>>> end(std::vector<Ending> endings) = 0;

  // Renews each lease for its length from now. Errors as for end(); that a job was cancelled is none.
  virtual Task<Result<std::vector<Result<Renewed>>>> renew(std::vector<LeaseRenewal> renewals) = 0;

  // Fails the attempts whose lease is over, at most `limit`: those jobs can be claimed at once, or are dead. Returns how many.
  virtual Task<Result<std::size_t>> take_over_expired(std::size_t limit) = 0;
};

}  // namespace hearth::jobs
