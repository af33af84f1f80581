#pragma once

// Who a viewer is without saying it: keyed hashes of what a request says. No address is stored anywhere.
//
// Users are hashed under a key that stays. Anonymous viewers, their address and user agent, are hashed under a key that is
// replaced after a window and ten minutes, so that nobody can tell afterwards who they were; a viewer is looked up under the
// key before as well. All nodes share the keys through SQL. A new key is made ahead of the time from which it is used, so that
// all nodes change over at the same moment.
//
// That moment is not quite the same where clocks differ, and a request may be hashed before it and counted after it. So in the
// kKeyChange before it a viewer is looked up under the key to come. Nobody who was counted under the key before is missed then:
// that was longer ago than a window. Clocks of nodes may differ by as much.

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/clock.h"
#include "hearth/base/guarded.h"
#include "hearth/base/result.h"
#include "hearth/views/view.h"

namespace hearth::views {

inline constexpr std::size_t kViewerKeyBytes = 32;
inline constexpr std::chrono::minutes kKeyChange{5};

// The keys in SQL. It blocks: for background threads and starts. Thread-safe.
class ViewerKeyStore {
 public:
  virtual ~ViewerKeyStore() = default;

  struct Key {
    UtcMicros from{};   // in use from then on, until the next one's; the key of users has none: 0
    std::string bytes;  // kViewerKeyBytes
  };
  // The key that hashes users, made at the first call ever; `proposed` is taken if there is none.
  virtual Result<Key> user_key(const std::string& proposed) = 0;
  // Keys of anonymous viewers, newest first, at least one. Adds `proposed` if the newest key's time is not `after` the given
  // one, in one step: of nodes that do so at once one wins, and all get that. Drops all but the newest four.
  virtual Result<std::vector<Key>> anonymous_keys(const Key& proposed, UtcMicros after) = 0;
};

struct ViewerHash {
  Viewer viewer = 0;
  std::optional<Viewer> previous = {};  // under the key before or, just before a change, the one to come
};

class ViewerKeys {
 public:
  // `window`: how long a viewer counts once.
  ViewerKeys(ViewerKeyStore& store, const Clock& clock, std::chrono::hours window);

  // Reads the keys, and makes the next one in time. Before serving, then once a minute; kUnavailable: SQL is away, and the
  // keys that are known stay in use. Blocks.
  Result<void> refresh();

  // Thread-safe. REQUIRES: refresh() succeeded once.
  Viewer user(std::string_view user) const;
  ViewerHash anonymous(std::string_view address, std::string_view user_agent) const;

 private:
  struct Keys {
    std::string user;
    std::vector<ViewerKeyStore::Key> anonymous;  // newest first
  };

  std::shared_ptr<const Keys> keys() const;

  ViewerKeyStore& store_;
  const Clock& clock_;
  const std::chrono::hours window_;
  mutable Guarded<std::shared_ptr<const Keys>> keys_{nullptr};  // shared with requests that read it
};

}  // namespace hearth::views
