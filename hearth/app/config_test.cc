#include "hearth/app/config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <sstream>

#include "hearth/app/settings.h"

namespace hearth::app {
namespace {

using Args = std::vector<std::string>;

class ConfigTest : public testing::Test {
 protected:
  ConfigTest() : path_(testing::TempDir() + "hearth-config-" + std::to_string(getpid()) + ".toml") {}
  ~ConfigTest() override { std::filesystem::remove(path_); }

  // Writes the file and returns the flag that names it.
  std::string file(const std::string& content) {
    std::ofstream(path_) << content;
    return "--config=" + path_;
  }

  std::string path_;
};

std::string error_of(const Args& args, const Environment& environment = {}) {
  auto config = load_config(args, environment);
  return config ? "no error" : config.error().message;
}

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(ConfigTest, TheDefaultNeedsNothingAndServesLoopbackOnly) {
  auto config = load_config({}, {});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->listen.host, "127.0.0.1");
  EXPECT_EQ(config->listen.port, 8080);
  EXPECT_EQ(config->data, "./hearth-data");
  EXPECT_FALSE(config->demo);
  EXPECT_EQ(config->durability, outbox::Durability::kCommit);
  EXPECT_EQ(config->live.memory_limit, 2147483648u);
  EXPECT_FALSE(config->auth.is_configured());
  EXPECT_TRUE(config->origins.empty());
}

TEST_F(ConfigTest, FlagWinsOverEnvironmentOverFileOverDefault) {
  auto flag = file("[http]\nthreads = 1\nheader_bytes_max = 2048\nbody_bytes_max = \"2MiB\"\n");
  auto config = load_config({flag, "--http.threads=3"}, {{"HEARTH_HTTP_THREADS", "2"}, {"HEARTH_HTTP_HEADER_BYTES_MAX", "4KiB"}});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->http.threads, 3);
  EXPECT_EQ(config->http.header_bytes_max, 4096u);
  EXPECT_EQ(config->http.body_bytes_max, 2u << 20);
  EXPECT_EQ(config->http.connections_max, 10'000u);
  EXPECT_EQ(config->origins.at("http.threads"), "flag --http.threads");
  EXPECT_EQ(config->origins.at("http.header_bytes_max"), "environment HEARTH_HTTP_HEADER_BYTES_MAX");
  EXPECT_EQ(config->origins.at("http.body_bytes_max"), path_ + ":4");
  EXPECT_FALSE(config->origins.contains("http.connections_max"));
}

TEST_F(ConfigTest, TheVariablesOfTheContractAreRead) {
  auto config = load_config({}, {{"HEARTH_LISTEN", "0.0.0.0:9000"},
                                 {"HEARTH_DATA", "/srv/hearth"},
                                 {"HEARTH_SERVICE_KEY", "s"},
                                 {"HEARTH_ADMIN_KEY", "a"},
                                 {"HEARTH_VIEWER_KEY", "v"},
                                 {"HEARTH_JWT_SECRET", "j"},
                                 {"CRON_SECRET", "c"},
                                 {"PATH", "/usr/bin"}});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->listen.host, "0.0.0.0");
  EXPECT_EQ(config->listen.port, 9000);
  EXPECT_EQ(config->data, "/srv/hearth");
  EXPECT_EQ(config->auth.service_key, "s");
  EXPECT_EQ(config->auth.admin_key, "a");
  EXPECT_EQ(config->auth.viewer_key, "v");
  EXPECT_EQ(config->auth.jwt_secret, "j");
  EXPECT_EQ(config->auth.cron_secret, "c");
}

TEST_F(ConfigTest, ViewsAreBroughtToSqlByACronOrAnInterval) {
  EXPECT_EQ(load_config({}, {})->views.schedule(), "0 2-23/12 * * *");  // 2:00 and 14:00
  EXPECT_EQ(load_config({}, {{"VIEW_SYNC_INTERVAL_HOURS", "1"}})->views.schedule(), "0 0-23/1 * * *");
  EXPECT_EQ(load_config({}, {{"VIEW_SYNC_INTERVAL_HOURS", "24"}})->views.schedule(), "0 2-23/24 * * *");
  EXPECT_EQ(load_config({}, {{"VIEW_SYNC_INTERVAL_HOURS", "6"}, {"VIEW_SYNC_CRON", "*/10 * * * *"}})->views.schedule(), "*/10 * * * *");
  for (const auto& [variable, value] : Environment{{"VIEW_SYNC_INTERVAL_HOURS", "5"}, {"VIEW_SYNC_CRON", "often"}}) {
    EXPECT_FALSE(load_config({}, {{variable, value}})) << variable;
  }
}

TEST_F(ConfigTest, EverySettingIsTakenFromFlagEnvironmentAndFile) {
  auto flag = file(
      "listen = \"[::1]:0\"\ndata = \"d\"\ndemo = true\ndurability = \"relaxed\"\n"
      "[http]\nidle_timeout_seconds = 5\nrequest_timeout_seconds = \"2m\"\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n"
      "[views]\nsync_cron = \"5 4 * * *\"\ndedup_ttl_hours = 48\n[ratelimit]\nrules_file = \"rules.json\"\n"
      "[cors]\norigins = [\"https://a.example\", \"http://localhost:3000\"]\n"
      "[live]\nstore = \"redis\"\nmemory_limit = \"1GiB\"\n[redis]\nhost = \"cache\"\ntls_ca_file = \"ca.pem\"\nkeys = \"tagged\"\n"
      "[ledger]\nposts_table = \"app.posts_new\"\nposts_likes_column = \"likesCount\"\n[reconcile]\ncron = \"15 3 * * "
      "mon-fri\"\n[flush]\ninterval_ms = \"1s\"\n[log]\nlevel = \"warning\"\nformat = \"json\"\n"
      "[auth]\njwks_file = \"keys.json\"\npublic_reads = false\n[likes]\nrequire_post = true\n"
      "[jobs]\nconcurrency = [\"process_image=1\", \"webhook=20\"]\nschedules = ['n | 0 3 * * * | UTC | j | {\"a\":1} | once']\n"
      "[media]\ns3_endpoint = \"https://s3.example\"\ns3_bucket = \"b\"\ns3_prefix = \"images/\"\ns3_public_url = "
      "\"https://cdn.example\"\n");
  auto from_file = load_config({flag}, {});
  ASSERT_TRUE(from_file) << from_file.error().message;
  EXPECT_EQ(from_file->listen.host, "::1");
  EXPECT_EQ(from_file->listen.text(), "[::1]:0");
  EXPECT_TRUE(from_file->demo);
  EXPECT_EQ(from_file->durability, outbox::Durability::kRelaxed);
  EXPECT_EQ(from_file->http.idle_timeout, std::chrono::seconds(5));
  EXPECT_EQ(from_file->http.request_timeout, std::chrono::minutes(2));
  EXPECT_EQ(from_file->cors.origins, (Args{"https://a.example", "http://localhost:3000"}));
  EXPECT_EQ(from_file->flush.interval, std::chrono::seconds(1));
  EXPECT_EQ(from_file->log.level, log::Level::kWarning);
  EXPECT_EQ(from_file->log.format, log::Format::kJson);
  EXPECT_EQ(from_file->auth.jwks_file, "keys.json");
  EXPECT_FALSE(from_file->auth.public_reads);
  EXPECT_TRUE(from_file->likes.require_post);
  EXPECT_EQ(from_file->live.store, LiveStore::kRedis);
  EXPECT_EQ(from_file->redis.url, "redis://cache:6379");
  EXPECT_EQ(from_file->redis.tls_ca_file, "ca.pem");
  EXPECT_EQ(from_file->redis.keys, RedisKeys::kTagged);
  EXPECT_EQ(from_file->ledger.posts_table, "app.posts_new");
  EXPECT_EQ(from_file->ledger.posts_likes_column, "likesCount");
  EXPECT_EQ(from_file->reconcile.cron, "15 3 * * mon-fri");
  EXPECT_EQ(from_file->jobs.concurrency, (Args{"process_image=1", "webhook=20"}));
  EXPECT_EQ(from_file->jobs.schedules.size(), 1u);
  EXPECT_EQ(from_file->media.s3_prefix, "images/");
  EXPECT_EQ(from_file->http.trusted_proxies, (Args{"10.0.0.0/8", "::1"}));
  EXPECT_EQ(from_file->views.schedule(), "5 4 * * *");
  EXPECT_EQ(from_file->views.dedup_ttl, std::chrono::hours(48));
  EXPECT_EQ(from_file->ratelimit.rules_file, "rules.json");

  // What the file gave, given again as variables and as flags, makes the same configuration.
  Environment environment;
  Args flags;
  for (const auto& setting : all_settings()) {
    if (setting.is_secret()) continue;
    std::string value;
    if (const auto* list = std::get_if<List>(&setting.kind)) {
      for (const auto& item : list->field(*from_file)) value += (value.empty() ? "" : ",") + item;
    } else {
      value = show(setting, *from_file).value();
      std::erase(value, '"');
    }
    environment[setting.environment()] = value;
    flags.push_back(setting.flag() + "=" + value);
  }
  for (const auto& again : {load_config({}, environment), load_config(flags, {})}) {
    ASSERT_TRUE(again) << again.error().message;
    for (const auto& setting : all_settings()) EXPECT_EQ(show(setting, *again), show(setting, *from_file)) << setting.name;
  }
}

TEST_F(ConfigTest, JobsAndImagesAreCheckedBeforeAnythingIsOpened) {
  auto refused = [](const char* flag) {
    auto config = load_config({flag}, {});
    return config ? std::string() : config.error().message;
  };
  for (const char* flag : {"--jobs.concurrency=process_image", "--jobs.concurrency=webhook=0", "--jobs.schedules=a | 0 3 * * | UTC | j",
                           "--jobs.schedules=a | 0 3 * * * | Nowhere/Land | j", "--jobs.schedules=a | 0 3 * * * | UTC | j | [1]"}) {
    EXPECT_TRUE(refused(flag).starts_with("jobs.")) << flag;
  }
  EXPECT_TRUE(refused("--webhooks.notifications_url=ftp://a.example").starts_with("webhooks.notifications_url"));
  EXPECT_TRUE(refused("--media.store=s3").starts_with("media.s3_endpoint"));
}

TEST_F(ConfigTest, ASwitchNeedsNoValueAsAFlag) {
  EXPECT_TRUE(load_config({"--demo"}, {})->demo);
  EXPECT_TRUE(load_config({"--demo=true"}, {})->demo);
  EXPECT_FALSE(load_config({"--demo=false"}, {{"HEARTH_DEMO", "true"}})->demo);
}

TEST_F(ConfigTest, FlagsTakeTheirValueAfterASpaceToo) {
  auto config = load_config({"--listen", "127.0.0.1:0", "--demo", "--data", "x"}, {});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->listen.port, 0);
  EXPECT_EQ(config->data, "x");
}

TEST_F(ConfigTest, ACommandKeepsItsOwnOptions) {
  CLI::App command;
  std::string input;
  bool is_strict = false;
  command.add_option("file", input)->required();
  command.add_flag("--strict", is_strict);
  add_setting_flags(command);
  auto config = load_config(command, {"likes.ndjson", "--strict", "--data=x"}, {});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(input, "likes.ndjson");
  EXPECT_TRUE(is_strict);
  EXPECT_EQ(config->data, "x");

  CLI::App again;
  again.add_option("file", input)->required();
  add_setting_flags(again);
  EXPECT_FALSE(load_config(again, {}, {}));
}

struct Refusal {
  Args args;
  Environment environment;
  std::string part;
};

TEST_F(ConfigTest, WhatIsWrongIsNamedWithItsSourceAndTheFix) {
  const Refusal refusals[] = {
      {{"--lisen=127.0.0.1:1"}, {}, "--lisen (flag): there is no such setting; did you mean --listen?"},
      {{"--threads=1"}, {}, "did you mean --http.threads?"},
      {{"--redis-uri=redis://x"}, {}, "--redis-uri (flag): there is no such setting; did you mean --redis.url?"},
      {{}, {{"HEARTH_LISTN", "x"}}, "HEARTH_LISTN (environment): there is no such setting; did you mean HEARTH_LISTEN?"},
      {{"word"}, {}, "word: not expected here"},
      {{"--demo", "false"}, {}, "--name=false"},
      {{"--listen=127.0.0.1:1", "--listen=127.0.0.1:2"}, {}, "listen (flag --listen): given more than once"},
      {{"--listen=127.0.0.1"}, {}, "listen = 127.0.0.1 (flag --listen): must be HOST:PORT"},
      {{"--listen=127.0.0.1:65536"}, {}, "the port is not a number from 0 to 65535"},
      {{"--listen=127.0.0.1:-1"}, {}, "the port"},
      {{"--listen=:8080"}, {}, "the host is not an IP address"},
      {{"--listen=::1:8080"}, {}, "brackets"},
      {{"--listen=[127.0.0.1]:80"}, {}, "brackets"},
      {{"--listen=example.org:80"}, {}, "the host is not an IP address"},
      {{"--data="}, {}, "data"},
      {{}, {{"HEARTH_DATA", ""}}, "data =  (environment HEARTH_DATA): must be a folder"},
      {{"--durability=always"}, {}, "durability = always (flag --durability): must be commit or relaxed"},
      {{"--demo=yes"}, {}, "must be true or false"},
      {{"--http.threads=257"}, {}, "must be a whole number from 0 to 256"},
      {{"--http.threads=-1"}, {}, "must be a whole number from 0 to 256"},
      {{"--http.threads=4KiB"}, {}, "must be a whole number"},
      {{"--http.threads=four"}, {}, "must be a whole number"},
      {{"--live.memory_limit=15MiB"}, {}, "must be 16MiB to 16TiB"},
      {{"--live.memory_limit=1GB"}, {}, "must be 16MiB to 16TiB"},
      {{"--live.memory_limit=9000000TiB"}, {}, "must be 16MiB to 16TiB"},
      {{"--live.memory_limit=99999999999999999999"}, {}, "must be 16MiB to 16TiB"},
      {{"--flush.interval_ms=0"}, {}, "must be 10 to 60000 ms"},
      {{"--cors.origins=https://a.example,https://a.example/path"}, {}, "must be a list of origins"},
      {{"--cors.origins=https://a.example,"}, {}, "must be a list of origins"},
      {{"--log.level=loud"}, {}, "must be debug, info, warning, error or off"},
      {{"--live=postgres"}, {}, "live.store = postgres (flag --live.store): must be memory or redis"},
      {{"--live=redis"}, {}, "live.store: is redis, and where that is is not said; give --redis-url (REDIS_URL)"},
      {{}, {{"REDIS_PORT", "65536"}}, "redis.port = 65536 (environment REDIS_PORT): must be a whole number from 1 to 65535"},
      {{}, {{"REDIS_TLS", "on"}}, "redis.tls = on (environment REDIS_TLS): must be true or false"},
      {{"--redis-url=redis://h", "--redis.tls"}, {}, "redis.tls: is true, and the URL says otherwise"},
      {{"--redis-url=redis://a,b", "--redis.keys=plain"}, {}, "redis.keys = plain: several hosts are a Cluster"},
      {{"--redis-url=http://h"}, {}, "redis.url: the URL must begin with redis://"},
      {{"--redis.host=redis://h"}, {}, "a URL goes into redis.url"},
      {{"--database-url=mysql://h/d"}, {}, "database.url: is not of the form postgres://"},
      {{"--ledger.posts_table=posts; DROP TABLE posts"}, {}, "must be the name of a table"},
      {{"--ledger.posts_table=a.b.c"}, {}, "must be the name of a table"},
      {{"--views.stories_table=a.b.c"}, {}, "must be the name of a table"},
      {{"--views.chapters_count_column=a b"}, {}, "must be the name of a column"},
      {{"--ledger.posts_table=.b"}, {}, "must be the name of a table"},
      {{"--ledger.posts_id_column=a.b"}, {}, "must be the name of a column"},
      {{"--ledger.posts_id_column=1a"}, {}, "must be the name of a column"},
      {{"--reconcile.cron=hourly"},
       {},
       "reconcile.cron = hourly (flag --reconcile.cron): must be five fields of cron, in UTC: five fields"},
      {{"--config=/no/such/file.toml"}, {}, "/no/such/file.toml"},
      {{}, {{"HEARTH_CONFIG", "/no/such/file.toml"}}, "/no/such/file.toml"},
  };
  for (const auto& [args, environment, part] : refusals) EXPECT_HAS(error_of(args, environment), part);
}

TEST_F(ConfigTest, WhatIsWrongInTheFileIsNamedWithItsLine) {
  const std::pair<std::string, std::string> files[] = {
      {"listen = \"127.0.0.1:1\"\n\nlisten_port = 1\n", ":3): there is no such setting"},
      {"[http]\nthread = 1\n", "http.thread (" + path_ + ":2): there is no such setting; did you mean http.threads?"},
      {"[htttp]\nthreads = 1\n", "htttp (" + path_ + ":1): there is no such setting"},
      {"threads = 1\n", "did you mean http.threads?"},
      {"[http.deep]\nthreads = 1\n", "http.deep (" + path_ + ":1): there is no such setting"},
      {"http = 1\n", "http (" + path_ + ":1): there is no such setting"},
      {"[http]\nthreads = \"4\"\n", "http.threads (" + path_ + ":2): must be a whole number"},
      {"[http]\nthreads = 4.0\n", "must be a whole number"},
      {"demo = 1\n", "must be true or false"},
      {"demo = \"true\"\n", "must be true or false"},
      {"[cors]\norigins = \"https://a.example\"\n", "must be a list"},
      {"[cors]\norigins = [1]\n", "must be a list"},
      {"listen = 8080\n", "must be HOST:PORT"},
      {"[auth]\nservice_key = \"\"\n", "auth.service_key (" + path_ + ":2): must be printable ASCII without spaces, not empty"},
      {"listen = \n", path_ + ":1"},
      {"demo = true\ndemo = true\n", path_ + ":2"},
  };
  for (const auto& [content, part] : files) EXPECT_HAS(error_of({file(content)}), part);
}

TEST_F(ConfigTest, AllThatIsWrongIsReportedAtOnce) {
  auto error = error_of({file("x = 1\n"), "--http.threads=x"}, {{"HEARTH_Y", "1"}});
  EXPECT_HAS(error, "x (");
  EXPECT_HAS(error, "http.threads");
  EXPECT_HAS(error, "HEARTH_Y");
}

TEST_F(ConfigTest, ABadValueIsRefusedEvenWhereAStrongerSourceOverridesIt) {
  EXPECT_HAS(error_of({file("[http]\nthreads = 1000\n"), "--http.threads=1"}), ":2): must be a whole number");
}

TEST_F(ConfigTest, WithoutAKeyOnlyLoopbackIsServed) {
  for (const char* host : {"0.0.0.0", "192.168.0.1", "[::]", "10.0.0.1"}) {
    auto error = error_of({"--listen=" + std::string(host) + ":8080"});
    EXPECT_HAS(error, "HEARTH_SERVICE_KEY");
    EXPECT_HAS(error, "auth.jwt_secret");
  }
  for (const char* host : {"127.0.0.1", "localhost", "[::1]", "127.1.2.3"}) {
    EXPECT_EQ(error_of({"--listen=" + std::string(host) + ":8080"}), "no error");
  }
  EXPECT_EQ(error_of({"--listen=0.0.0.0:8080"}, {{"HEARTH_SERVICE_KEY", "s3cret"}}), "no error");
}

TEST_F(ConfigTest, AnEmptyOrUnsendableKeyIsRefusedAndNeverShown) {
  for (const char* variable : {"HEARTH_SERVICE_KEY", "HEARTH_ADMIN_KEY", "HEARTH_VIEWER_KEY", "HEARTH_JWT_SECRET", "CRON_SECRET"}) {
    EXPECT_HAS(error_of({}, {{variable, ""}}), std::string(variable) + "): must be printable ASCII without spaces, not empty");
    auto error = error_of({}, {{variable, "two words"}});
    EXPECT_EQ(error.find("two words"), std::string::npos) << error;
  }
}

TEST_F(ConfigTest, TwoCredentialsAreNotTheSame) {
  auto error = error_of({}, {{"HEARTH_SERVICE_KEY", "twin-key"}, {"HEARTH_ADMIN_KEY", "twin-key"}});
  EXPECT_HAS(error, "auth.admin_key: is the same as auth.service_key");
  EXPECT_EQ(error.find("twin-key"), std::string::npos) << error;
}

// --- Redis and PostgreSQL ---

struct LiveCase {
  Args args;
  Environment environment;
  LiveStore store;
  std::optional<std::string> url;
};

TEST_F(ConfigTest, RedisIsFoundByItsUsualNamesAndUsedWhenItIsGiven) {
  const LiveCase cases[] = {
      {{}, {}, LiveStore::kMemory, std::nullopt},
      {{"--redis-url=redis://a"}, {}, LiveStore::kRedis, "redis://a"},
      {{"--redis.url=redis://a"}, {}, LiveStore::kRedis, "redis://a"},
      {{}, {{"REDIS_URL", "rediss://u:p@a:1/2"}}, LiveStore::kRedis, "rediss://u:p@a:1/2"},
      {{}, {{"HEARTH_REDIS_URL", "redis://ours"}, {"REDIS_URL", "redis://usual"}}, LiveStore::kRedis, "redis://ours"},
      {{"--redis-url=redis://flag"}, {{"HEARTH_REDIS_URL", "redis://ours"}}, LiveStore::kRedis, "redis://flag"},
      {{"--live", "memory", "--redis-url", "redis://a"}, {}, LiveStore::kMemory, "redis://a"},
      {{"--live=memory"}, {{"REDIS_URL", "redis://a"}}, LiveStore::kMemory, "redis://a"},
      {{"--live=redis"}, {{"REDIS_URL", "redis://a"}}, LiveStore::kRedis, "redis://a"},
      {{}, {{"HEARTH_LIVE", "redis"}, {"REDIS_HOST", "a"}}, LiveStore::kRedis, "redis://a:6379"},
      {{"--redis-url=redis://a"}, {{"REDIS_ENABLED", "false"}}, LiveStore::kMemory, "redis://a"},
      {{"--live=redis"}, {{"REDIS_URL", "redis://a"}, {"REDIS_ENABLED", "false"}}, LiveStore::kMemory, "redis://a"},
      {{}, {{"REDIS_ENABLED", "true"}}, LiveStore::kMemory, std::nullopt},
      {{}, {{"REDIS_URL", ""}, {"REDIS_PASSWORD", ""}, {"REDIS_TLS", ""}}, LiveStore::kMemory, std::nullopt},
      {{}, {{"REDIS_PORT", "6380"}, {"REDIS_PASSWORD", "p"}}, LiveStore::kMemory, std::nullopt},
      {{},
       {{"REDIS_HOST", "h"}, {"REDIS_PORT", "1"}, {"REDIS_PASSWORD", "p@:/"}, {"REDIS_TLS", "true"}},
       LiveStore::kRedis,
       "rediss://:p%40%3A%2F@h:1"},
      {{}, {{"REDIS_HOST", "::1"}}, LiveStore::kRedis, "redis://[::1]:6379"},
      {{}, {{"REDIS_URL", "redis://a,b"}, {"REDIS_PASSWORD", "p"}}, LiveStore::kRedis, "redis://:p@a,b"},
      {{}, {{"REDIS_URL", "redis://:own@a"}, {"REDIS_PASSWORD", "p"}}, LiveStore::kRedis, "redis://:own@a"},
  };
  for (const auto& [args, environment, store, url] : cases) {
    auto config = load_config(args, environment);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->live.store, store) << url.value_or("");
    EXPECT_EQ(config->redis.url, url);
  }
}

TEST_F(ConfigTest, OnAClusterTheKeysAreTaggedByThemselves) {
  EXPECT_EQ(load_config({"--redis-url=redis://a"}, {})->redis.keys, RedisKeys::kPlain);
  EXPECT_EQ(load_config({"--redis-url=redis://a,b"}, {})->redis.keys, RedisKeys::kTagged);
  EXPECT_EQ(load_config({"--redis-url=redis://a,b", "--redis.keys=tagged"}, {})->redis.keys, RedisKeys::kTagged);
  EXPECT_EQ(load_config({"--redis-url=redis+sentinel://a,b/main"}, {})->redis.keys, RedisKeys::kPlain);
}

TEST_F(ConfigTest, TheDatabaseIsFoundByItsUsualName) {
  EXPECT_EQ(load_config({}, {})->database.url, std::nullopt);
  EXPECT_EQ(load_config({}, {{"DATABASE_URL", "postgres://h/d"}})->database.url, "postgres://h/d");
  EXPECT_EQ(load_config({}, {{"HEARTH_DATABASE_URL", "postgres://ours/d"}, {"DATABASE_URL", "postgres://h/d"}})->database.url,
            "postgres://ours/d");
  EXPECT_EQ(load_config({"--database-url=postgresql://flag/d"}, {{"DATABASE_URL", "postgres://h/d"}})->database.url, "postgresql://flag/d");
}

TEST_F(ConfigTest, APasswordInAUrlIsNeverShown) {
  const Environment environment{{"REDIS_URL", "redis://:hidden-key@h"}, {"DATABASE_URL", "postgres://u:hidden-key@h/d"}};
  auto printed = print_config(load_config({}, environment).value());
  EXPECT_EQ(printed.find("hidden-key"), std::string::npos);
  EXPECT_HAS(printed, "From: environment DATABASE_URL.\n# url = \"***\"");
  for (const auto& wrong :
       {Environment{{"REDIS_URL", "redis://:hidden-key@h h"}}, Environment{{"DATABASE_URL", "mysql://u:hidden-key@h/d"}},
        Environment{{"REDIS_URL", "redis://:hidden-key@h"}, {"REDIS_TLS", "true"}}}) {
    auto error = error_of({}, wrong);
    EXPECT_EQ(error.find("hidden-key"), std::string::npos) << error;
    EXPECT_NE(error, "no error");
  }
}

TEST_F(ConfigTest, WhatKubernetesSaysOfItsServicesIsNoSetting) {
  auto config = load_config({}, {{"HEARTH_SERVICE_HOST", "10.0.0.7"},
                                 {"HEARTH_SERVICE_PORT", "8080"},
                                 {"HEARTH_SERVICE_PORT_HTTP", "8080"},
                                 {"HEARTH_PORT", "tcp://10.0.0.7:8080"},
                                 {"HEARTH_PORT_8080_TCP", "tcp://10.0.0.7:8080"},
                                 {"HEARTH_PORT_8080_TCP_PROTO", "tcp"},
                                 {"HEARTH_PORT_8080_TCP_PORT", "8080"},
                                 {"HEARTH_PORT_8080_TCP_ADDR", "10.0.0.7"},
                                 {"HEARTH_API_SERVICE_HOST", "10.0.0.8"},
                                 {"HEARTH_REDIS_PORT", "tcp://10.0.0.9:6379"},
                                 {"REDIS_SERVICE_HOST", "10.0.0.9"},
                                 {"REDIS_PORT", "tcp://10.0.0.9:6379"}});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->redis.port, 6379);
  EXPECT_EQ(config->live.store, LiveStore::kMemory);
  EXPECT_HAS(error_of({}, {{"HEARTH_PORT", "8080"}}), "HEARTH_PORT (environment): there is no such setting");
}

TEST_F(ConfigTest, ThePrintedConfigurationLoadsAgainAndShowsNoSecret) {
  auto config =
      load_config({"--listen=0.0.0.0:1", "--live.memory_limit=64MiB", "--cors.origins=*"}, {{"HEARTH_SERVICE_KEY", "hidden-key"}});
  ASSERT_TRUE(config) << config.error().message;
  auto printed = print_config(*config);
  EXPECT_EQ(printed.find("hidden-key"), std::string::npos);
  EXPECT_HAS(printed, "# service_key = \"***\"");
  EXPECT_HAS(printed, "Default: \"2GiB\". From: flag --live.memory_limit.\nmemory_limit = \"64MiB\"");

  auto again = load_config({file(printed)}, {{"HEARTH_SERVICE_KEY", "hidden-key"}});
  ASSERT_TRUE(again) << again.error().message;
  for (const auto& setting : all_settings()) EXPECT_EQ(show(setting, *again), show(setting, *config)) << setting.name;
}

TEST_F(ConfigTest, NamesFlagsAndVariablesAreUnique) {
  std::set<std::string> seen;
  for (const auto& setting : all_settings()) {
    EXPECT_TRUE(seen.insert(std::string(setting.name)).second) << setting.name;
    EXPECT_TRUE(seen.insert(setting.environment()).second) << setting.name;
    for (auto other : {setting.usual_variable, setting.short_name})
      EXPECT_TRUE(other.empty() || seen.insert(std::string(other)).second) << other;
  }
}

TEST_F(ConfigTest, TheDefaultsAreValuesThatTheSettingsTake) {
  for (const auto& setting : all_settings()) {
    const auto* number = std::get_if<Number>(&setting.kind);
    if (number == nullptr) continue;
    EXPECT_GE(number->get(Config()), number->min) << setting.name;
    EXPECT_LE(number->get(Config()), number->max) << setting.name;
  }
}

// With UPDATE_DOCS=1 in the environment the page is written instead.
TEST_F(ConfigTest, TheSettingsPageIsWhatTheTableSays) {
  const std::string page = HEARTH_SOURCE_DIR "/docs/settings.md";
  if (getenv("UPDATE_DOCS") != nullptr) std::ofstream(page) << settings_reference();
  std::ostringstream content;
  content << std::ifstream(page).rdbuf();
  EXPECT_EQ(content.str(), settings_reference()) << "run this test with UPDATE_DOCS=1 to write docs/settings.md again";
}

}  // namespace
}  // namespace hearth::app
