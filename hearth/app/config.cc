#include "hearth/app/config.h"

#include <toml++/toml.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "hearth/app/settings.h"
#include "hearth/drivers/postgres/connection.h"
#include "hearth/drivers/redis/url.h"
#include "hearth/drivers/web/web_client.h"

namespace hearth::app {
namespace {

constexpr std::string_view kConfigVariable = "HEARTH_CONFIG";
constexpr std::string_view kConfigFlag = "--config";

using Problems = std::vector<std::string>;

std::string join(const Texts& texts, std::string_view separator) {
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "" : std::string(separator)) + text;
  return out;
}

// The items of a list as a flag or variable gives them: "a,b". Any other setting is one text, commas and all.
Texts split(const Setting& setting, const std::string& text) {
  if (!setting.is_list()) return {text};
  Texts items;
  for (std::size_t begin = 0; begin <= text.size() && !text.empty();) {
    auto end = std::min(text.find(',', begin), text.size());
    items.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return items;
}

// How the environment names it, the strongest first.
std::string variables_of(const Setting& setting, std::string_view separator) {
  Texts names{setting.environment()};
  if (!setting.usual_variable.empty()) names.emplace_back(setting.usual_variable);
  return join(names, separator);
}

std::string meant(std::string_view name, const Texts& candidates) {
  auto near = nearest(name, candidates);
  return near ? "; did you mean " + *near + "?" : "";
}

// Takes one value into `config` or notes why not.
void take(const Setting& setting, const Texts& given, std::string origin, Config& config, Problems& problems) {
  if (auto done = assign(setting, given, config); !done) {
    auto shown = setting.is_secret() ? "" : " = " + join(given, ",");
    problems.push_back(std::string(setting.name) + shown + " (" + origin + "): " + done.error().message);
    return;
  }
  config.origins[std::string(setting.name)] = std::move(origin);
}

const Setting* find_setting(std::string_view name) {
  auto settings = all_settings();
  auto found = std::ranges::find(settings, name, &Setting::name);
  return found == settings.end() ? nullptr : &*found;
}

// --- the file ---

// What a TOML node gives, or nullopt when its type is not one that the setting takes.
std::optional<Texts> texts_of(const Setting& setting, const toml::node& node) {
  if (const auto* array = node.as_array(); array != nullptr && setting.is_list()) {
    Texts items;
    for (const auto& item : *array) {
      auto text = item.value_exact<std::string>();
      if (!text) return std::nullopt;
      items.push_back(*text);
    }
    return items;
  }
  const auto* kind = std::get_if<Number>(&setting.kind);
  if (auto integer = node.value_exact<std::int64_t>(); integer && kind != nullptr) return Texts{std::to_string(*integer)};
  if (auto truth = node.value_exact<bool>(); truth && setting.is_switch()) return Texts{*truth ? "true" : "false"};
  bool is_plain = (kind != nullptr && kind->unit == Unit::kNone) || setting.is_switch() || setting.is_list();
  if (auto text = node.value_exact<std::string>(); text && !is_plain) return Texts{*text};
  return std::nullopt;
}

class FileReader {
 public:
  FileReader(std::string path, Config& config, Problems& problems) : path_(std::move(path)), config_(config), problems_(problems) {
    for (const auto& setting : all_settings()) names_.emplace_back(setting.name);
  }

  void read() {
    try {
      read_table(toml::parse_file(path_), "");
    } catch (const toml::parse_error& error) {
      auto line = error.source().begin.line;
      problems_.push_back((line > 0 ? at(line) : path_) + ": " + std::string(error.description()));
    }
  }

 private:
  std::string at(std::uint32_t line) const { return path_ + ":" + std::to_string(line); }

  // Sections are one deep, so this recursion ends there.
  void read_table(const toml::table& table, const std::string& section) {
    for (const auto& [key, node] : table) {
      std::string name = section + std::string(key.str());
      auto origin = at(key.source().begin.line);
      if (const auto* setting = find_setting(name)) {
        read_setting(*setting, node, origin);
      } else if (node.is_table() && is_section(name)) {
        read_table(*node.as_table(), name + ".");
      } else {
        problems_.push_back(name + " (" + origin + "): there is no such setting" + meant(name, names_));
      }
    }
  }

  void read_setting(const Setting& setting, const toml::node& node, const std::string& origin) {
    if (auto given = texts_of(setting, node)) {
      take(setting, *given, origin, config_, problems_);
    } else {
      problems_.push_back(std::string(setting.name) + " (" + origin + "): must be " + describe_values(setting));
    }
  }

  bool is_section(const std::string& name) const {
    return std::ranges::any_of(names_, [&](const std::string& known) { return known.starts_with(name + "."); });
  }

  std::string path_;
  Config& config_;
  Problems& problems_;
  Texts names_;
};

// --- the environment ---

// Kubernetes tells every container about the Services around it: HEARTH_SERVICE_HOST, HEARTH_PORT=tcp://10.0.0.7:8080,
// HEARTH_PORT_8080_TCP_ADDR … for one that is called hearth, REDIS_PORT=tcp://… for one called redis.
bool is_of_kubernetes(const std::string& variable, const std::string& value) {
  if (variable.ends_with("_SERVICE_HOST") || variable.contains("_SERVICE_PORT")) return true;
  if (variable.ends_with("_PORT") && value.contains("://")) return true;
  auto port = variable.find("_PORT_");
  return port != std::string::npos && variable.find_first_of("0123456789", port) == port + std::string_view("_PORT_").size();
}

void read_environment(const Environment& environment, Config& config, Problems& problems) {
  Texts known{std::string(kConfigVariable)};
  for (const auto& setting : all_settings()) {
    auto take_variable = [&](const std::string& variable) {
      auto found = environment.find(variable);
      if (found == environment.end() || is_of_kubernetes(variable, found->second)) return;
      if (variable == setting.usual_variable && found->second.empty()) return;
      take(setting, split(setting, found->second), "environment " + variable, config, problems);
    };
    known.push_back(setting.environment());
    take_variable(std::string(setting.usual_variable));
    take_variable(known.back());
  }
  for (const auto& [variable, value] : environment) {
    if (!variable.starts_with("HEARTH_") || std::ranges::find(known, variable) != known.end() || is_of_kubernetes(variable, value))
      continue;
    problems.push_back(variable + " (environment): there is no such setting" + meant(variable, known));
  }
}

// --- the flags ---

void read_flags(const CLI::App& command, Config& config, Problems& problems) {
  for (const auto& setting : all_settings()) {
    const auto* option = command.get_option(setting.flag());
    if (option->count() == 0) continue;
    auto origin = "flag " + setting.flag();
    if (option->count() > 1) {
      problems.push_back(std::string(setting.name) + " (" + origin + "): given more than once");
      continue;
    }
    take(setting, split(setting, option->results().front()), origin, config, problems);
  }
}

// What the command does not take: a misspelt flag, or a word too many.
void refuse_extras(const CLI::App& command, Problems& problems) {
  auto extras = command.remaining();
  if (extras.empty()) return;
  Texts known;
  for (const auto* option : command.get_options()) known.push_back(option->get_name());
  for (const auto& extra : extras) {
    if (!extra.starts_with("-")) continue;
    auto flag = extra.substr(0, extra.find('='));
    problems.push_back(flag + " (flag): there is no such setting" + meant(flag, known));
  }
  if (problems.empty()) problems.push_back(extras.front() + ": not expected here; a switch takes its value as --name=false");
}

// --- rules between settings ---

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (char c : text) {
    bool is_plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (is_plain) {
      out += c;
    } else {
      constexpr char kDigits[] = "0123456789ABCDEF";
      auto byte = static_cast<unsigned char>(c);
      out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out;
}

// Makes one URL of what was said about Redis.
void settle_redis_url(Config::Redis& redis, Problems& problems) {
  bool is_host_known = redis.url || !redis.host.empty();
  if (!is_host_known) return;
  if (!redis.url) {
    std::string host = redis.host.contains(':') ? "[" + redis.host + "]" : redis.host;
    redis.url = (redis.tls ? "rediss://" : "redis://") + host + ":" + std::to_string(redis.port);
  } else if (redis.tls && !redis.url->starts_with("rediss")) {
    problems.emplace_back("redis.tls: is true, and the URL says otherwise; begin it with rediss://");
  }
  auto host = redis.url->find("://");
  if (redis.password && host != std::string::npos && !redis.url->contains('@'))
    redis.url->insert(host + 3, ":" + percent_encoded(*redis.password) + "@");
}

// What follows from what else is said.
void settle_live_store(Config& config, Problems& problems) {
  settle_redis_url(config.redis, problems);
  if (!config.redis.enabled) {
    config.live.store = LiveStore::kMemory;
  } else if (!config.origins.contains("live.store") && config.redis.url) {
    config.live.store = LiveStore::kRedis;
  }
  if (config.live.store == LiveStore::kMemory) return;
  if (!config.redis.url) {
    problems.emplace_back("live.store: is redis, and where that is is not said; give --redis-url (REDIS_URL)");
    return;
  }
  bool is_cluster = config.redis.url->contains(',') && !config.redis.url->contains("+sentinel://");
  if (!is_cluster || config.redis.keys == RedisKeys::kTagged) return;
  if (config.origins.contains("redis.keys"))
    problems.emplace_back("redis.keys = plain: several hosts are a Cluster, where the keys of a post must share a hash tag; leave it out");
  config.redis.keys = RedisKeys::kTagged;
}

void check_urls(const Config& config, Problems& problems) {
  if (config.redis.url) {
    if (auto url = redis::parse_url(*config.redis.url); !url) problems.push_back("redis.url: " + url.error().message);
  }
  if (config.database.url) {
    if (auto checked = postgres::Connection::check_url(*config.database.url); !checked)
      problems.push_back("database.url: " + checked.error().message);
  }
}

void check_media(const Config::Media& media, Problems& problems) {
  if (media.store == MediaPlace::kDisk) return;
  if (auto checked = media::check(media.s3()); !checked)
    problems.push_back("media." + checked.error().field + ": with media.store = s3 " + checked.error().message);
}

void check_views(const Config& config, Problems& problems) {
  if (24 % config.views.sync_interval.count() != 0)
    problems.emplace_back("views.sync_interval_hours: is 1, 2, 3, 4, 6, 8, 12 or 24; for other times give views.sync_cron");
}

void check_rules(const Config& config, Problems& problems) {
  check_urls(config, problems);
  check_views(config, problems);
  check_media(config.media, problems);
  if (config.webhooks.notifications_url) {
    if (auto url = web::check_url(*config.webhooks.notifications_url, "webhooks.notifications_url"); !url)
      problems.push_back("webhooks.notifications_url: " + url.error().message);
  }
  if (!config.listen.is_loopback() && !config.auth.is_configured()) {
    problems.push_back("listen: " + config.listen.host +
                       " can be reached by others, and no key is configured; set HEARTH_SERVICE_KEY (auth.service_key), HEARTH_JWT_SECRET "
                       "(auth.jwt_secret) or another of auth.*, or listen on 127.0.0.1");
  }
  // One credential must have one meaning.
  std::map<std::string, std::string_view> owners;
  for (const auto& setting : all_settings()) {
    const auto* kind = std::get_if<Secret>(&setting.kind);
    if (kind == nullptr || !setting.name.starts_with("auth.")) continue;
    const auto& secret = kind->field(const_cast<Config&>(config));
    if (!secret) continue;
    auto [owner, is_new] = owners.emplace(*secret, setting.name);
    if (!is_new) problems.push_back(std::string(setting.name) + ": is the same as " + std::string(owner->second) + "; give each its own");
  }
}

std::optional<std::string> config_path(const CLI::App& command, const Environment& environment) {
  const auto* option = command.get_option(std::string(kConfigFlag));
  if (option->count() > 0) return option->results().back();
  auto found = environment.find(std::string(kConfigVariable));
  return found == environment.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace

bool ListenAddress::is_loopback() const {
  return host.starts_with("127.") || host == "::1";
}

std::string ListenAddress::text() const {
  return (host.contains(':') ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

media::S3Options Config::Media::s3() const {
  return {.endpoint = s3_endpoint,
          .bucket = s3_bucket,
          .region = s3_region,
          .access_key = s3_access_key.value_or(""),
          .secret_key = s3_secret_key.value_or(""),
          .prefix = s3_prefix,
          .public_url = s3_public_url};
}

// At two o'clock, when it is quiet, and from then on.
std::string Config::Views::schedule() const {
  if (!sync_cron.empty()) return sync_cron;
  auto step = sync_interval.count();
  return "0 " + std::to_string(2 % step) + "-23/" + std::to_string(step) + " * * *";
}

bool Config::Auth::is_configured() const {
  return service_key || admin_key || viewer_key || cron_secret || jwt_secret || jwks_file;
}

Environment process_environment() {
  Environment out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string_view text = *entry;
    auto equals = text.find('=');
    if (equals != std::string_view::npos) out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

void add_setting_flags(CLI::App& command) {
  command.allow_extras();
  command.set_help_flag();
  // Values are read from the options after the parse, so there is nothing to call back.
  const CLI::callback_t keep = [](const CLI::results_t&) { return true; };
  command.add_option(std::string(kConfigFlag), keep, "TOML file with settings (" + std::string(kConfigVariable) + ")")->type_name("FILE");
  for (const auto& setting : all_settings()) {
    // Const: add_flag() would take a string that is not for the variable to write the flag's value to.
    const auto help = std::string(setting.help) + " (" + variables_of(setting, ", ") + ")";
    const auto flags = setting.flags();
    auto* option = setting.is_switch() ? command.add_flag(flags, help) : command.add_option(flags, keep, help);
    if (!setting.is_switch()) option->type_name(placeholder(setting))->allow_extra_args(false);
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    auto dot = setting.name.find('.');
    option->group(dot == std::string_view::npos ? "Settings" : "Settings of " + std::string(setting.name.substr(0, dot)));
  }
}

Result<Config> load_config(CLI::App& command, const std::vector<std::string>& args, const Environment& environment) {
  Config config;
  Problems problems;
  try {
    std::vector<std::string> reversed(args.rbegin(), args.rend());  // the order that CLI11 wants
    command.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return invalid("flags", error.what());
  }
  if (auto path = config_path(command, environment)) FileReader(*path, config, problems).read();
  read_environment(environment, config, problems);
  read_flags(command, config, problems);
  refuse_extras(command, problems);
  if (problems.empty()) {
    settle_live_store(config, problems);
    check_rules(config, problems);
  }
  if (!problems.empty()) return invalid("settings", join(problems, "\n"));
  return config;
}

Result<Config> load_config(const std::vector<std::string>& args, const Environment& environment) {
  CLI::App command;
  add_setting_flags(command);
  return load_config(command, args, environment);
}

std::string print_config(const Config& config) {
  std::string out;
  std::string section;
  const Config defaults;
  for (const auto& setting : all_settings()) {
    auto dot = setting.name.find('.');
    auto own_section = std::string(setting.name.substr(0, dot == std::string_view::npos ? 0 : dot));
    if (own_section != section) {
      section = own_section;
      out += "[" + section + "]\n";
    }
    auto key = std::string(setting.name.substr(dot == std::string_view::npos ? 0 : dot + 1));
    auto origin = config.origins.find(setting.name);
    auto value = show(setting, config);
    out += "# " + std::string(setting.help) + "\n";
    out += "# Values: " + describe_values(setting) + ". Default: " + show(setting, defaults).value_or("not set") +
           ". From: " + (origin == config.origins.end() ? "default" : origin->second) + ".\n";
    bool is_assignment = value && !setting.is_secret();
    out += (is_assignment ? "" : "# ") + key + " = " + value.value_or("") + "\n\n";
  }
  return out;
}

std::string settings_reference() {
  std::string out =
      "# Settings\n\n"
      "A value comes from the first of: a flag, an environment variable, the TOML file given by `--config FILE` (or `HEARTH_CONFIG`),\n"
      "the default. The flag of each setting is its name: `--http.threads=4`; in the file the part before the dot is the section:\n"
      "`[http]`, `threads = 4`. A list is an array in the file, and separated by commas elsewhere. Sizes may be written `256MiB`,\n"
      "times `500ms`, `5s`, `2m`. Three flags have a short form: `--live`, `--redis-url`, `--database-url`; a second variable is the name\n"
      "that other programs use too, and weaker than ours. `hearth print-config` shows what is in force and where each value came from.\n\n"
      "| setting | default | values | environment | what it does |\n"
      "| --- | --- | --- | --- | --- |\n";
  const Config defaults;
  for (const auto& setting : all_settings()) {
    auto value = show(setting, defaults);
    out += "| `" + std::string(setting.name) + "` | " + (value ? "`" + *value + "`" : "not set") + " | " + describe_values(setting) +
           " | `" + variables_of(setting, "`, `") + "` | " + std::string(setting.help) + " |\n";
  }
  return out;
}

}  // namespace hearth::app
