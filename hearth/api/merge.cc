#include "hearth/api/merge.h"

#include <charconv>
#include <utility>

#include "hearth/api/input.h"
#include "hearth/base/json_reader.h"
#include "hearth/base/json_writer.h"

namespace hearth::api {
namespace {

// A string, or a whole number that stands for its digits. Appends it to `fields` as it was sent.
Result<PostId> read_id(JsonValue& value, std::string& fields) {
  bool is_string = value.is_string();
  auto text = is_string ? value.string("id") : value.raw("id");
  if (!text) return std::unexpected(text.error());
  bool is_digits = text->find_first_not_of("-0123456789") == text->npos;
  if (!is_string && !is_digits) return invalid("id", "id must be a string or a whole number");
  if (is_string) {
    append_json_string(fields, *text);
  } else {
    fields += *text;
  }
  return PostId::parse(*text, "id");
}

Result<void> read_post(JsonValue& item, MergeRequest& merge) {
  std::optional<PostId> id;
  std::string fields;
  auto read = item.object("posts", UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "likes" || key == "isLiked") return true;
    if (!fields.empty()) fields += ',';
    append_json_string(fields, key);
    fields += ':';
    if (key == "id") {
      auto parsed = read_id(value, fields);
      if (!parsed) return std::unexpected(parsed.error());
      id = *std::move(parsed);
      return true;
    }
    auto raw = value.raw(key);
    if (!raw) return std::unexpected(raw.error());
    fields += *raw;
    return true;
  });
  if (!read) return read;
  if (!id) return invalid("id", "each of posts needs an id");
  merge.ids.push_back(*std::move(id));
  merge.fields.push_back(std::move(fields));
  return {};
}

}  // namespace

Result<MergeRequest> MergeRequest::parse(std::string& body) {
  MergeRequest merge;
  bool has_posts = false;
  auto read = read_json_object(body, UnknownFields::kIgnore, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "posts") {
      has_posts = true;
      auto items = value.array(key, likes::kPostsPerReadMax, [&](std::size_t, JsonValue& item) { return read_post(item, merge); });
      if (!items) return std::unexpected(items.error());
      return true;
    }
    if (key == "sessionId") return take(value, key, merge.session);
    return false;
  });
  if (!read) return std::unexpected(read.error());
  if (!has_posts) return invalid("posts", "posts is required: an array of {id, …}");
  return merge;
}

std::string MergeRequest::render(const std::vector<likes::LikeView>& views, bool is_degraded) const {
  std::size_t size = 16;
  for (const auto& post : fields) size += post.size() + 40;
  std::string out;
  out.reserve(size);
  out += R"({"posts":[)";
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += ',';
    out += '{';
    out += fields[i];
    out += R"(,"likes":)";
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, views[i].likes).ptr);
    if (session) out += views[i].is_liked ? R"(,"isLiked":true)" : R"(,"isLiked":false)";
    out += '}';
  }
  out += is_degraded ? R"(],"degraded":true})" : "]}";
  return out;
}

}  // namespace hearth::api
