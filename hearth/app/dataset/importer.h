#pragma once

// Reads NDJSON (docs/data-format.md) into the stores, line by line, through the same doors as requests.
//
//   Importer importer({content, pages, likes}, {});
//   while (…) if (auto fed = co_await importer.feed(chunk); !fed) …
//   if (auto done = co_await importer.finish(); !done) …
//   importer.report()
//
// A bad line is reported with its number and reason, and skipped; the others are imported. Importing again changes
// nothing: users, posts, stories and chapters are made what they are, a number of views is never made smaller, and a like
// that is there stays as it is. So after a failure of feed()
// or finish() (a store stays unavailable) the whole input can simply be imported again.
//
// What a line refers to must be there before it: a post's author in the store or in an earlier line. A rating may name a
// post that is not known, as its content may live elsewhere; so may a chapter's story and a story's author.
//
// Mode::kCheck reads everything the same way and writes nothing. It finds the lines that an import of the same input into
// the same stores would find bad. It remembers the ids and names of the input's users, about 200 bytes each.
//
// One coroutine at a time.

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/app/dataset/data_line.h"
#include "hearth/base/hash.h"
#include "hearth/base/task.h"
#include "hearth/content/content_pages.h"
#include "hearth/content/content_store.h"
#include "hearth/content/story_store.h"
#include "hearth/likes/like_store.h"

namespace hearth::app::dataset {

inline constexpr std::size_t kBadLinesListedMax = 1'000;  // all are counted
inline constexpr std::size_t kImportAttemptsMax = 20;     // of one write without progress, while the store is unavailable
inline constexpr std::chrono::milliseconds kImportWaitFirst{50};
inline constexpr std::chrono::milliseconds kImportWaitMax{2'000};

struct BadLine {
  std::uint64_t line = 0;
  std::string reason;

  friend bool operator==(const BadLine&, const BadLine&) = default;
};

// lines = users + posts + stories + chapters + ratings + unchanged + bad_total + empty ones.
struct ImportReport {
  std::uint64_t lines = 0;
  std::uint64_t users = 0;      // created or changed; when checking: good lines
  std::uint64_t posts = 0;      //
  std::uint64_t stories = 0;    //
  std::uint64_t chapters = 0;   //
  std::uint64_t ratings = 0;    //
  std::uint64_t unchanged = 0;  // good lines that said what was there already; when checking: none
  std::uint64_t bad_total = 0;
  std::vector<BadLine> bad;  // by line; the first kBadLinesListedMax that were found
};

struct ImportTarget {
  content::ContentStore& content;
  content::ContentPages& pages;
  content::StoryStore& stories;
  likes::LikeStore* likes;  // null only when checking
};

enum class ImportMode : std::uint8_t { kImport, kCheck };

struct ImportOptions {
  ImportMode mode = ImportMode::kImport;
  std::uint64_t first_line = 1;  // the number of the first line, where the input is a part of a larger one
  // Waits while a store is unavailable. Empty: a timer. Tests pass one that does not wait.
  std::function<Task<void>(std::chrono::milliseconds)> wait = {};
};

class Importer {
 public:
  Importer(ImportTarget target, ImportOptions options);

  // The next bytes; lines may be cut anywhere. kUnavailable: a store did not recover; earlier lines may be imported.
  Task<Result<void>> feed(std::string bytes);
  // The end of the input: the last line needs no newline.
  Task<Result<void>> finish();

  // Complete after finish().
  ImportReport report() const;

 private:
  template <typename T>
  struct Numbered {
    std::uint64_t line = 0;
    T value;
  };

  void add_to_line(std::string_view part);
  void end_line();
  bool is_batch_full() const;
  Task<Result<void>> flush();
  Task<Result<void>> import_drafts();
  Task<Result<void>> import_stories();
  Task<Result<void>> import_ratings();
  Task<Result<void>> check_drafts();
  Task<Result<void>> check_user(std::uint64_t line, content::UserDraft user);
  Task<Result<void>> check_post(std::uint64_t line, content::PostDraft post);
  Task<Result<bool>> is_username_taken(std::string username, std::string key, UserId by_other_than);
  Task<Result<bool>> is_author_known(UserId author);
  Task<Result<void>> wait_or_give_up(std::size_t& attempts, std::uint64_t line, Error error);
  std::size_t count_ratings(const std::vector<Result<likes::LikeOutcome>>& outcomes, Error& unavailable);
  void count(const content::Draft& draft, content::Change change);
  void count(const content::AnyStoryDraft& draft, content::Change change);
  void add_bad(std::uint64_t line, const Error& error);

  const ImportTarget target_;
  const ImportOptions options_;
  ImportReport report_;

  std::string line_;  // the line that has begun
  bool is_line_too_long_ = false;
  bool has_line_begun_ = false;
  std::vector<Numbered<content::Draft>> drafts_;
  std::vector<Numbered<content::AnyStoryDraft>> stories_;
  std::size_t stories_bytes_ = 0;  // of their lines
  std::vector<Numbered<Rating>> ratings_;

  // When checking: what the input has made of usernames so far. A name without owner was given up.
  boost::unordered_flat_map<std::string, std::string, TextHash, std::equal_to<>> owner_of_name_;
  boost::unordered_flat_map<std::string, std::string, TextHash, std::equal_to<>> name_of_user_;
  boost::unordered_flat_set<std::string, TextHash, std::equal_to<>> authors_in_store_;
};

}  // namespace hearth::app::dataset
