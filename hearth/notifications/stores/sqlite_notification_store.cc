#include "hearth/notifications/stores/sqlite_notification_store.h"

#include <variant>

namespace hearth::notifications {
namespace {

constexpr char kAdd[] =
    "INSERT INTO notifications (user_id, type, title, body, data, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING id";
constexpr char kPrune[] =
    "DELETE FROM notifications WHERE id IN (SELECT id FROM notifications WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)";

std::int64_t micros(UtcMicros time) {
  return time.time_since_epoch().count();
}

}  // namespace

Result<std::int64_t> SqliteNotificationStore::add(SqlTransaction transaction, const NotificationDraft& draft, UtcMicros now) {
  auto& connection = *std::get<sqlite::Connection*>(transaction);
  auto& row = connection.statement(kAdd).query(draft.user.view(), draft.type, draft.title, draft.body, draft.data, micros(now));
  row.next();
  std::int64_t id = row.integer(0);
  while (row.next()) {  // an INSERT is done at its end
  }
  return id;
}

Task<Result<std::size_t>> SqliteNotificationStore::prune(UtcMicros before, std::size_t limit) {
  co_return co_await database_.write([before, limit](sqlite::Connection& connection) -> Result<std::size_t> {
    return static_cast<std::size_t>(connection.statement(kPrune).run(micros(before), limit));
  });
}

}  // namespace hearth::notifications
