#pragma once

// Rules as JSON: the file that `ratelimit.rules_file` names, what an administrator puts, and what is kept of it.

#include <filesystem>
#include <string>
#include <vector>

#include "hearth/base/json_writer.h"
#include "hearth/base/result.h"
#include "hearth/limits/rules.h"

namespace hearth::limits {

inline constexpr std::size_t kRulesFileBytesMax = 1024 * 1024;

// {"rules": [{"name", "routes", "identity", "limit", "windowMs", "algorithm"?, "cost"?, "onFailure"?, "shadow"?, "allow"?, "deny"?,
// "includesService"?}]}. Strict: fails with kInvalidArgument naming the field, as rules[2].windowMs. `text` may grow by
// kJsonPadding bytes of capacity.
Result<std::vector<Rule>> parse_rules(std::string& text);
// The text of a file of rules; errors name it.
Result<std::string> read_rules_file(const std::filesystem::path& path);

// Appends "rules": […] to an open object, each rule with all its fields.
void write_rules(JsonWriter& json, const std::vector<Rule>& rules);
std::string rules_json(const std::vector<Rule>& rules);  // a document of its own

}  // namespace hearth::limits
