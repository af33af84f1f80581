#pragma once

// Whether what a draft says keeps to the limits; the error names the API's field.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "hearth/base/result.h"

namespace hearth::content {

// Text may hold anything but NUL, which not every database can store.
Result<void> check_text(const std::optional<std::string>& text, std::size_t bytes_max, const char* field);
// http or https.
Result<void> check_url(std::string_view url, const char* field);

}  // namespace hearth::content
