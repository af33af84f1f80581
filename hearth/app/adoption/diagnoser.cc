#include "hearth/app/adoption/diagnoser.h"

#include <algorithm>
#include <utility>

namespace hearth::app::adoption {
namespace {

constexpr std::size_t kPostsPerPage = 500;
constexpr int kLooksMax = 10;  // at posts that change all the time

// A post of which SQL's own numbers differ is listed already; the live ones are added there.
CountDrift& listed(Diagnosis& diagnosis, const std::string& post) {
  auto& list = diagnosis.drift.listed;
  auto found = std::ranges::find(list, post, &CountDrift::post);
  return found == list.end() ? list.emplace_back(CountDrift{.post = post}) : *found;
}

}  // namespace

Task<Result<Diagnosis>> Diagnoser::diagnose() {
  auto diagnosis = co_await sql_.diagnose();
  if (!diagnosis || !live_.counts) co_return diagnosis;
  auto compared = co_await compare_live(*diagnosis);
  if (!compared && diagnosis->drift.not_possible.empty())
    diagnosis->drift.not_possible = "live state cannot be compared: " + compared.error().message;
  co_return diagnosis;
}

Task<Result<void>> Diagnoser::compare_live(Diagnosis& diagnosis) {
  if (auto settled = co_await live_.settle(); !settled) co_return settled;
  std::string after;
  for (;;) {
    auto page = co_await sql_.rated_after(after, kPostsPerPage);
    if (!page) co_return std::unexpected(page.error());
    if (page->empty()) break;
    after = page->back().post;
    if (auto compared = co_await compare(*std::move(page), diagnosis); !compared) co_return compared;
  }
  std::string from;
  do {
    auto next = co_await compare_unknown(std::move(from), diagnosis);
    if (!next) co_return std::unexpected(next.error());
    from = *std::move(next);
  } while (!from.empty());
  co_return Result<void>{};
}

Task<Result<std::vector<Diagnoser::Compared>>> Diagnoser::differing(std::vector<RatedPost> page) {
  std::vector<std::string> names;
  names.reserve(page.size());
  for (const auto& post : page) names.push_back(post.post);
  auto live = co_await live_.counts(std::move(names));
  if (!live) co_return std::unexpected(live.error());
  std::vector<Compared> found;
  for (std::size_t i = 0; i < page.size(); ++i) {
    const auto& one = (*live)[i];
    if (one && (one->likes != page[i].ratings || one->members != page[i].ratings)) found.push_back({std::move(page[i]), *one});
  }
  co_return found;
}

// What differs is looked at again after a flush: the same numbers at the same versions have nothing to do with one.
Task<Result<void>> Diagnoser::compare(std::vector<RatedPost> page, Diagnosis& diagnosis) {
  auto suspects = co_await differing(std::move(page));
  if (!suspects) co_return std::unexpected(suspects.error());
  for (int look = 0; look < kLooksMax && !suspects->empty(); ++look) {
    if (auto settled = co_await live_.settle(); !settled) co_return settled;
    std::vector<std::string> names;
    for (const auto& suspect : *suspects) names.push_back(suspect.sql.post);
    auto sql = co_await sql_.rated(std::move(names));
    if (!sql) co_return std::unexpected(sql.error());
    auto again = co_await differing(*std::move(sql));
    if (!again) co_return std::unexpected(again.error());
    std::vector<Compared> moving;
    for (auto& now : *again) {
      auto before = std::ranges::find(*suspects, now.sql.post, [](const Compared& one) { return one.sql.post; });
      bool is_at_rest = before->sql == now.sql && before->live.version == now.live.version && before->live.likes == now.live.likes;
      if (!is_at_rest) {
        moving.push_back(std::move(now));
        continue;
      }
      if (diagnosis.drift.listed.size() == kListedMax) {
        ++diagnosis.drift.total;
        continue;
      }
      auto listed_before = diagnosis.drift.listed.size();
      auto& drift = listed(diagnosis, now.sql.post);
      diagnosis.drift.total += diagnosis.drift.listed.size() - listed_before;
      drift.ratings = now.sql.ratings;
      drift.live = now.live.likes;
      drift.members = now.live.members;
    }
    *suspects = std::move(moving);
  }
  co_return Result<void>{};
}

// Posts of the live store that have no ratings.
Task<Result<std::string>> Diagnoser::compare_unknown(std::string from, Diagnosis& diagnosis) {
  auto page = co_await live_.scan(std::move(from));
  if (!page) co_return std::unexpected(page.error());
  if (page->posts.empty()) co_return std::move(page->next);
  auto sql = co_await sql_.rated(page->posts);
  if (!sql) co_return std::unexpected(sql.error());
  std::erase_if(*sql, [](const RatedPost& post) { return post.ratings != 0; });
  if (auto compared = co_await compare(*std::move(sql), diagnosis); !compared) co_return std::unexpected(compared.error());
  co_return std::move(page->next);
}

}  // namespace hearth::app::adoption
