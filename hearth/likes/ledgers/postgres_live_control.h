#pragma once

// What all nodes agree on about the live store, in PostgreSQL: live_control, live_reports, live_servers.

#include <string>

#include "hearth/drivers/postgres/database.h"
#include "hearth/likes/live_control.h"

namespace hearth::likes {

class PostgresLiveControl final : public LiveControl {
 public:
  // The database has been migrated, and outlives this.
  explicit PostgresLiveControl(postgres::Database& database) : database_(database) {}

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
  postgres::Database& database_;
};

}  // namespace hearth::likes
