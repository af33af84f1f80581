#include "hearth/app/dataset/importer.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <utility>

#include "hearth/base/assert.h"
#include "hearth/content/username.h"

namespace hearth::app::dataset {
namespace {

constexpr std::size_t kDraftsPerBatch = content::kDraftsPerWriteMax;
constexpr std::size_t kStoriesBytesPerBatch = 4u << 20;  // chapters are long
constexpr std::size_t kRatingsPerBatch = likes::kChangesPerBatchMax;

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

Task<void> wait_with_timer(std::chrono::milliseconds delay) {
  using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;
  Timer timer(co_await boost::asio::this_coro::executor);
  timer.expires_after(delay);
  co_await timer.async_wait(use_task);
}

ImportOptions with_wait(ImportOptions options) {
  if (!options.wait) options.wait = wait_with_timer;
  return options;
}

}  // namespace

Importer::Importer(ImportTarget target, ImportOptions options) : target_(target), options_(with_wait(std::move(options))) {
  HEARTH_ASSERT(target_.likes != nullptr || options_.mode == ImportMode::kCheck);
}

Task<Result<void>> Importer::feed(std::string bytes) {
  std::string_view rest(bytes);
  while (!rest.empty()) {
    auto end = rest.find('\n');
    add_to_line(rest.substr(0, end));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
    end_line();
    if (!is_batch_full()) continue;
    if (auto flushed = co_await flush(); !flushed) co_return flushed;
  }
  co_return Result<void>();
}

Task<Result<void>> Importer::finish() {
  if (has_line_begun_) end_line();
  co_return co_await flush();
}

ImportReport Importer::report() const {
  ImportReport report = report_;
  std::ranges::sort(report.bad, {}, &BadLine::line);
  return report;
}

void Importer::add_to_line(std::string_view part) {
  has_line_begun_ = true;
  if (line_.size() + part.size() > kLineBytesMax) {
    is_line_too_long_ = true;
    line_.clear();
  }
  if (!is_line_too_long_) line_ += part;
}

void Importer::end_line() {
  std::uint64_t number = options_.first_line + report_.lines++;
  bool is_too_long = std::exchange(is_line_too_long_, false);
  has_line_begun_ = false;
  if (is_too_long) {
    add_bad(number, {ErrorCode::kTooLarge, "the line is longer than " + std::to_string(kLineBytesMax) + " bytes"});
  } else if (!is_blank(line_)) {
    std::size_t bytes = line_.size();
    auto parsed = parse_line(line_);
    if (!parsed) {
      add_bad(number, parsed.error());
    } else if (auto* user = std::get_if<content::UserDraft>(&*parsed)) {
      drafts_.push_back({number, std::move(*user)});
    } else if (auto* post = std::get_if<content::PostDraft>(&*parsed)) {
      drafts_.push_back({number, std::move(*post)});
    } else if (auto* story = std::get_if<content::StoryDraft>(&*parsed)) {
      stories_.push_back({number, std::move(*story)});
      stories_bytes_ += bytes;
    } else if (auto* chapter = std::get_if<content::ChapterDraft>(&*parsed)) {
      stories_.push_back({number, std::move(*chapter)});
      stories_bytes_ += bytes;
    } else {
      ratings_.push_back({number, std::move(std::get<Rating>(*parsed))});
    }
  }
  line_.clear();
}

bool Importer::is_batch_full() const {
  return drafts_.size() >= kDraftsPerBatch || stories_.size() >= kDraftsPerBatch || stories_bytes_ >= kStoriesBytesPerBatch ||
         ratings_.size() >= kRatingsPerBatch;
}

Task<Result<void>> Importer::flush() {
  if (options_.mode == ImportMode::kCheck) {
    for (const auto& [line, draft] : stories_) count(draft, content::Change::kCreated);
    stories_.clear();
    stories_bytes_ = 0;
    report_.ratings += ratings_.size();
    ratings_.clear();
    co_return co_await check_drafts();
  }
  if (auto imported = co_await import_drafts(); !imported) co_return imported;
  if (auto imported = co_await import_stories(); !imported) co_return imported;
  co_return co_await import_ratings();
}

// --- importing ---

Task<Result<void>> Importer::import_drafts() {
  if (drafts_.empty()) co_return Result<void>();
  std::vector<content::Draft> drafts;
  drafts.reserve(drafts_.size());
  for (const auto& [line, draft] : drafts_) drafts.push_back(draft);
  auto changes = co_await target_.content.put_all(drafts);
  // Repeating is safe: putting what is there already changes nothing.
  for (std::size_t attempts = 0; !changes; changes = co_await target_.content.put_all(drafts)) {
    if (auto waited = co_await wait_or_give_up(attempts, drafts_.front().line, changes.error()); !waited) co_return waited;
  }
  for (std::size_t i = 0; i < drafts_.size(); ++i) {
    if (const auto& change = (*changes)[i]; change) {
      count(drafts_[i].value, *change);
    } else {
      add_bad(drafts_[i].line, change.error());
    }
  }
  drafts_.clear();
  co_return Result<void>();
}

Task<Result<void>> Importer::import_stories() {
  if (stories_.empty()) co_return Result<void>();
  std::vector<content::AnyStoryDraft> drafts;
  drafts.reserve(stories_.size());
  for (const auto& [line, draft] : stories_) drafts.push_back(draft);
  auto changes = co_await target_.stories.put_all(drafts);
  for (std::size_t attempts = 0; !changes; changes = co_await target_.stories.put_all(drafts)) {
    if (auto waited = co_await wait_or_give_up(attempts, stories_.front().line, changes.error()); !waited) co_return waited;
  }
  for (std::size_t i = 0; i < stories_.size(); ++i) count(stories_[i].value, (*changes)[i]);
  stories_.clear();
  stories_bytes_ = 0;
  co_return Result<void>();
}

Task<Result<void>> Importer::import_ratings() {
  for (std::size_t attempts = 0; !ratings_.empty();) {
    std::vector<likes::LikeChange> changes;
    changes.reserve(ratings_.size());
    for (const auto& [line, rating] : ratings_) {
      changes.push_back({.post = rating.post, .session = rating.session, .action = likes::LikeAction::kLike, .at = rating.at});
    }
    auto outcomes = co_await target_.likes->change_all(std::move(changes));
    Error unavailable;
    // What remains is asked for again. That is safe: a like that did take effect is found to be there.
    if (count_ratings(outcomes, unavailable) > 0) attempts = 0;
    if (ratings_.empty()) break;
    if (auto waited = co_await wait_or_give_up(attempts, ratings_.front().line, unavailable); !waited) co_return waited;
  }
  co_return Result<void>();
}

// Takes those that have an answer off ratings_ and says how many; the others were unavailable.
std::size_t Importer::count_ratings(const std::vector<Result<likes::LikeOutcome>>& outcomes, Error& unavailable) {
  std::vector<Numbered<Rating>> remaining;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const auto& outcome = outcomes[i];
    if (outcome) {
      ++(outcome->changed ? report_.ratings : report_.unchanged);
    } else if (outcome.error().code == ErrorCode::kUnavailable) {
      unavailable = outcome.error();
      remaining.push_back(std::move(ratings_[i]));
    } else {
      add_bad(ratings_[i].line, outcome.error());
    }
  }
  ratings_ = std::move(remaining);
  return outcomes.size() - ratings_.size();
}

Task<Result<void>> Importer::wait_or_give_up(std::size_t& attempts, std::uint64_t line, Error error) {
  if (error.code != ErrorCode::kUnavailable || attempts == kImportAttemptsMax) {
    co_return fail(error.code, "line " + std::to_string(line) + " and what follows: " + error.message);
  }
  // Grows twofold up to the most; one importer needs no jitter.
  auto delay = std::min(kImportWaitMax, kImportWaitFirst * (1 << std::min<std::size_t>(attempts, 10)));
  ++attempts;
  co_await options_.wait(delay);
  co_return Result<void>();
}

void Importer::count(const content::Draft& draft, content::Change change) {
  if (change == content::Change::kUnchanged) {
    ++report_.unchanged;
  } else {
    ++(std::holds_alternative<content::UserDraft>(draft) ? report_.users : report_.posts);
  }
}

void Importer::count(const content::AnyStoryDraft& draft, content::Change change) {
  if (change == content::Change::kUnchanged) {
    ++report_.unchanged;
  } else {
    ++(std::holds_alternative<content::StoryDraft>(draft) ? report_.stories : report_.chapters);
  }
}

void Importer::add_bad(std::uint64_t line, const Error& error) {
  ++report_.bad_total;
  if (report_.bad.size() < kBadLinesListedMax) report_.bad.push_back({line, error.message});
}

// --- checking ---

Task<Result<void>> Importer::check_drafts() {
  for (auto& [line, draft] : drafts_) {
    Result<void> checked;
    if (auto* user = std::get_if<content::UserDraft>(&draft)) {
      checked = co_await check_user(line, std::move(*user));
    } else {
      checked = co_await check_post(line, std::move(std::get<content::PostDraft>(draft)));
    }
    if (!checked) co_return checked;
  }
  drafts_.clear();
  co_return Result<void>();
}

Task<Result<void>> Importer::check_user(std::uint64_t line, content::UserDraft user) {
  std::string key = content::fold_username(user.username);
  auto taken = co_await is_username_taken(user.username, key, user.id);
  if (!taken) co_return std::unexpected(taken.error());
  if (*taken) {
    add_bad(line, {ErrorCode::kConflict, "another user has this username"});
    co_return Result<void>();
  }
  auto& name = name_of_user_[user.id.str()];
  if (!name.empty()) owner_of_name_[name].clear();
  owner_of_name_[key] = user.id.str();
  name = std::move(key);
  ++report_.users;
  co_return Result<void>();
}

Task<Result<bool>> Importer::is_username_taken(std::string username, std::string key, UserId by_other_than) {
  if (auto known = owner_of_name_.find(key); known != owner_of_name_.end()) {
    co_return !known->second.empty() && known->second != by_other_than.view();
  }
  auto owner = co_await target_.pages.user_by_username(std::move(username));
  if (!owner && owner.error().code == ErrorCode::kNotFound) co_return false;
  if (!owner) co_return std::unexpected(owner.error());
  // A user that an earlier line renamed has given the name up.
  co_return owner->id != by_other_than && !name_of_user_.contains(owner->id.view());
}

Task<Result<void>> Importer::check_post(std::uint64_t line, content::PostDraft post) {
  auto known = co_await is_author_known(post.author);
  if (!known) co_return std::unexpected(known.error());
  if (*known) {
    ++report_.posts;
  } else {
    add_bad(line, {ErrorCode::kNotFound, "there is no user " + post.author.str()});
  }
  co_return Result<void>();
}

Task<Result<bool>> Importer::is_author_known(UserId author) {
  if (name_of_user_.contains(author.view()) || authors_in_store_.contains(author.view())) co_return true;
  auto user = co_await target_.pages.user(author);
  if (!user && user.error().code == ErrorCode::kNotFound) co_return false;
  if (!user) co_return std::unexpected(user.error());
  authors_in_store_.insert(author.str());
  co_return true;
}

}  // namespace hearth::app::dataset
