#pragma once

// content.db: the schema under migrations/sqlite/content/.

#include <filesystem>
#include <memory>
#include <string>

#include "hearth/base/result.h"
#include "hearth/drivers/sqlite/database.h"

namespace hearth::content {

// Opens the file, creates it if it is not there, and brings its schema up to date. `vfs`: empty is the default.
Result<std::unique_ptr<sqlite::Database>> open_content_database(std::filesystem::path path, std::string vfs = {});

}  // namespace hearth::content
