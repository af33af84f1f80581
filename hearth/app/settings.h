#pragma once

// The table of settings, and what config.cc does with any one of them: check and take a value, show a value.
//
// A value travels as text, whatever its source; a list as one text for each item.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "hearth/app/config.h"

namespace hearth::app {

using Texts = std::vector<std::string>;

enum class Unit : std::uint8_t { kNone, kBytes, kMilliseconds, kSeconds };

struct Number {  // with a unit, also "256MiB" or "500ms"
  std::int64_t (*get)(const Config&);
  void (*set)(Config&, std::int64_t);
  std::int64_t min;
  std::int64_t max;
  Unit unit = Unit::kNone;
};
struct Switch {
  bool& (*field)(Config&);
};
struct Choice {
  std::vector<std::string_view> names;  // in the order of the enumeration
  int (*get)(const Config&);
  void (*set)(Config&, int);
};
struct Text {
  std::string (*get)(const Config&);  // empty: not set
  Result<void> (*set)(Config&, const std::string&);
  std::string_view form;         // what it looks like, for people
  std::string_view placeholder;  // the same in a word
};
struct Secret {
  std::optional<std::string>& (*field)(Config&);
};
struct List {
  Texts& (*field)(Config&);
  bool (*is_valid)(std::string_view item);
  std::string_view form;
};
using Kind = std::variant<Number, Switch, Choice, Text, Secret, List>;

struct Setting {
  std::string_view name;  // dotted: the key in the file, the flag after "--"
  Kind kind;
  std::string_view help;
  std::string_view variable = {};  // in the environment; by default HEARTH_ and the name in capitals
  // The name that other programs use for it too, if any. Weaker than ours; empty there means not set.
  std::string_view usual_variable = {};
  std::string_view short_name = {};  // of the flag, beside the name

  std::string flag() const { return "--" + std::string(name); }
  std::string flags() const { return flag() + (short_name.empty() ? "" : ",--" + std::string(short_name)); }
  std::string environment() const;
  bool is_secret() const { return std::holds_alternative<Secret>(kind); }
  bool is_switch() const { return std::holds_alternative<Switch>(kind); }
  bool is_list() const { return std::holds_alternative<List>(kind); }
};

// Top-level settings first, then section by section.
std::span<const Setting> all_settings();

// Checks `given` and puts it into `config`. The error says what the value must be, without repeating a secret.
Result<void> assign(const Setting& setting, const Texts& given, Config& config);
// The value as TOML; "***" for a secret; nullopt when it is not set.
std::optional<std::string> show(const Setting& setting, const Config& config);
// What values it takes: "1 to 256", "commit or relaxed".
std::string describe_values(const Setting& setting);

// The same in a word, for --help: "SIZE", "commit|relaxed".
std::string placeholder(const Setting& setting);

// The candidate that `name` was probably meant to be.
std::optional<std::string> nearest(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace hearth::app
