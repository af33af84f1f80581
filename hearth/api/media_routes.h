#pragma once

// Stored images: GET /media/{name}.

#include "hearth/api/routes.h"
#include "hearth/media/media_reader.h"

namespace hearth::api {

// `reader` outlives the router.
void add_media_routes(Routes& routes, media::MediaReader& reader);

}  // namespace hearth::api
