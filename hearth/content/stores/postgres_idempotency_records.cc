#include "hearth/content/stores/postgres_idempotency_records.h"

#include "hearth/content/stores/encoding.h"

namespace hearth::content {
namespace {

// An update even where nothing changes: it waits for whoever holds the row, and then sees what they left.
constexpr char kClaim[] =
    "INSERT INTO idempotency_keys AS kept (scope, request, created_at) VALUES ($1, $2, $3) ON CONFLICT (scope) DO UPDATE SET "
    "request = CASE WHEN kept.created_at <= $4 THEN excluded.request ELSE kept.request END, "
    "answer = CASE WHEN kept.created_at <= $4 THEN NULL ELSE kept.answer END, "
    "created_at = CASE WHEN kept.created_at <= $4 THEN excluded.created_at ELSE kept.created_at END RETURNING request, answer";
constexpr char kFind[] = "SELECT request, answer FROM idempotency_keys WHERE scope = $1 AND created_at > $2 AND answer IS NOT NULL";
constexpr char kRemember[] = "UPDATE idempotency_keys SET answer = $2 WHERE scope = $1";
// A record that another transaction prunes is left to it: nobody waits.
constexpr char kPrune[] =
    "DELETE FROM idempotency_keys WHERE scope IN (SELECT scope FROM idempotency_keys WHERE created_at <= $1 ORDER BY created_at LIMIT 20 "
    "FOR UPDATE SKIP LOCKED)";

// Keys are hashes, of any bytes; the columns are text.
std::string hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (unsigned char byte : bytes) text += {kDigits[byte >> 4], kDigits[byte & 15]};
  return text;
}

Error reused() {
  return {ErrorCode::kIdempotencyKeyReused, "this Idempotency-Key came with another request before", {}};
}

}  // namespace

Result<std::optional<std::string>> find_text(postgres::Connection& connection, const IdempotencyKey& key, UtcMicros now) {
  auto rows = connection.query(kFind, hex(key.scope), now - kIdempotencyKept);
  if (!rows.next()) return std::nullopt;
  if (rows.text(0) != hex(key.request)) return std::unexpected(reused());
  return rows.string(1);
}

Result<std::optional<std::string>> claim_text(postgres::Connection& connection, const IdempotencyKey& key, UtcMicros now) {
  auto rows = connection.query(kClaim, hex(key.scope), hex(key.request), now, now - kIdempotencyKept);
  rows.first();
  if (rows.text(0) != hex(key.request)) return std::unexpected(reused());
  if (rows.is_null(1)) return std::nullopt;
  return rows.string(1);
}

Result<std::optional<Result<Post>>> claim(postgres::Connection& connection, const IdempotencyKey& key, UtcMicros now) {
  auto kept = claim_text(connection, key, now);
  if (!kept) return std::unexpected(kept.error());
  if (!*kept) return std::nullopt;
  auto answer = decode_answer(std::move(**kept));
  if (!answer) return std::unexpected(answer.error());
  return std::optional(std::move(*answer));
}

void remember_text(postgres::Connection& connection, const IdempotencyKey& key, std::string_view answer, UtcMicros now) {
  connection.run(kRemember, hex(key.scope), answer);
  connection.run(kPrune, now - kIdempotencyKept);
}

void remember(postgres::Connection& connection, const IdempotencyKey& key, const Result<Post>& answer, UtcMicros now) {
  remember_text(connection, key, encode_answer(answer), now);
}

}  // namespace hearth::content
