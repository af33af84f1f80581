#include "hearth/outbox/event.h"

#include <bit>

#include "hearth/base/assert.h"
#include "hearth/base/ids.h"

namespace hearth::outbox {
namespace {

// The fixed part of an event on disk, little-endian, followed by the bytes of its ids. Its first byte is the kind.
// A change of layout takes a new `kind`, so that a journal written by an older Hearth can still be read.
struct LikeHead {
  std::uint8_t kind;
  std::uint8_t is_liked;
  std::uint8_t post_bytes;
  std::uint8_t session_bytes;
  std::uint32_t likes;
  std::uint64_t version;
  std::uint64_t previous;
  std::int64_t at_micros;
};
static_assert(sizeof(LikeHead) == 32, "no padding");

struct ViewHead {
  std::uint8_t kind;
  std::uint8_t item_kind;
  std::uint8_t step;
  std::uint8_t item_bytes;
  std::uint32_t unused;
  std::uint64_t viewer;
  std::int64_t at_micros;
  std::int64_t recorded_at_micros;
  std::uint64_t views;
  std::uint64_t buffered;
  std::uint64_t direct;
};
static_assert(sizeof(ViewHead) == 56, "no padding");
static_assert(std::endian::native == std::endian::little, "the journal is little-endian");
static_assert(kIdBytesMax <= 255);

constexpr std::uint8_t kLikeChanged = 1;
constexpr std::uint8_t kViewed = 2;

UtcMicros to_time(std::int64_t micros) {
  return UtcMicros(std::chrono::microseconds(micros));
}

// Takes an event off the front of a batch.
class Reader {
 public:
  explicit Reader(std::string_view batch) : rest_(batch) {}

  bool is_at_end() const { return rest_.empty(); }
  std::uint8_t kind() const { return static_cast<std::uint8_t>(rest_.front()); }

  template <typename Head>
  bool take(Head& head) {
    if (rest_.size() < sizeof head) return false;
    rest_.copy(reinterpret_cast<char*>(&head), sizeof head);
    rest_.remove_prefix(sizeof head);
    return true;
  }
  bool take(std::string_view& text, std::size_t size) {
    if (rest_.size() < size) return false;
    text = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

 private:
  std::string_view rest_;
};

std::unexpected<Error> cut_short() {
  return fail(ErrorCode::kInternal, "journal: an event is cut short");
}
std::unexpected<Error> damaged_id() {
  return fail(ErrorCode::kInternal, "journal: an event holds a damaged id");
}

Result<LikeChanged> take_like(Reader& reader) {
  LikeHead head;
  LikeChanged event;
  if (!reader.take(head) || !reader.take(event.post, head.post_bytes) || !reader.take(event.session, head.session_bytes))
    return cut_short();
  if (!is_valid_id(event.post) || !is_valid_id(event.session)) return damaged_id();
  event.version = head.version;
  event.previous = head.previous;
  event.likes = head.likes;
  event.is_liked = head.is_liked != 0;
  event.at = to_time(head.at_micros);
  return event;
}

Result<Viewed> take_view(Reader& reader) {
  ViewHead head;
  Viewed event;
  if (!reader.take(head) || !reader.take(event.item, head.item_bytes)) return cut_short();
  if (!is_valid_id(event.item)) return damaged_id();
  if (head.step > static_cast<std::uint8_t>(ViewStep::kWritten))
    return fail(ErrorCode::kInternal, "journal: an event holds a damaged step");
  event.kind = head.item_kind;
  event.step = static_cast<ViewStep>(head.step);
  event.viewer = head.viewer;
  event.at = to_time(head.at_micros);
  event.recorded_at = to_time(head.recorded_at_micros);
  event.views = head.views;
  event.buffered = head.buffered;
  event.direct = head.direct;
  return event;
}

template <typename UseLike, typename UseView>
Result<void> decode_all(std::string_view batch, UseLike use_like, UseView use_view) {
  for (Reader reader(batch); !reader.is_at_end();) {
    switch (reader.kind()) {
      case kLikeChanged: {
        auto event = take_like(reader);
        if (!event) return std::unexpected(event.error());
        use_like(*event);
        break;
      }
      case kViewed: {
        auto event = take_view(reader);
        if (!event) return std::unexpected(event.error());
        use_view(*event);
        break;
      }
      default:
        return fail(ErrorCode::kInternal, "journal: an event of unknown kind; was it written by a newer Hearth?");
    }
  }
  return {};
}

template <typename Head>
void append(std::string& batch, const Head& head) {
  batch.append(reinterpret_cast<const char*>(&head), sizeof head);
}

}  // namespace

void encode(const LikeChanged& event, std::string& batch) {
  HEARTH_ASSERT(is_valid_id(event.post) && is_valid_id(event.session));
  append(batch, LikeHead{.kind = kLikeChanged,
                         .is_liked = event.is_liked,
                         .post_bytes = static_cast<std::uint8_t>(event.post.size()),
                         .session_bytes = static_cast<std::uint8_t>(event.session.size()),
                         .likes = event.likes,
                         .version = event.version,
                         .previous = event.previous,
                         .at_micros = event.at.time_since_epoch().count()});
  batch.append(event.post);
  batch.append(event.session);
}

void encode(const Viewed& event, std::string& batch) {
  HEARTH_ASSERT(is_valid_id(event.item));
  append(batch, ViewHead{.kind = kViewed,
                         .item_kind = event.kind,
                         .step = static_cast<std::uint8_t>(event.step),
                         .item_bytes = static_cast<std::uint8_t>(event.item.size()),
                         .unused = 0,
                         .viewer = event.viewer,
                         .at_micros = event.at.time_since_epoch().count(),
                         .recorded_at_micros = event.recorded_at.time_since_epoch().count(),
                         .views = event.views,
                         .buffered = event.buffered,
                         .direct = event.direct});
  batch.append(event.item);
}

Result<void> decode(std::string_view batch, FunctionRef<void(const LikeChanged&)> use) {
  return decode_all(batch, use, [](const Viewed&) {});
}

Result<void> decode(std::string_view batch, FunctionRef<void(const Viewed&)> use) {
  return decode_all(batch, [](const LikeChanged&) {}, use);
}

}  // namespace hearth::outbox
