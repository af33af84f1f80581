#include "hearth/content/stores/encoding.h"

#include <optional>
#include <utility>

#include "hearth/base/json_reader.h"
#include "hearth/base/json_writer.h"

namespace hearth::content {
namespace {

void append_optional(JsonWriter& json, std::string_view name, const std::optional<std::string>& text) {
  if (text) json.field(name, *text);
}

template <typename Target>
Result<bool> take_text(JsonValue& value, std::string_view key, Target& target) {
  auto text = value.string(key);
  if (!text) return std::unexpected(text.error());
  target = std::string(*text);
  return true;
}

Result<bool> take_number(JsonValue& value, std::string_view key, std::int64_t& target) {
  auto number = value.integer(key);
  if (!number) return std::unexpected(number.error());
  target = *number;
  return true;
}

struct Record {
  std::string id, author, author_username, media_urls;
  std::optional<std::string> content, image_url;
  std::int64_t created_at = 0;
  std::int64_t code = -1;  // of a refusal
  std::string message, field;
};

Result<bool> take_field(Record& record, std::string_view key, JsonValue& value) {
  if (key == "id") return take_text(value, key, record.id);
  if (key == "author") return take_text(value, key, record.author);
  if (key == "authorUsername") return take_text(value, key, record.author_username);
  if (key == "content") return take_text(value, key, record.content);
  if (key == "imageUrl") return take_text(value, key, record.image_url);
  if (key == "mediaUrls") return take_text(value, key, record.media_urls);
  if (key == "createdAt") return take_number(value, key, record.created_at);
  if (key == "code") return take_number(value, key, record.code);
  if (key == "message") return take_text(value, key, record.message);
  if (key == "field") return take_text(value, key, record.field);
  return false;
}

}  // namespace

std::string join_lines(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) {
    if (!text.empty()) text += '\n';
    text += line;
  }
  return text;
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    auto end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

std::string encode_answer(const Result<Post>& answer) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  if (answer) {
    json.field("id", answer->id.str()).field("author", answer->author.str()).field("authorUsername", answer->author_username);
    append_optional(json, "content", answer->content);
    append_optional(json, "imageUrl", answer->image_url);
    json.field("mediaUrls", join_lines(answer->media_urls)).field("createdAt", micros(answer->created_at));
  } else {
    json.field("code", static_cast<int>(answer.error().code)).field("message", answer.error().message).field("field", answer.error().field);
  }
  json.end_object();
  return out;
}

Result<Result<Post>> decode_answer(std::string text) {
  Record record;
  auto read = read_json_object(text, UnknownFields::kRefuse,
                               [&](std::string_view key, JsonValue& value) { return take_field(record, key, value); });
  if (!read) return fail(ErrorCode::kInternal, "idempotency record: " + read.error().message);
  if (record.code >= 0) return Result<Post>(fail(static_cast<ErrorCode>(record.code), record.message, record.field));
  return Post{.id = PostId::trusted(record.id),
              .author = UserId::trusted(record.author),
              .author_username = record.author_username,
              .content = record.content,
              .image_url = record.image_url,
              .media_urls = split_lines(record.media_urls),
              .created_at = time_of(record.created_at)};
}

}  // namespace hearth::content
