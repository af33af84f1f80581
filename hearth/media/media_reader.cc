#include "hearth/media/media_reader.h"

#include <utility>

#include "hearth/base/thread_name.h"

namespace hearth::media {
namespace {

constexpr std::size_t kThreads = 2;
constexpr std::size_t kQueuedMax = 1'000;

}  // namespace

MediaReader::MediaReader(MediaStore& store) : store_(store), queue_(kQueuedMax) {
  for (std::size_t i = 0; i < kThreads; ++i) threads_.emplace_back([this] { run(); });
}

MediaReader::~MediaReader() {
  stop();
}

Task<Result<std::optional<StoredMedia>>> MediaReader::read(std::string name) {
  if (!is_media_name(name)) co_return std::nullopt;
  co_return co_await when_done<MediaStore>([this](Item item) { submit(std::move(item)); },
                                           [name = std::move(name)](MediaStore& store) { return store.get(name); });
}

void MediaReader::submit(Item item) {
  auto queued = queue_.push(item);
  if (queued) return;
  item->fail(queued.error());
  item->deliver();
}

void MediaReader::run() {
  name_thread("media");
  for (auto taken = queue_.take(1); !taken.empty(); taken = queue_.take(1)) {
    auto& item = *taken.front();
    if (auto done = item.run(store_); !done) item.fail(done.error());
    item.deliver();
  }
}

void MediaReader::stop() {
  queue_.close();
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

}  // namespace hearth::media
