#pragma once

// What users were told, kept until they read it and for a while after.
//
// Thread-safe. Coroutines run on the io_context thread of their caller.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "hearth/base/clock.h"
#include "hearth/base/ids.h"
#include "hearth/base/sql_transaction.h"
#include "hearth/base/task.h"

namespace hearth::notifications {

inline constexpr std::size_t kTitleBytesMax = 256;
inline constexpr std::size_t kBodyBytesMax = 4'000;
inline constexpr std::size_t kTypeBytesMax = 64;

struct NotificationDraft {
  UserId user;
  std::string type = "message";
  std::string title;
  std::optional<std::string> body = {};
  std::optional<std::string> data = {};  // JSON
};

// Limits of a draft; the error names the API's field.
Result<void> check(const NotificationDraft& draft);

class NotificationStore {
 public:
  virtual ~NotificationStore() = default;

  // Stores it within a transaction of others, and returns its id. REQUIRES: checked.
  virtual Result<std::int64_t> add(SqlTransaction transaction, const NotificationDraft& draft, UtcMicros now) = 0;

  // Deletes at most `limit` that were made before `before`, read or not. Returns how many.
  virtual Task<Result<std::size_t>> prune(UtcMicros before, std::size_t limit) = 0;
};

}  // namespace hearth::notifications
