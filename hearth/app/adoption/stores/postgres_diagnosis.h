#pragma once

// The diagnosis of PostgreSQL, by the configured names of tables and columns; also of a database that Hearth has never
// written to. Needs no rights but to read.

#include <optional>
#include <string>
#include <vector>

#include "hearth/app/adoption/sql_diagnosis.h"
#include "hearth/drivers/postgres/database.h"
#include "hearth/likes/ledger_names.h"
#include "hearth/likes/live_control.h"

namespace hearth::app::adoption {

class PostgresDiagnosis final : public SqlDiagnosis {
 public:
  // `database` outlives it.
  PostgresDiagnosis(postgres::Database& database, likes::LedgerNames names) : database_(database), names_(std::move(names)) {}

  Task<Result<Diagnosis>> diagnose() override;
  Task<Result<std::vector<RatedPost>>> rated_after(std::string after, std::size_t limit) override;
  Task<Result<std::vector<RatedPost>>> rated(std::vector<std::string> posts) override;
  // How the keys of the live store are laid out; nothing before Hearth's first start.
  Task<Result<std::optional<likes::Deployment>>> deployment();

 private:
  postgres::Database& database_;
  const likes::LedgerNames names_;
};

}  // namespace hearth::app::adoption
