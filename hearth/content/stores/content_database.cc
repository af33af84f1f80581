#include "hearth/content/stores/content_database.h"

#include <span>
#include <string_view>
#include <utility>

namespace hearth::sqlite {
extern const std::span<const std::string_view> kContentMigrations;  // written by the build
}

namespace hearth::content {

Result<std::unique_ptr<sqlite::Database>> open_content_database(std::filesystem::path path, std::string vfs) {
  sqlite::DatabaseOptions options;
  options.path = std::move(path);
  options.vfs = std::move(vfs);
  options.migrations = sqlite::kContentMigrations;
  return sqlite::Database::open(std::move(options));
}

}  // namespace hearth::content
