#include "hearth/limits/rule_json.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include "hearth/base/json_reader.h"

namespace hearth::limits {
namespace {

Result<bool> take_text(JsonValue& value, const std::string& field, std::string& target) {
  auto text = value.string(field);
  if (!text) return std::unexpected(text.error());
  target = *text;
  return true;
}

Result<bool> take_texts(JsonValue& value, const std::string& field, std::size_t most, std::vector<std::string>& target) {
  auto read = value.array(field, most, [&](std::size_t index, JsonValue& item) -> Result<void> {
    auto taken = take_text(item, field + "[" + std::to_string(index) + "]", target.emplace_back());
    if (!taken) return std::unexpected(taken.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  return true;
}

Result<bool> take_boolean(JsonValue& value, const std::string& field, bool& target) {
  auto truth = value.boolean(field);
  if (!truth) return std::unexpected(truth.error());
  target = *truth;
  return true;
}

// What is not in its range is found by validate().
template <typename Number>
Result<bool> take_number(JsonValue& value, const std::string& field, Number& target) {
  auto number = value.integer(field);
  if (!number) return std::unexpected(number.error());
  if (*number < 0) return invalid(field, field + " must not be negative");
  target = Number(static_cast<std::uint64_t>(*number));
  return true;
}

template <typename Choice>
Result<bool> take_choice(JsonValue& value, const std::string& field, std::optional<Choice> (*named)(std::string_view),
                         std::string_view choices, Choice& target) {
  auto text = value.string(field);
  if (!text) return std::unexpected(text.error());
  auto choice = named(*text);
  if (!choice) return invalid(field, field + " must be " + std::string(choices));
  target = *choice;
  return true;
}

Result<bool> take_networks(JsonValue& value, const std::string& field, AddressList& target) {
  std::vector<std::string> texts;
  if (auto taken = take_texts(value, field, kNetworksMax, texts); !taken) return taken;
  auto list = AddressList::parse(texts, field);
  if (!list) return std::unexpected(list.error());
  target = *std::move(list);
  return true;
}

Result<bool> take_routes(JsonValue& value, const std::string& field, std::vector<std::string>& target) {
  if (auto taken = take_texts(value, field, kRoutesPerRuleMax, target); !taken) return taken;
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (target[i].size() <= kRouteBytesMax && route_parts(target[i])) continue;
    auto name = field + "[" + std::to_string(i) + "]";
    return invalid(name, name + " must be a method and a path, as POST /api/posts, with * for any method, or * alone");
  }
  return true;
}

// One rule of the list; `at` is its place, as rules[2].
class RuleReader {
 public:
  explicit RuleReader(std::string at) : at_(std::move(at) + ".") {}

  Result<Rule> read(JsonValue& value) {
    auto read = value.object(at_.substr(0, at_.size() - 1), UnknownFields::kRefuse,
                             [&](std::string_view key, JsonValue& field) { return take(key, at_ + std::string(key), field); });
    if (!read) return std::unexpected(read.error());
    if (auto checked = check(); !checked) return std::unexpected(checked.error());
    return std::move(rule_);
  }

 private:
  Result<bool> take(std::string_view key, const std::string& field, JsonValue& value) {
    given_.emplace_back(key);
    if (key == "name") return take_text(value, field, rule_.name);
    if (key == "routes") return take_routes(value, field, rule_.routes);
    if (key == "identity") return take_choice(value, field, identity_named, "user, session, service or address", rule_.identity);
    if (key == "limit") return take_number(value, field, rule_.limit);
    if (key == "windowMs") return take_number(value, field, rule_.window);
    if (key == "algorithm") return take_choice(value, field, algorithm_named, "sliding_window, gcra or fixed_window", rule_.algorithm);
    if (key == "cost") return take_number(value, field, rule_.cost);
    if (key == "onFailure") return take_choice(value, field, on_failure_named, "open, closed or local", rule_.on_failure);
    if (key == "shadow") return take_boolean(value, field, rule_.is_shadow);
    if (key == "allow") return take_networks(value, field, rule_.allow);
    if (key == "deny") return take_networks(value, field, rule_.deny);
    if (key == "includesService") return take_boolean(value, field, rule_.includes_service);
    return invalid(field, field + " is not a known field");
  }

  Result<void> check() const {
    for (const char* required : {"name", "routes", "identity", "limit", "windowMs"}) {
      if (std::ranges::find(given_, required) == given_.end()) return invalid(at_ + required, at_ + required + " is required");
    }
    if (!is_rule_name(rule_.name)) {
      return invalid(at_ + "name",
                     at_ + "name must be 1 to " + std::to_string(kRuleNameBytesMax) + " lower-case letters, digits, '_', '.' or '-'");
    }
    if (rule_.routes.empty()) return invalid(at_ + "routes", at_ + "routes must not be empty");
    auto valid = validate({.key = "k", .limit = rule_.limit, .window = rule_.window, .algorithm = rule_.algorithm, .cost = rule_.cost});
    if (!valid) return invalid(at_ + valid.error().field, at_ + valid.error().message);
    return {};
  }

  const std::string at_;
  std::vector<std::string> given_;
  Rule rule_;
};

void write_texts(JsonWriter& json, std::string_view name, const std::vector<std::string>& texts) {
  json.key(name).begin_array();
  for (const auto& text : texts) json.value(text);
  json.end_array();
}

void write_rule(JsonWriter& json, const Rule& rule) {
  json.begin_object().field("name", rule.name);
  write_texts(json, "routes", rule.routes);
  json.field("identity", name_of(rule.identity)).field("limit", rule.limit).field("windowMs", rule.window.count());
  json.field("algorithm", name_of(rule.algorithm)).field("cost", rule.cost).field("onFailure", name_of(rule.on_failure));
  json.field("shadow", rule.is_shadow);
  write_texts(json, "allow", rule.allow.texts());
  write_texts(json, "deny", rule.deny.texts());
  json.field("includesService", rule.includes_service).end_object();
}

}  // namespace

Result<std::vector<Rule>> parse_rules(std::string& text) {
  std::vector<Rule> rules;
  bool is_given = false;
  auto take_rule = [&](std::size_t index, JsonValue& item) -> Result<void> {
    auto at = "rules[" + std::to_string(index) + "]";
    auto rule = RuleReader(at).read(item);
    if (!rule) return std::unexpected(rule.error());
    if (std::ranges::find(rules, rule->name, &Rule::name) != rules.end()) {
      return invalid(at + ".name", at + ".name is that of another rule");
    }
    rules.push_back(*std::move(rule));
    return {};
  };
  auto read = read_json_object(text, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key != "rules") return false;
    is_given = true;
    if (auto taken = value.array("rules", kRulesMax, take_rule); !taken) return std::unexpected(taken.error());
    return true;
  });
  if (!read) return std::unexpected(read.error());
  if (!is_given) return invalid("rules", "rules is required: an array of rules");
  return rules;
}

Result<std::string> read_rules_file(const std::filesystem::path& path) {
  std::error_code error;
  auto size = std::filesystem::file_size(path, error);
  if (error) return invalid("ratelimit.rules_file", path.string() + ": " + error.message());
  if (size > kRulesFileBytesMax) return invalid("ratelimit.rules_file", path.string() + " is larger than 1 MiB");
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (file.bad() || !file.is_open()) return invalid("ratelimit.rules_file", path.string() + " cannot be read");
  return text;
}

void write_rules(JsonWriter& json, const std::vector<Rule>& rules) {
  json.key("rules").begin_array();
  for (const auto& rule : rules) write_rule(json, rule);
  json.end_array();
}

std::string rules_json(const std::vector<Rule>& rules) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  write_rules(json, rules);
  json.end_object();
  return out;
}

}  // namespace hearth::limits
