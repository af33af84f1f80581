#include "hearth/limits/rule_book.h"

#include <algorithm>
#include <utility>

#include "hearth/base/log.h"
#include "hearth/limits/rule_json.h"

namespace hearth::limits {
namespace {

const std::vector<const Rule*> kNoRules;

}  // namespace

std::string_view name_of(RuleBook::Source source) {
  switch (source) {
    case RuleBook::Source::kDefaults:
      return "defaults";
    case RuleBook::Source::kFile:
      return "file";
    case RuleBook::Source::kPut:
      break;
  }
  return "put";
}

RuleBook::RouteRules RuleBook::Route::rules() const {
  auto set = set_.with([](const auto& current) { return current; });
  const auto& rules = set ? set->of_route(index_) : kNoRules;
  return {.set = std::move(set), .rules = rules};
}

const RuleBook::Route& RuleBook::add_route(std::string_view method, std::string_view pattern) {
  return routes_.emplace_back(RuleSet::Route{.method = std::string(method), .pattern = std::string(pattern)}, routes_.size());
}

Result<void> RuleBook::start() {
  auto turn = ++turns_;
  auto text = configured();
  if (!text) return std::unexpected(text.error());
  return use(*std::move(text), turn);
}

// A look that began before another one and ends after it may have found what is no more: it changes nothing.
Task<Result<void>> RuleBook::reload() {
  auto turn = ++turns_;
  auto put = co_await options_.document.load();
  if (!put) co_return std::unexpected(put.error());
  if (*put) co_return use({.source = Source::kPut, .text = **std::move(put)}, turn);
  auto text = configured();
  if (!text) co_return std::unexpected(text.error());
  co_return use(*std::move(text), turn);
}

// Read again from where they are kept: of two that put at once all nodes hold the same afterwards.
Task<Result<void>> RuleBook::put(std::string text) {
  auto rules = parse_rules(text);
  if (!rules) co_return std::unexpected(rules.error());
  auto kept = rules_json(*rules);
  if (auto set = RuleSet::make(*std::move(rules), route_names(), RuleSet::UnknownRoutes::kRefused); !set) {
    co_return std::unexpected(set.error());
  }
  if (auto saved = co_await options_.document.save(std::move(kept)); !saved) co_return saved;
  co_return co_await reload();
}

Task<Result<void>> RuleBook::remove_put() {
  if (auto removed = co_await options_.document.remove(); !removed) co_return removed;
  co_return co_await reload();
}

RuleBook::Held RuleBook::held() const {
  return active_.with([](const Active& active) { return Held{.source = active.text.source, .set = active.set}; });
}

Result<RuleBook::Text> RuleBook::configured() const {
  if (!options_.file) return Text{};
  auto text = read_rules_file(*options_.file);
  if (!text) return std::unexpected(text.error());
  return Text{.source = Source::kFile, .text = *std::move(text)};
}

// Rules that were put may come from a node of another version, which has other routes.
Result<RuleSet> RuleBook::compile(Text text) const {
  auto routes = route_names();
  if (text.source == Source::kDefaults) {
    auto rules = options_.has_user_tokens ? default_rules(routes) : std::vector<Rule>();
    return RuleSet::make(std::move(rules), routes, RuleSet::UnknownRoutes::kRefused);
  }
  bool is_file = text.source == Source::kFile;
  auto rules = parse_rules(text.text);
  auto set = rules ? RuleSet::make(*std::move(rules), routes, is_file ? RuleSet::UnknownRoutes::kRefused : RuleSet::UnknownRoutes::kIgnored)
                   : std::unexpected(rules.error());
  if (set || !is_file) return set;
  return invalid("ratelimit.rules_file", options_.file->string() + ": " + set.error().message);
}

Result<void> RuleBook::use(Text text, std::uint64_t turn) {
  bool is_held =
      active_.with([&](const Active& active) { return active.set && active.text.source == text.source && active.text.text == text.text; });
  if (is_held) {
    active_.with([turn](Active& active) { active.turn = std::max(active.turn, turn); });
    return {};
  }
  auto compiled = compile(text);
  if (!compiled) return std::unexpected(compiled.error());
  auto set = std::make_shared<const RuleSet>(*std::move(compiled));
  auto source = text.source;
  bool is_newest = active_.with([&](Active& active) {
    if (turn < active.turn) return false;
    active = {.text = std::move(text), .set = set, .turn = turn};
    for (auto& route : routes_) {
      route.set_.with([&set](auto& current) { current = set; });
      route.is_limited_.store(!set->of_route(route.index_).empty(), std::memory_order_relaxed);
    }
    return true;
  });
  if (is_newest) log::info("limits", "rules of limits hold", {{"from", name_of(source)}, {"rules", set->rules().size()}});
  return {};
}

std::vector<RuleSet::Route> RuleBook::route_names() const {
  std::vector<RuleSet::Route> names;
  names.reserve(routes_.size());
  for (const auto& route : routes_) names.push_back(route.name_);
  return names;
}

}  // namespace hearth::limits
