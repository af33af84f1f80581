#include "hearth/content/stores/sqlite_idempotency_records.h"

#include <string>
#include <utility>

#include "hearth/content/stores/encoding.h"

namespace hearth::content {
namespace {

constexpr char kRecall[] = "SELECT request, answer FROM idempotency_keys WHERE scope = ?1 AND created_at > ?2";
constexpr char kRemember[] = "INSERT OR REPLACE INTO idempotency_keys (scope, request, answer, created_at) VALUES (?1, ?2, ?3, ?4)";
constexpr char kPrune[] =
    "DELETE FROM idempotency_keys WHERE scope IN (SELECT scope FROM idempotency_keys WHERE created_at <= ?1 ORDER BY created_at LIMIT ?2)";
constexpr int kPrunedPerRecord = 20;

}  // namespace

Result<std::optional<std::string>> recall_text(sqlite::Connection& connection, const IdempotencyKey& key, UtcMicros now) {
  auto& row = connection.statement(kRecall).query(key.scope, micros(now - kIdempotencyKept));
  if (!row.next()) return std::nullopt;
  bool is_same_request = row.text(0) == key.request;
  std::string answer = row.string(1);
  row.reset();
  if (!is_same_request) return fail(ErrorCode::kIdempotencyKeyReused, "this Idempotency-Key came with another request before");
  return answer;
}

Result<std::optional<Result<Post>>> recall(sqlite::Connection& connection, const IdempotencyKey& key, UtcMicros now) {
  auto answer = recall_text(connection, key, now);
  if (!answer) return std::unexpected(answer.error());
  if (!*answer) return std::nullopt;
  auto post = decode_answer(std::move(**answer));
  if (!post) return std::unexpected(post.error());
  return std::optional(std::move(*post));
}

void remember_text(sqlite::Connection& connection, const IdempotencyKey& key, std::string_view answer, UtcMicros now) {
  connection.statement(kPrune).run(micros(now - kIdempotencyKept), kPrunedPerRecord);
  connection.statement(kRemember).run(key.scope, key.request, answer, micros(now));
}

void remember(sqlite::Connection& connection, const IdempotencyKey& key, const Result<Post>& answer, UtcMicros now) {
  remember_text(connection, key, encode_answer(answer), now);
}

}  // namespace hearth::content
