#pragma once

// Shared documents in content.db.

#include <optional>
#include <string>

#include "hearth/base/clock.h"
#include "hearth/drivers/sqlite/database.h"
#include "hearth/limits/shared_documents.h"

namespace hearth::limits {

class SqliteSharedDocuments final : public SharedDocuments {
 public:
  // `content`: content.db. `clock` stamps changes, for people. Both outlive it.
  SqliteSharedDocuments(sqlite::Database& content, const Clock& clock) : database_(content), clock_(clock) {}

  Task<Result<std::optional<SharedDocument>>> get(std::string name) override;
  Result<std::optional<SharedDocument>> get_blocking(const std::string& name) override;
  Task<Result<std::uint64_t>> put(std::string name, std::string body, std::optional<std::uint64_t> expected) override;
  Task<Result<void>> remove(std::string name) override;

 private:
  sqlite::Database& database_;
  const Clock& clock_;
};

}  // namespace hearth::limits
