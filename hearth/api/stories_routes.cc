// Stories and chapters: what views_routes.h has beside the views themselves.

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "hearth/api/input.h"
#include "hearth/api/views_routes.h"
#include "hearth/base/json_reader.h"
#include "hearth/base/json_writer.h"
#include "hearth/content/story.h"

namespace hearth::api {
namespace {

using auth::Access;
using auth::Caller;
using content::Chapter;
using content::Story;
using http::Method;
using http::problem;
using http::Request;
using http::Response;
using views::ViewedId;
using views::ViewedItem;
using views::ViewedKind;

template <typename Text>
void write_optional(JsonWriter& json, std::string_view name, const std::optional<Text>& text) {
  json.key(name);
  if (text) {
    json.value(*text);
  } else {
    json.null();
  }
}

void write(JsonWriter& json, const Story& story) {
  json.begin_object().field("id", story.id.view());
  write_optional(json, "authorId", story.author ? std::optional(story.author->view()) : std::nullopt);
  write_optional(json, "title", story.title);
  write_optional(json, "summary", story.summary);
  write_optional(json, "coverImageUrl", story.cover_image_url);
}

void write(JsonWriter& json, const Chapter& chapter) {
  json.begin_object().field("id", chapter.id.view()).field("storyId", chapter.story.view());
  write_optional(json, "title", chapter.title);
  write_optional(json, "content", chapter.content);
  write_optional(json, "position", chapter.position);
}

ViewedItem item_of(const Story& story) {
  return {ViewedKind::kStory, ViewedId::trusted(story.id.str())};
}

ViewedItem item_of(const Chapter& chapter) {
  return {ViewedKind::kChapter, ViewedId::trusted(chapter.id.str())};
}

// `item` with its live total; an import may have raised SQL's above it, to which the next sync of the item brings it.
template <typename Item>
void write_with_views(JsonWriter& json, const Item& item, const views::ViewTotal& total) {
  write(json, item);
  json.field("viewCount", std::max(total.views, item.read_count))
      .field("createdAt", to_rfc3339(item.created_at))
      .field("updatedAt", to_rfc3339(item.updated_at));
}

template <typename Item>
Task<Response> answer(ViewsApi& api, Item item) {
  Degraded degraded(api.is_degraded);
  std::vector<ViewedItem> items{item_of(item)};
  auto totals = co_await api.service.totals(std::move(items));
  if (!totals) co_return problem(totals.error());
  Response response;
  JsonWriter json(response.body);
  write_with_views(json, item, totals->front());
  degraded.write(json);
  json.end_object();
  co_return response;
}

// --- stories ---

Result<content::StoryDraft> read_story(Request& request, content::StoryId id) {
  content::StoryDraft draft{.id = std::move(id)};
  std::optional<std::string> author;
  auto read = read_json_object(request.body, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "authorId") return take_nullable(value, key, author);
    if (key == "title") return take_nullable(value, key, draft.title);
    if (key == "summary") return take_nullable(value, key, draft.summary);
    if (key == "coverImageUrl") return take_nullable(value, key, draft.cover_image_url);
    return false;
  });
  if (!read) return std::unexpected(read.error());
  if (!author) return draft;
  auto user = UserId::parse(*author, "authorId");
  if (!user) return std::unexpected(user.error());
  draft.author = *std::move(user);
  return draft;
}

Task<Response> put_story(ViewsApi& api, Request& request, Caller /*caller*/) {
  auto id = path_id<content::StoryId>(request, 0, "id");
  if (!id) co_return problem(id.error());
  auto draft = read_story(request, *std::move(id));
  if (!draft) co_return problem(draft.error());
  if (auto checked = content::check(*draft); !checked) co_return problem(checked.error());
  auto put = co_await api.stories.put_story(*std::move(draft));
  if (!put) co_return problem(put.error());
  co_return co_await answer(api, std::move(put->story));
}

Task<Response> get_story(ViewsApi& api, Request& request, Caller /*caller*/) {
  auto id = path_id<content::StoryId>(request, 0, "id");
  if (!id) co_return problem(id.error());
  auto story = co_await api.stories.story(*std::move(id));
  if (!story) co_return problem(story.error());
  co_return co_await answer(api, *std::move(story));
}

Task<Response> get_stories(ViewsApi& api, Request& request, Caller /*caller*/) {
  Degraded degraded(api.is_degraded);
  auto limit = limit_of(request, kStoriesDefault, content::kStoriesMax);
  if (!limit) co_return problem(limit.error());
  std::optional<content::PostCursor> after;
  if (auto text = request.query("cursor")) {
    auto cursor = content::parse_cursor(*text);
    if (!cursor) co_return problem(cursor.error());
    after = *std::move(cursor);
  }
  auto page = co_await api.stories.stories(*limit, std::move(after));
  if (!page) co_return problem(page.error());
  std::vector<ViewedItem> items;
  for (const auto& story : page->stories) items.push_back(item_of(story));
  auto totals = co_await api.service.totals(std::move(items));
  if (!totals) co_return problem(totals.error());

  Response response;
  JsonWriter json(response.body);
  json.begin_object().key("stories").begin_array();
  for (std::size_t i = 0; i < page->stories.size(); ++i) {
    write_with_views(json, page->stories[i], (*totals)[i]);
    json.end_object();
  }
  json.end_array();
  degraded.write(json);
  if (page->next) json.field("nextCursor", content::to_text(*page->next));
  json.end_object();
  co_return response;
}

// --- chapters ---

Result<content::ChapterDraft> read_chapter(Request& request, content::ChapterId id) {
  std::optional<std::string> story;
  std::optional<std::string> title;
  std::optional<std::string> text;
  std::optional<std::int64_t> position;
  auto read = read_json_object(request.body, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "storyId") return take(value, key, story);
    if (key == "title") return take_nullable(value, key, title);
    if (key == "content") return take_nullable(value, key, text);
    if (key != "position") return false;
    if (value.is_null()) return true;
    return take_number(value, key, 0, content::kPositionMax, position);
  });
  if (!read) return std::unexpected(read.error());
  if (!story) return invalid("storyId", "storyId is required");
  auto story_id = content::StoryId::parse(*story, "storyId");
  if (!story_id) return std::unexpected(story_id.error());
  return content::ChapterDraft{
      .id = std::move(id), .story = *std::move(story_id), .title = std::move(title), .content = std::move(text), .position = position};
}

Task<Response> put_chapter(ViewsApi& api, Request& request, Caller /*caller*/) {
  auto id = path_id<content::ChapterId>(request, 0, "id");
  if (!id) co_return problem(id.error());
  auto draft = read_chapter(request, *std::move(id));
  if (!draft) co_return problem(draft.error());
  if (auto checked = content::check(*draft); !checked) co_return problem(checked.error());
  auto put = co_await api.stories.put_chapter(*std::move(draft));
  if (!put) co_return problem(put.error());
  co_return co_await answer(api, std::move(put->chapter));
}

Task<Response> get_chapter(ViewsApi& api, Request& request, Caller /*caller*/) {
  auto id = path_id<content::ChapterId>(request, 0, "id");
  if (!id) co_return problem(id.error());
  auto chapter = co_await api.stories.chapter(*std::move(id));
  if (!chapter) co_return problem(chapter.error());
  co_return co_await answer(api, *std::move(chapter));
}

}  // namespace

void add_stories_routes(Routes& routes, ViewsApi& api) {
  auto add = [&](Method method, std::string_view pattern, Access access, Task<Response> (*handler)(ViewsApi&, Request&, Caller)) {
    routes.add(method, pattern, access,
               [&api, handler](Request& request, Caller caller) { return handler(api, request, std::move(caller)); });
  };
  add(Method::kGet, "/api/stories", Access::kPublicRead, get_stories);
  add(Method::kPut, "/api/stories/{id}", Access::kService, put_story);
  add(Method::kGet, "/api/stories/{id}", Access::kPublicRead, get_story);
  add(Method::kPut, "/api/chapters/{id}", Access::kService, put_chapter);
  add(Method::kGet, "/api/chapters/{id}", Access::kPublicRead, get_chapter);
}

}  // namespace hearth::api
