#pragma once

// Callers who enqueue jobs at the same time share a transaction: while a few are on their way, those who come meanwhile
// gather for the next. A commit costs a write to the disk, and commits that announce jobs take turns.
//
// What the database refuses of a group is found by giving each caller a transaction of its own.
//
// Thread-safe. The destructor waits for the groups that are on their way; those whom it finds waiting are still served.

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "hearth/base/task.h"
#include "hearth/base/work.h"
#include "hearth/drivers/postgres/database.h"
#include "hearth/jobs/job_queue.h"
#include "hearth/jobs/job_signal.h"

namespace hearth::jobs {

class EnqueueGroups {
 public:
  EnqueueGroups(postgres::Database& database, JobSignal& signal) : database_(database), signal_(signal) {}
  EnqueueGroups(const EnqueueGroups&) = delete;
  EnqueueGroups& operator=(const EnqueueGroups&) = delete;
  ~EnqueueGroups();

  // kUnavailable: too many wait already.
  Task<Result<std::vector<EnqueuedJob>>> enqueue(std::vector<JobDraft> drafts);

 private:
  using Answer = Result<std::vector<EnqueuedJob>>;
  struct Caller {
    std::vector<JobDraft> drafts;
    std::unique_ptr<WorkItem<Answer>> item;  // who waits
    bool is_alone = false;                   // goes into no group
  };
  class Group;

  void submit(Caller caller);
  // A group has ended, and perhaps left callers that must go alone.
  void end(std::vector<Caller> again);
  std::unique_ptr<Group> next_group();  // under the lock
  void start(std::unique_ptr<Group> group);

  postgres::Database& database_;
  JobSignal& signal_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Caller> waiting_;
  std::size_t waiting_drafts_ = 0;
  int running_ = 0;  // groups
};

}  // namespace hearth::jobs
