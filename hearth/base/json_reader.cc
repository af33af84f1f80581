#include "hearth/base/json_reader.h"

#include <simdjson.h>

#include <utility>
#include <vector>

#include "hearth/base/assert.h"
#include "hearth/base/hash.h"

namespace hearth {
namespace {

namespace ondemand = simdjson::ondemand;

static_assert(kJsonPadding >= simdjson::SIMDJSON_PADDING, "simdjson reads past the end of the body");

// What one read needs; one a thread, reused, so that reading allocates nothing once it is warm.
struct Reader {
  ondemand::parser parser;
  ondemand::document document;
  std::vector<std::uint64_t> keys;  // hashes of the keys of the objects that are open, innermost last
  std::size_t depth = 0;
  bool is_busy = false;
};

thread_local Reader t_reader;

// Keys may come from the client: an error does not send back more of one than a person reads.
constexpr std::size_t kKeyShownMax = 64;

std::unexpected<Error> refuse(std::string_view field, std::string_view what) {
  std::string shown(field.substr(0, kKeyShownMax));
  std::string message = shown + " " + std::string(what);
  return invalid(std::move(shown), std::move(message));
}

std::unexpected<Error> malformed(std::string_view field) {
  return refuse(field, "is not valid JSON");
}

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::string_view trim_end(std::string_view text) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::size_t skip_digits(std::string_view text, std::size_t at) {
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
  return at;
}

// By the grammar, not by the value: a number may be larger than any type of ours and still be passed on as it is.
bool is_number(std::string_view text) {
  std::size_t at = text.starts_with('-') ? 1 : 0;
  std::size_t end = skip_digits(text, at);
  if (end == at || (text[at] == '0' && end != at + 1)) return false;
  if (end < text.size() && text[end] == '.') {
    at = end + 1;
    end = skip_digits(text, at);
    if (end == at) return false;
  }
  if (end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
    at = end + 1;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    end = skip_digits(text, at);
    if (end == at) return false;
  }
  return end == text.size();
}

// A handler must not read another body while its own is being read.
class Busy {
 public:
  explicit Busy(Reader& reader) : reader_(reader) {
    HEARTH_ASSERT(!reader.is_busy);
    reader.is_busy = true;
  }
  ~Busy() { reader_.is_busy = false; }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  Reader& reader_;
};

// The keys of one object, for the time it is open.
class OpenObject {
 public:
  explicit OpenObject(Reader& reader) : reader_(reader), first_(reader.keys.size()) { ++reader_.depth; }
  ~OpenObject() {
    --reader_.depth;
    reader_.keys.resize(first_);
  }
  OpenObject(const OpenObject&) = delete;
  OpenObject& operator=(const OpenObject&) = delete;

  Result<void> add(std::string_view key) {
    auto& keys = reader_.keys;
    if (keys.size() - first_ >= kJsonFieldsMax) {
      return refuse("body", "has an object with more than " + std::to_string(kJsonFieldsMax) + " fields");
    }
    // Only hashes are compared, 64 bits under a seed of this process: two keys with one hash do not happen, and a
    // client cannot aim at it. Comparing the texts made a body of many small objects ten times slower.
    std::uint64_t hash = hash64(key);
    bool is_repeated = false;
    for (std::size_t i = first_; i < keys.size(); ++i) is_repeated |= keys[i] == hash;
    if (is_repeated) return refuse(key, "is given twice");
    keys.push_back(hash);
    return {};
  }

 private:
  Reader& reader_;
  const std::size_t first_;
};

class OpenArray {
 public:
  explicit OpenArray(Reader& reader) : reader_(reader) { ++reader_.depth; }
  ~OpenArray() { --reader_.depth; }
  OpenArray(const OpenArray&) = delete;
  OpenArray& operator=(const OpenArray&) = delete;

 private:
  Reader& reader_;
};

Result<void> check_depth(const Reader& reader) {
  if (reader.depth < kJsonDepthMax) return {};
  return refuse("body", "is nested deeper than " + std::to_string(kJsonDepthMax) + " levels");
}

Result<std::string_view> key_of(ondemand::field& field) {
  std::string_view key;
  if (field.unescaped_key().get(key)) return malformed("body");
  return key;
}

// A value that nobody reads as something: what is looked at, and where it stands.
struct Pending {
  ondemand::value value;
  bool is_taken = false;
};

Result<void> check_value(ondemand::value& value, std::string_view field);

Result<void> check_object(ondemand::value& value, std::string_view field) {
  ondemand::object object;
  if (auto shallow = check_depth(t_reader); !shallow) return shallow;
  if (value.get_object().get(object)) return malformed(field);
  OpenObject open(t_reader);
  for (auto next : object) {
    ondemand::field member;
    if (std::move(next).get(member)) return malformed(field);
    auto key = key_of(member);
    if (!key) return std::unexpected(std::move(key.error()));
    if (auto added = open.add(*key); !added) return added;
    if (auto checked = check_value(member.value(), field); !checked) return checked;
  }
  return {};
}

Result<void> check_array(ondemand::value& value, std::string_view field) {
  ondemand::array array;
  if (auto shallow = check_depth(t_reader); !shallow) return shallow;
  if (value.get_array().get(array)) return malformed(field);
  OpenArray open(t_reader);
  for (auto next : array) {
    ondemand::value item;
    if (std::move(next).get(item)) return malformed(field);
    if (auto checked = check_value(item, field); !checked) return checked;
  }
  return {};
}

// On-demand parsing skips a value by counting brackets; this walks all of it.
Result<void> check_value(ondemand::value& value, std::string_view field) {
  std::string_view token = trim_end(value.raw_json_token());
  switch (token.empty() ? '\0' : token.front()) {
    case '{':
      return check_object(value, field);
    case '[':
      return check_array(value, field);
    case '"': {
      std::string_view text;
      if (value.get_string().get(text)) return malformed(field);
      return {};
    }
    default:
      if (token == "true" || token == "false" || token == "null" || is_number(token)) return {};
      return malformed(field);
  }
}

}  // namespace

struct JsonAccess {
  static JsonValue value(Pending& pending) { return JsonValue(&pending); }
  // REQUIRES: the value was not taken before.
  static ondemand::value& take(void* value) {
    auto& pending = *static_cast<Pending*>(value);
    HEARTH_ASSERT(!pending.is_taken);
    pending.is_taken = true;
    return pending.value;
  }
  static ondemand::value& peek(void* value) { return static_cast<Pending*>(value)->value; }
};

namespace {

Result<void> read_member(ondemand::field& member, std::string_view key, UnknownFields unknown, OnField& on_field) {
  Pending pending{member.value()};
  JsonValue value = JsonAccess::value(pending);
  auto known = on_field(key, value);
  if (!known) return std::unexpected(std::move(known.error()));
  if (!*known && unknown == UnknownFields::kRefuse) return refuse(key, "is not a known field");
  if (!pending.is_taken) return check_value(pending.value, key);
  return {};
}

Result<void> read_members(ondemand::object& object, std::string_view field, UnknownFields unknown, OnField& on_field) {
  OpenObject open(t_reader);
  for (auto next : object) {
    ondemand::field member;
    if (std::move(next).get(member)) return malformed(field);
    auto key = key_of(member);
    if (!key) return std::unexpected(std::move(key.error()));
    if (auto added = open.add(*key); !added) return added;
    if (auto read = read_member(member, *key, unknown, on_field); !read) return read;
  }
  return {};
}

Result<void> read_document(std::string& body, UnknownFields unknown, OnField& on_field) {
  if (body.empty()) return refuse("body", "is empty: send a JSON object");
  if (body.capacity() - body.size() < kJsonPadding) body.reserve(body.size() + kJsonPadding);
  auto& document = t_reader.document;
  if (t_reader.parser.iterate(body.data(), body.size(), body.capacity()).get(document)) return malformed("body");
  ondemand::json_type type;
  if (document.type().get(type)) return malformed("body");
  if (type != ondemand::json_type::object) return refuse("body", "must be a JSON object");
  ondemand::object object;
  if (document.get_object().get(object)) return malformed("body");
  if (auto read = read_members(object, "body", unknown, on_field); !read) return read;
  const char* rest = nullptr;
  if (document.current_location().get(rest) != simdjson::OUT_OF_BOUNDS) return refuse("body", "has something after its JSON object");
  return {};
}

}  // namespace

Result<std::string_view> JsonValue::string(std::string_view field) {
  auto& value = JsonAccess::take(value_);
  std::string_view text;
  auto error = value.get_string().get(text);
  if (error == simdjson::INCORRECT_TYPE) return refuse(field, "must be a string");
  if (error) return malformed(field);
  return text;
}

Result<std::int64_t> JsonValue::integer(std::string_view field) {
  std::int64_t number = 0;
  if (JsonAccess::take(value_).get_int64().get(number)) return refuse(field, "must be an integer");
  return number;
}

Result<bool> JsonValue::boolean(std::string_view field) {
  bool truth = false;
  if (JsonAccess::take(value_).get_bool().get(truth)) return refuse(field, "must be true or false");
  return truth;
}

Result<void> JsonValue::object(std::string_view field, UnknownFields unknown, OnField on_field) {
  auto& value = JsonAccess::take(value_);
  if (auto shallow = check_depth(t_reader); !shallow) return shallow;
  ondemand::object object;
  auto error = value.get_object().get(object);
  if (error == simdjson::INCORRECT_TYPE) return refuse(field, "must be an object");
  if (error) return malformed(field);
  return read_members(object, field, unknown, on_field);
}

Result<void> JsonValue::array(std::string_view field, std::size_t items_max, OnItem on_item) {
  auto& value = JsonAccess::take(value_);
  if (auto shallow = check_depth(t_reader); !shallow) return shallow;
  ondemand::array array;
  auto error = value.get_array().get(array);
  if (error == simdjson::INCORRECT_TYPE) return refuse(field, "must be an array");
  if (error) return malformed(field);
  OpenArray open(t_reader);
  std::size_t index = 0;
  for (auto next : array) {
    if (index == items_max) {
      return fail(ErrorCode::kTooLarge, std::string(field) + " has more than " + std::to_string(items_max) + " items", std::string(field));
    }
    Pending pending;
    if (std::move(next).get(pending.value)) return malformed(field);
    JsonValue item = JsonAccess::value(pending);
    if (auto read = on_item(index, item); !read) return read;
    if (!pending.is_taken) {
      if (auto checked = check_value(pending.value, field); !checked) return checked;
    }
    ++index;
  }
  return {};
}

Result<std::string_view> JsonValue::raw(std::string_view field) {
  auto& value = JsonAccess::take(value_);
  std::string_view token = value.raw_json_token();
  const char* begin = token.data();
  bool is_scalar = !token.starts_with('{') && !token.starts_with('[');
  if (auto checked = check_value(value, field); !checked) return std::unexpected(std::move(checked.error()));
  if (is_scalar) return trim_end(token);
  // The walk stopped at the next token: between it and the closing bracket there is only space.
  const char* next = nullptr;
  if (t_reader.document.current_location().get(next)) return malformed(field);
  return trim_end(std::string_view(begin, next - begin));
}

bool JsonValue::is_null() {
  return trim_end(JsonAccess::peek(value_).raw_json_token()) == "null";
}

bool JsonValue::is_string() {
  return JsonAccess::peek(value_).raw_json_token().starts_with('"');
}

bool JsonValue::is_object() {
  return JsonAccess::peek(value_).raw_json_token().starts_with('{');
}

bool JsonValue::is_array() {
  return JsonAccess::peek(value_).raw_json_token().starts_with('[');
}

Result<void> read_json_object(std::string& body, UnknownFields unknown, OnField on_field) {
  Busy busy(t_reader);
  return read_document(body, unknown, on_field);
}

}  // namespace hearth
