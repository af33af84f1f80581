#pragma once

// Export of the ratings in PostgreSQL, Hearth's own table or an adopted one, in one read-only transaction.

#include "hearth/app/dataset/rating_export.h"
#include "hearth/drivers/postgres/database.h"
#include "hearth/likes/ledger_names.h"

namespace hearth::app::dataset {

class PostgresRatingExport final : public RatingExport {
 public:
  PostgresRatingExport(postgres::Database& database, const likes::LedgerNames& names) : database_(database), names_(names) {}
  // kUnavailable: also if the connection was lost on the way, for what was used cannot be taken back.
  Result<void> for_each(UseRating use) override;

 private:
  postgres::Database& database_;
  const likes::LedgerNames& names_;
};

}  // namespace hearth::app::dataset
