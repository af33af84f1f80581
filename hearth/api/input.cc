#include "hearth/api/input.h"

#include <openssl/evp.h>

#include <charconv>
#include <initializer_list>

#include "hearth/base/assert.h"
#include "hearth/http/router.h"

namespace hearth::api {
namespace {

// The first half of SHA-256 over the parts, each with its length, so that no two lists of parts look alike.
std::string digest(std::initializer_list<std::string_view> parts) {
  std::string input;
  for (auto part : parts) {
    std::uint64_t size = part.size();
    input.append(reinterpret_cast<const char*>(&size), sizeof size);
    input += part;
  }
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HEARTH_ASSERT(EVP_Digest(input.data(), input.size(), hash, &size, EVP_sha256(), nullptr) == 1 && size >= 16);
  return std::string(reinterpret_cast<const char*>(hash), 16);
}

template <typename IdType>
Result<IdType> acting(const auth::Caller& caller, const std::optional<std::string>& named, std::string_view field) {
  bool is_user = caller.kind == auth::CallerKind::kUser;
  if (!named && !is_user) return invalid(std::string(field), std::string(field) + " is required");
  auto id = IdType::parse(named ? std::string_view(*named) : std::string_view(caller.user_id), field);
  if (id && !auth::may_act_as(caller, id->view())) {
    return fail(ErrorCode::kForbidden, "a user's token acts as its own user alone", std::string(field));
  }
  return id;
}

}  // namespace

Result<SessionId> acting_session(const auth::Caller& caller, const std::optional<std::string>& named) {
  return acting<SessionId>(caller, named, "sessionId");
}

Result<UserId> acting_user(const auth::Caller& caller, const std::optional<std::string>& named, std::string_view field) {
  return acting<UserId>(caller, named, field);
}

Result<SessionId> viewing_session(const auth::Caller& caller, std::string_view session) {
  if (caller.kind == auth::CallerKind::kAnonymous) {
    return fail(ErrorCode::kUnauthenticated, "asking what a session likes needs a credential", "sessionId");
  }
  return acting_session(caller, std::string(session));
}

Result<std::optional<SessionId>> viewing_session(const http::Request& request, const auth::Caller& caller) {
  auto named = request.query("sessionId");
  if (!named) return std::nullopt;
  auto session = viewing_session(caller, *named);
  if (!session) return std::unexpected(session.error());
  return *std::move(session);
}

Result<std::size_t> limit_of(const http::Request& request, std::size_t usual, std::size_t most) {
  auto text = request.query("limit");
  if (!text) return usual;
  std::uint64_t limit = 0;
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), limit);
  if (error != std::errc() || end != text->data() + text->size() || limit == 0) {
    return invalid("limit", "limit must be a whole number from 1 to " + std::to_string(most));
  }
  return std::min<std::uint64_t>(limit, most);
}

Result<bool> take(JsonValue& value, std::string_view field, std::optional<std::string>& target) {
  auto text = value.string(field);
  if (!text) return std::unexpected(text.error());
  target = std::string(*text);
  return true;
}

Result<bool> take_nullable(JsonValue& value, std::string_view field, std::optional<std::string>& target) {
  if (value.is_null()) return true;
  return take(value, field, target);
}

Result<std::int64_t> whole_number(JsonValue& value, std::string_view field, std::int64_t least, std::int64_t most) {
  auto number = value.integer(field);
  if (number && (*number < least || *number > most)) {
    return invalid(std::string(field), std::string(field) + " must be " + std::to_string(least) + " to " + std::to_string(most));
  }
  return number;
}

Result<void> expect_no_fields(http::Request& request) {
  if (request.body.empty()) return {};
  return read_json_object(request.body, UnknownFields::kRefuse, [](std::string_view, JsonValue&) -> Result<bool> { return false; });
}

HashedKey HashedKey::item(std::size_t index) const {
  return {digest({scope, "#" + std::to_string(index)}), request};
}

Result<std::optional<std::string>> idempotency_header(const http::Request& request) {
  if (request.idempotency_key.empty()) return std::nullopt;
  if (!is_valid_id(request.idempotency_key)) return invalid("Idempotency-Key", invalid_id_message("Idempotency-Key"));
  return std::string(request.idempotency_key);
}

Result<std::optional<HashedKey>> idempotency_key(const http::Request& request, const auth::Caller& caller) {
  auto header = idempotency_header(request);
  if (!header) return std::unexpected(header.error());
  if (!*header) return std::nullopt;
  std::string who = std::to_string(static_cast<int>(caller.kind)) + ":" + caller.user_id;
  return HashedKey{.scope = digest({who, http::method_name(request.method), request.path, **header}), .request = digest({request.body})};
}

}  // namespace hearth::api
