#pragma once

// SQLite's notification_store.h.

#include "hearth/drivers/sqlite/database.h"
#include "hearth/notifications/notification_store.h"

namespace hearth::notifications {

class SqliteNotificationStore final : public NotificationStore {
 public:
  explicit SqliteNotificationStore(sqlite::Database& database) : database_(database) {}

  Result<std::int64_t> add(SqlTransaction transaction, const NotificationDraft& draft, UtcMicros now) override;
  Task<Result<std::size_t>> prune(UtcMicros before, std::size_t limit) override;

 private:
  sqlite::Database& database_;
};

}  // namespace hearth::notifications
