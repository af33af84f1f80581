#include "hearth/app/dataset/data_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <utility>
#include <vector>

#include "hearth/base/json_reader.h"
#include "hearth/base/json_writer.h"

namespace hearth::app::dataset {
namespace {

enum Kind : std::uint8_t { kUser = 1, kPost = 2, kRating = 4, kStory = 8, kChapter = 16, kAll = 31 };

// What a line said, before it is known what it is: `type` may stand anywhere.
struct Fields {
  std::optional<std::string> type, id, username, display_name, bio, profile_image_url, author_id, content, image_url, created_at, post_id,
      session_id, story_id, title, summary, cover_image_url;
  std::optional<std::int64_t> position, view_count;
  std::vector<std::string> media_urls;
  std::array<std::string_view, 5> foreign;  // for each kind, the first field that it does not have
};

struct KnownField {
  std::string_view name;
  std::uint8_t kinds;
  std::optional<std::string> Fields::* target;
};

constexpr std::array kKnownFields{
    KnownField{"type", kAll, &Fields::type},
    KnownField{"id", kUser | kPost | kStory | kChapter, &Fields::id},
    KnownField{"username", kUser, &Fields::username},
    KnownField{"displayName", kUser, &Fields::display_name},
    KnownField{"bio", kUser, &Fields::bio},
    KnownField{"profileImageUrl", kUser, &Fields::profile_image_url},
    KnownField{"authorId", kPost | kStory, &Fields::author_id},
    KnownField{"content", kPost | kChapter, &Fields::content},
    KnownField{"imageUrl", kPost, &Fields::image_url},
    KnownField{"createdAt", kAll, &Fields::created_at},
    KnownField{"postId", kRating, &Fields::post_id},
    KnownField{"sessionId", kRating, &Fields::session_id},
    KnownField{"storyId", kChapter, &Fields::story_id},
    KnownField{"title", kStory | kChapter, &Fields::title},
    KnownField{"summary", kStory, &Fields::summary},
    KnownField{"coverImageUrl", kStory, &Fields::cover_image_url},
};

// `name` outlives the line.
void note_kinds(Fields& fields, std::string_view name, std::uint8_t kinds) {
  for (std::size_t i = 0; i < fields.foreign.size(); ++i) {
    if ((kinds >> i & 1) == 0 && fields.foreign[i].empty()) fields.foreign[i] = name;
  }
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

Result<bool> take_number(Fields& fields, std::string_view name, std::uint8_t kinds, JsonValue& value, std::optional<std::int64_t>& target) {
  note_kinds(fields, name, kinds);
  if (value.is_null()) return true;
  auto number = value.integer(name);
  if (!number) return std::unexpected(number.error());
  target = *number;
  return true;
}

Result<bool> take_field(Fields& fields, std::string_view name, JsonValue& value) {
  if (name == "mediaUrls") return take_media_urls(fields, value);
  if (name == "position") return take_number(fields, "position", kChapter, value, fields.position);
  if (name == "viewCount") return take_number(fields, "viewCount", kStory | kChapter, value, fields.view_count);
  const auto* known = std::ranges::find(kKnownFields, name, &KnownField::name);
  if (known == kKnownFields.end()) return false;
  note_kinds(fields, known->name, known->kinds);
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

// What a new or an old story or chapter has of `viewCount`.
Result<std::optional<std::uint64_t>> optional_views(const std::optional<std::int64_t>& count) {
  if (!count) return std::nullopt;
  if (*count < 0 || static_cast<std::uint64_t>(*count) > content::kReadCountMax) {
    return invalid("viewCount", fmt::format("viewCount must be from 0 to {}", content::kReadCountMax));
  }
  return static_cast<std::uint64_t>(*count);
}

Result<DataLine> story_of(Fields& fields) {
  auto id = required_id<content::StoryId>(fields.id, "id");
  if (!id) return std::unexpected(id.error());
  std::optional<UserId> author;
  if (fields.author_id) {
    auto parsed = UserId::parse(*fields.author_id, "authorId");
    if (!parsed) return std::unexpected(parsed.error());
    author = *std::move(parsed);
  }
  auto views = optional_views(fields.view_count);
  if (!views) return std::unexpected(views.error());
  auto created_at = optional_time(fields.created_at);
  if (!created_at) return std::unexpected(created_at.error());
  content::StoryDraft story{.id = std::move(*id),
                            .author = std::move(author),
                            .title = std::move(fields.title),
                            .summary = std::move(fields.summary),
                            .cover_image_url = std::move(fields.cover_image_url),
                            .read_count = *views,
                            .created_at = *created_at};
  if (auto checked = check(story); !checked) return std::unexpected(checked.error());
  return story;
}

Result<DataLine> chapter_of(Fields& fields) {
  auto id = required_id<content::ChapterId>(fields.id, "id");
  if (!id) return std::unexpected(id.error());
  auto story = required_id<content::StoryId>(fields.story_id, "storyId");
  if (!story) return std::unexpected(story.error());
  auto views = optional_views(fields.view_count);
  if (!views) return std::unexpected(views.error());
  auto created_at = optional_time(fields.created_at);
  if (!created_at) return std::unexpected(created_at.error());
  content::ChapterDraft chapter{.id = std::move(*id),
                                .story = std::move(*story),
                                .title = std::move(fields.title),
                                .content = std::move(fields.content),
                                .position = fields.position,
                                .read_count = *views,
                                .created_at = *created_at};
  if (auto checked = check(chapter); !checked) return std::unexpected(checked.error());
  return chapter;
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
  if (type == "story") return kStory;
  if (type == "chapter") return kChapter;
  if (type == "rating") return kRating;
  return std::nullopt;
}

// The first field that a line of this kind does not have.
Result<void> check_belonging(const Fields& fields, Kind kind) {
  std::string name(fields.foreign[static_cast<std::size_t>(std::countr_zero(std::to_underlying(kind)))]);
  if (name.empty()) return {};
  return invalid(name, "a " + *fields.type + " has no " + name);
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
  if (!kind) return invalid("type", "type must be user, post, story, chapter or rating");
  if (auto belong = check_belonging(fields, *kind); !belong) return std::unexpected(belong.error());
  switch (*kind) {
    case kUser:
      return user_of(fields);
    case kPost:
      return post_of(fields);
    case kStory:
      return story_of(fields);
    case kChapter:
      return chapter_of(fields);
    case kRating:
      return rating_of(fields);
    case kAll:
      break;
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

void append_story(std::string& out, const content::Story& story) {
  JsonWriter json(out);
  json.begin_object().field("type", "story").field("id", story.id.str());
  if (story.author) json.field("authorId", story.author->str());
  append_optional(json, "title", story.title);
  append_optional(json, "summary", story.summary);
  append_optional(json, "coverImageUrl", story.cover_image_url);
  json.field("createdAt", exact_rfc3339(story.created_at)).field("viewCount", story.read_count).end_object();
  out += '\n';
}

void append_chapter(std::string& out, const content::Chapter& chapter) {
  JsonWriter json(out);
  json.begin_object().field("type", "chapter").field("id", chapter.id.str()).field("storyId", chapter.story.str());
  append_optional(json, "title", chapter.title);
  append_optional(json, "content", chapter.content);
  if (chapter.position) json.field("position", *chapter.position);
  json.field("createdAt", exact_rfc3339(chapter.created_at)).field("viewCount", chapter.read_count).end_object();
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
