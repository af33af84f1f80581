#include "hearth/api/media_routes.h"

#include <utility>

#include "hearth/media/image.h"

namespace hearth::api {
namespace {

using http::problem;
using http::Request;
using http::Response;

// Names are made of the content, so what was read once never changes. Of types, browsers take only what we say.
Task<Response> get_media(media::MediaReader& reader, Request& request) {
  auto stored = co_await reader.read(request.path_parameter(0));
  if (!stored) co_return problem(stored.error());
  if (!*stored) co_return problem({ErrorCode::kNotFound, "there is no such image", "name"});
  bool is_jpeg = (*stored)->media_type == media::media_type(media::ImageFormat::kJpeg);
  Response response{.body = std::move((*stored)->bytes),
                    .content_type = media::media_type(is_jpeg ? media::ImageFormat::kJpeg : media::ImageFormat::kWebp)};
  response.headers = {{"Cache-Control", "public, max-age=31536000, immutable"},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Content-Security-Policy", "default-src 'none'"}};
  co_return response;
}

}  // namespace

void add_media_routes(Routes& routes, media::MediaReader& reader) {
  routes.add(http::Method::kGet, "/media/{name}", auth::Access::kPublicRead,
             [&reader](Request& request, const auth::Caller&) { return get_media(reader, request); });
}

}  // namespace hearth::api
