#pragma once

// Moves the likes of plain keys to tagged ones. Before it, what the plain streams held is in SQL, and nobody uses the
// plain keys as Hearth any more. For each post: bring(), load it (which takes the members up), remove(); then remove_rest().
// May be made again after a crash at any point.
//
// Blocks; one thread.

#include <string>
#include <vector>

#include "hearth/drivers/redis/client.h"
#include "hearth/likes/live_posts.h"
#include "hearth/likes/stores/redis/redis_keys.h"

namespace hearth::likes {

class LayoutMove {
 public:
  // The client is admitted. `to`: tagged.
  LayoutMove(redis::Client& client, RedisKeys to) : client_(client), from_(KeyLayout::kPlain, to.partitions()), to_(to) {}

  // The next posts that have plain keys, in no order; "" begins, and is returned at the end.
  Result<LivePosts::Page> scan(const std::string& from);
  // Adds the members of the plain set to the tagged one. Not where both are loaded: then both came from SQL, and a tagged
  // post that was unliked since would get the like back.
  Result<void> bring(const std::string& post);
  Result<void> remove(const std::string& post);
  // The sets of sessions, and the streams.
  Result<void> remove_rest();

 private:
  struct Found {
    std::vector<std::string> keys;
    std::string next;
  };
  Result<Found> scan_keys(const std::string& from, std::string_view pattern);
  Result<void> add(const std::string& post, const std::vector<redis::Reply>& sessions);

  redis::Client& client_;
  const RedisKeys from_;
  const RedisKeys to_;
};

}  // namespace hearth::likes
