#include "hearth/app/dataset/data_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "hearth/base/json_reader.h"
#include "hearth/base/json_writer.h"

namespace hearth::app::dataset {
namespace {

enum Kind : std::uint8_t { kUser = 1, kPost = 2, kRating = 4 };

// What a line said, before it is known what it is: `type` may stand anywhere.
struct Fields {
  std::optional<std::string> type, id, username, display_name, bio, profile_image_url, author_id, content, image_url, created_at, post_id,
      session_id;
  std::vector<std::string> media_urls;
  std::uint8_t kinds = kUser | kPost | kRating;  // which kinds have all the fields that came
  std::string foreign_field;                     // the first that left no kind
};

struct KnownField {
  std::string_view name;
  std::uint8_t kinds;
  std::optional<std::string> Fields::* target;
};

constexpr std::array kKnownFields{
    KnownField{"type", kUser | kPost | kRating, &Fields::type},
    KnownField{"id", kUser | kPost, &Fields::id},
    KnownField{"username", kUser, &Fields::username},
    KnownField{"displayName", kUser, &Fields::display_name},
    KnownField{"bio", kUser, &Fields::bio},
    KnownField{"profileImageUrl", kUser, &Fields::profile_image_url},
    KnownField{"authorId", kPost, &Fields::author_id},
    KnownField{"content", kPost, &Fields::content},
    KnownField{"imageUrl", kPost, &Fields::image_url},
    KnownField{"createdAt", kUser | kPost | kRating, &Fields::created_at},
    KnownField{"postId", kRating, &Fields::post_id},
    KnownField{"sessionId", kRating, &Fields::session_id},
};

void note_kinds(Fields& fields, std::string_view name, std::uint8_t kinds) {
  fields.kinds &= kinds;
  if (fields.kinds == 0 && fields.foreign_field.empty()) fields.foreign_field = name;
}

Result<bool> take_media_urls(Fields& fields, JsonValue& value) {
  note_kinds(fields, "mediaUrls", kPost);
  auto read = value.array("mediaUrls", content::kMediaUrlsMax, [&](std::size_t, JsonValue& item) -> Result<void> {
    auto url = item.string("mediaUrls");
    if (!url) return std::unexpected(url.error());
    fields.media_urls.emplace_back(*url);
    return {};
  });
  if (!read) return std::unexpected(read.error());
  return true;
}

Result<bool> take_field(Fields& fields, std::string_view name, JsonValue& value) {
  if (name == "mediaUrls") return take_media_urls(fields, value);
  const auto* known = std::ranges::find(kKnownFields, name, &KnownField::name);
  if (known == kKnownFields.end()) return false;
  note_kinds(fields, name, known->kinds);
  if (value.is_null()) return true;  // as if it were not there
  auto text = value.string(name);
  if (!text) return std::unexpected(text.error());
  fields.*known->target = std::string(*text);
  return true;
}

template <typename AnyId>
Result<AnyId> required_id(const std::optional<std::string>& text, std::string_view field) {
  if (!text) return invalid(std::string(field), std::string(field) + " is missing");
  return AnyId::parse(*text, field);
}

Result<std::optional<UtcMicros>> optional_time(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  auto time = parse_rfc3339(*text, "createdAt");
  if (!time) return std::unexpected(time.error());
  return *time;
}

Result<DataLine> user_of(Fields& fields) {
  auto id = required_id<UserId>(fields.id, "id");
  if (!id) return std::unexpected(id.error());
  if (!fields.username) return invalid("username", "username is missing");
  auto created_at = optional_time(fields.created_at);
  if (!created_at) return std::unexpected(created_at.error());
  content::UserDraft user{.id = std::move(*id),
                          .username = std::move(*fields.username),
                          .display_name = std::move(fields.display_name),
                          .bio = std::move(fields.bio),
                          .profile_image_url = std::move(fields.profile_image_url),
                          .created_at = *created_at};
  if (auto checked = check(user); !checked) return std::unexpected(checked.error());
  return user;
}

Result<DataLine> post_of(Fields& fields) {
  auto id = required_id<PostId>(fields.id, "id");
  if (!id) return std::unexpected(id.error());
  auto author = required_id<UserId>(fields.author_id, "authorId");
  if (!author) return std::unexpected(author.error());
  auto created_at = optional_time(fields.created_at);
  if (!created_at) return std::unexpected(created_at.error());
  content::PostDraft post{.id = std::move(*id),
                          .author = std::move(*author),
                          .content = std::move(fields.content),
                          .image_url = std::move(fields.image_url),
                          .media_urls = std::move(fields.media_urls),
                          .created_at = *created_at};
  if (auto checked = check(post); !checked) return std::unexpected(checked.error());
  return post;
}

Result<DataLine> rating_of(Fields& fields) {
  auto post = required_id<PostId>(fields.post_id, "postId");
  if (!post) return std::unexpected(post.error());
  auto session = required_id<SessionId>(fields.session_id, "sessionId");
  if (!session) return std::unexpected(session.error());
  auto at = optional_time(fields.created_at);
  if (!at) return std::unexpected(at.error());
  return Rating{std::move(*post), std::move(*session), *at};
}

std::optional<Kind> kind_of(std::string_view type) {
  if (type == "user") return kUser;
  if (type == "post") return kPost;
  if (type == "rating") return kRating;
  return std::nullopt;
}

// The first field that a line of this kind does not have.
Result<void> check_belonging(const Fields& fields, Kind kind) {
  if ((fields.kinds & kind) != 0) return {};
  if (!fields.foreign_field.empty()) {
    return invalid(fields.foreign_field, "the fields belong to different types, " + fields.foreign_field + " the first of them");
  }
  return invalid("type", "the fields are not those of a " + *fields.type);
}

void append_optional(JsonWriter& json, std::string_view name, const std::optional<std::string>& text) {
  if (text) json.field(name, *text);
}

}  // namespace

Result<DataLine> parse_line(std::string& line) {
  Fields fields;
  auto read = read_json_object(line, UnknownFields::kRefuse,
                               [&](std::string_view name, JsonValue& value) { return take_field(fields, name, value); });
  if (!read) return std::unexpected(read.error());
  if (!fields.type) return invalid("type", "type is missing");
  auto kind = kind_of(*fields.type);
  if (!kind) return invalid("type", "type must be user, post or rating");
  if (auto belong = check_belonging(fields, *kind); !belong) return std::unexpected(belong.error());
  switch (*kind) {
    case kUser:
      return user_of(fields);
    case kPost:
      return post_of(fields);
    case kRating:
      return rating_of(fields);
  }
  std::unreachable();
}

void append_user(std::string& out, const content::User& user) {
  JsonWriter json(out);
  json.begin_object().field("type", "user").field("id", user.id.str()).field("username", user.username);
  append_optional(json, "displayName", user.display_name);
  append_optional(json, "bio", user.bio);
  append_optional(json, "profileImageUrl", user.profile_image_url);
  json.field("createdAt", exact_rfc3339(user.created_at)).end_object();
  out += '\n';
}

void append_post(std::string& out, const content::Post& post) {
  JsonWriter json(out);
  json.begin_object().field("type", "post").field("id", post.id.str()).field("authorId", post.author.str());
  append_optional(json, "content", post.content);
  append_optional(json, "imageUrl", post.image_url);
  if (!post.media_urls.empty()) {
    json.key("mediaUrls").begin_array();
    for (const auto& url : post.media_urls) json.value(url);
    json.end_array();
  }
  json.field("createdAt", exact_rfc3339(post.created_at)).end_object();
  out += '\n';
}

void append_rating(std::string& out, std::string_view post, std::string_view session, std::string_view created_at) {
  JsonWriter json(out);
  json.begin_object().field("type", "rating").field("postId", post).field("sessionId", session).field("createdAt", created_at).end_object();
  out += '\n';
}

std::string exact_rfc3339(UtcMicros time) {
  std::string text = to_rfc3339(time);
  auto rest = time - std::chrono::floor<std::chrono::milliseconds>(time);
  if (rest.count() == 0) return text;
  text.pop_back();  // the Z
  return text + fmt::format("{:03}Z", rest.count());
}

}  // namespace hearth::app::dataset
