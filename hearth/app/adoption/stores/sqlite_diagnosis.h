#pragma once

// The diagnosis of the data folder's files. A pair cannot be there twice, and there are no comments yet.

#include <string>
#include <vector>

#include "hearth/app/adoption/sql_diagnosis.h"
#include "hearth/drivers/sqlite/database.h"

namespace hearth::app::adoption {

class SqliteDiagnosis final : public SqlDiagnosis {
 public:
  // Both outlive it.
  SqliteDiagnosis(sqlite::Database& ratings, sqlite::Database& content) : ratings_(ratings), content_(content) {}

  Task<Result<Diagnosis>> diagnose() override;
  Task<Result<std::vector<RatedPost>>> rated_after(std::string after, std::size_t limit) override;
  Task<Result<std::vector<RatedPost>>> rated(std::vector<std::string> posts) override;

 private:
  // A post as content.db has it.
  struct ShownPost {
    std::string post;
    std::int64_t likes = 0;
    std::uint64_t version = 0;
  };
  Task<Result<void>> find_in_ratings(Diagnosis& diagnosis);
  Task<Result<void>> find_orphans(Diagnosis& diagnosis);
  Task<Result<void>> find_wrong_copies(Diagnosis& diagnosis);

  sqlite::Database& ratings_;
  sqlite::Database& content_;
};

}  // namespace hearth::app::adoption
