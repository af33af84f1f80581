#pragma once

// PostgreSQL's notification_store.h.

#include "hearth/drivers/postgres/database.h"
#include "hearth/notifications/notification_store.h"

namespace hearth::notifications {

class PostgresNotificationStore final : public NotificationStore {
 public:
  explicit PostgresNotificationStore(postgres::Database& database) : database_(database) {}

  Result<std::int64_t> add(SqlTransaction transaction, const NotificationDraft& draft, UtcMicros now) override;
  Task<Result<std::size_t>> prune(UtcMicros before, std::size_t limit) override;

 private:
  postgres::Database& database_;
};

}  // namespace hearth::notifications
