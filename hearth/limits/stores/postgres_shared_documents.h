#pragma once

// Shared documents in PostgreSQL.

#include <optional>
#include <string>

#include "hearth/base/clock.h"
#include "hearth/drivers/postgres/database.h"
#include "hearth/limits/shared_documents.h"

namespace hearth::limits {

class PostgresSharedDocuments final : public SharedDocuments {
 public:
  // `clock` stamps changes, for people. The database has been migrated; both outlive it.
  PostgresSharedDocuments(postgres::Database& database, const Clock& clock) : database_(database), clock_(clock) {}

  Task<Result<std::optional<SharedDocument>>> get(std::string name) override;
  Result<std::optional<SharedDocument>> get_blocking(const std::string& name) override;
  Task<Result<std::uint64_t>> put(std::string name, std::string body, std::optional<std::uint64_t> expected) override;
  Task<Result<void>> remove(std::string name) override;

 private:
  postgres::Database& database_;
  const Clock& clock_;
};

}  // namespace hearth::limits
