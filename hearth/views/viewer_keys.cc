#include "hearth/views/viewer_keys.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/base/digest.h"

namespace hearth::views {
namespace {

// What a key that comes late is known ahead, so that all nodes have read it when it is first looked under.
constexpr std::chrono::minutes kKnownAheadMin = 2 * kKeyChange;

std::string random_key() {
  std::array<unsigned char, kViewerKeyBytes> bytes{};
  HEARTH_ASSERT(RAND_bytes(bytes.data(), bytes.size()) == 1);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Viewer hash_with(std::string_view key, std::string_view text) {
  std::string digest = hmac_sha256(key, text);
  Viewer viewer = 0;
  for (std::size_t i = 0; i < sizeof(Viewer); ++i) viewer = (viewer << 8) | static_cast<unsigned char>(digest[i]);
  return viewer;
}

}  // namespace

ViewerKeys::ViewerKeys(ViewerKeyStore& store, const Clock& clock, std::chrono::hours window)
    : store_(store), clock_(clock), window_(window) {
  HEARTH_ASSERT(window_ > std::chrono::hours(0));
}

Result<void> ViewerKeys::refresh() {
  auto now = clock_.now();
  auto user = store_.user_key(random_key());
  if (!user) return std::unexpected(user.error());
  auto anonymous = store_.anonymous_keys({now, random_key()}, UtcMicros::min());
  if (!anonymous) return std::unexpected(anonymous.error());
  // The next key is made when half of the newest one's time is over. Who counted under a key, on a node whose clock was behind
  // even, is looked up under it for a window: until the key to come takes its place.
  auto newest = anonymous->front().from;
  if (newest + window_ / 2 <= now) {
    auto from = std::max<UtcMicros>(newest + window_ + 2 * kKeyChange, now + kKnownAheadMin);
    anonymous = store_.anonymous_keys({from, random_key()}, newest);
    if (!anonymous) return std::unexpected(anonymous.error());
  }
  auto keys = std::make_shared<const Keys>(Keys{std::move(user->bytes), *std::move(anonymous)});
  keys_.with([&](auto& kept) { kept = std::move(keys); });
  return {};
}

std::shared_ptr<const ViewerKeys::Keys> ViewerKeys::keys() const {
  auto keys = keys_.with([](const auto& kept) { return kept; });
  HEARTH_ASSERT(keys);
  return keys;
}

Viewer ViewerKeys::user(std::string_view user) const {
  return hash_with(keys()->user, user);
}

ViewerHash ViewerKeys::anonymous(std::string_view address, std::string_view user_agent) const {
  auto keys = this->keys();
  // Addresses hold no newline: no two visitors have the same text.
  std::string text;
  text.reserve(address.size() + 1 + user_agent.size());
  text.append(address).append(1, '\n').append(user_agent);
  auto now = clock_.now();
  auto in_use = std::ranges::find_if(keys->anonymous, [&](const auto& key) { return key.from <= now; });
  if (in_use == keys->anonymous.end()) --in_use;  // the clock was set back: the oldest
  ViewerHash hash{.viewer = hash_with(in_use->bytes, text)};
  auto other = std::next(in_use);
  if (in_use != keys->anonymous.begin() && std::prev(in_use)->from <= now + kKeyChange) other = std::prev(in_use);
  if (other != keys->anonymous.end()) hash.previous = hash_with(other->bytes, text);
  return hash;
}

}  // namespace hearth::views
