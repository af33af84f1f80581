#pragma once

// What is known about the live store, in ratings.db: for one node whose live store is Redis.

#include <string>

#include "hearth/base/clock.h"
#include "hearth/drivers/sqlite/database.h"
#include "hearth/likes/live_control.h"

namespace hearth::likes {

class SqliteLiveControl final : public LiveControl {
 public:
  // `ratings`: SqliteLikeLedger::database(). Both outlive this.
  SqliteLiveControl(sqlite::Database& ratings, const Clock& clock) : database_(ratings), clock_(clock) {}

  Result<Deployment> deployment(const Deployment& proposed) override;
  Result<void> change_deployment(const Deployment& to) override;
  Result<LiveMode> mode() override;
  Result<void> report_healthy(const std::string& node) override;
  Result<bool> is_healthy_elsewhere(const std::string& node) override;
  Result<LiveMode> enter_fallback() override;
  Result<LiveMode> leave_fallback() override;
  Result<bool> is_admitted(const std::string& run_id) override;
  Result<void> admit(const std::string& run_id) override;

 private:
  bool is_someone_healthy(sqlite::Connection& connection, const std::string& other_than);

  sqlite::Database& database_;
  const Clock& clock_;
};

}  // namespace hearth::likes
