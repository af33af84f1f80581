#pragma once

#include "hearth/base/clock.h"
#include "hearth/content/keyed_answers.h"
#include "hearth/drivers/postgres/database.h"

namespace hearth::content {

class PostgresKeyedAnswers final : public KeyedAnswers {
 public:
  PostgresKeyedAnswers(postgres::Database& database, const Clock& clock) : database_(database), clock_(clock) {}

  Task<Result<std::optional<std::string>>> find(IdempotencyKey key) override;
  Task<Result<std::string>> keep(IdempotencyKey key, std::string answer) override;

 private:
  postgres::Database& database_;
  const Clock& clock_;
};

}  // namespace hearth::content
