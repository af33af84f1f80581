#include "hearth/auth/token_verifier.h"

#include <cjose/cjose.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "hearth/base/ids.h"
#include "hearth/base/json_reader.h"

namespace hearth::auth {
namespace {

struct ReleaseJwk {
  void operator()(cjose_jwk_t* jwk) const { cjose_jwk_release(jwk); }
};
using Jwk = std::unique_ptr<cjose_jwk_t, ReleaseJwk>;

struct ReleaseJws {
  void operator()(cjose_jws_t* jws) const { cjose_jws_release(jws); }
};
using Jws = std::unique_ptr<cjose_jws_t, ReleaseJws>;

std::unexpected<Error> refused(std::string message) {
  return fail(ErrorCode::kUnauthenticated, std::move(message));
}

// Whether `text` is base64url of whole bytes. cjose must see nothing else: a length that no bytes have aborts the process.
bool is_base64url(std::string_view text) {
  return !text.empty() && text.size() % 4 != 1 && std::ranges::all_of(text, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

// --- claims ---

// A NumericDate: seconds since 1970, perhaps with a fraction. One beyond the year 9999 counts as that.
Result<UtcMicros> read_date(JsonValue& value, std::string_view field) {
  constexpr double kSecondsMax = 253'402'300'799.0;
  auto text = value.raw(field);
  if (!text) return std::unexpected(text.error());
  double seconds = 0;
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), seconds);
  bool is_number = error == std::errc() && end == text->data() + text->size() && seconds >= 0;
  if (!is_number) return invalid(std::string(field), std::string(field) + " must be a number of seconds since 1970");
  return UtcMicros(std::chrono::microseconds(std::llround(std::min(seconds, kSecondsMax) * 1e6)));
}

struct RawClaims {
  std::optional<std::string> user_id;
  std::optional<std::string> token_id;
  std::optional<UtcMicros> expires;
  std::optional<UtcMicros> not_before;
  std::optional<UtcMicros> issued_at;
};

template <typename T>
Result<bool> keep(std::optional<T>& field, const auto& read) {
  if (!read) return std::unexpected(read.error());
  field = T(*read);
  return true;
}

Result<RawClaims> read_claims(std::string payload) {
  RawClaims claims;
  auto read = read_json_object(payload, UnknownFields::kIgnore, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "sub") return keep(claims.user_id, value.string("sub"));
    if (key == "jti") return keep(claims.token_id, value.string("jti"));
    if (key == "exp") return keep(claims.expires, read_date(value, "exp"));
    if (key == "nbf") return keep(claims.not_before, read_date(value, "nbf"));
    if (key == "iat") return keep(claims.issued_at, read_date(value, "iat"));
    return false;
  });
  if (!read) return refused("the token's claims cannot be read: " + read.error().message);
  return claims;
}

Result<TokenClaims> parse_claims(std::string payload) {
  auto claims = read_claims(std::move(payload));
  if (!claims) return std::unexpected(claims.error());
  if (!claims->user_id || !is_valid_id(*claims->user_id)) return refused("the token has no valid sub");
  if (!claims->token_id || !is_valid_id(*claims->token_id)) return refused("the token has no valid jti");
  if (!claims->expires) return refused("the token has no exp");
  auto begin = std::max(claims->not_before.value_or(UtcMicros()), claims->issued_at.value_or(UtcMicros()));
  return TokenClaims{.user_id = std::move(*claims->user_id),
                     .token_id = std::move(*claims->token_id),
                     .expires = *claims->expires,
                     .valid_from = begin - kClockSkew};
}

// --- tokens ---

// header.claims.signature
bool has_token_form(std::string_view token) {
  auto first = token.find('.');
  auto last = token.rfind('.');
  return first != last && is_base64url(token.substr(0, first)) && is_base64url(token.substr(first + 1, last - first - 1)) &&
         is_base64url(token.substr(last + 1));
}

struct TokenHeader {
  std::string algorithm;
  std::string key_id;  // empty: not given
};

Result<TokenHeader> read_header(cjose_jws_t* jws) {
  cjose_err error;
  cjose_header_t* header = cjose_jws_get_protected(jws);
  std::unique_ptr<char, decltype(&std::free)> critical(cjose_header_get_raw(header, "crit", &error), &std::free);
  if (critical != nullptr) return refused("the token demands an extension that is not understood");
  const char* algorithm = cjose_header_get(header, CJOSE_HDR_ALG, &error);
  const char* key_id = cjose_header_get(header, CJOSE_HDR_KID, &error);
  if (algorithm == nullptr) return refused("the token names no algorithm");
  return TokenHeader{.algorithm = algorithm, .key_id = key_id == nullptr ? "" : key_id};
}

Result<std::string> read_whole(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kKeySetBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file && !file.eof()) return invalid("auth.jwks_file", "auth.jwks_file: cannot read " + path.string());
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kKeySetBytesMax) return invalid("auth.jwks_file", "auth.jwks_file: " + path.string() + " is larger than 1 MiB");
  return text;
}

// What a key of a set says about itself.
struct KeyDescription {
  std::string type;
  std::string algorithm;
  std::string use;
  std::string curve;
};

// The numbers of a key, which cjose decodes.
Result<bool> check_key_part(std::string_view key, JsonValue& value) {
  constexpr std::string_view kParts[] = {"n", "e", "d", "p", "q", "dp", "dq", "qi", "x", "y"};
  if (std::ranges::find(kParts, key) == std::end(kParts)) return false;
  auto text = value.string(key);
  if (!text) return std::unexpected(text.error());
  if (!is_base64url(*text)) return invalid(std::string(key), "'" + std::string(key) + "' of a key is not base64url");
  return true;
}

Result<KeyDescription> describe_key(std::string json) {
  KeyDescription out;
  auto take = [](std::string& field, JsonValue& value, std::string_view name) -> Result<bool> {
    auto text = value.string(name);
    if (!text) return std::unexpected(text.error());
    field = *text;
    return true;
  };
  auto read = read_json_object(json, UnknownFields::kIgnore, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "kty") return take(out.type, value, key);
    if (key == "alg") return take(out.algorithm, value, key);
    if (key == "use") return take(out.use, value, key);
    if (key == "crv") return take(out.curve, value, key);
    return check_key_part(key, value);
  });
  if (!read) return std::unexpected(read.error());
  return out;
}

// The one algorithm that such a key verifies; empty for a key that is for something else, which a set may hold too.
std::string_view algorithm_of(const KeyDescription& key) {
  std::string_view algorithm;
  if (key.type == "RSA") algorithm = CJOSE_HDR_ALG_RS256;
  if (key.type == "EC" && key.curve == "P-256") algorithm = CJOSE_HDR_ALG_ES256;
  bool is_for_another = (!key.algorithm.empty() && key.algorithm != algorithm) || (!key.use.empty() && key.use != "sig");
  return is_for_another ? std::string_view() : algorithm;
}

}  // namespace

struct TokenVerifier::Key {
  std::string algorithm;
  std::string id;  // empty: not given
  Jwk jwk;
};

TokenVerifier::TokenVerifier() = default;
TokenVerifier::~TokenVerifier() = default;

Result<std::unique_ptr<TokenVerifier>> TokenVerifier::open(const std::optional<std::string>& secret,
                                                           const std::optional<std::filesystem::path>& key_set) {
  std::unique_ptr<TokenVerifier> verifier(new TokenVerifier());
  if (secret) {
    if (auto added = verifier->add_secret(*secret); !added) return std::unexpected(added.error());
  }
  if (key_set) {
    if (auto added = verifier->add_key_set(*key_set); !added) return std::unexpected(added.error());
  }
  return verifier;
}

Result<void> TokenVerifier::add_secret(const std::string& secret) {
  if (secret.empty()) return invalid("auth.jwt_secret", "auth.jwt_secret must not be empty");
  cjose_err error;
  Jwk jwk(cjose_jwk_create_oct_spec(reinterpret_cast<const std::uint8_t*>(secret.data()), secret.size(), &error));
  if (jwk == nullptr) return invalid("auth.jwt_secret", std::string("auth.jwt_secret: ") + error.message);
  keys_.push_back({.algorithm = CJOSE_HDR_ALG_HS256, .id = "", .jwk = std::move(jwk)});
  return {};
}

Result<void> TokenVerifier::add_key_set(const std::filesystem::path& path) {
  auto named = [&](const Error& error) { return invalid("auth.jwks_file", "auth.jwks_file: " + path.string() + ": " + error.message); };
  auto text = read_whole(path);
  if (!text) return std::unexpected(text.error());
  std::vector<std::string> members;
  auto read = read_json_object(*text, UnknownFields::kIgnore, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key != "keys") return false;
    auto items = value.array("keys", kKeySetKeysMax, [&](std::size_t, JsonValue& item) -> Result<void> {
      auto json = item.raw("keys");
      if (!json) return std::unexpected(json.error());
      members.emplace_back(*json);
      return {};
    });
    if (!items) return std::unexpected(items.error());
    return true;
  });
  if (!read) return named(read.error());
  auto before = keys_.size();
  for (auto& member : members) {
    if (auto added = add_key(std::move(member)); !added) return named(added.error());
  }
  if (keys_.size() == before) return named(Error{.message = "holds no RSA key for RS256 and no P-256 key for ES256"});
  return {};
}

Result<void> TokenVerifier::add_key(std::string json) {
  auto description = describe_key(json);
  if (!description) return std::unexpected(description.error());
  auto algorithm = algorithm_of(*description);
  if (algorithm.empty()) return {};

  cjose_err error;
  Jwk jwk(cjose_jwk_import(json.data(), json.size(), &error));
  if (jwk == nullptr) return invalid("keys", std::string("a key cannot be read: ") + error.message);
  if (algorithm == CJOSE_HDR_ALG_RS256 && cjose_jwk_get_keysize(jwk.get(), &error) < kRsaKeyBitsMin) {
    return invalid("keys", "an RSA key has fewer than " + std::to_string(kRsaKeyBitsMin) + " bits");
  }
  const char* id = cjose_jwk_get_kid(jwk.get(), &error);
  keys_.push_back({.algorithm = std::string(algorithm), .id = id == nullptr ? "" : id, .jwk = std::move(jwk)});
  return {};
}

Result<TokenClaims> TokenVerifier::verify(std::string_view token) const {
  if (token.size() > kTokenBytesMax) return refused("the token is too long");
  if (!has_token_form(token)) return refused("the bearer token is not valid");
  cjose_err error;
  Jws jws(cjose_jws_import(token.data(), token.size(), &error));
  if (jws == nullptr) return refused("the bearer token is not valid");
  auto header = read_header(jws.get());
  if (!header) return std::unexpected(header.error());

  bool is_verified = std::ranges::any_of(keys_, [&](const Key& key) {
    bool is_meant = key.algorithm == header->algorithm && (header->key_id.empty() || key.id.empty() || key.id == header->key_id);
    return is_meant && cjose_jws_verify(jws.get(), key.jwk.get(), &error);
  });
  if (!is_verified) return refused("the token's signature does not verify with any configured key");

  std::uint8_t* payload = nullptr;
  std::size_t payload_bytes = 0;
  if (!cjose_jws_get_plaintext(jws.get(), &payload, &payload_bytes, &error)) return refused("the token has no claims");
  return parse_claims(std::string(reinterpret_cast<const char*>(payload), payload_bytes));
}

Result<void> check_time(const TokenClaims& claims, UtcMicros now) {
  if (now >= claims.expires) return refused("the token has expired");
  if (now < claims.valid_from) return refused("the token is not valid yet");
  return {};
}

}  // namespace hearth::auth
