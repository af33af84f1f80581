#include "hearth/auth/token_verifier.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "hearth/auth/test_tokens.h"

namespace hearth::auth {
namespace {

constexpr std::string_view kSecret = "a-secret-of-the-tests";

class TokenVerifierTest : public testing::Test {
 protected:
  TokenVerifierTest() : path_(testing::TempDir() + "hearth-jwks-" + std::to_string(getpid()) + ".json") {}
  ~TokenVerifierTest() override { std::filesystem::remove(path_); }

  std::filesystem::path write(std::string_view text) {
    std::ofstream(path_) << text;
    return path_;
  }
  std::filesystem::path key_set(const std::vector<std::string>& keys) {
    std::string text;
    for (const auto& key : keys) text += (text.empty() ? "" : ",") + key;
    return write("{\"keys\":[" + text + "]}");
  }
  static std::unique_ptr<TokenVerifier> with_secret() { return *TokenVerifier::open(std::string(kSecret), {}); }

  std::string path_;
};

std::string error_of(const TokenVerifier& verifier, std::string_view token) {
  auto claims = verifier.verify(token);
  if (claims) return "no error";
  EXPECT_EQ(claims.error().code, ErrorCode::kUnauthenticated);
  return claims.error().message;
}

TEST_F(TokenVerifierTest, ATokenOfEachAlgorithmGivesItsClaims) {
  auto rsa = TestKey::rsa();
  auto ec = TestKey::ec();
  auto verifier = TokenVerifier::open(std::string(kSecret), key_set({rsa.public_json(), ec.public_json()}));
  ASSERT_TRUE(verifier) << verifier.error().message;
  for (const auto* key : {&rsa, &ec}) {
    auto claims = (*verifier)->verify(key->sign(kAdaClaims));
    ASSERT_TRUE(claims) << claims.error().message;
    EXPECT_EQ(claims->user_id, "ada");
    EXPECT_EQ(claims->token_id, "t1");
    EXPECT_EQ(claims->expires, at_second(kTestNow + 3600));
    EXPECT_EQ(claims->valid_from, at_second(kTestNow - 60));
  }
  EXPECT_EQ(error_of(**verifier, TestKey::secret(kSecret).sign(kAdaClaims)), "no error");
}

TEST_F(TokenVerifierTest, AnotherKeyDoesNotVerify) {
  auto verifier = TokenVerifier::open(std::string(kSecret), key_set({TestKey::rsa().public_json(), TestKey::ec().public_json()}));
  ASSERT_TRUE(verifier);
  for (const auto& token : {TestKey::secret("another").sign(kAdaClaims), TestKey::rsa().sign(kAdaClaims), TestKey::ec().sign(kAdaClaims)}) {
    EXPECT_EQ(error_of(**verifier, token), "the token's signature does not verify with any configured key");
  }
}

TEST_F(TokenVerifierTest, AChangedTokenDoesNotVerify) {
  auto verifier = with_secret();
  auto token = TestKey::secret(kSecret).sign(kAdaClaims);
  auto other = TestKey::secret(kSecret).sign(R"({"sub":"eve","jti":"t1","exp":1700003600})");
  auto dot = token.rfind('.');
  EXPECT_NE(error_of(*verifier, other.substr(0, other.rfind('.')) + token.substr(dot)), "no error");
  EXPECT_NE(error_of(*verifier, token.substr(0, dot + 1)), "no error");
  EXPECT_NE(error_of(*verifier, token.substr(0, dot)), "no error");
}

TEST_F(TokenVerifierTest, TheAlgorithmIsTheKeysAndNotTheTokens) {
  auto rsa = TestKey::rsa();
  auto verifier = TokenVerifier::open({}, key_set({rsa.public_json()}));
  ASSERT_TRUE(verifier);
  // The public key, which everybody knows, used as a secret.
  EXPECT_NE(error_of(**verifier, TestKey::secret(rsa.public_json()).sign(kAdaClaims)), "no error");
  // Other algorithms of the right key.
  for (const char* algorithm : {"RS384", "RS512", "PS256"}) {
    EXPECT_NE(error_of(**verifier, rsa.sign(kAdaClaims, {.algorithm = algorithm})), "no error") << algorithm;
  }
  auto hs512 = TestKey::secret(kSecret).sign(kAdaClaims, {.algorithm = "HS512"});
  EXPECT_NE(error_of(*with_secret(), hs512), "no error");
  // {"alg":"none"}, {"alg":"None"}, {} and the claims, unsigned.
  const std::string claims = "eyJzdWIiOiJhZGEiLCJqdGkiOiJ0MSIsImV4cCI6MTcwMDAwMzYwMH0";
  for (const char* header : {"eyJhbGciOiJub25lIn0", "eyJhbGciOiJOb25lIn0", "e30"}) {
    for (const char* tail : {".", "", ".AAAA"}) {
      EXPECT_NE(error_of(*with_secret(), header + ("." + claims) + tail), "no error");
      EXPECT_NE(error_of(**verifier, header + ("." + claims) + tail), "no error");
    }
  }
}

TEST_F(TokenVerifierTest, TheKeyIsChosenByItsId) {
  auto first = TestKey::rsa();
  auto second = TestKey::rsa();
  auto verifier = TokenVerifier::open({}, key_set({first.named("k1").public_json(), second.named("k2").public_json()}));
  ASSERT_TRUE(verifier) << verifier.error().message;
  auto signed_as = [](const TestKey& key, std::string id) { return key.sign(kAdaClaims, {.key_id = std::move(id)}); };
  EXPECT_EQ(error_of(**verifier, signed_as(second, "k2")), "no error");
  EXPECT_EQ(error_of(**verifier, signed_as(second, "")), "no error");  // all are tried
  EXPECT_NE(error_of(**verifier, signed_as(second, "k1")), "no error");
  EXPECT_NE(error_of(**verifier, signed_as(second, "k3")), "no error");
}

TEST_F(TokenVerifierTest, ClaimsThatAreMissingOrWrongAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"jti":"t","exp":1})", "sub"},
      {R"({"sub":"","jti":"t","exp":1})", "sub"},
      {R"({"sub":"two words","jti":"t","exp":1})", "sub"},
      {R"({"sub":7,"jti":"t","exp":1})", "sub"},
      {R"({"sub":"ada","exp":1})", "jti"},
      {R"({"sub":"ada","jti":"","exp":1})", "jti"},
      {R"({"sub":"ada","jti":"t"})", "exp"},
      {R"({"sub":"ada","jti":"t","exp":"1"})", "exp"},
      {R"({"sub":"ada","jti":"t","exp":-1})", "exp"},
      {R"({"sub":"ada","jti":"t","exp":null})", "exp"},
      {R"({"sub":"ada","jti":"t","exp":1,"nbf":"soon"})", "nbf"},
      {R"({"sub":"ada","jti":"t","exp":1,"iat":[]})", "iat"},
      {R"({"sub":"ada","sub":"eve","jti":"t","exp":1})", "sub"},
      {R"(["sub"])", "claims"},
      {R"()", "not valid"},
      {R"(not json)", "claims"},
  };
  for (const auto& [claims, part] : cases) {
    auto error = error_of(*with_secret(), TestKey::secret(kSecret).sign(claims));
    EXPECT_NE(error.find(part), std::string::npos) << claims << ": " << error;
  }
}

TEST_F(TokenVerifierTest, DatesMayHaveFractionsAndOneFarAwayIsNoOverflow) {
  auto claims = with_secret()->verify(TestKey::secret(kSecret).sign(R"({"sub":"ada","jti":"t","exp":1e300,"nbf":1700000000.5})"));
  ASSERT_TRUE(claims) << claims.error().message;
  EXPECT_EQ(claims->valid_from, at_second(kTestNow - 60) + std::chrono::milliseconds(500));
  EXPECT_GT(claims->expires, at_second(200'000'000'000));
}

TEST_F(TokenVerifierTest, AnUnknownCriticalExtensionIsRefused) {
  auto token = TestKey::secret(kSecret).sign(kAdaClaims, {.critical = R"(["exp"])"});
  EXPECT_NE(error_of(*with_secret(), token).find("extension"), std::string::npos);
}

TEST_F(TokenVerifierTest, AStrangeHeaderIsRefused) {
  const char* headers[] = {
      "bnVsbA",                                   // null
      "W10",                                      // []
      "Imhpc3Mi",                                 // "hiss"
      "eyJhbGciOjd9",                             // {"alg":7}
      "eyJhbGciOm51bGx9",                         // {"alg":null}
      "eyJhbGciOiJIUzI1NiIsImtpZCI6N30",          // {"alg":"HS256","kid":7}
      "eyJhbGciOiJIUzI1NiIsImFsZyI6Im5vbmUifQ",   // {"alg":"HS256","alg":"none"}
      "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0",  // {"alg":"dir","enc":"A256GCM"}
  };
  for (const char* header : headers) EXPECT_NE(error_of(*with_secret(), header + std::string(".e30.AAAA")), "no error") << header;
  const std::string brackets(4000, 'W');  // "[[[[..." without an end
  EXPECT_NE(error_of(*with_secret(), brackets + ".e30.AAAA"), "no error");
}

TEST_F(TokenVerifierTest, GarbageAndHugeTokensAreRefused) {
  auto verifier = with_secret();
  for (const std::string& token : {std::string(), std::string("."), std::string(".."), std::string("..."), std::string("a.b.c"),
                                   std::string("e30.e30.e30"), std::string("\xff\xfe.\x80.\x01"), std::string(5, '\0')}) {
    EXPECT_NE(error_of(*verifier, token), "no error");
  }
  EXPECT_EQ(error_of(*verifier, std::string(1 << 20, 'a')), "the token is too long");
  EXPECT_NE(error_of(*verifier, std::string(kTokenBytesMax, '.')), "no error");
  EXPECT_NE(error_of(*verifier, std::string(kTokenBytesMax, 'e')), "no error");
}

TEST_F(TokenVerifierTest, NoChangeOfAByteMakesAnotherUserOfAToken) {
  auto verifier = with_secret();
  const auto token = TestKey::secret(kSecret).sign(kAdaClaims);
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    auto changed = token;
    for (std::size_t n = 1 + random() % 3; n > 0; --n) changed[random() % changed.size()] = static_cast<char>(random());
    auto claims = verifier->verify(changed);
    if (claims) EXPECT_EQ(claims->user_id, "ada");  // the last base64 digit has bits that mean nothing
  }
}

TEST_F(TokenVerifierTest, TimesAreKeptWithLeewayForTheSendersClockAlone) {
  TokenClaims claims{.user_id = "ada", .token_id = "t", .expires = at_second(2000), .valid_from = at_second(1000) - kClockSkew};
  EXPECT_FALSE(check_time(claims, at_second(939)));
  EXPECT_TRUE(check_time(claims, at_second(940)));
  EXPECT_TRUE(check_time(claims, at_second(1999)));
  EXPECT_FALSE(check_time(claims, at_second(2000)));
}

TEST_F(TokenVerifierTest, AKeySetThatCannotBeUsedStopsTheStart) {
  auto error = [&](const std::filesystem::path& path) {
    auto verifier = TokenVerifier::open({}, path);
    return verifier ? std::string("no error") : verifier.error().message;
  };
  EXPECT_NE(error("/no/such/keys.json").find("cannot read /no/such/keys.json"), std::string::npos);
  EXPECT_NE(error(testing::TempDir()).find("auth.jwks_file"), std::string::npos);
  for (const char* text : {"", "[]", "{}", R"({"keys":{}})", R"({"keys":[]})", R"({"keys":[7]})", R"({"keys":[{"kty":"RSA"}]})",
                           R"({"keys":[{"kty":"oct","k":"c2VjcmV0"}]})", R"({"keys":[{"kty":"RSA","n":"AAAAA","e":"AQAB"}]})",
                           R"({"keys":[{"kty":"EC","crv":"P-256","x":"A","y":"="}]})"}) {
    EXPECT_NE(error(write(text)).find("auth.jwks_file"), std::string::npos) << text;
  }
  EXPECT_NE(error(key_set({TestKey::rsa(1024).public_json()})).find("2048 bits"), std::string::npos);
  EXPECT_NE(error(key_set({TestKey::ec(CJOSE_JWK_EC_P_384).public_json()})).find("holds no"), std::string::npos);
  EXPECT_NE(error(write(std::string(kKeySetBytesMax + 1, ' '))).find("larger"), std::string::npos);
  EXPECT_NE(error(key_set(std::vector<std::string>(kKeySetKeysMax + 1, "{}"))), "no error");
  EXPECT_FALSE(TokenVerifier::open(std::string(), {}));
}

TEST_F(TokenVerifierTest, KeysForOtherPurposesAreLeftOut) {
  auto usable = TestKey::ec();
  auto verifier = TokenVerifier::open({}, key_set({R"({"kty":"oct","k":"c2VjcmV0"})", R"({"kty":"OKP","crv":"Ed25519","x":"AA"})",
                                                   R"({"kty":"RSA","use":"enc","n":"AA","e":"AQAB"})",
                                                   R"({"kty":"RSA","alg":"RS512","n":"AA","e":"AQAB"})", usable.public_json()}));
  ASSERT_TRUE(verifier) << verifier.error().message;
  EXPECT_EQ(error_of(**verifier, usable.sign(kAdaClaims)), "no error");
  EXPECT_NE(error_of(**verifier, TestKey::secret("secret").sign(kAdaClaims)), "no error");
}

}  // namespace
}  // namespace hearth::auth
