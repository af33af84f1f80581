#pragma once

// The handlers of images: fetch, decode, encode, store.

#include "hearth/app/handlers/built_in.h"
#include "hearth/app/handlers/payloads.h"

namespace hearth::app {

inline constexpr int kPostImageSide = 1'600;  // pixels of the longest side of a post's image

jobs::Outcome process_image(const BuiltInParts& parts, const ProcessImage& payload, const jobs::JobRun& run);
jobs::Outcome generate_thumbnail(const BuiltInParts& parts, const GenerateThumbnail& payload, const jobs::JobRun& run);

}  // namespace hearth::app
