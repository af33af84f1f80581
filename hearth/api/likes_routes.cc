#include "hearth/api/likes_routes.h"

#include <boost/unordered/unordered_flat_set.hpp>
#include <chrono>
#include <optional>
#include <utility>

#include "hearth/api/input.h"
#include "hearth/api/merge.h"
#include "hearth/base/json_reader.h"
#include "hearth/base/json_writer.h"

namespace hearth::api {
namespace {

using auth::Access;
using auth::Caller;
using http::Method;
using http::problem;
using http::Request;
using http::Response;
using likes::LikeAction;
using likes::LikeChange;
using likes::LikeOutcome;

std::optional<likes::IdempotencyKey> stored_key(const std::optional<HashedKey>& key) {
  if (!key) return std::nullopt;
  return likes::IdempotencyKey{key->scope, key->request};
}

void write_outcome(JsonWriter& json, const LikeOutcome& outcome, bool says_changed) {
  json.field("success", true).field("isLiked", outcome.is_liked).field("newCount", outcome.likes).field("version", outcome.version);
  if (says_changed) json.field("changed", outcome.changed);
}

void mark_replayed(Response& response, bool replayed) {
  if (replayed) response.headers.emplace_back("Idempotent-Replayed", "true");
}

// {sessionId} of a body, which may be absent.
Result<std::optional<std::string>> named_session(Request& request) {
  std::optional<std::string> session;
  if (request.body.empty()) return session;
  auto read = read_json_object(request.body, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "sessionId") return take(value, key, session);
    return false;
  });
  if (!read) return std::unexpected(read.error());
  return session;
}

// POST, PUT and DELETE of a like differ in what they want alone.
Result<LikeChange> read_change(Request& request, const Caller& caller, LikeAction action) {
  auto post = path_id<PostId>(request, 0, "postId");
  if (!post) return std::unexpected(post.error());
  auto named = named_session(request);
  if (!named) return std::unexpected(named.error());
  if (auto in_query = request.query("sessionId"); in_query && action == LikeAction::kUnlike) {
    if (*named && **named != *in_query) return invalid("sessionId", "sessionId is given twice, and differs");
    *named = std::string(*in_query);
  }
  auto session = acting_session(caller, *named);
  if (!session) return std::unexpected(session.error());
  LikeChange change{.post = *std::move(post), .session = *std::move(session), .action = action};
  if (request.method == Method::kPost) {
    auto key = idempotency_key(request, caller);
    if (!key) return std::unexpected(key.error());
    change.idempotency = stored_key(*key);
  }
  return change;
}

Task<Response> change_like(LikesApi& api, Request& request, Caller caller, LikeAction action) {
  Degraded degraded(api.is_degraded);
  auto change = read_change(request, caller, action);
  if (!change) co_return problem(change.error());
  auto outcome = co_await api.service.change(*std::move(change));
  if (!outcome) co_return problem(outcome.error());
  Response response;
  JsonWriter json(response.body);
  json.begin_object();
  write_outcome(json, *outcome, action != LikeAction::kToggle);
  degraded.write(json);
  json.end_object();
  mark_replayed(response, outcome->replayed);
  co_return response;
}

Task<Response> get_likes(LikesApi& api, Request& request, Caller caller) {
  Degraded degraded(api.is_degraded);
  auto post = path_id<PostId>(request, 0, "postId");
  if (!post) co_return problem(post.error());
  auto session = viewing_session(request, caller);
  if (!session) co_return problem(session.error());
  bool says_liked = session->has_value();
  std::vector<PostId> one{*post};
  auto views = co_await api.service.read(std::move(one), *std::move(session));
  if (!views) co_return problem(views.error());
  Response response;
  JsonWriter json(response.body);
  const auto& view = views->front();
  json.begin_object().field("postId", post->view()).field("likes", view.likes).field("version", view.version);
  if (says_liked) json.field("isLiked", view.is_liked);
  degraded.write(json);
  json.end_object();
  co_return response;
}

struct PostsQuery {
  std::optional<std::vector<PostId>> posts;
  std::optional<std::string> session;
};

// {postIds, sessionId}; fields beyond them are ignored, because nothing changes.
Result<PostsQuery> read_posts_query(Request& request) {
  PostsQuery query;
  auto read = read_json_object(request.body, UnknownFields::kIgnore, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "postIds") return take_ids<PostId>(value, key, likes::kPostsPerReadMax, query.posts);
    if (key == "sessionId") return take(value, key, query.session);
    return false;
  });
  if (!read) return std::unexpected(read.error());
  if (!query.posts) return invalid("postIds", "postIds is required: an array of post ids");
  return query;
}

// Writes {"name": {id: …}}, each id once.
template <typename WriteView>
Response object_by_post(const Degraded& degraded, std::string_view name, const std::vector<PostId>& posts,
                        const std::vector<likes::LikeView>& views, WriteView write_view) {
  Response response;
  response.body.reserve(posts.size() * 24 + 16);
  JsonWriter json(response.body);
  json.begin_object().key(name).begin_object();
  boost::unordered_flat_set<std::string_view> seen;
  seen.reserve(posts.size());
  for (std::size_t i = 0; i < posts.size(); ++i) {
    if (seen.insert(posts[i].view()).second) write_view(json.key(posts[i].view()), views[i]);
  }
  json.end_object();
  degraded.write(json);
  json.end_object();
  return response;
}

Task<Response> get_counts(LikesApi& api, Request& request, Caller /*caller*/) {
  Degraded degraded(api.is_degraded);
  auto query = read_posts_query(request);
  if (!query) co_return problem(query.error());
  auto views = co_await api.service.read(*query->posts, std::nullopt);
  if (!views) co_return problem(views.error());
  co_return object_by_post(degraded, "counts", *query->posts, *views,
                           [](JsonWriter& json, const likes::LikeView& view) { json.value(view.likes); });
}

Task<Response> get_statuses(LikesApi& api, Request& request, Caller caller) {
  Degraded degraded(api.is_degraded);
  auto query = read_posts_query(request);
  if (!query) co_return problem(query.error());
  auto session = acting_session(caller, query->session);
  if (!session) co_return problem(session.error());
  auto views = co_await api.service.read(*query->posts, *std::move(session));
  if (!views) co_return problem(views.error());
  co_return object_by_post(degraded, "liked", *query->posts, *views,
                           [](JsonWriter& json, const likes::LikeView& view) { json.value(view.is_liked); });
}

// --- batch ---

struct Operation {
  std::optional<std::string> post;
  std::optional<std::string> session;
  std::optional<std::string> op;
};

Result<std::vector<Operation>> read_operations(Request& request) {
  std::optional<std::vector<Operation>> operations;
  auto read = read_json_object(request.body, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key != "operations") return false;
    operations.emplace();
    auto items = value.array(key, likes::kChangesPerBatchMax, [&](std::size_t, JsonValue& item) -> Result<void> {
      Operation& operation = operations->emplace_back();
      return item.object("operations", UnknownFields::kRefuse, [&](std::string_view name, JsonValue& field) -> Result<bool> {
        if (name == "postId") return take(field, name, operation.post);
        if (name == "sessionId") return take(field, name, operation.session);
        if (name == "op") return take(field, name, operation.op);
        return false;
      });
    });
    if (!items) return std::unexpected(items.error());
    return true;
  });
  if (!read) return std::unexpected(read.error());
  if (!operations) return invalid("operations", "operations is required: an array of {postId, sessionId, op}");
  return *std::move(operations);
}

Result<LikeChange> to_change(const Operation& operation, const Caller& caller) {
  if (!operation.post) return invalid("postId", "postId is required");
  auto post = PostId::parse(*operation.post, "postId");
  if (!post) return std::unexpected(post.error());
  auto session = acting_session(caller, operation.session);
  if (!session) return std::unexpected(session.error());
  LikeChange change{.post = *std::move(post), .session = *std::move(session)};
  if (operation.op == "toggle") return change;
  if (operation.op == "like") {
    change.action = LikeAction::kLike;
    return change;
  }
  if (operation.op == "unlike") {
    change.action = LikeAction::kUnlike;
    return change;
  }
  return invalid("op", "op must be toggle, like or unlike");
}

// Each operation succeeds or fails by itself. With an idempotency key each that can be made has its own, derived from it, so
// that a batch of which a part was applied before a crash can be sent again. They are numbered without the others: the first
// to be made is always the first to meet the same key of another request.
Task<Response> change_batch(LikesApi& api, Request& request, Caller caller) {
  auto operations = read_operations(request);
  if (!operations) co_return problem(operations.error());
  auto key = idempotency_key(request, caller);
  if (!key) co_return problem(key.error());

  Degraded degraded(api.is_degraded);
  std::vector<Result<LikeOutcome>> results(operations->size());
  std::vector<LikeChange> changes;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < operations->size(); ++i) {
    auto change = to_change((*operations)[i], caller);
    if (!change) {
      results[i] = std::unexpected(change.error());
      continue;
    }
    if (*key) change->idempotency = stored_key((*key)->item(changes.size()));
    changes.push_back(*std::move(change));
    places.push_back(i);
  }
  auto outcomes = co_await api.service.change_all(std::move(changes));

  bool replayed = false;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    if (!outcomes[i] && outcomes[i].error().code == ErrorCode::kIdempotencyKeyReused) co_return problem(outcomes[i].error());
    replayed = replayed || (outcomes[i] && outcomes[i]->replayed);
    results[places[i]] = std::move(outcomes[i]);
  }
  Response response;
  response.body.reserve(results.size() * 88 + 16);
  JsonWriter json(response.body);
  json.begin_object().key("results").begin_array();
  for (const auto& result : results) {
    if (result) {
      json.begin_object();
      write_outcome(json, *result, true);
      json.end_object();
    } else {
      std::string error;
      http::append_problem(error, result.error());
      json.raw(error);
    }
  }
  json.end_array();
  degraded.write(json);
  json.end_object();
  mark_replayed(response, replayed);
  co_return response;
}

// --- pages ---

Task<Response> merge_posts(LikesApi& api, Request& request, Caller caller) {
  Degraded degraded(api.is_degraded);
  auto merge = MergeRequest::parse(request.body);
  if (!merge) co_return problem(merge.error());
  std::optional<SessionId> session;
  if (merge->session) {
    auto viewing = viewing_session(caller, *merge->session);
    if (!viewing) co_return problem(viewing.error());
    session = *std::move(viewing);
  }
  auto views = co_await api.service.read(merge->ids, std::move(session));
  if (!views) co_return problem(views.error());
  co_return Response{.body = merge->render(*views, bool(degraded))};
}

Task<Response> get_likes_of_session(LikesApi& api, Request& request, Caller caller) {
  Degraded degraded(api.is_degraded);
  auto session = viewing_session(caller, request.path_parameter(0));
  if (!session) co_return problem(session.error());
  auto limit = limit_of(request, likes::kLikesPerSessionMax, likes::kLikesPerSessionMax);
  if (!limit) co_return problem(limit.error());
  auto likes = co_await api.service.likes_of(*std::move(session), *limit);
  if (!likes) co_return problem(likes.error());
  std::vector<std::string> posts;
  posts.reserve(likes->size());
  for (const auto& like : *likes) posts.push_back(like.post);
  auto authors = co_await api.authors_of(std::move(posts));
  if (!authors) co_return problem(authors.error());

  Response response;
  JsonWriter json(response.body);
  json.begin_object().key("likes").begin_array();
  for (std::size_t i = 0; i < likes->size(); ++i) {
    json.begin_object().field("postId", (*likes)[i].post);
    if (!(*authors)[i].empty()) json.field("authorId", (*authors)[i]);
    json.field("likedAt", to_rfc3339((*likes)[i].at)).end_object();
  }
  json.end_array();
  degraded.write(json);
  json.end_object();
  co_return response;
}

// --- administration ---

Task<Response> sync_counter(LikesApi& api, Request& request, Caller /*caller*/) {
  auto post = path_id<PostId>(request, 0, "postId");
  if (!post) co_return problem(post.error());
  auto likes = co_await api.reconciler.sync(*post);
  if (!likes) co_return problem(likes.error());
  Response response;
  JsonWriter(response.body).begin_object().field("postId", post->view()).field("likes", *likes).end_object();
  co_return response;
}

Task<Response> initialize_counters(LikesApi& api, Request& /*request*/, Caller /*caller*/) {
  auto began = std::chrono::steady_clock::now();
  auto report = co_await api.reconciler.initialize();
  if (!report) co_return problem(report.error());
  auto duration = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
  Response response;
  JsonWriter(response.body)
      .begin_object()
      .field("posts", report->posts)
      .field("ratings", report->ratings)
      .field("durationMs", duration.count())
      .end_object();
  co_return response;
}

struct ReconcileRequest {
  std::optional<PostId> post = {};
  likes::Repairs repairs = likes::Repairs::kMade;
};

Result<ReconcileRequest> read_reconcile_request(Request& request) {
  std::optional<std::string> named;
  bool is_dry_run = false;
  if (!request.body.empty()) {
    auto read = read_json_object(request.body, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) -> Result<bool> {
      if (key == "postId") return take(value, key, named);
      if (key != "dryRun") return false;
      auto given = value.boolean(key);
      if (!given) return std::unexpected(given.error());
      is_dry_run = *given;
      return true;
    });
    if (!read) return std::unexpected(read.error());
  }
  ReconcileRequest wanted{.repairs = is_dry_run ? likes::Repairs::kNone : likes::Repairs::kMade};
  if (!named) return wanted;
  auto post = PostId::parse(*named, "postId");
  if (!post) return std::unexpected(post.error());
  wanted.post = *std::move(post);
  return wanted;
}

Task<Response> reconcile_counters(LikesApi& api, Request& request, Caller /*caller*/) {
  auto wanted = read_reconcile_request(request);
  if (!wanted) co_return problem(wanted.error());
  auto report = co_await api.reconciler.reconcile(std::move(wanted->post), wanted->repairs);
  if (!report) co_return problem(report.error());
  co_return Response{.body = to_json(*report)};
}

}  // namespace

std::string to_json(const likes::ReconcileReport& report) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("checked", report.checked).field("drifted", report.drifted).field("repaired", report.repaired);
  json.key("drift").begin_array();
  for (const auto& drift : report.drift) {
    json.begin_object()
        .field("postId", drift.post)
        .field("live", drift.live)
        .field("sql", drift.sql)
        .field("ratings", drift.ratings)
        .end_object();
  }
  json.end_array();
  if (report.drifted > report.drift.size()) json.field("truncated", true);
  json.end_object();
  return out;
}

void add_likes_routes(Routes& routes, LikesApi& api) {
  auto add = [&](Method method, std::string_view pattern, Access access, Task<Response> (*handler)(LikesApi&, Request&, Caller)) {
    routes.add(method, pattern, access,
               [&api, handler](Request& request, Caller caller) { return handler(api, request, std::move(caller)); });
  };
  auto add_change = [&](Method method, LikeAction action) {
    routes.add(method, "/api/posts/{postId}/like", Access::kActAsUser,
               [&api, action](Request& request, Caller caller) { return change_like(api, request, std::move(caller), action); });
  };
  add_change(Method::kPost, LikeAction::kToggle);
  add_change(Method::kPut, LikeAction::kLike);
  add_change(Method::kDelete, LikeAction::kUnlike);
  add(Method::kGet, "/api/posts/{postId}/likes", Access::kPublicRead, get_likes);
  add(Method::kPost, "/api/likes/counts", Access::kPublicRead, get_counts);
  add(Method::kPost, "/api/likes/statuses", Access::kActAsUser, get_statuses);
  add(Method::kPost, "/api/likes/batch", Access::kActAsUser, change_batch);
  add(Method::kPost, "/api/posts/merge", Access::kPublicRead, merge_posts);
  add(Method::kGet, "/api/users/{sessionId}/likes", Access::kActAsUser, get_likes_of_session);
  add(Method::kPost, "/api/admin/counters/{postId}/sync", Access::kAdmin, sync_counter);
  add(Method::kPost, "/api/admin/counters/initialize", Access::kAdmin, initialize_counters);
  add(Method::kPost, "/api/admin/counters/reconcile", Access::kAdmin, reconcile_counters);
}

}  // namespace hearth::api
