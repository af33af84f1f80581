#pragma once

// The small data set of `hearth serve --demo`: a dozen people, three dozen posts, the visitors who like them, and three
// stories with their chapters, which have been viewed.
//
// The post to look at is `oso-polar`, "Oso polar en su habitat natural" by `lucia_nature`: 446 sessions like it, more than
// any other post. Those who like are visitors, `visitor-001` to `visitor-446`; none of the people likes anything yet.

#include <string>

#include "hearth/base/clock.h"

namespace hearth::app::dataset {

inline constexpr char kDemoPost[] = "oso-polar";
inline constexpr char kDemoAuthor[] = "lucia_nature";
inline constexpr std::uint32_t kDemoPostLikes = 446;
inline constexpr char kDemoStory[] = "ruta-del-hielo";

// The data set as NDJSON (docs/data-format.md). Its times are before `now`, the newest some minutes; all else is always the
// same. Importing it again at another time moves the times of users, posts and stories, so it is imported where kDemoPost is not
// known.
std::string demo_dataset(UtcMicros now);

}  // namespace hearth::app::dataset
