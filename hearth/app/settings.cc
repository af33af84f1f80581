#include "hearth/app/settings.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <type_traits>

#include "hearth/base/cron.h"
#include "hearth/base/json_writer.h"
#include "hearth/jobs/job.h"
#include "hearth/jobs/scheduler.h"
#include "hearth/limits/address_list.h"
#include "hearth/views/view.h"

namespace hearth::app {
namespace {

constexpr std::int64_t kKiB = 1 << 10;
constexpr std::int64_t kMiB = 1 << 20;
constexpr std::int64_t kGiB = 1 << 30;
constexpr std::int64_t kTiB = kGiB << 10;

// `field` is a captureless lambda from Config& to a reference: an integer, or a duration counted in its own unit.
template <auto field>
Number number(std::int64_t min, std::int64_t max, Unit unit = Unit::kNone) {
  using Value = std::remove_reference_t<decltype(field(std::declval<Config&>()))>;
  return {.get = [](const Config& config) -> std::int64_t {
            const Value& value = field(const_cast<Config&>(config));
            if constexpr (std::is_integral_v<Value>) {
              return static_cast<std::int64_t>(value);
            } else {
              return value.count();
            }
          },
          .set = [](Config& config, std::int64_t value) { field(config) = static_cast<Value>(value); },
          .min = min,
          .max = max,
          .unit = unit};
}

template <auto field>
Choice choice(std::vector<std::string_view> names) {
  using Value = std::remove_reference_t<decltype(field(std::declval<Config&>()))>;
  return {.names = std::move(names),
          .get = [](const Config& config) { return static_cast<int>(field(const_cast<Config&>(config))); },
          .set = [](Config& config, int index) { field(config) = static_cast<Value>(index); }};
}

std::string show_listen(const Config& config) {
  return config.listen.text();
}

bool is_ip_address(const std::string& host) {
  in6_addr parsed{};
  return inet_pton(AF_INET, host.c_str(), &parsed) == 1 || inet_pton(AF_INET6, host.c_str(), &parsed) == 1;
}

Result<void> set_listen(Config& config, const std::string& text) {
  auto colon = text.rfind(':');
  if (colon == std::string::npos) return invalid("", "the port is missing");
  std::string host = text.substr(0, colon);
  if (host == "localhost") host = "127.0.0.1";
  bool has_brackets = host.starts_with('[') && host.ends_with(']');
  if (has_brackets) host = host.substr(1, host.size() - 2);
  if (host.contains(':') != has_brackets) return invalid("", "an IPv6 address stands in brackets");
  if (!is_ip_address(host)) return invalid("", "the host is not an IP address");

  std::uint16_t port = 0;
  auto [end, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return invalid("", "the port is not a number from 0 to 65535");
  config.listen = {.host = std::move(host), .port = port};
  return {};
}

Result<void> set_data(Config& config, const std::string& text) {
  if (text.empty()) return invalid("", "it is empty");
  config.data = text;
  return {};
}

Result<void> set_jwks_file(Config& config, const std::string& text) {
  if (text.empty()) return invalid("", "it is empty; leave the setting out to use no key set");
  config.auth.jwks_file = text;
  return {};
}

// The names of tables and columns: as SQL takes them without quotes, so that none can mean anything else.
bool is_sql_name(std::string_view text) {
  constexpr std::size_t kNameBytesMax = 63;  // PostgreSQL cuts longer ones off
  auto is_word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (text.empty() || text.size() > kNameBytesMax || !is_word(text.front())) return false;
  return std::ranges::all_of(text, [&](char c) { return is_word(c) || (c >= '0' && c <= '9') || c == '$'; });
}

// `field` is a captureless lambda from Config& to a std::string&.
template <auto field>
Text column() {
  return {.get = [](const Config& config) -> std::string { return field(const_cast<Config&>(config)); },
          .set = [](Config& config, const std::string& text) -> Result<void> {
            if (!is_sql_name(text)) return invalid("", "letters, digits, _ and $ make a name");
            field(config) = text;
            return {};
          },
          .form = "the name of a column",
          .placeholder = "NAME"};
}

template <auto field>
Text table_name() {
  return {.get = [](const Config& config) -> std::string { return field(const_cast<Config&>(config)); },
          .set = [](Config& config, const std::string& text) -> Result<void> {
            std::string_view name = text;
            auto dot = name.find('.');
            bool is_schema_named = dot != std::string_view::npos;
            if (!is_sql_name(name.substr(is_schema_named ? dot + 1 : 0)) || (is_schema_named && !is_sql_name(name.substr(0, dot))))
              return invalid("", "letters, digits, _ and $ make a name");
            field(config) = text;
            return {};
          },
          .form = "the name of a table, with or without a schema",
          .placeholder = "NAME"};
}

Result<void> set_cron(Config& config, const std::string& text) {
  if (auto cron = Cron::parse(text, ""); !cron) return std::unexpected(cron.error());
  config.reconcile.cron = text;
  return {};
}

Result<void> set_sync_cron(Config& config, const std::string& text) {
  if (auto cron = Cron::parse(text, ""); !cron) return std::unexpected(cron.error());
  config.views.sync_cron = text;
  return {};
}

Result<void> set_rules_file(Config& config, const std::string& text) {
  if (text.empty()) return invalid("", "it is empty; leave the setting out to use no file");
  config.ratelimit.rules_file = text;
  return {};
}

Result<void> set_redis_host(Config& config, const std::string& text) {
  if (text.empty() || text.find_first_of(" /@,?#") != std::string::npos) return invalid("", "a URL goes into redis.url");
  config.redis.host = text;
  return {};
}

Result<void> set_tls_ca_file(Config& config, const std::string& text) {
  if (text.empty()) return invalid("", "it is empty; leave the setting out to use the system's");
  config.redis.tls_ca_file = text;
  return {};
}

// An origin is a scheme, a host and perhaps a port: what a browser sends, compared as text.
bool is_origin(std::string_view text) {
  if (text == "*") return true;
  auto scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos || scheme_end == 0) return false;
  auto host = text.substr(scheme_end + 3);
  return !host.empty() && host.find_first_of("/?#@ \t,\"\\") == std::string_view::npos;
}

bool is_network(std::string_view text) {
  return limits::AddressList::parse({std::string(text)}, "").has_value();
}

bool is_concurrency(std::string_view text) {
  constexpr int kConcurrencyMax = 256;
  auto equals = text.find('=');
  if (equals == std::string_view::npos || !jobs::check_type(text.substr(0, equals), "")) return false;
  int number = 0;
  auto digits = text.substr(equals + 1);
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return error == std::errc() && end == digits.data() + digits.size() && number >= 1 && number <= kConcurrencyMax;
}

bool is_schedule(std::string_view text) {
  return jobs::parse_schedule(text).has_value();
}

// `field` is a captureless lambda from Config& to a std::string&.
template <auto field>
Text plain_text(std::string_view form, std::string_view placeholder) {
  return {.get = [](const Config& config) -> std::string { return field(const_cast<Config&>(config)); },
          .set = [](Config& config, const std::string& text) -> Result<void> {
            bool is_plain = std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
            if (!is_plain) return invalid("", "printable ASCII without spaces");
            field(config) = text;
            return {};
          },
          .form = form,
          .placeholder = placeholder};
}

const std::vector<Setting>& table() {
  static const std::vector<Setting> settings = {
      {"listen", Text{show_listen, set_listen, "HOST:PORT, HOST an IP address or localhost", "HOST:PORT"},
       "Where to serve. Port 0 takes any free one. Anything but loopback needs a key (auth.*)."},
      {"data", Text{[](const Config& c) { return c.data.string(); }, set_data, "a folder", "DIR"},
       "Where everything is kept; made when missing. One process at a time."},
      {"demo", Switch{[](Config& c) -> bool& { return c.demo; }}, "Load a small data set to try things on, if it is not there yet."},
      {"durability", choice<[](Config& c) -> auto& { return c.durability; }>({"commit", "relaxed"}),
       "commit: a change is answered after it is synced to disk. relaxed: after it is written; a power cut may take the last 100 ms, a "
       "crash of the process nothing."},

      {"http.threads", number<[](Config& c) -> auto& { return c.http.threads; }>(0, 256), "Threads that serve requests. 0: one a core."},
      {"http.header_bytes_max", number<[](Config& c) -> auto& { return c.http.header_bytes_max; }>(kKiB, kMiB, Unit::kBytes),
       "Longest request line and header fields together."},
      {"http.body_bytes_max", number<[](Config& c) -> auto& { return c.http.body_bytes_max; }>(kKiB, 64 * kMiB, Unit::kBytes),
       "Longest body of a request."},
      {"http.connections_max", number<[](Config& c) -> auto& { return c.http.connections_max; }>(1, 1'000'000),
       "Connections open at once; further ones are closed."},
      {"http.idle_timeout_seconds", number<[](Config& c) -> auto& { return c.http.idle_timeout; }>(1, 86'400, Unit::kSeconds),
       "A connection without a request is closed after this."},
      {"http.request_timeout_seconds", number<[](Config& c) -> auto& { return c.http.request_timeout; }>(1, 3'600, Unit::kSeconds),
       "A request must have arrived whole within this."},
      {"http.write_timeout_seconds", number<[](Config& c) -> auto& { return c.http.write_timeout; }>(1, 3'600, Unit::kSeconds),
       "A client must have taken its answer within this."},
      {"http.stop_grace_seconds", number<[](Config& c) -> auto& { return c.http.stop_grace; }>(0, 3'600, Unit::kSeconds),
       "When stopping, requests that were accepted may take this long."},
      {"http.trusted_proxies",
       List{[](Config& c) -> Texts& { return c.http.trusted_proxies; }, is_network, "addresses and networks such as 10.0.0.0/8"},
       "Proxies whose X-Forwarded-For is believed. A client's address, for limits and views, is then the last one there that is no "
       "such proxy's."},

      {"cors.origins", List{[](Config& c) -> Texts& { return c.cors.origins; }, is_origin, "origins such as https://app.example, or *"},
       "Web origins whose pages may call the API."},

      {"auth.service_key", Secret{[](Config& c) -> auto& { return c.auth.service_key; }},
       "Key of trusted app servers: everything but administration and cron.", "HEARTH_SERVICE_KEY"},
      {"auth.admin_key", Secret{[](Config& c) -> auto& { return c.auth.admin_key; }}, "Key that may do everything.", "HEARTH_ADMIN_KEY"},
      {"auth.viewer_key", Secret{[](Config& c) -> auto& { return c.auth.viewer_key; }}, "Key that may read administration and metrics.",
       "HEARTH_VIEWER_KEY"},
      {"auth.cron_secret", Secret{[](Config& c) -> auto& { return c.auth.cron_secret; }}, "Key of the scheduler that calls /api/cron.",
       "CRON_SECRET"},
      {"auth.jwt_secret", Secret{[](Config& c) -> auto& { return c.auth.jwt_secret; }},
       "Secret of users' tokens that are signed with HS256.", "HEARTH_JWT_SECRET"},
      {"auth.jwks_file",
       Text{[](const Config& c) { return c.auth.jwks_file ? c.auth.jwks_file->string() : std::string(); }, set_jwks_file, "a file", "FILE"},
       "JSON Web Key Set with the public keys of users' tokens (RS256, ES256)."},
      {"auth.public_reads", Switch{[](Config& c) -> bool& { return c.auth.public_reads; }},
       "Whether counts, posts, profiles, timeline and rank can be read without a credential."},

      {"likes.require_post", Switch{[](Config& c) -> bool& { return c.likes.require_post; }},
       "Whether liking a post that is not known here is 404."},

      {"views.redis_enabled",
       Switch{[](Config& c) -> bool& { return c.views.redis_enabled; }},
       "false: where live state is in Redis, views are counted in SQL all the same, each at once.",
       {},
       "VIEW_TRACKING_REDIS_ENABLED"},
      {"views.dedup_ttl_hours",
       number<[](Config& c) -> auto& { return c.views.dedup_ttl; }>(1, views::kDedupeWindowMax.count()),
       "How long a viewer of a story or chapter counts once.",
       {},
       "VIEW_DEDUP_TTL_HOURS"},
      {"views.sync_cron",
       Text{[](const Config& c) { return c.views.sync_cron; }, set_sync_cron, "five fields of cron, in UTC", "CRON"},
       "When views are brought to SQL. Without it views.sync_interval_hours says; together that is at 2:00 and 14:00.",
       {},
       "VIEW_SYNC_CRON"},
      {"views.sync_interval_hours",
       number<[](Config& c) -> auto& { return c.views.sync_interval; }>(1, 24),
       "How often that is, where views.sync_cron is not given: a divisor of 24, counted from 2:00.",
       {},
       "VIEW_SYNC_INTERVAL_HOURS"},
      {"views.count_cache_ttl_seconds",
       number<[](Config& c) -> auto& { return c.views.count_cache_ttl; }>(0, 86'400),
       "Has no effect: totals are live, and none is cached. Taken because other programs have such a setting.",
       {},
       "VIEW_COUNT_CACHE_TTL"},
      {"views.chapters_count_for_story", Switch{[](Config& c) -> bool& { return c.views.chapters_count_for_story; }},
       "Whether a view of a chapter is one of its story too, where the chapter is known here. Each then asks SQL for the story."},
      {"views.dedupe_bytes_max", number<[](Config& c) -> auto& { return c.views.dedupe_bytes_max; }>(kMiB, kTiB, Unit::kBytes),
       "Memory for who has viewed what; when full, further views get 503. On Redis its own limit holds."},
      {"views.stories_table", table_name<[](Config& c) -> auto& { return c.views.tables.stories_table; }>(),
       "Stories in an adopted database; PUT /api/stories writes to Hearth's own all the same."},
      {"views.stories_id_column", column<[](Config& c) -> auto& { return c.views.tables.stories_id_column; }>(), "Their id."},
      {"views.stories_count_column", column<[](Config& c) -> auto& { return c.views.tables.stories_count_column; }>(),
       "Their number of views, which every sync of views brings up to date."},
      {"views.chapters_table", table_name<[](Config& c) -> auto& { return c.views.tables.chapters_table; }>(),
       "Chapters in an adopted database."},
      {"views.chapters_id_column", column<[](Config& c) -> auto& { return c.views.tables.chapters_id_column; }>(), "Their id."},
      {"views.chapters_count_column", column<[](Config& c) -> auto& { return c.views.tables.chapters_count_column; }>(),
       "Their number of views."},

      {"ratelimit.redis_enabled",
       Switch{[](Config& c) -> bool& { return c.ratelimit.redis_enabled; }},
       "false: where live state is in Redis, limits are kept in memory all the same, by each node for itself.",
       {},
       "RATE_LIMIT_REDIS_ENABLED"},
      {"ratelimit.default_rules", Switch{[](Config& c) -> bool& { return c.ratelimit.default_rules; }},
       "Whether users, where they have tokens (auth.jwt_secret, auth.jwks_file), are limited without any rules being given."},
      {"ratelimit.rules_file",
       Text{[](const Config& c) { return c.ratelimit.rules_file ? c.ratelimit.rules_file->string() : std::string(); }, set_rules_file,
            "a JSON file", "FILE"},
       "Limits of Hearth's own routes (docs/rate-limits.md); read again at SIGHUP."},
      {"ratelimit.memory_limit", number<[](Config& c) -> auto& { return c.ratelimit.memory_limit; }>(kMiB, kTiB, Unit::kBytes),
       "Memory for limits; when full, a new key's own policy decides."},

      {"live.store",
       choice<[](Config& c) -> auto& { return c.live.store; }>({"memory", "redis"}),
       "Where live state is: in this process with its journal, or in Redis. A Redis that is given is used, if this does not say otherwise.",
       "HEARTH_LIVE",
       {},
       "live"},
      {"live.memory_limit", number<[](Config& c) -> auto& { return c.live.memory_limit; }>(16 * kMiB, 16 * kTiB, Unit::kBytes),
       "Memory for live state; above it posts that nobody touches leave memory until they are asked for."},
      {"live.partitions", number<[](Config& c) -> auto& { return c.live.partitions; }>(1, 1'024),
       "Streams that the outbox in Redis is divided into, which several Hearths share. Fixed at the first start."},

      {"redis.url",
       Secret{[](Config& c) -> auto& { return c.redis.url; }},
       "redis://[[user]:password@]host[:port][/db], rediss:// for TLS; several hosts with commas mean Cluster; "
       "redis+sentinel://host:port,host:port/NAME asks Sentinel for the primary. It must keep what it holds: noeviction.",
       {},
       "REDIS_URL",
       "redis-url"},
      {"redis.host",
       Text{[](const Config& c) { return c.redis.host; }, set_redis_host, "a host", "HOST"},
       "Where no URL is given.",
       {},
       "REDIS_HOST"},
      {"redis.port", number<[](Config& c) -> auto& { return c.redis.port; }>(1, 65'535), "Beside redis.host.", {}, "REDIS_PORT"},
      {"redis.password", Secret{[](Config& c) -> auto& { return c.redis.password; }}, "Where the URL has none.", {}, "REDIS_PASSWORD"},
      {"redis.tls", Switch{[](Config& c) -> bool& { return c.redis.tls; }}, "TLS, beside redis.host.", {}, "REDIS_TLS"},
      {"redis.enabled",
       Switch{[](Config& c) -> bool& { return c.redis.enabled; }},
       "false: live state is in memory, whatever else is said of Redis.",
       {},
       "REDIS_ENABLED"},
      {"redis.tls_ca_file",
       Text{[](const Config& c) { return c.redis.tls_ca_file ? c.redis.tls_ca_file->string() : std::string(); }, set_tls_ca_file, "a file",
            "FILE"},
       "Certificates that Redis' own must be signed by, if not by one that the system knows."},
      {"redis.keys", choice<[](Config& c) -> auto& { return c.redis.keys; }>({"plain", "tagged"}),
       "plain: post:likes:ID and so on, which other programs know. tagged: the keys of a partition share a hash tag, as Cluster needs, "
       "where "
       "it is the default."},

      {"database.url",
       Secret{[](Config& c) -> auto& { return c.database.url; }},
       "postgres://user:password@host/database, with libpq's parameters. Without it SQL is SQLite in the data folder.",
       {},
       "DATABASE_URL",
       "database-url"},
      {"database.connections", number<[](Config& c) -> auto& { return c.database.connections; }>(2, 256), "Connections to PostgreSQL."},

      {"ledger.ratings_table", table_name<[](Config& c) -> auto& { return c.ledger.ratings_table; }>(),
       "Who likes what, in a database of another program that is adopted: one row for each post and session."},
      {"ledger.ratings_post_column", column<[](Config& c) -> auto& { return c.ledger.ratings_post_column; }>(), "Its post."},
      {"ledger.ratings_session_column", column<[](Config& c) -> auto& { return c.ledger.ratings_session_column; }>(), "Its session."},
      {"ledger.ratings_created_column", column<[](Config& c) -> auto& { return c.ledger.ratings_created_column; }>(), "When it was made."},
      {"ledger.posts_table", table_name<[](Config& c) -> auto& { return c.ledger.posts_table; }>(), "Posts in an adopted database."},
      {"ledger.posts_id_column", column<[](Config& c) -> auto& { return c.ledger.posts_id_column; }>(), "Their id."},
      {"ledger.posts_likes_column", column<[](Config& c) -> auto& { return c.ledger.posts_likes_column; }>(),
       "Their count of likes, which is kept up to date."},
      {"ledger.comments_table", table_name<[](Config& c) -> auto& { return c.ledger.comments_table; }>(),
       "Comments in an adopted database."},
      {"ledger.comments_id_column", column<[](Config& c) -> auto& { return c.ledger.comments_id_column; }>(), "Their id."},
      {"ledger.comments_post_column", column<[](Config& c) -> auto& { return c.ledger.comments_post_column; }>(), "Their post."},

      {"reconcile.cron", Text{[](const Config& c) { return c.reconcile.cron; }, set_cron, "five fields of cron, in UTC", "CRON"},
       "When live state and SQL are compared and brought together: minute, hour, day of month, month, day of week."},
      {"reconcile.drift_threshold",
       number<[](Config& c) -> auto& { return c.reconcile.drift_threshold; }>(0, std::numeric_limits<std::int32_t>::max()),
       "Posts that may differ in one such run before it is a warning."},
      {"reconcile.budget_seconds", number<[](Config& c) -> auto& { return c.reconcile.budget; }>(1, 86'400, Unit::kSeconds),
       "How long one such run may take; the next goes on where it stopped."},

      {"outbox.bytes_max", number<[](Config& c) -> auto& { return c.outbox.bytes_max; }>(kMiB, kTiB, Unit::kBytes),
       "Changes not yet in the ledger; when full, further ones get 503 until the flusher caught up."},

      {"flush.interval_ms", number<[](Config& c) -> auto& { return c.flush.interval; }>(10, 60'000, Unit::kMilliseconds),
       "How long changes gather before they are flushed into the ledger."},

      {"idempotency.bytes_max", number<[](Config& c) -> auto& { return c.idempotency.bytes_max; }>(kMiB, 64 * kGiB, Unit::kBytes),
       "Memory for answers kept for Idempotency-Key; when full, requests with a key get 503."},

      {"jobs.workers", Switch{[](Config& c) -> bool& { return c.jobs.workers; }},
       "Whether this node works off background jobs and runs the schedules. One of the nodes must."},
      {"jobs.lease_seconds", number<[](Config& c) -> auto& { return c.jobs.lease; }>(1, 3'600, Unit::kSeconds),
       "After this without a heartbeat of its worker a job is taken over. Three heartbeats are made in that time."},
      {"jobs.poll_ms", number<[](Config& c) -> auto& { return c.jobs.poll; }>(10, 60'000, Unit::kMilliseconds),
       "How often workers look for jobs that nobody told them of."},
      {"jobs.listen", Switch{[](Config& c) -> bool& { return c.jobs.listen; }},
       "Whether PostgreSQL tells of new jobs (LISTEN). false behind a transaction pooler, where jobs.poll_ms finds them."},
      {"jobs.concurrency",
       List{[](Config& c) -> Texts& { return c.jobs.concurrency; }, is_concurrency, "job types with a number, as process_image=2"},
       "How many jobs of a type run at once on this node; webhook stands for all jobs with a url."},
      {"jobs.schedules",
       List{[](Config& c) -> Texts& { return c.jobs.schedules; }, is_schedule,
            "texts of the form NAME | CRON | TIME ZONE | JOB TYPE | PAYLOAD | once or skip"},
       "Jobs that are enqueued by the clock. Once or skip: what becomes of runs that were missed. Commas belong into the file's array."},

      {"webhooks.secret", Secret{[](Config& c) -> auto& { return c.webhooks.secret; }},
       "Signs what is posted to webhooks: HMAC-SHA256 in X-Hearth-Signature. Without it they are not signed."},
      {"webhooks.notifications_url", Secret{[](Config& c) -> auto& { return c.webhooks.notifications_url; }},
       "Notifications are posted there too. Secret, because such addresses often hold a key."},
      {"fetch.allow_private", Switch{[](Config& c) -> bool& { return c.fetch.allow_private; }},
       "Whether images are fetched from and webhooks posted to loopback and private addresses. For tests."},

      {"media.store", choice<[](Config& c) -> auto& { return c.media.store; }>({"disk", "s3"}),
       "Where processed images are kept: media/ in the data folder, or an S3-compatible store."},
      {"media.s3_endpoint", plain_text<[](Config& c) -> auto& { return c.media.s3_endpoint; }>("an http or https URL", "URL"),
       "Of the store."},
      {"media.s3_bucket", plain_text<[](Config& c) -> auto& { return c.media.s3_bucket; }>("a name", "NAME"), "The bucket."},
      {"media.s3_region", plain_text<[](Config& c) -> auto& { return c.media.s3_region; }>("a name", "NAME"), "Its region."},
      {"media.s3_access_key",
       Secret{[](Config& c) -> auto& { return c.media.s3_access_key; }},
       "Who writes there.",
       {},
       "AWS_ACCESS_KEY_ID"},
      {"media.s3_secret_key", Secret{[](Config& c) -> auto& { return c.media.s3_secret_key; }}, "Their key.", {}, "AWS_SECRET_ACCESS_KEY"},
      {"media.s3_prefix", plain_text<[](Config& c) -> auto& { return c.media.s3_prefix; }>("a text such as images/", "TEXT"),
       "Before the name of each object."},
      {"media.s3_public_url", plain_text<[](Config& c) -> auto& { return c.media.s3_public_url; }>("a URL", "URL"),
       "Where browsers find the bucket's objects. Without it Hearth serves them at /media."},

      {"log.level", choice<[](Config& c) -> auto& { return c.log.level; }>({"debug", "info", "warning", "error", "off"}),
       "The least severe event that is logged."},
      {"log.format", choice<[](Config& c) -> auto& { return c.log.format; }>({"logfmt", "json"}), "How a log line is written."},
  };
  return settings;
}

struct Suffix {
  std::string_view text;
  std::int64_t factor;
};

// Largest first: show() takes the first that divides.
std::vector<Suffix> suffixes(Unit unit) {
  switch (unit) {
    case Unit::kNone:
      return {};
    case Unit::kBytes:
      return {{"TiB", kTiB}, {"GiB", kGiB}, {"MiB", kMiB}, {"KiB", kKiB}, {"B", 1}};
    case Unit::kMilliseconds:
      return {{"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}};
    case Unit::kSeconds:
      return {{"h", 3'600}, {"m", 60}, {"s", 1}};
  }
  return {};
}

std::optional<std::int64_t> parse_number(std::string_view text, Unit unit) {
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  auto rest = text.substr(end - text.data());
  if (rest.empty()) return value;
  for (const auto& [suffix, factor] : suffixes(unit)) {
    if (rest != suffix) continue;
    std::int64_t product = 0;
    if (__builtin_mul_overflow(value, factor, &product)) return std::nullopt;
    return product;
  }
  return std::nullopt;
}

std::string show_number(std::int64_t value, Unit unit) {
  if (unit != Unit::kBytes || value == 0) return std::to_string(value);
  for (const auto& [suffix, factor] : suffixes(unit)) {
    if (value % factor == 0) return std::to_string(value / factor) + std::string(suffix);
  }
  return std::to_string(value);
}

std::string toml_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);  // a JSON string is a TOML string
  return out;
}

std::unexpected<Error> must_be(const Setting& setting) {
  return invalid(std::string(setting.name), "must be " + describe_values(setting));
}

Result<void> assign_number(const Setting& setting, const Number& kind, const std::string& text, Config& config) {
  auto value = parse_number(text, kind.unit);
  if (!value || *value < kind.min || *value > kind.max) return must_be(setting);
  kind.set(config, *value);
  return {};
}

Result<void> assign_switch(const Setting& setting, const Switch& kind, const std::string& text, Config& config) {
  if (text != "true" && text != "false") return must_be(setting);
  kind.field(config) = text == "true";
  return {};
}

Result<void> assign_choice(const Setting& setting, const Choice& kind, const std::string& text, Config& config) {
  auto found = std::ranges::find(kind.names, text);
  if (found == kind.names.end()) return must_be(setting);
  kind.set(config, static_cast<int>(found - kind.names.begin()));
  return {};
}

Result<void> assign_text(const Setting& setting, const Text& kind, const std::string& text, Config& config) {
  auto done = kind.set(config, text);
  if (!done) return invalid(std::string(setting.name), "must be " + describe_values(setting) + ": " + done.error().message);
  return {};
}

Result<void> assign_secret(const Setting& setting, const Secret& kind, const std::string& text, Config& config) {
  bool is_sendable = !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
  if (!is_sendable) return must_be(setting);
  kind.field(config) = text;
  return {};
}

Result<void> assign_list(const Setting& setting, const List& kind, const Texts& items, Config& config) {
  if (!std::ranges::all_of(items, kind.is_valid)) return must_be(setting);
  kind.field(config) = items;
  return {};
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

template <typename... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};

}  // namespace

std::string Setting::environment() const {
  if (!variable.empty()) return std::string(variable);
  std::string out = "HEARTH_";
  for (char c : name) out += c == '.' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return out;
}

std::span<const Setting> all_settings() {
  return table();
}

Result<void> assign(const Setting& setting, const Texts& given, Config& config) {
  if (const auto* list = std::get_if<List>(&setting.kind)) return assign_list(setting, *list, given, config);
  if (given.size() != 1) return must_be(setting);
  const std::string& text = given.front();
  return std::visit(Overloaded{
                        [&](const Number& kind) { return assign_number(setting, kind, text, config); },
                        [&](const Switch& kind) { return assign_switch(setting, kind, text, config); },
                        [&](const Choice& kind) { return assign_choice(setting, kind, text, config); },
                        [&](const Text& kind) { return assign_text(setting, kind, text, config); },
                        [&](const Secret& kind) { return assign_secret(setting, kind, text, config); },
                        [&](const List&) { return Result<void>(); },
                    },
                    setting.kind);
}

std::optional<std::string> show(const Setting& setting, const Config& constant) {
  auto& config = const_cast<Config&>(constant);  // the table's accessors serve reading and writing; nothing is written here
  return std::visit(Overloaded{
                        [&](const Number& kind) -> std::optional<std::string> {
                          auto text = show_number(kind.get(config), kind.unit);
                          return kind.unit == Unit::kBytes ? toml_string(text) : text;
                        },
                        [&](const Switch& kind) -> std::optional<std::string> { return kind.field(config) ? "true" : "false"; },
                        [&](const Choice& kind) -> std::optional<std::string> { return toml_string(kind.names.at(kind.get(config))); },
                        [&](const Text& kind) -> std::optional<std::string> {
                          auto text = kind.get(config);
                          if (text.empty()) return std::nullopt;
                          return toml_string(text);
                        },
                        [&](const Secret& kind) -> std::optional<std::string> {
                          if (!kind.field(config)) return std::nullopt;
                          return toml_string("***");
                        },
                        [&](const List& kind) -> std::optional<std::string> {
                          std::string out = "[";
                          for (const auto& item : kind.field(config)) out += (out.size() > 1 ? ", " : "") + toml_string(item);
                          return out + "]";
                        },
                    },
                    setting.kind);
}

std::string describe_values(const Setting& setting) {
  return std::visit(Overloaded{
                        [](const Number& kind) {
                          auto range = show_number(kind.min, kind.unit) + " to " + show_number(kind.max, kind.unit);
                          if (kind.unit == Unit::kMilliseconds) range += " ms";
                          if (kind.unit == Unit::kSeconds) range += " s";
                          return kind.unit == Unit::kNone ? "a whole number from " + range : range;
                        },
                        [](const Switch&) { return std::string("true or false"); },
                        [](const Choice& kind) {
                          std::string out;
                          for (std::size_t i = 0; i < kind.names.size(); ++i) {
                            if (i > 0) out += i + 1 == kind.names.size() ? " or " : ", ";
                            out += kind.names[i];
                          }
                          return out;
                        },
                        [](const Text& kind) { return std::string(kind.form); },
                        [](const Secret&) { return std::string("printable ASCII without spaces, not empty"); },
                        [](const List& kind) { return "a list of " + std::string(kind.form); },
                    },
                    setting.kind);
}

std::string placeholder(const Setting& setting) {
  return std::visit(Overloaded{
                        [](const Number& kind) {
                          constexpr const char* kWords[] = {"N", "SIZE", "TIME", "TIME"};
                          return std::string(kWords[static_cast<int>(kind.unit)]);
                        },
                        [](const Switch&) { return std::string(); },
                        [](const Choice& kind) {
                          std::string out;
                          for (auto name : kind.names) out += (out.empty() ? "" : "|") + std::string(name);
                          return out;
                        },
                        [](const Text& kind) { return std::string(kind.placeholder); },
                        [](const Secret&) { return std::string("KEY"); },
                        [](const List&) { return std::string("A,B"); },
                    },
                    setting.kind);
}

std::optional<std::string> nearest(std::string_view name, const std::vector<std::string>& candidates) {
  // The last part of a dotted name, written without its section, is meant too.
  for (const auto& candidate : candidates) {
    auto dot = candidate.rfind('.');
    auto stem = name.substr(0, 2) == "--" ? name.substr(2) : name;
    if (dot != std::string::npos && candidate.substr(dot + 1) == stem) return candidate;
  }
  std::optional<std::string> best;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 4) + 1;
  for (const auto& candidate : candidates) {
    auto distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace hearth::app
