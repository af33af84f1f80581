#include "hearth/content/stores/sqlite_keyed_answers.h"

#include <utility>

#include "hearth/content/stores/sqlite_idempotency_records.h"

namespace hearth::content {

Task<Result<std::optional<std::string>>> SqliteKeyedAnswers::find(IdempotencyKey key) {
  return database_.read(
      [key = std::move(key), now = clock_.now()](sqlite::Connection& connection) { return recall_text(connection, key, now); });
}

Task<Result<std::string>> SqliteKeyedAnswers::keep(IdempotencyKey key, std::string answer) {
  return database_.write(
      [key = std::move(key), answer = std::move(answer), now = clock_.now()](sqlite::Connection& connection) -> Result<std::string> {
        auto earlier = recall_text(connection, key, now);
        if (!earlier) return std::unexpected(earlier.error());
        if (*earlier) return **earlier;
        remember_text(connection, key, answer, now);
        return answer;
      });
}

}  // namespace hearth::content
