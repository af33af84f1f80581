#pragma once

// Reads stored images for coroutines: the store blocks, and an io_context thread must not.
//
// Thread-safe. stop() refuses new reads (kUnavailable), finishes what is queued, and joins; it is safe twice. The io_contexts of
// the coroutines that wait outlive stop().

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "hearth/base/task.h"
#include "hearth/base/work.h"
#include "hearth/media/media_store.h"

namespace hearth::media {

class MediaReader {
 public:
  explicit MediaReader(MediaStore& store);
  ~MediaReader();

  // Nothing if there is no such name, or it is none.
  Task<Result<std::optional<StoredMedia>>> read(std::string name);
  void stop();

 private:
  using Item = std::unique_ptr<WorkItem<MediaStore>>;
  void submit(Item item);
  void run();

  MediaStore& store_;
  WorkQueue<Item> queue_;
  std::vector<std::thread> threads_;
};

}  // namespace hearth::media
