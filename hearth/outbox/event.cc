#include "hearth/outbox/event.h"

#include <cstring>

#include "hearth/base/assert.h"
#include "hearth/base/ids.h"

namespace hearth::outbox {
namespace {

// The fixed part of an event on disk, little-endian, followed by the post's and the session's bytes.
// A change of layout takes a new `kind`, so that a journal written by an older Hearth can still be read.
struct Head {
  std::uint8_t kind;
  std::uint8_t is_liked;
  std::uint8_t post_bytes;
  std::uint8_t session_bytes;
  std::uint32_t likes;
  std::uint64_t version;
  std::uint64_t previous;
  std::int64_t at_micros;
};
static_assert(sizeof(Head) == 32, "no padding");
static_assert(std::endian::native == std::endian::little, "the journal is little-endian");
static_assert(kIdBytesMax <= 255);

constexpr std::uint8_t kLikeChanged = 1;

}  // namespace

void encode(const LikeChanged& event, std::string& batch) {
  HEARTH_ASSERT(is_valid_id(event.post) && is_valid_id(event.session));
  Head head{.kind = kLikeChanged,
            .is_liked = event.is_liked,
            .post_bytes = static_cast<std::uint8_t>(event.post.size()),
            .session_bytes = static_cast<std::uint8_t>(event.session.size()),
            .likes = event.likes,
            .version = event.version,
            .previous = event.previous,
            .at_micros = event.at.time_since_epoch().count()};
  batch.append(reinterpret_cast<const char*>(&head), sizeof head);
  batch.append(event.post);
  batch.append(event.session);
}

Result<void> decode(std::string_view batch, FunctionRef<void(const LikeChanged&)> use) {
  while (!batch.empty()) {
    Head head;
    if (batch.size() < sizeof head) return fail(ErrorCode::kInternal, "journal: an event is cut short");
    std::memcpy(&head, batch.data(), sizeof head);
    batch.remove_prefix(sizeof head);
    std::size_t text = std::size_t{head.post_bytes} + head.session_bytes;
    if (head.kind != kLikeChanged)
      return fail(ErrorCode::kInternal, "journal: an event of unknown kind; was it written by a newer Hearth?");
    if (batch.size() < text) return fail(ErrorCode::kInternal, "journal: an event is cut short");

    LikeChanged event{.post = batch.substr(0, head.post_bytes),
                      .session = batch.substr(head.post_bytes, head.session_bytes),
                      .version = head.version,
                      .previous = head.previous,
                      .likes = head.likes,
                      .is_liked = head.is_liked != 0,
                      .at = UtcMicros(std::chrono::microseconds(head.at_micros))};
    if (!is_valid_id(event.post) || !is_valid_id(event.session)) return fail(ErrorCode::kInternal, "journal: an event holds a damaged id");
    use(event);
    batch.remove_prefix(text);
  }
  return {};
}

}  // namespace hearth::outbox
