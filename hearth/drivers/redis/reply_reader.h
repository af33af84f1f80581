#pragma once

// Replies from bytes, by hiredis' parser. One thread.
//
// Limits: arrays nest up to 7 deep (hiredis' own limit); kReplyBytesMax and kElementsMax are ours. What is over them, or
// is no RESP2, ends the connection.

#include <hiredis/read.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "hearth/base/result.h"
#include "hearth/drivers/redis/client.h"

namespace hearth::redis {

inline constexpr std::size_t kReplyBytesMax = 512u << 20;  // Redis' own limit of one string
inline constexpr int kElementsMax = 1 << 24;               // of one array

class ReplyReader {
 public:
  ReplyReader();

  // The bytes are copied; up to kFeedMax at a time, with next() called until it returns nothing.
  void feed(std::string_view bytes);
  // The next complete reply. An error reply is a Reply too. Fails once and for all.
  Result<std::optional<Reply>> next();

  static constexpr std::size_t kFeedMax = 16u << 10;

 private:
  struct Free {
    void operator()(redisReader* reader) const { redisReaderFree(reader); }
  };
  static Reply* add(const redisReadTask* task, Reply::Type type);
  static void* create_string(const redisReadTask* task, char* text, std::size_t size);
  static void* create_array(const redisReadTask* task, int elements);
  static void* create_integer(const redisReadTask* task, long long value);
  static void* create_nil(const redisReadTask* task);
  static redisReplyObjectFunctions functions_;

  std::unique_ptr<Reply> root_ = std::make_unique<Reply>();  // hiredis keeps its address
  std::unique_ptr<redisReader, Free> reader_;
};

}  // namespace hearth::redis
