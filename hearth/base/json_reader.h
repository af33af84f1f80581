#pragma once

// Reads JSON with simdjson's on-demand parser, strictly and in one pass: a value that is looked at is fully checked, and
// one that is not wanted is checked and skipped. Deeper than kJsonDepthMax, duplicate keys of one object, and anything
// after the document are errors. Every error is kInvalidArgument and names the field.
//
//   auto read = read_json_object(body, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) -> Result<bool> {
//     if (key != "sessionId") return false;       // unknown field
//     auto text = value.string("sessionId");
//     if (!text) return std::unexpected(text.error());
//     session = *text;
//     return true;                                // taken
//   });
//
// Text handed out by JsonValue is valid until the next read_json_object on this thread.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "hearth/base/function_ref.h"
#include "hearth/base/result.h"

namespace hearth {

inline constexpr std::size_t kJsonDepthMax = 32;
inline constexpr std::size_t kJsonFieldsMax = 256;  // of one object

enum class UnknownFields : std::uint8_t { kRefuse, kIgnore };

// simdjson reads a little past the end: a buffer handed to it keeps this many spare bytes of capacity.
inline constexpr std::size_t kJsonPadding = 64;

class JsonValue;
// Says whether it knows the key. Takes the value at most once; one that it leaves is checked and skipped.
using OnField = FunctionRef<Result<bool>(std::string_view key, JsonValue& value)>;
using OnItem = FunctionRef<Result<void>(std::size_t index, JsonValue& value)>;

class JsonValue {
 public:
  // Each takes the value; `field` is for the error message.
  Result<std::string_view> string(std::string_view field);
  Result<std::int64_t> integer(std::string_view field);
  Result<bool> boolean(std::string_view field);
  Result<void> object(std::string_view field, UnknownFields unknown, OnField on_field);
  // At most `items_max` items; more is kTooLarge.
  Result<void> array(std::string_view field, std::size_t items_max, OnItem on_item);
  // The text of the value as it was sent, after checking that all of it is JSON.
  Result<std::string_view> raw(std::string_view field);
  // Look at the value without taking it.
  bool is_null();
  bool is_string();
  bool is_object();
  bool is_array();

 private:
  friend struct JsonAccess;
  explicit JsonValue(void* value) : value_(value) {}
  void* value_;  // wraps a simdjson::ondemand::value; hidden because the header costs 2 s a file
};

// `body` may grow by kJsonPadding bytes of capacity; its text does not change.
Result<void> read_json_object(std::string& body, UnknownFields unknown, OnField on_field);

}  // namespace hearth
