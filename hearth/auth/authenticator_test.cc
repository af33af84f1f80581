#include "hearth/auth/authenticator.h"

#include <gtest/gtest.h>

#include <thread>

#include "hearth/auth/test_tokens.h"

namespace hearth::auth {
namespace {

const AuthenticatorOptions kAllKeys{.service_key = "service-key",
                                    .admin_key = "admin-key",
                                    .viewer_key = "viewer-key",
                                    .cron_secret = "cron-secret",
                                    .jwt_secret = "jwt-secret",
                                    .jwks_file = {}};

class AuthenticatorTest : public testing::Test {
 protected:
  std::unique_ptr<Authenticator> open(const AuthenticatorOptions& options) { return *Authenticator::open(options, clock_); }

  SimulatedClock clock_{at_second(kTestNow)};
};

std::string outcome(const Result<Caller>& caller) {
  if (!caller) return caller.error().code == ErrorCode::kUnauthenticated ? "refused" : "another error";
  constexpr const char* kNames[] = {"anonymous", "user", "service", "cron", "viewer", "admin", "local"};
  return std::string(kNames[static_cast<int>(caller->kind)]) + (caller->user_id.empty() ? "" : " " + caller->user_id);
}

TEST_F(AuthenticatorTest, EachCredentialIsWhoItSays) {
  auto authenticator = open(kAllKeys);
  auto token = TestKey::secret("jwt-secret").sign(kAdaClaims);
  const std::pair<std::string, std::string> cases[] = {
      {"", "anonymous"},
      {"Bearer service-key", "service"},
      {"bearer service-key", "service"},
      {"BEARER   service-key ", "service"},
      {"Bearer admin-key", "admin"},
      {"Bearer viewer-key", "viewer"},
      {"Bearer cron-secret", "cron"},
      {"Bearer " + token, "user ada"},
      {"Bearer jwt-secret", "refused"},  // signs tokens and is none
      {"Bearer service-ke", "refused"},
      {"Bearer service-keyy", "refused"},
      {"Bearer Service-key", "refused"},
      {"Bearer service-key,admin-key", "refused"},
      {"Bearer", "refused"},
      {"Bearer ", "refused"},
      {"Bearer  ", "refused"},
      {"Basic service-key", "refused"},
      {"service-key", "refused"},
      {token, "refused"},
      {"Bearer " + std::string(100'000, 'x'), "refused"},
      {"Bearer " + TestKey::secret("another").sign(kAdaClaims), "refused"},
  };
  for (const auto& [header, expected] : cases) {
    EXPECT_EQ(outcome(authenticator->identify(header, false)), expected) << header.substr(0, 100);
    EXPECT_EQ(outcome(authenticator->identify(header, true)), expected) << header.substr(0, 100);  // loopback is nothing special now
  }
}

TEST_F(AuthenticatorTest, WithoutAnyKeyLoopbackIsTrustedAndNobodyElse) {
  auto authenticator = open({});
  EXPECT_EQ(outcome(authenticator->identify("", true)), "local");
  EXPECT_EQ(outcome(authenticator->identify("Bearer whatever", true)), "local");
  EXPECT_EQ(outcome(authenticator->identify("", false)), "refused");
  EXPECT_EQ(outcome(authenticator->identify("Bearer whatever", false)), "refused");
  EXPECT_EQ(outcome(authenticator->identify("Bearer ", false)), "refused");
}

TEST_F(AuthenticatorTest, AnySingleCredentialEndsTheTrustInLoopback) {
  const AuthenticatorOptions singles[] = {
      {.service_key = "k"}, {.admin_key = "k"}, {.viewer_key = "k"}, {.cron_secret = "k"}, {.jwt_secret = "k"}};
  for (const auto& options : singles) EXPECT_EQ(outcome(open(options)->identify("", true)), "anonymous");
}

TEST_F(AuthenticatorTest, AnEmptyKeyIsRefusedAtTheStart) {
  const std::pair<AuthenticatorOptions, std::string> cases[] = {
      {{.service_key = ""}, "auth.service_key"}, {{.admin_key = ""}, "auth.admin_key"},
      {{.viewer_key = ""}, "auth.viewer_key"},   {{.cron_secret = ""}, "auth.cron_secret"},
      {{.jwt_secret = ""}, "auth.jwt_secret"},   {{.jwks_file = "/no/such/file"}, "auth.jwks_file"}};
  for (const auto& [options, field] : cases) {
    auto authenticator = Authenticator::open(options, clock_);
    ASSERT_FALSE(authenticator);
    EXPECT_EQ(authenticator.error().field, field);
  }
}

TEST_F(AuthenticatorTest, ATokenThatVerifiedOnceStillExpires) {
  auto authenticator = open(kAllKeys);
  auto header = "Bearer " + TestKey::secret("jwt-secret").sign(kAdaClaims);
  EXPECT_EQ(outcome(authenticator->identify(header, false)), "user ada");
  clock_.advance(std::chrono::seconds(3599));
  EXPECT_EQ(outcome(authenticator->identify(header, false)), "user ada");
  clock_.advance(std::chrono::seconds(1));
  EXPECT_EQ(outcome(authenticator->identify(header, false)), "refused");
  EXPECT_EQ(outcome(authenticator->identify(header, false)), "refused");
}

TEST_F(AuthenticatorTest, ATokenOfTheFutureBecomesValidInItsTime) {
  auto authenticator = open(kAllKeys);
  auto header = "Bearer " + TestKey::secret("jwt-secret").sign(R"({"sub":"ada","jti":"t","exp":1700003600,"nbf":1700000061})");
  EXPECT_EQ(outcome(authenticator->identify(header, false)), "refused");
  clock_.advance(std::chrono::seconds(1));
  EXPECT_EQ(outcome(authenticator->identify(header, false)), "user ada");
}

TEST_F(AuthenticatorTest, AnErrorNeverRepeatsTheCredential) {
  auto authenticator = open(kAllKeys);
  const std::string token = TestKey::secret("another").sign(kAdaClaims);
  for (const std::string& credential : {std::string("a-wrong-key"), token, "x." + token}) {
    auto caller = authenticator->identify("Bearer " + credential, false);
    ASSERT_FALSE(caller);
    EXPECT_EQ(caller.error().message.find(credential), std::string::npos);
  }
}

TEST_F(AuthenticatorTest, MoreTokensThanAreRememberedAllVerify) {
  auto authenticator = open(kAllKeys);
  auto key = TestKey::secret("jwt-secret");
  for (std::size_t i = 0; i < kTokensRememberedMax + kTokensRememberedMax / 8; ++i) {
    auto id = "u" + std::to_string(i);
    auto header = "Bearer " + key.sign("{\"sub\":\"" + id + "\",\"jti\":\"t\",\"exp\":1700003600}");
    ASSERT_EQ(outcome(authenticator->identify(header, false)), "user " + id);
  }
}

TEST_F(AuthenticatorTest, ManyThreadsIdentifyAtOnce) {
  auto authenticator = open(kAllKeys);
  std::vector<std::string> headers{"Bearer service-key", "Bearer wrong"};
  std::vector<std::string> expected{"service", "refused"};
  for (int i = 0; i < 8; ++i) {
    auto id = "u" + std::to_string(i);
    headers.push_back("Bearer " + TestKey::secret("jwt-secret").sign("{\"sub\":\"" + id + "\",\"jti\":\"t\",\"exp\":1700003600}"));
    expected.push_back("user " + id);
  }
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        auto which = static_cast<std::size_t>(i) % headers.size();
        EXPECT_EQ(outcome(authenticator->identify(headers[which], false)), expected[which]);
      }
    });
  }
}

}  // namespace
}  // namespace hearth::auth
