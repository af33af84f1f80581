#pragma once

// What changes in fallback make of what SQL knows: the rules of LikeInbox, the same for every database.
//
// The caller fills in what SQL knows, calls make(), and writes what came of it; all in one transaction that holds the posts
// and the keys.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "hearth/likes/like_inbox.h"

namespace hearth::likes {

struct InboxChanges {
  struct Post {
    std::uint32_t likes = 0;
    std::uint64_t version = 0;
  };
  struct KeptAnswer {
    std::string request;
    LikeOutcome outcome;
  };
  // An operation to append, and the state of its post after it.
  struct Operation {
    std::string post;
    std::string session;
    bool is_liked = false;
    UtcMicros at{};
    Post after;
  };

  // Before make(): every post of the changes, the pairs of post and session that are liked, and the keys that have answers.
  std::map<std::string, Post, std::less<>> posts = {};
  std::set<std::pair<std::string, std::string>> liked = {};
  std::map<std::string, KeptAnswer, std::less<>> answers = {};  // by scope

  // After it: in the order of the changes, and at most one operation of each pair.
  std::vector<Result<LikeOutcome>> outcomes = {};
  std::vector<Operation> operations = {};
  std::vector<AnsweredKey> answered = {};

  void make(const std::vector<LikeChange>& changes, UtcMicros now);

 private:
  LikeOutcome change(const LikeChange& change, UtcMicros now);
  // Nothing: the key has no answer yet.
  std::optional<Result<LikeOutcome>> answer_of(const IdempotencyKey& key) const;
  void keep_last_operations();
};

}  // namespace hearth::likes
