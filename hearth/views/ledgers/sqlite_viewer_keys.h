#pragma once

// The keys that hash viewers, in content.db.

#include <string>
#include <vector>

#include "hearth/drivers/sqlite/database.h"
#include "hearth/views/viewer_keys.h"

namespace hearth::views {

class SqliteViewerKeys final : public ViewerKeyStore {
 public:
  // `content`: content.db. It outlives the store.
  explicit SqliteViewerKeys(sqlite::Database& content) : database_(content) {}

  Result<Key> user_key(const std::string& proposed) override;
  Result<std::vector<Key>> anonymous_keys(const Key& proposed, UtcMicros after) override;

 private:
  sqlite::Database& database_;
};

}  // namespace hearth::views
