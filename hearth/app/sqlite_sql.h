#pragma once

// SQL in the data folder: ratings.db and content.db.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "hearth/app/sql.h"
#include "hearth/base/clock.h"
#include "hearth/content/stores/sqlite_content_pages.h"
#include "hearth/content/stores/sqlite_content_store.h"
#include "hearth/drivers/sqlite/database.h"
#include "hearth/likes/ledgers/sqlite_like_ledger.h"

namespace hearth::app {

class SqliteSql final : public Sql {
 public:
  // Opens the files in `folder` and brings them to the newest schema. `vfs`: for tests.
  static Result<std::unique_ptr<SqliteSql>> open(const std::filesystem::path& folder, const Clock& clock, const std::string& vfs = {});

  likes::LikeLedger& ledger() override { return *ledger_; }
  content::ContentStore& content() override { return content_store_; }
  content::ContentPages& pages() override { return pages_; }
  std::unique_ptr<content::RankCandidates> rank(content::ReadDirty read_dirty) override;
  std::unique_ptr<content::LikeProjection> projection(outbox::Journal& journal, content::LedgerCounts counts,
                                                      std::function<void()> wake) override;
  Task<Result<void>> on_repaired(std::string post) override;
  Result<dataset::ExportReport> export_to(dataset::WriteBytes write) override;
  Result<void> is_reachable() const override { return {}; }
  void stop() override;

 private:
  SqliteSql(std::filesystem::path folder, std::unique_ptr<likes::SqliteLikeLedger> ledger, std::unique_ptr<sqlite::Database> content,
            const Clock& clock);

  const std::filesystem::path folder_;
  std::unique_ptr<likes::SqliteLikeLedger> ledger_;
  std::unique_ptr<sqlite::Database> content_;
  std::function<void()> on_posts_;  // set before requests are served
  content::SqliteContentPages pages_;
  content::SqliteContentStore content_store_;
};

}  // namespace hearth::app
