#pragma once

// Reading what requests say: who acts, how many, with which idempotency key.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/auth/caller.h"
#include "hearth/base/ids.h"
#include "hearth/base/json_reader.h"
#include "hearth/http/request.h"

namespace hearth::api {

// The {parameter} of the path as an id; `name` is for the error.
template <typename IdType>
Result<IdType> path_id(const http::Request& request, std::size_t index, std::string_view name) {
  return IdType::parse(request.path_parameter(index), name);
}

// Who acts: the one named, or with a user's token the user if nobody is named. A user's token may name nobody else.
Result<SessionId> acting_session(const auth::Caller& caller, const std::optional<std::string>& named);
Result<UserId> acting_user(const auth::Caller& caller, const std::optional<std::string>& named, std::string_view field);

// Whose liked flags are asked for with ?sessionId= : nothing without it; not for anonymous callers.
Result<std::optional<SessionId>> viewing_session(const http::Request& request, const auth::Caller& caller);
Result<SessionId> viewing_session(const auth::Caller& caller, std::string_view session);

// ?limit= : 1 or more; what is over `most` is taken as `most`.
Result<std::size_t> limit_of(const http::Request& request, std::size_t usual, std::size_t most);

// A JSON string as an owned one, into `target`: for read_json_object()'s callbacks.
Result<bool> take(JsonValue& value, std::string_view field, std::optional<std::string>& target);
// The same, taking null as absent.
Result<bool> take_nullable(JsonValue& value, std::string_view field, std::optional<std::string>& target);
// A whole number from `least` to `most`.
Result<std::int64_t> whole_number(JsonValue& value, std::string_view field, std::int64_t least, std::int64_t most);
// The same, into `target`: a number, a duration, or an optional one.
template <typename Target>
Result<bool> take_number(JsonValue& value, std::string_view field, std::int64_t least, std::int64_t most, Target& target) {
  auto number = whole_number(value, field, least, most);
  if (!number) return std::unexpected(number.error());
  if constexpr (requires { typename Target::value_type; }) {
    target = static_cast<typename Target::value_type>(*number);
  } else {
    target = static_cast<Target>(*number);
  }
  return true;
}
// An array of at most `most` ids.
template <typename IdType>
Result<bool> take_ids(JsonValue& value, std::string_view field, std::size_t most, std::optional<std::vector<IdType>>& target) {
  std::vector<IdType> ids;
  auto read = value.array(field, most, [&](std::size_t index, JsonValue& item) -> Result<void> {
    auto text = item.string(field);
    if (!text) return std::unexpected(text.error());
    auto id = IdType::parse(*text, std::string(field) + "[" + std::to_string(index) + "]");
    if (!id) return std::unexpected(id.error());
    ids.push_back(*std::move(id));
    return {};
  });
  if (!read) return std::unexpected(read.error());
  target = std::move(ids);
  return true;
}

// For a change that is said by method and path alone: a body may be absent or {}.
Result<void> expect_no_fields(http::Request& request);

// An Idempotency-Key, hashed: `scope` stands for caller, method, path and key, `request` for the body.
struct HashedKey {
  std::string scope;
  std::string request;
  // The key of the `index`-th item of a batch.
  HashedKey item(std::size_t index) const;
};
// Nothing without the header; kInvalidArgument for one that is not an id.
Result<std::optional<std::string>> idempotency_header(const http::Request& request);
Result<std::optional<HashedKey>> idempotency_key(const http::Request& request, const auth::Caller& caller);

}  // namespace hearth::api
