#include "hearth/auth/authenticator.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>

#include "hearth/auth/token_verifier.h"
#include "hearth/base/assert.h"
#include "hearth/base/guarded.h"

namespace hearth::auth {
namespace {

using Digest = std::array<unsigned char, 32>;

struct DigestHash {
  using is_avalanching = void;
  std::size_t operator()(const Digest& digest) const {
    std::size_t out = 0;
    std::memcpy(&out, digest.data(), sizeof out);
    return out;
  }
};

struct FreeMd {
  void operator()(EVP_MD* md) const { EVP_MD_free(md); }
};

class Sha256 {
 public:
  // Fetched once: a look-up by name costs more than the hash.
  Sha256() : md_(EVP_MD_fetch(nullptr, "SHA256", nullptr)) { HEARTH_ASSERT(md_ != nullptr); }
  Digest operator()(std::string_view text) const {
    Digest out;
    HEARTH_ASSERT(EVP_Digest(text.data(), text.size(), out.data(), nullptr, md_.get(), nullptr) == 1);
    return out;
  }

 private:
  std::unique_ptr<EVP_MD, FreeMd> md_;
};

// Tokens that verified before. Bounded: a shard that is full is emptied, which costs its tokens one verification each.
class VerifiedTokens {
 public:
  std::optional<TokenClaims> find(const Digest& digest) {
    return shard(digest).with([&](Table& table) -> std::optional<TokenClaims> {
      auto found = table.find(digest);
      if (found == table.end()) return std::nullopt;
      return found->second;
    });
  }
  void remember(const Digest& digest, const TokenClaims& claims) {
    shard(digest).with([&](Table& table) {
      if (table.size() >= kTokensAShardMax) table.clear();
      table.emplace(digest, claims);
    });
  }
  void forget(const Digest& digest) {
    shard(digest).with([&](Table& table) { table.erase(digest); });
  }

 private:
  using Table = boost::unordered_flat_map<Digest, TokenClaims, DigestHash>;
  static constexpr std::size_t kShards = 16;
  static constexpr std::size_t kTokensAShardMax = kTokensRememberedMax / kShards;

  Guarded<Table>& shard(const Digest& digest) { return shards_[digest.back() % kShards]; }

  std::array<Guarded<Table>, kShards> shards_;
};

// The token of "Bearer <token>", or nullopt for another scheme.
std::optional<std::string_view> bearer_of(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() < kScheme.size()) return std::nullopt;
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    char c = authorization[i];
    if ((c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) != kScheme[i]) return std::nullopt;
  }
  auto token = authorization.substr(kScheme.size());
  while (token.starts_with(' ')) token.remove_prefix(1);
  while (token.ends_with(' ')) token.remove_suffix(1);
  return token;
}

}  // namespace

class Authenticator::Impl {
 public:
  explicit Impl(const Clock& clock) : clock_(clock) {}

  Result<void> add_key(CallerKind kind, const std::optional<std::string>& key, std::string_view setting) {
    if (!key) return {};
    if (key->empty()) return invalid(std::string(setting), std::string(setting) + " must not be empty");
    keys_.push_back({.kind = kind, .digest = sha256_(*key)});
    return {};
  }

  Result<void> add_tokens(const AuthenticatorOptions& options) {
    if (!options.jwt_secret && !options.jwks_file) return {};
    auto verifier = TokenVerifier::open(options.jwt_secret, options.jwks_file);
    if (!verifier) return std::unexpected(verifier.error());
    verifier_ = std::move(*verifier);
    return {};
  }

  Result<Caller> identify(std::string_view authorization, bool is_loopback) {
    if (keys_.empty() && verifier_ == nullptr) {
      if (is_loopback) return Caller{.kind = CallerKind::kLocal};
      return fail(ErrorCode::kUnauthenticated, "no key is configured, so only this machine is served; set HEARTH_SERVICE_KEY");
    }
    if (authorization.empty()) return Caller{};
    auto bearer = bearer_of(authorization);
    if (!bearer || bearer->empty()) return fail(ErrorCode::kUnauthenticated, "Authorization must be: Bearer, a space, and a key or token");

    auto digest = sha256_(*bearer);
    if (auto kind = match_key(digest)) return Caller{.kind = *kind};
    if (verifier_ == nullptr) return fail(ErrorCode::kUnauthenticated, "the bearer token is not valid");
    return identify_user(*bearer, digest);
  }

 private:
  struct Key {
    CallerKind kind;
    Digest digest;
  };

  // Looks at every key, also after a match.
  std::optional<CallerKind> match_key(const Digest& digest) const {
    std::optional<CallerKind> found;
    for (const auto& key : keys_) {
      if (CRYPTO_memcmp(key.digest.data(), digest.data(), digest.size()) == 0) found = key.kind;
    }
    return found;
  }

  Result<Caller> identify_user(std::string_view token, const Digest& digest) {
    auto claims = verified_.find(digest);
    bool is_known = claims.has_value();
    if (!is_known) {
      auto verified = verifier_->verify(token);
      if (!verified) return std::unexpected(verified.error());
      claims = *std::move(verified);
    }
    if (auto checked = check_time(*claims, clock_.now()); !checked) {
      if (is_known) verified_.forget(digest);
      return std::unexpected(checked.error());
    }
    if (!is_known) verified_.remember(digest, *claims);
    return Caller{.kind = CallerKind::kUser, .user_id = std::move(claims->user_id)};
  }

  // Constant after open().
  const Clock& clock_;
  Sha256 sha256_;
  std::vector<Key> keys_;
  std::unique_ptr<TokenVerifier> verifier_;  // null: no tokens are accepted
  // Safe by itself.
  VerifiedTokens verified_;
};

Authenticator::Authenticator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Authenticator::~Authenticator() = default;

Result<std::unique_ptr<Authenticator>> Authenticator::open(const AuthenticatorOptions& options, const Clock& clock) {
  auto impl = std::make_unique<Impl>(clock);
  const std::tuple<CallerKind, const std::optional<std::string>&, std::string_view> keys[] = {
      {CallerKind::kService, options.service_key, "auth.service_key"},
      {CallerKind::kAdmin, options.admin_key, "auth.admin_key"},
      {CallerKind::kViewer, options.viewer_key, "auth.viewer_key"},
      {CallerKind::kCron, options.cron_secret, "auth.cron_secret"},
  };
  for (const auto& [kind, key, setting] : keys) {
    if (auto added = impl->add_key(kind, key, setting); !added) return std::unexpected(added.error());
  }
  if (auto added = impl->add_tokens(options); !added) return std::unexpected(added.error());
  return std::unique_ptr<Authenticator>(new Authenticator(std::move(impl)));
}

Result<Caller> Authenticator::identify(std::string_view authorization, bool is_loopback) const {
  return impl_->identify(authorization, is_loopback);
}

}  // namespace hearth::auth
