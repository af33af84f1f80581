#pragma once

// Rate limits of this process: where they are counted, the rules of Hearth's own routes, and what keeps both up.

#include <memory>
#include <string>

#include "hearth/api/rate_limits.h"
#include "hearth/app/config.h"
#include "hearth/app/live.h"
#include "hearth/app/sql.h"
#include "hearth/base/background_task.h"
#include "hearth/base/clock.h"
#include "hearth/limits/limit_service.h"
#include "hearth/limits/rule_book.h"
#include "hearth/limits/stores/memory_limiter.h"

namespace hearth::app {

class Metrics;

class Limits {
 public:
  // Opens this node's memory of limits, which are counted there or, where the live store is Redis, in Redis.
  static Result<std::unique_ptr<Limits>> open(const Config& config, const Clock& clock, Sql& sql, Live& live);
  ~Limits();

  // Once all routes are there: the rules hold. kInvalidArgument: the file of rules.
  Result<void> start();
  // Looks for other rules now, as SIGHUP asks for; what is wrong with them is logged, and those that held go on.
  void reload();
  void stop();

  limits::LimitService& service() { return service_; }
  limits::RuleBook& book() { return book_; }
  api::RateLimits& of_routes() { return of_routes_; }
  std::string address_of(const http::Request& request) const { return api::address_of(request, trusted_proxies_); }
  void add_metrics(Metrics& metrics) const;

 private:
  Limits(const Config& config, const Clock& clock, Sql& sql, Live& live, std::unique_ptr<limits::MemoryLimiter> memory,
         limits::AddressList trusted_proxies);

  const std::unique_ptr<limits::MemoryLimiter> memory_;
  const limits::AddressList trusted_proxies_;
  limits::LimitService service_;
  limits::RuleBook book_;
  api::RateLimits of_routes_;
  BackgroundTask rules_task_;
  bool is_stopped_ = false;
};

}  // namespace hearth::app
