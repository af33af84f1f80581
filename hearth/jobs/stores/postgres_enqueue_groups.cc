#include "hearth/jobs/stores/postgres_enqueue_groups.h"

#include <algorithm>
#include <iterator>
#include <ranges>
#include <string_view>
#include <utility>

#include "hearth/jobs/stores/postgres_job_rows.h"

namespace hearth::jobs {
namespace {

constexpr std::size_t kWaitingDraftsMax = 50'000;
constexpr std::size_t kDraftsPerGroupMax = kJobsPerEnqueueMax;
// While one commits, the next one inserts.
constexpr int kGroupsMax = 2;
constexpr std::string_view kLockNotAvailable = "55P03";

}  // namespace

// One transaction for several callers.
class EnqueueGroups::Group final : public WorkItem<postgres::Connection> {
 public:
  Group(EnqueueGroups& groups, std::vector<Caller> callers) : groups_(groups), callers_(std::move(callers)) {}

  Result<void> run(postgres::Connection& connection) override {
    std::vector<const JobDraft*> drafts;
    for (const Caller& caller : callers_) {
      for (const JobDraft& draft : caller.drafts) drafts.push_back(&draft);
    }
    try {
      // Another program's open transaction may hold a key: its caller is told soon, and the others of the group go on without.
      bool has_key = std::ranges::any_of(drafts, [](const JobDraft* draft) { return draft->idempotency_key || draft->debounce; });
      if (has_key) connection.execute("SET LOCAL lock_timeout = '1s'");
      answer_ = insert_jobs(connection, drafts);
      return {};
    } catch (const postgres::Failure& failure) {
      bool is_held = failure.sqlstate() == kLockNotAvailable;
      if (!failure.is_data_error() && !is_held) throw;
      is_refused_ = true;
      answer_ = is_held ? Answer(std::unexpect, Error{ErrorCode::kUnavailable, "an open transaction holds the key of this job; try again"})
                        : Answer(std::unexpect, to_draft_error(failure));
      return std::unexpected(answer_.error());
    }
  }
  void fail(const Error& error) override {
    is_refused_ = false;
    answer_ = std::unexpected(error);
  }
  void deliver() override {
    std::vector<Caller> again;
    if (is_refused_ && callers_.size() > 1) {
      again = std::move(callers_);
    } else {
      if (answer_) groups_.signal_.notify();
      answer_all();
    }
    groups_.end(std::move(again));
  }

 private:
  void answer_all() {
    auto next = answer_ ? answer_->begin() : std::vector<EnqueuedJob>::iterator();
    for (Caller& caller : callers_) {
      Answer answer = answer_ ? Answer(std::in_place) : Answer(std::unexpect, answer_.error());
      if (answer_) {
        auto end = next + static_cast<std::ptrdiff_t>(caller.drafts.size());
        answer->assign(std::make_move_iterator(next), std::make_move_iterator(end));
        next = end;
      }
      static_cast<void>(caller.item->run(answer));
      caller.item->deliver();
    }
  }

  EnqueueGroups& groups_;
  std::vector<Caller> callers_;
  Answer answer_;
  bool is_refused_ = false;  // by what is in it, not by circumstances
};

EnqueueGroups::~EnqueueGroups() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return running_ == 0; });
}

Task<Result<std::vector<EnqueuedJob>>> EnqueueGroups::enqueue(std::vector<JobDraft> drafts) {
  return when_done<Answer>(
      [this, drafts = std::move(drafts)](std::unique_ptr<WorkItem<Answer>> item) mutable {
        submit({.drafts = std::move(drafts), .item = std::move(item)});
      },
      [](Answer& answer) { return std::move(answer); });
}

void EnqueueGroups::submit(Caller caller) {
  std::unique_ptr<Group> group;
  {
    std::lock_guard lock(mutex_);
    if (waiting_drafts_ + caller.drafts.size() <= kWaitingDraftsMax) {
      waiting_drafts_ += caller.drafts.size();
      waiting_.push_back(std::exchange(caller, {}));
      if (running_ < kGroupsMax) {
        ++running_;
        group = next_group();
      }
    }
  }
  if (group) start(std::move(group));
  if (!caller.item) return;
  caller.item->fail({ErrorCode::kUnavailable, "too many jobs wait to be enqueued"});
  caller.item->deliver();
}

void EnqueueGroups::end(std::vector<Caller> again) {
  std::unique_ptr<Group> group;
  {
    std::lock_guard lock(mutex_);
    for (Caller& caller : again | std::views::reverse) {
      caller.is_alone = true;
      waiting_drafts_ += caller.drafts.size();
      waiting_.push_front(std::move(caller));
    }
    if (waiting_.empty()) {
      --running_;
      changed_.notify_all();  // under the lock: whoever destroys this waits for it
    } else {
      group = next_group();
    }
  }
  if (group) start(std::move(group));
}

std::unique_ptr<EnqueueGroups::Group> EnqueueGroups::next_group() {
  std::vector<Caller> callers;
  std::size_t drafts = 0;
  while (!waiting_.empty()) {
    Caller& next = waiting_.front();
    if (!callers.empty() && (next.is_alone || drafts + next.drafts.size() > kDraftsPerGroupMax)) break;
    drafts += next.drafts.size();
    callers.push_back(std::move(next));
    waiting_.pop_front();
    if (callers.back().is_alone) break;
  }
  waiting_drafts_ -= drafts;
  return std::make_unique<Group>(*this, std::move(callers));
}

void EnqueueGroups::start(std::unique_ptr<Group> group) {
  database_.write_item(std::move(group));
}

}  // namespace hearth::jobs
