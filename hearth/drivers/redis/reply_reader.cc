#include "hearth/drivers/redis/reply_reader.h"

#include <algorithm>
#include <new>
#include <utility>

namespace hearth::redis {

// A reply is built where it belongs: the root here, an element at the end of its parent's. Only the last element of an
// array is ever unfinished, so growing the array moves none that hiredis still points to.
redisReplyObjectFunctions ReplyReader::functions_ = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = create_integer,
    .createNil = create_nil,
    .freeObject = [](void*) {},
};

ReplyReader::ReplyReader() : reader_(redisReaderCreateWithFunctions(&functions_)) {
  if (!reader_) throw std::bad_alloc();
  reader_->privdata = root_.get();
  reader_->maxbuf = 4 * kFeedMax;  // kept between replies
}

void ReplyReader::feed(std::string_view bytes) {
  redisReaderFeed(reader_.get(), bytes.data(), bytes.size());
}

Result<std::optional<Reply>> ReplyReader::next() {
  void* complete = nullptr;
  if (redisReaderGetReply(reader_.get(), &complete) != REDIS_OK) return fail(ErrorCode::kUnavailable, reader_->errstr);
  if (complete != nullptr) return std::exchange(*root_, Reply{});
  if (reader_->len - reader_->pos > kReplyBytesMax) return fail(ErrorCode::kUnavailable, "a reply is too large");
  return std::nullopt;
}

Reply* ReplyReader::add(const redisReadTask* task, Reply::Type type) {
  Reply* reply = static_cast<Reply*>(task->privdata);
  if (task->parent != nullptr) reply = &static_cast<Reply*>(task->parent->obj)->elements.emplace_back();
  reply->type = type;
  return reply;
}

void* ReplyReader::create_string(const redisReadTask* task, char* text, std::size_t size) {
  Reply* reply = add(task, task->type == REDIS_REPLY_ERROR ? Reply::Type::kError : Reply::Type::kText);
  reply->text.assign(text, size);
  return reply;
}

void* ReplyReader::create_array(const redisReadTask* task, int elements) {
  constexpr int kReservedMax = 4096;  // more only once they come
  if (elements > kElementsMax) return nullptr;
  Reply* reply = add(task, Reply::Type::kArray);
  reply->elements.reserve(static_cast<std::size_t>(std::min(elements, kReservedMax)));
  return reply;
}

void* ReplyReader::create_integer(const redisReadTask* task, long long value) {
  Reply* reply = add(task, Reply::Type::kInteger);
  reply->integer = value;
  return reply;
}

void* ReplyReader::create_nil(const redisReadTask* task) {
  return add(task, Reply::Type::kNil);
}

}  // namespace hearth::redis
