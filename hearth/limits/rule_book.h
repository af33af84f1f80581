#pragma once

// The rules that hold now, by route, and how they change while requests come.
//
// They are those that an administrator put, which all nodes share; without them those of the file; without a file the
// defaults, where users have tokens. One look at a route's rules sees all of one set of rules or all of another.
//
// Thread-safe after start().

#include <atomic>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/guarded.h"
#include "hearth/base/result.h"
#include "hearth/base/task.h"
#include "hearth/limits/rules.h"

namespace hearth::limits {

// Where nodes find what an administrator put.
struct RuleDocument {
  std::function<Task<Result<std::optional<std::string>>>()> load;  // nothing: no rules were put
  std::function<Task<Result<void>>(std::string text)> save;
  std::function<Task<Result<void>>()> remove;
};

class RuleBook {
 public:
  struct Options {
    std::optional<std::filesystem::path> file = {};
    bool has_user_tokens = false;  // whether the defaults hold
    RuleDocument document = {};
  };
  enum class Source : std::uint8_t { kDefaults, kFile, kPut };

  // What holds for a route: as long as it is kept, so are its rules.
  struct RouteRules {
    std::shared_ptr<const RuleSet> set;
    const std::vector<const Rule*>& rules;
  };

  class Route {
   public:
    Route(RuleSet::Route name, std::size_t index) : name_(std::move(name)), index_(index) {}
    const std::string& pattern() const { return name_.pattern; }
    // All that a request to a route without rules costs.
    bool is_limited() const { return is_limited_.load(std::memory_order_relaxed); }
    RouteRules rules() const;

   private:
    friend class RuleBook;
    const RuleSet::Route name_;
    const std::size_t index_;
    std::atomic<bool> is_limited_{false};
    mutable Guarded<std::shared_ptr<const RuleSet>> set_;  // never null after start(), unless there are no rules yet
  };

  explicit RuleBook(Options options) : options_(std::move(options)) {}

  // Before start(); the reference stays valid.
  const Route& add_route(std::string_view method, std::string_view pattern);
  // The rules of the file, or the defaults. Fails with kInvalidArgument for a file that is not in order.
  Result<void> start();

  // Looks for other rules where they are kept, and lets them hold: nodes do so every few seconds. After a failure those hold
  // that held.
  Task<Result<void>> reload();
  // Keeps other rules and lets them hold. Fails with kInvalidArgument naming the field; after kUnavailable they may hold.
  Task<Result<void>> put(std::string text);
  // Back to the file, or to the defaults.
  Task<Result<void>> remove_put();

  struct Held {
    Source source = Source::kDefaults;
    std::shared_ptr<const RuleSet> set;
  };
  Held held() const;

 private:
  struct Text {
    Source source = Source::kDefaults;
    std::string text = {};  // empty for the defaults
  };
  struct Active {
    Text text = {};
    std::shared_ptr<const RuleSet> set = {};
    std::uint64_t turn = 0;  // of the look that found it
  };

  Result<Text> configured() const;
  Result<RuleSet> compile(Text text) const;
  Result<void> use(Text text, std::uint64_t turn);
  std::vector<RuleSet::Route> route_names() const;

  // Constant after start().
  const Options options_;
  std::deque<Route> routes_;
  // Safe by themselves.
  std::atomic<std::uint64_t> turns_{0};
  mutable Guarded<Active> active_;
};

std::string_view name_of(RuleBook::Source source);  // "defaults" …

}  // namespace hearth::limits
