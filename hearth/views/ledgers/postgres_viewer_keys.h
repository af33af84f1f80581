#pragma once

// The keys that hash viewers, in PostgreSQL.

#include <string>
#include <vector>

#include "hearth/drivers/postgres/database.h"
#include "hearth/views/viewer_keys.h"

namespace hearth::views {

class PostgresViewerKeys final : public ViewerKeyStore {
 public:
  // The database has been migrated, and outlives the store.
  explicit PostgresViewerKeys(postgres::Database& database) : database_(database) {}

  Result<Key> user_key(const std::string& proposed) override;
  Result<std::vector<Key>> anonymous_keys(const Key& proposed, UtcMicros after) override;

 private:
  postgres::Database& database_;
};

}  // namespace hearth::views
