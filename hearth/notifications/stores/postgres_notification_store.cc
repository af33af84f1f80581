#include "hearth/notifications/stores/postgres_notification_store.h"

#include <variant>

namespace hearth::notifications {
namespace {

constexpr char kAdd[] =
    "INSERT INTO notifications (user_id, type, title, body, data, created_at) VALUES ($1, $2, $3, $4, $5::jsonb, $6) RETURNING id";
constexpr char kPrune[] =
    "DELETE FROM notifications WHERE id IN "
    "(SELECT id FROM notifications WHERE created_at < $1 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)";

}  // namespace

Result<std::int64_t> PostgresNotificationStore::add(SqlTransaction transaction, const NotificationDraft& draft, UtcMicros now) {
  auto& connection = *std::get<postgres::Connection*>(transaction);
  return connection.query(kAdd, draft.user.view(), draft.type, draft.title, draft.body, draft.data, now).first().integer(0);
}

Task<Result<std::size_t>> PostgresNotificationStore::prune(UtcMicros before, std::size_t limit) {
  co_return co_await database_.write(
      [before, limit](postgres::Connection& connection) -> Result<std::size_t> { return connection.run(kPrune, before, limit); });
}

}  // namespace hearth::notifications
