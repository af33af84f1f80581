// Runs tests/api/*.test.

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "hearth/drivers/sqlite/temporary_folder.h"
#include "tests/support/api_script.h"
#include "tests/support/child_process.h"
#include "tests/support/server_process.h"
#include "tests/support/test_stores.h"

namespace hearth::tests {
namespace {

const std::filesystem::path kScripts = std::filesystem::path(HEARTH_SOURCE_DIR) / "tests/api";
constexpr char kJwtSecret[] = "secret-of-the-tokens-32-bytes-long";

std::string base64url(std::string_view bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3), '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()));
  out.erase(std::min(out.find('='), out.size()));
  std::ranges::replace(out, '+', '-');
  std::ranges::replace(out, '/', '_');
  return out;
}

// A token as an app's own sign-in would make it.
std::string token(std::string_view claims, std::string_view secret = kJwtSecret,
                  std::string_view header = R"({"alg":"HS256","typ":"JWT"})") {
  auto signed_part = base64url(header) + "." + base64url(claims);
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), reinterpret_cast<const unsigned char*>(signed_part.data()),
       signed_part.size(), mac, &size);
  return signed_part + "." + base64url({reinterpret_cast<const char*>(mac), size});
}

std::string claims(const std::string& sub, std::int64_t expires_in, const std::string& more = R"(,"jti":"t1")") {
  auto now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  return R"({"sub":")" + sub + R"(","exp":)" + std::to_string(now + expires_in) + R"(,"iat":)" + std::to_string(now) + more + "}";
}

Variables credentials() {
  return {{"SERVICE_KEY", "the-service-key"},
          {"ADMIN_KEY", "the-admin-key"},
          {"VIEWER_KEY", "the-viewer-key"},
          {"CRON_SECRET", "the-cron-secret"},
          {"ADA_TOKEN", token(claims("ada", 3'600))},
          {"EXPIRED_TOKEN", token(claims("ada", -10))},
          {"TOKEN_WITHOUT_JTI", token(claims("ada", 3'600, ""))},
          {"TOKEN_OF_OTHERS", token(claims("ada", 3'600), "another-secret-that-is-not-configured")},
          {"UNSIGNED_TOKEN", base64url(R"({"alg":"none"})") + "." + base64url(claims("ada", 3'600)) + "."}};
}

std::vector<std::string> key_environment() {
  auto known = credentials();
  return {"HEARTH_SERVICE_KEY=" + known["SERVICE_KEY"], "HEARTH_ADMIN_KEY=" + known["ADMIN_KEY"],
          "HEARTH_VIEWER_KEY=" + known["VIEWER_KEY"], "CRON_SECRET=" + known["CRON_SECRET"],
          std::string("HEARTH_JWT_SECRET=") + kJwtSecret};
}

constexpr StoresKind kScaled[] = {{LiveKind::kMemory, SqlKind::kPostgres},
                                  {LiveKind::kRedis, SqlKind::kSqlite},
                                  {LiveKind::kRedis, SqlKind::kPostgres},
                                  {LiveKind::kCluster, SqlKind::kPostgres}};

struct Configuration {
  std::string name;
  std::vector<std::string> flags = {};
  std::vector<std::string> environment = {};
  StoresKind stores = {};
};

std::vector<Configuration> configurations(const std::string& name) {
  if (name == "open") {
    std::vector<Configuration> all = {{"commit", {}}, {"relaxed", {"--durability=relaxed", "--flush.interval_ms=10"}}};
    for (auto stores : kScaled) all.push_back({.name = stores.name(), .stores = stores});
    all.push_back({.name = "redis_tagged", .flags = {"--redis.keys=tagged"}, .stores = {LiveKind::kRedis, SqlKind::kSqlite}});
    return all;
  }
  if (name == "known-posts") {
    std::vector<Configuration> all = {{"known_posts", {"--likes.require_post"}}};
    for (auto stores : kScaled)
      all.push_back({.name = "known_posts_on_" + stores.name(), .flags = {"--likes.require_post"}, .stores = stores});
    return all;
  }
  if (name == "keys") return {{"keys", {"--cors.origins=https://app.example"}, key_environment()}};
  if (name == "closed") return {{"closed", {"--auth.public_reads=false"}, key_environment()}};
  throw std::runtime_error("there is no configuration " + name);
}

struct ApiCase {
  std::filesystem::path path;
  Configuration configuration;
};

std::vector<ApiCase> all_cases() {
  std::vector<ApiCase> cases;
  for (const auto& entry : std::filesystem::directory_iterator(kScripts)) {
    if (entry.path().extension() != ".test") continue;
    for (auto& configuration : configurations(ApiScript::read(entry.path()).configuration)) cases.push_back({entry.path(), configuration});
  }
  std::ranges::sort(cases, {}, [](const ApiCase& one) { return one.path.string() + one.configuration.name; });
  return cases;
}

void PrintTo(const ApiCase& one, std::ostream* out) {
  *out << one.path.filename().string() << " on " << one.configuration.name;
}

class Api : public testing::TestWithParam<ApiCase> {};

TEST_P(Api, AnswersAsWritten) {
  auto script = ApiScript::read(GetParam().path);
  const auto& configuration = GetParam().configuration;
  sqlite::TemporaryFolder folder;
  TestStores stores(configuration.stores);
  auto flags = stores.flags();
  flags.insert(flags.end(), configuration.flags.begin(), configuration.flags.end());
  ServerProcess server({.data = folder.path() / "data", .flags = flags, .environment = configuration.environment});
  HttpClient http(server.port());
  auto variables = credentials();
  for (const auto& step : script.steps) {
    auto difference = run_step(step, http, variables);
    EXPECT_EQ(difference, "") << GetParam().path.string() << ":" << step.line << ": " << step.name << ": " << step.method << " "
                              << step.target.substr(0, 200);
  }
  EXPECT_EQ(server.terminate().code, 0);
}

INSTANTIATE_TEST_SUITE_P(, Api, testing::ValuesIn(all_cases()), [](const auto& info) {
  auto name = info.param.path.stem().string() + "_" + info.param.configuration.name;
  std::ranges::replace(name, '-', '_');
  return name;
});

// --- what keeps a server from starting ---

struct BadStart {
  std::string name;
  std::vector<std::string> flags;
  std::vector<std::string> environment;
  std::string complaint;  // a part of what it says
};

class Start : public testing::TestWithParam<BadStart> {};

TEST_P(Start, IsRefusedAndTheSettingNamed) {
  sqlite::TemporaryFolder folder;
  std::vector<std::string> arguments = {"serve", "--data=" + (folder.path() / "data").string()};
  arguments.insert(arguments.end(), GetParam().flags.begin(), GetParam().flags.end());
  auto result = run_hearth(arguments, GetParam().environment);
  EXPECT_EQ(result.code, 2);
  EXPECT_NE(result.errors.find(GetParam().complaint), std::string::npos) << result.errors;
  EXPECT_EQ(result.output, "");
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "data"));  // nothing was opened
}

INSTANTIATE_TEST_SUITE_P(
    , Start,
    testing::Values(BadStart{"OthersCanReachItWithoutAKey", {"--listen=0.0.0.0:0"}, {}, "HEARTH_SERVICE_KEY"},
                    BadStart{"OthersCanReachItOverIpv6WithoutAKey", {"--listen=[::]:0"}, {}, "HEARTH_SERVICE_KEY"},
                    BadStart{"AnUnknownFlag", {"--listn=127.0.0.1:0"}, {}, "--listen"},
                    BadStart{"AnUnknownVariable", {}, {"HEARTH_DURABLITY=commit"}, "HEARTH_DURABILITY"},
                    BadStart{"AValueOutOfRange", {"--http.threads=257"}, {}, "http.threads"},
                    BadStart{"AnUnknownChoice", {"--durability=sometimes"}, {}, "durability"},
                    BadStart{"AnEmptyKey", {}, {"HEARTH_SERVICE_KEY="}, "auth.service_key"},
                    BadStart{"OneKeyForTwoRoles", {}, {"HEARTH_SERVICE_KEY=same", "HEARTH_ADMIN_KEY=same"}, "auth.admin_key"},
                    BadStart{"AWordTooMany", {"now"}, {}, "now"},
                    BadStart{"AMissingFile", {"--config=/nowhere/hearth.toml"}, {}, "/nowhere"}),
    [](const auto& info) { return info.param.name; });

TEST(StartWithAKey, ServesOthersToo) {
  sqlite::TemporaryFolder folder;
  ServerProcess server({.data = folder.path() / "data", .flags = {"--listen=0.0.0.0:0"}, .environment = {"HEARTH_SERVICE_KEY=k"}});
  EXPECT_EQ(HttpClient(server.port()).get("/readyz").status, 200);
}

TEST(StartOfASecondServer, IsRefusedWhileTheFirstHasTheFolder) {
  sqlite::TemporaryFolder folder;
  ServerProcess server({.data = folder.path() / "data"});
  auto second = run_hearth({"serve", "--listen=127.0.0.1:0", "--data=" + (folder.path() / "data").string()});
  EXPECT_EQ(second.code, 1);
  EXPECT_NE(second.errors.find("in use by another hearth at http://127.0.0.1:" + std::to_string(server.port())), std::string::npos)
      << second.errors;
}

}  // namespace
}  // namespace hearth::tests
