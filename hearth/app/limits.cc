#include "hearth/app/limits.h"

#include <utility>

#include "hearth/app/metrics.h"
#include "hearth/base/log.h"
#include "hearth/base/run_to_end.h"

namespace hearth::app {
namespace {

using namespace std::chrono_literals;

constexpr auto kRulesPeriod = 2s;  // until rules that another node was given hold here
constexpr char kRules[] = "ratelimit_rules";

Task<Result<std::optional<std::string>>> load_rules(limits::SharedDocuments& documents) {
  auto document = co_await documents.get(kRules);
  if (!document) co_return std::unexpected(document.error());
  if (!*document) co_return std::nullopt;
  co_return std::move((*document)->body);
}

Task<Result<void>> save_rules(limits::SharedDocuments& documents, std::string text) {
  auto saved = co_await documents.put(kRules, std::move(text), std::nullopt);
  if (!saved) co_return std::unexpected(saved.error());
  co_return Result<void>{};
}

Task<Result<void>> remove_rules(limits::SharedDocuments& documents) {
  co_return co_await documents.remove(kRules);
}

limits::RuleBook::Options book_options(const Config& config, Sql& sql) {
  auto& documents = sql.shared_documents();
  bool has_user_tokens = config.auth.jwt_secret || config.auth.jwks_file;
  return {.file = config.ratelimit.rules_file,
          .has_user_tokens = config.ratelimit.default_rules && has_user_tokens,
          .document = {.load = [&documents] { return load_rules(documents); },
                       .save = [&documents](std::string text) { return save_rules(documents, std::move(text)); },
                       .remove = [&documents] { return remove_rules(documents); }}};
}

}  // namespace

Result<std::unique_ptr<Limits>> Limits::open(const Config& config, const Clock& clock, Sql& sql, Live& live) {
  auto proxies = limits::AddressList::parse(config.http.trusted_proxies, "http.trusted_proxies");
  if (!proxies) return std::unexpected(proxies.error());
  auto memory = limits::MemoryLimiter::open(config.data, clock, {.memory_limit = config.ratelimit.memory_limit});
  if (!memory) return std::unexpected(memory.error());
  return std::unique_ptr<Limits>(new Limits(config, clock, sql, live, *std::move(memory), *std::move(proxies)));
}

Limits::Limits(const Config& config, const Clock& clock, Sql& sql, Live& live, std::unique_ptr<limits::MemoryLimiter> memory,
               limits::AddressList trusted_proxies)
    : memory_(std::move(memory)),
      trusted_proxies_(std::move(trusted_proxies)),
      service_(config.ratelimit.redis_enabled && live.limiter() != nullptr ? *live.limiter() : *memory_, *memory_, clock),
      book_(book_options(config, sql)),
      of_routes_(book_, service_, trusted_proxies_, clock),
      rules_task_({.name = "limits", .period = kRulesPeriod}, [this]() -> Result<bool> {
        if (auto loaded = run_to_end(book_.reload()); !loaded) return std::unexpected(loaded.error());
        return false;
      }) {
  memory_->start();
}

Limits::~Limits() {
  stop();
}

Result<void> Limits::start() {
  if (auto started = book_.start(); !started) return started;
  // Without SQL they come later.
  if (auto loaded = run_to_end(book_.reload()); !loaded)
    log::warning("limits", "rules were not loaded", {{"error", loaded.error().message}});
  rules_task_.start();
  return {};
}

void Limits::reload() {
  auto loaded = run_to_end(book_.reload());
  if (!loaded) log::error("limits", "other rules are not taken", {{"error", loaded.error().message}});
}

void Limits::add_metrics(Metrics& metrics) const {
  auto memory = memory_->stats();
  metrics.gauge("hearth_ratelimit_keys", "Limited keys in this node's memory.", memory.keys);
  metrics.gauge("hearth_ratelimit_memory_bytes", "Memory of them, as ratelimit.memory_limit counts it.", memory.bytes);
  metrics.counter("hearth_ratelimit_full_total", "Checks that found no room in it.", memory.refused_full);
  metrics.counter("hearth_ratelimit_expired_total", "Keys that left, because all they were admitted was over.", memory.expired);
  metrics.gauge("hearth_ratelimit_log_bytes", "The log of limits.db.", memory.log_bytes);
  metrics.counter("hearth_ratelimit_log_refused_total", "Writes to it that failed: a crash would forget what they held.",
                  memory.log_refused);

  auto service = service_.stats();
  metrics.counter("hearth_ratelimit_store_failures_total", "Checks that the store of limits did not answer.", service.store_failures);
  metrics.counter("hearth_ratelimit_by_local_total", "Checks that this node's memory answered instead.", service.by_local);
  metrics.counter("hearth_ratelimit_by_open_total", "Checks that were allowed because the store was away.", service.by_open);
  metrics.counter("hearth_ratelimit_by_closed_total", "Checks that were refused because the store was away.", service.by_closed);

  auto routes = of_routes_.stats();
  metrics.counter("hearth_ratelimit_requests_allowed_total", "Requests to limited routes that were let through.", routes.allowed);
  metrics.counter("hearth_ratelimit_requests_refused_total", "Requests that got 429.", routes.refused);
  metrics.counter("hearth_ratelimit_requests_denied_total", "Requests that were refused by their address.", routes.denied);
  metrics.counter("hearth_ratelimit_requests_shadow_refused_total", "Requests that a rule in shadow mode would have refused.",
                  routes.shadow_refused);
}

void Limits::stop() {
  if (std::exchange(is_stopped_, true)) return;
  rules_task_.stop();
  memory_->stop();
}

}  // namespace hearth::app
