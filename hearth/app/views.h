#pragma once

// Views of this process: who looks, what counts, and the way to SQL. The live store itself belongs to Live.

#include "hearth/app/config.h"
#include "hearth/app/live.h"
#include "hearth/app/sql.h"
#include "hearth/base/background_task.h"
#include "hearth/base/clock.h"
#include "hearth/views/view_service.h"
#include "hearth/views/view_sync.h"
#include "hearth/views/viewer_keys.h"

namespace hearth::app {

class Views {
 public:
  Views(const Config& config, const Clock& clock, Sql& sql, Live& live);

  // Reads the keys that viewers are hashed with. Where views are kept in memory, takes up those that a Hearth on Redis has left
  // in SQL; where they use Redis no more, brings what is left there to SQL.
  Result<void> start();
  void stop() { upkeep_task_.stop(); }
  // Drops the coroutines that wait for a sync. REQUIRES: their io_contexts run no more and still exist.
  void abandon_waiters() { sync_.abandon_waiters(); }

  views::ViewService& service() { return service_; }
  // Brings what is counted to SQL, and drops hours and days that are too old.
  Task<Result<views::SyncReport>> sync();
  views::ViewSync::Stats stats() const { return sync_.stats(); }

 private:
  Result<bool> upkeep();
  Result<void> take_up_inbox();

  const Clock& clock_;
  Sql& sql_;
  Live& live_;
  const bool is_in_memory_;
  const bool is_switched_off_;  // Redis is there, and views do not use it
  views::ViewerKeys keys_;
  views::ViewSync sync_;
  views::ViewService service_;
  BackgroundTask upkeep_task_;
};

}  // namespace hearth::app
