#pragma once

// The answers that requests with an Idempotency-Key got, in PostgreSQL.
//
// claim() and remember() run in the transaction of the request's effect, so either both are there or neither. claim() locks
// the key's row: the same request elsewhere waits in its own claim() until this transaction has ended.

#include <optional>
#include <string>
#include <string_view>

#include "hearth/base/clock.h"
#include "hearth/content/content.h"
#include "hearth/drivers/postgres/connection.h"

namespace hearth::content {

// The first answer to `key`, a refusal as well; nothing if the key is new or its record is older than kIdempotencyKept: then
// the answer must be remembered in this transaction.
// kIdempotencyKeyReused: the key came with another request.
Result<std::optional<std::string>> claim_text(postgres::Connection& connection, const IdempotencyKey& key, UtcMicros now);
Result<std::optional<Result<Post>>> claim(postgres::Connection& connection, const IdempotencyKey& key, UtcMicros now);

// An answer that is kept, without locking its key. Fails as claim() does.
Result<std::optional<std::string>> find_text(postgres::Connection& connection, const IdempotencyKey& key, UtcMicros now);

// Keeps the answer, and prunes some records that are over: more than one, so that the table does not grow.
void remember_text(postgres::Connection& connection, const IdempotencyKey& key, std::string_view answer, UtcMicros now);
void remember(postgres::Connection& connection, const IdempotencyKey& key, const Result<Post>& answer, UtcMicros now);

}  // namespace hearth::content
