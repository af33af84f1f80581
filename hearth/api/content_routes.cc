#include "hearth/api/content_routes.h"

#include <optional>
#include <utility>
#include <vector>

#include "hearth/api/input.h"
#include "hearth/base/json_reader.h"
#include "hearth/base/json_writer.h"
#include "hearth/content/content.h"

namespace hearth::api {
namespace {

using auth::Access;
using auth::Caller;
using content::Post;
using http::Method;
using http::problem;
using http::Request;
using http::Response;
using likes::LikeView;

void write_optional(JsonWriter& json, std::string_view name, const std::optional<std::string>& text) {
  json.key(name);
  if (text) {
    json.value(*text);
  } else {
    json.null();
  }
}

void write_user(JsonWriter& json, const content::User& user) {
  json.begin_object().field("id", user.id.view()).field("username", user.username);
  write_optional(json, "displayName", user.display_name);
  write_optional(json, "bio", user.bio);
  write_optional(json, "profileImageUrl", user.profile_image_url);
  json.field("createdAt", to_rfc3339(user.created_at)).end_object();
}

// Leaves the object open.
void begin_post(JsonWriter& json, const Post& post, const LikeView& view, bool says_liked) {
  json.begin_object().field("id", post.id.view()).field("authorId", post.author.view()).field("authorUsername", post.author_username);
  write_optional(json, "content", post.content);
  write_optional(json, "imageUrl", post.image_url);
  json.key("mediaUrls").begin_array();
  for (const auto& url : post.media_urls) json.value(url);
  json.end_array().field("createdAt", to_rfc3339(post.created_at)).field("likes", view.likes);
  if (says_liked) json.field("isLiked", view.is_liked);
  json.field("commentsCount", post.comments_count);
}

std::vector<PostId> ids_of(const std::vector<Post>& posts) {
  std::vector<PostId> ids;
  ids.reserve(posts.size());
  for (const auto& post : posts) ids.push_back(post.id);
  return ids;
}

// A page: content as SQL has it, counts and flags as they are now.
Task<Response> posts_page(ContentApi& api, content::PostPage page, std::optional<SessionId> session) {
  Degraded degraded(api.is_degraded);
  bool says_liked = session.has_value();
  auto views = co_await api.likes.read(ids_of(page.posts), std::move(session));
  if (!views) co_return problem(views.error());
  Response response;
  JsonWriter json(response.body);
  json.begin_object().key("posts").begin_array();
  for (std::size_t i = 0; i < page.posts.size(); ++i) {
    begin_post(json, page.posts[i], (*views)[i], says_liked);
    json.end_object();
  }
  json.end_array();
  degraded.write(json);
  if (page.next) json.field("nextCursor", content::to_text(*page.next));
  json.end_object();
  co_return response;
}

Task<Response> one_post(ContentApi& api, Post post, std::optional<SessionId> session, int status) {
  Degraded degraded(api.is_degraded);
  bool says_liked = session.has_value();
  std::vector<PostId> one{post.id};
  auto views = co_await api.likes.read(std::move(one), std::move(session));
  if (!views) co_return problem(views.error());
  Response response{.status = status};
  JsonWriter json(response.body);
  begin_post(json, post, views->front(), says_liked);
  degraded.write(json);
  json.end_object();
  co_return response;
}

// --- users ---

Result<content::UserDraft> read_user(Request& request, UserId id) {
  std::optional<std::string> username;
  content::UserDraft draft{.id = std::move(id), .username = {}};
  auto read = read_json_object(request.body, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "username") return take(value, key, username);
    if (key == "displayName") return take_nullable(value, key, draft.display_name);
    if (key == "bio") return take_nullable(value, key, draft.bio);
    if (key == "profileImageUrl") return take_nullable(value, key, draft.profile_image_url);
    return false;
  });
  if (!read) return std::unexpected(read.error());
  if (!username) return invalid("username", "username is required");
  draft.username = *std::move(username);
  return draft;
}

Task<Response> put_user(ContentApi& api, Request& request, Caller caller) {
  auto id = path_id<UserId>(request, 0, "userId");
  if (!id) co_return problem(id.error());
  if (auto acting = acting_user(caller, id->str(), "userId"); !acting) co_return problem(acting.error());
  auto draft = read_user(request, *std::move(id));
  if (!draft) co_return problem(draft.error());
  if (auto checked = content::check(*draft); !checked) co_return problem(checked.error());
  auto put = co_await api.store.put_user(*std::move(draft));
  if (!put) co_return problem(put.error());
  Response response;
  JsonWriter json(response.body);
  write_user(json, put->user);
  co_return response;
}

// --- posts ---

Result<bool> take_urls(JsonValue& value, std::string_view field, std::vector<std::string>& urls) {
  auto read = value.array(field, content::kMediaUrlsMax, [&](std::size_t, JsonValue& item) -> Result<void> {
    auto url = item.string(field);
    if (!url) return std::unexpected(url.error());
    urls.emplace_back(*url);
    return {};
  });
  if (!read) return std::unexpected(read.error());
  return true;
}

Result<content::PostDraft> read_post(Request& request, const Caller& caller) {
  std::optional<std::string> id;
  std::optional<std::string> author;
  std::optional<std::string> text;
  std::optional<std::string> image_url;
  std::vector<std::string> media_urls;
  auto read = read_json_object(request.body, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "id") return take(value, key, id);
    if (key == "authorId") return take(value, key, author);
    if (key == "content") return take_nullable(value, key, text);
    if (key == "imageUrl") return take_nullable(value, key, image_url);
    if (key == "mediaUrls") return take_urls(value, key, media_urls);
    return false;
  });
  if (!read) return std::unexpected(read.error());
  auto author_id = acting_user(caller, author, "authorId");
  if (!author_id) return std::unexpected(author_id.error());
  content::PostDraft draft{
      .author = *std::move(author_id), .content = std::move(text), .image_url = std::move(image_url), .media_urls = std::move(media_urls)};
  if (id) {
    auto post = PostId::parse(*id, "id");
    if (!post) return std::unexpected(post.error());
    draft.id = *std::move(post);
  }
  return draft;
}

Task<Response> create_post(ContentApi& api, Request& request, Caller caller) {
  auto draft = read_post(request, caller);
  if (!draft) co_return problem(draft.error());
  if (auto checked = content::check(*draft); !checked) co_return problem(checked.error());
  auto key = idempotency_key(request, caller);
  if (!key) co_return problem(key.error());
  std::optional<content::IdempotencyKey> stored;
  if (*key) stored = content::IdempotencyKey{(*key)->scope, (*key)->request};
  auto created = co_await api.store.create_post(*std::move(draft), std::move(stored));
  if (!created) co_return problem(created.error());
  auto response = co_await one_post(api, std::move(created->post), std::nullopt, 201);
  if (created->replayed) response.headers.emplace_back("Idempotent-Replayed", "true");
  co_return response;
}

Task<Response> get_post(ContentApi& api, Request& request, Caller caller) {
  auto id = path_id<PostId>(request, 0, "postId");
  if (!id) co_return problem(id.error());
  auto session = viewing_session(request, caller);
  if (!session) co_return problem(session.error());
  auto post = co_await api.pages.post(*std::move(id));
  if (!post) co_return problem(post.error());
  co_return co_await one_post(api, *std::move(post), *std::move(session), 200);
}

// --- lists ---

Result<std::optional<content::PostCursor>> cursor_of(const Request& request) {
  auto text = request.query("cursor");
  if (!text) return std::nullopt;
  auto cursor = content::parse_cursor(*text);
  if (!cursor) return std::unexpected(cursor.error());
  return *std::move(cursor);
}

Task<Response> get_timeline(ContentApi& api, Request& request, Caller caller) {
  auto session = viewing_session(request, caller);
  if (!session) co_return problem(session.error());
  auto limit = limit_of(request, content::kTimelinePostsMax, content::kTimelinePostsMax);
  if (!limit) co_return problem(limit.error());
  auto cursor = cursor_of(request);
  if (!cursor) co_return problem(cursor.error());
  auto page = co_await api.pages.timeline(*limit, *std::move(cursor));
  if (!page) co_return problem(page.error());
  co_return co_await posts_page(api, *std::move(page), *std::move(session));
}

Task<Response> get_posts_of_user(ContentApi& api, Request& request, Caller caller) {
  auto user = path_id<UserId>(request, 0, "userId");
  if (!user) co_return problem(user.error());
  auto session = viewing_session(request, caller);
  if (!session) co_return problem(session.error());
  auto limit = limit_of(request, content::kUserPostsMax, content::kUserPostsMax);
  if (!limit) co_return problem(limit.error());
  auto cursor = cursor_of(request);
  if (!cursor) co_return problem(cursor.error());
  auto page = co_await api.pages.posts_of(*std::move(user), *limit, *std::move(cursor));
  if (!page) co_return problem(page.error());
  co_return co_await posts_page(api, *std::move(page), *std::move(session));
}

Result<content::RankOrder> order_of(const Request& request) {
  auto order = request.query("order");
  if (!order || *order == "likes") return content::RankOrder::kLikes;
  if (*order == "hot") return content::RankOrder::kHot;
  return invalid("order", "order must be likes or hot");
}

// The candidates' live counts are read once: they give the order, and they are what the page shows.
Task<Response> get_rank(ContentApi& api, Request& request, Caller caller) {
  Degraded degraded(api.is_degraded);
  auto session = viewing_session(request, caller);
  if (!session) co_return problem(session.error());
  auto limit = limit_of(request, content::kRankPostsDefault, content::kRankPostsMax);
  if (!limit) co_return problem(limit.error());
  auto order = order_of(request);
  if (!order) co_return problem(order.error());
  auto candidates = co_await api.rank.collect(*order, *limit);
  if (!candidates) co_return problem(candidates.error());

  std::vector<LikeView> views;
  auto ids = ids_of(*candidates);
  for (std::size_t at = 0; at < ids.size(); at += likes::kPostsPerReadMax) {
    std::vector<PostId> part(ids.begin() + static_cast<std::ptrdiff_t>(at),
                             ids.begin() + static_cast<std::ptrdiff_t>(std::min(at + likes::kPostsPerReadMax, ids.size())));
    auto read = co_await api.likes.read(std::move(part), *session);
    if (!read) co_return problem(read.error());
    views.insert(views.end(), read->begin(), read->end());
  }
  std::vector<std::uint32_t> counts;
  counts.reserve(views.size());
  for (const auto& view : views) counts.push_back(view.likes);

  Response response;
  JsonWriter json(response.body);
  json.begin_object().key("posts").begin_array();
  for (std::size_t i : content::ranked(*order, *candidates, counts, api.clock.now(), *limit)) {
    begin_post(json, (*candidates)[i], views[i], session->has_value());
    json.end_object();
  }
  json.end_array();
  degraded.write(json);
  json.end_object();
  co_return response;
}

}  // namespace

void add_content_routes(Routes& routes, ContentApi& api) {
  auto add = [&](Method method, std::string_view pattern, Access access, Task<Response> (*handler)(ContentApi&, Request&, Caller)) {
    routes.add(method, pattern, access,
               [&api, handler](Request& request, Caller caller) { return handler(api, request, std::move(caller)); });
  };
  add(Method::kPut, "/api/users/{userId}", Access::kActAsUser, put_user);
  add(Method::kPost, "/api/posts", Access::kActAsUser, create_post);
  add(Method::kGet, "/api/posts/{postId}", Access::kPublicRead, get_post);
  add(Method::kGet, "/api/timeline/public", Access::kPublicRead, get_timeline);
  add(Method::kGet, "/api/users/{userId}/posts", Access::kPublicRead, get_posts_of_user);
  add(Method::kGet, "/api/rank", Access::kPublicRead, get_rank);
}

}  // namespace hearth::api
