#pragma once

// The answers that requests with an Idempotency-Key got, in content.db.
//
// remember() runs in the transaction of the request's effect, so either both are there or neither. recall() before it, in
// the same transaction, sees every earlier request: SQLite has one writer.

#include <optional>
#include <string>
#include <string_view>

#include "hearth/base/clock.h"
#include "hearth/content/content.h"
#include "hearth/drivers/sqlite/connection.h"

namespace hearth::content {

// The first answer to `key`, a refusal as well; nothing if the key is new or its record is older than kIdempotencyKept.
// kIdempotencyKeyReused: the key came with another request.
Result<std::optional<std::string>> recall_text(sqlite::Connection& connection, const IdempotencyKey& key, UtcMicros now);
Result<std::optional<Result<Post>>> recall(sqlite::Connection& connection, const IdempotencyKey& key, UtcMicros now);

// Keeps the answer, and prunes some records that are over: more than one, so that the table does not grow.
void remember_text(sqlite::Connection& connection, const IdempotencyKey& key, std::string_view answer, UtcMicros now);
void remember(sqlite::Connection& connection, const IdempotencyKey& key, const Result<Post>& answer, UtcMicros now);

}  // namespace hearth::content
