#pragma once

// The settings of Hearth. Each is declared once, in the table of config.cc: name, kind, limits, help. The flags, the
// environment variables, the file, print-config and docs/settings.md all come from that table.
//
// A setting's value comes from the first of: a flag (--http.threads=4), the environment (HEARTH_HTTP_THREADS), the TOML
// file named by --config ([http] threads = 4), its default. Every source is validated, also where a stronger one
// overrides it, and all that is wrong is reported at once, before anything is opened.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hearth/base/log.h"
#include "hearth/base/result.h"
#include "hearth/likes/ledger_names.h"
#include "hearth/media/stores/s3_media_store.h"
#include "hearth/outbox/journal.h"
#include "hearth/views/view_table_names.h"

namespace CLI {
class App;
}

namespace hearth::app {

struct ListenAddress {
  std::string host = "127.0.0.1";  // an IP address
  std::uint16_t port = 8080;       // 0: any free one
  bool is_loopback() const;
  std::string text() const;  // HOST:PORT, an IPv6 address in brackets
};

enum class LiveStore : std::uint8_t { kMemory, kRedis };
enum class MediaPlace : std::uint8_t { kDisk, kS3 };
enum class RedisKeys : std::uint8_t { kPlain, kTagged };

// What each field means, its limits and its unit: the table in config.cc. The defaults are those of these structs.
struct Config {
  ListenAddress listen;
  std::filesystem::path data = "./hearth-data";
  bool demo = false;
  outbox::Durability durability = outbox::Durability::kCommit;

  struct Http {
    int threads = 0;
    std::size_t header_bytes_max = 16 << 10;
    std::size_t body_bytes_max = 1 << 20;
    std::size_t connections_max = 10'000;
    std::chrono::seconds idle_timeout{60};
    std::chrono::seconds request_timeout{15};
    std::chrono::seconds write_timeout{15};
    std::chrono::seconds stop_grace{10};
    std::vector<std::string> trusted_proxies;  // addresses and networks
  } http;
  struct Cors {
    std::vector<std::string> origins;
  } cors;
  struct Auth {
    std::optional<std::string> service_key;
    std::optional<std::string> admin_key;
    std::optional<std::string> viewer_key;
    std::optional<std::string> cron_secret;
    std::optional<std::string> jwt_secret;
    std::optional<std::filesystem::path> jwks_file;
    bool public_reads = true;
    // Whether any credential exists. If not, only loopback is served.
    bool is_configured() const;
  } auth;
  struct Likes {
    bool require_post = false;
  } likes;
  struct Views {
    bool redis_enabled = true;
    std::chrono::hours dedup_ttl{24};
    std::string sync_cron;  // empty: by the interval
    std::chrono::hours sync_interval{12};
    std::chrono::seconds count_cache_ttl{0};  // without effect
    bool chapters_count_for_story = false;
    std::uint64_t dedupe_bytes_max = 1ull << 30;
    views::ViewTableNames tables;  // in PostgreSQL
    // When views are brought to SQL: the cron that is given, or the one of the interval.
    std::string schedule() const;
  } views;
  struct RateLimit {
    bool redis_enabled = true;
    bool default_rules = true;
    std::optional<std::filesystem::path> rules_file;
    std::uint64_t memory_limit = 256ull << 20;
  } ratelimit;
  struct Live {
    LiveStore store = LiveStore::kMemory;
    std::uint64_t memory_limit = 2ull << 30;
    int partitions = 16;
  } live;
  struct Redis {
    std::optional<std::string> url;  // once loaded: also where host and password were given instead
    std::string host;
    std::uint16_t port = 6379;
    std::optional<std::string> password;
    bool tls = false;
    bool enabled = true;
    std::optional<std::filesystem::path> tls_ca_file;
    RedisKeys keys = RedisKeys::kPlain;
  } redis;
  struct Database {
    std::optional<std::string> url;  // none: SQLite
    int connections = 8;
  } database;
  likes::LedgerNames ledger;
  struct Reconcile {
    std::string cron = "0 */6 * * *";
    std::uint64_t drift_threshold = 5;
    std::chrono::seconds budget{60};
  } reconcile;
  struct Outbox {
    std::uint64_t bytes_max = 256ull << 20;
  } outbox;
  struct Flush {
    std::chrono::milliseconds interval{500};
  } flush;
  struct Idempotency {
    std::uint64_t bytes_max = 256ull << 20;
  } idempotency;
  struct Jobs {
    bool workers = true;
    std::chrono::seconds lease{30};
    std::chrono::milliseconds poll{1'000};
    bool listen = true;
    std::vector<std::string> concurrency;  // "type=N"
    std::vector<std::string> schedules = {R"(cleanup_expired | 17 3 * * * | UTC | cleanup_expired | {"olderThanDays":30} | skip)",
                                          "recompute_rankings | */5 * * * * | UTC | recompute_rankings | {} | skip"};
  } jobs;
  struct Webhooks {
    std::optional<std::string> secret;
    std::optional<std::string> notifications_url;
  } webhooks;
  struct Fetch {
    bool allow_private = false;
  } fetch;
  struct Media {
    MediaPlace store = MediaPlace::kDisk;
    std::string s3_endpoint;
    std::string s3_bucket;
    std::string s3_region = "us-east-1";
    std::optional<std::string> s3_access_key;
    std::optional<std::string> s3_secret_key;
    std::string s3_prefix;
    std::string s3_public_url;
    media::S3Options s3() const;  // REQUIRES: store is kS3, and the configuration was loaded
  } media;
  struct Log {
    log::Level level = log::Level::kInfo;
    log::Format format = log::Format::kLogfmt;
  } log;

  // Where the value of a setting came from, by its name: "flag --listen", "environment HEARTH_LISTEN", "hearth.toml:3".
  // Absent: the default.
  std::map<std::string, std::string, std::less<>> origins;
};

using Environment = std::map<std::string, std::string>;
Environment process_environment();

// Adds --config and a flag for each setting to a command; it may have options of its own. `--help` is for the caller to
// look for first and to answer with command.help().
void add_setting_flags(CLI::App& command);

// Parses `args` (what follows the command's name) into `command`, which got add_setting_flags(), and loads the settings.
// Fails with kInvalidArgument: one line for each thing that is wrong, each naming setting, source and fix.
Result<Config> load_config(CLI::App& command, const std::vector<std::string>& args, const Environment& environment);
// The same for a command without options of its own.
Result<Config> load_config(const std::vector<std::string>& args, const Environment& environment);

// A TOML file that gives this configuration, each setting with help, default and origin. Secrets show as "***", commented out.
std::string print_config(const Config& config);

// docs/settings.md, whole.
std::string settings_reference();

}  // namespace hearth::app
