#include "hearth/app/dataset/generator.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "hearth/app/dataset/data_line.h"

namespace hearth::app::dataset {
namespace {

using std::chrono::microseconds;

constexpr std::size_t kBytesPerWrite = 1u << 20;
constexpr std::uint64_t kPostsPerAuthor = 50;
constexpr std::uint64_t kAuthorsMax = 100;
constexpr UtcMicros kFirstPostAt{std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)};
constexpr microseconds kPostsLast = std::chrono::days(30);  // all posts are written in this time,
constexpr microseconds kLikesLast = std::chrono::days(60);  // and then all likes come in this time

// Sebastiano Vigna's splitmix64: every bit of the result depends on every bit of `x`, and no two `x` give the same.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  return mix(mix(a) ^ b);
}

// A pseudo-random permutation of 0 … size-1 without a table: a Feistel network on the next even number of bits; a result
// outside is put through again until it is inside, which takes four times on average at worst.
class Permutation {
 public:
  Permutation(std::uint64_t size, std::uint64_t key)
      : size_(size), key_(key), half_bits_((static_cast<int>(std::bit_width(std::max<std::uint64_t>(size, 2) - 1)) + 1) / 2) {}

  std::uint64_t operator()(std::uint64_t index) const {
    do index = pass(index);
    while (index >= size_);
    return index;
  }

 private:
  std::uint64_t pass(std::uint64_t index) const {
    const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
    std::uint64_t left = index >> half_bits_;
    std::uint64_t right = index & mask;
    for (std::uint64_t round = 0; round < 4; ++round) {
      std::uint64_t mixed = left ^ (mix(right ^ key_ ^ (round << 56)) & mask);
      left = right;
      right = mixed;
    }
    return left << half_bits_ | right;
  }

  std::uint64_t size_;
  std::uint64_t key_;
  int half_bits_;
};

// Where the ratings of each post begin, by popularity, and the total behind the last.
std::vector<std::uint64_t> share_out(const GeneratorOptions& options) {
  const std::uint64_t posts = options.posts;
  std::vector<double> weight_from(posts + 1, 0.0);  // the sum of the weights of this post and all less popular ones
  for (std::uint64_t k = posts; k-- > 0;) weight_from[k] = weight_from[k + 1] + std::pow(static_cast<double>(k + 1), -kPopularityExponent);

  std::vector<std::uint64_t> first(posts + 1, 0);
  std::uint64_t left = options.likes;
  for (std::uint64_t k = 0; k < posts; ++k) {
    double weight = weight_from[k] - weight_from[k + 1];
    auto share = static_cast<std::uint64_t>(std::llround(static_cast<double>(left) * (weight / weight_from[k])));
    // No more than there are sessions, and no less than the posts behind it cannot take.
    std::uint64_t room_behind = options.sessions * (posts - k - 1);
    std::uint64_t least = left > room_behind ? left - room_behind : 0;
    share = std::clamp(share, least, std::min(left, options.sessions));
    first[k + 1] = first[k] + share;
    left -= share;
  }
  return first;
}

std::string uuid(std::uint64_t key, std::uint64_t number) {
  std::uint64_t high = mix(key ^ number);
  std::uint64_t low = mix(key + 1, number);
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xffff, high & 0xfff,
                     0x8000 | ((low >> 48) & 0x3fff), low & 0xffff'ffff'ffff);
}

class Generator {
 public:
  Generator(const GeneratorOptions& options, FunctionRef<Result<void>(std::string_view)> write)
      : options_(options),
        write_(write),
        authors_(std::min(kAuthorsMax, (options.posts + kPostsPerAuthor - 1) / kPostsPerAuthor)),
        session_key_(mix(options.seed, 1)),
        post_key_(mix(options.seed, 2)) {}

  Result<void> run() {
    if (auto written = write_users(); !written) return written;
    if (auto written = write_posts(); !written) return written;
    if (auto written = write_ratings(); !written) return written;
    return write_all();
  }

 private:
  Result<void> write_users() {
    for (std::uint64_t number = 1; number <= authors_; ++number) {
      content::User user{.id = UserId::trusted(author(number)), .username = author(number), .created_at = kFirstPostAt};
      append_user(lines_, user);
    }
    return write_if_large();
  }

  Result<void> write_posts() {
    for (std::uint64_t number = 0; number < options_.posts; ++number) {
      std::string name = author(mix(post_key_, number) % authors_ + 1);
      append_post(lines_, {.id = PostId::trusted(post_id(number)),
                           .author = UserId::trusted(name),
                           .author_username = name,
                           .content = "Post number " + std::to_string(number + 1),
                           .created_at = kFirstPostAt + fraction(kPostsLast, number, options_.posts)});
      if (auto written = write_if_large(); !written) return written;
    }
    return {};
  }

  Result<void> write_ratings() {
    if (options_.likes == 0) return {};
    const std::vector<std::uint64_t> first = share_out(options_);
    const Permutation order(options_.likes, mix(options_.seed, 3));
    const Permutation popularity(options_.posts, mix(options_.seed, 4));
    for (std::uint64_t i = 0; i < options_.likes; ++i) {
      std::uint64_t place = order(i);
      auto rank = static_cast<std::uint64_t>(std::ranges::upper_bound(first, place) - first.begin()) - 1;
      std::uint64_t session = Permutation(options_.sessions, mix(session_key_, rank))(place - first[rank]);
      auto at = kFirstPostAt + kPostsLast + fraction(kLikesLast, i, options_.likes);
      append_rating(lines_, post_id(popularity(rank)), uuid(session_key_, session),
                    to_rfc3339(std::chrono::floor<std::chrono::milliseconds>(at)));
      if (auto written = write_if_large(); !written) return written;
    }
    return {};
  }

  // The `number`-th of `count` equal parts of `whole`.
  static microseconds fraction(microseconds whole, std::uint64_t number, std::uint64_t count) {
    return microseconds(
        static_cast<std::int64_t>(static_cast<double>(whole.count()) * (static_cast<double>(number) / static_cast<double>(count))));
  }

  static std::string author(std::uint64_t number) { return "author-" + std::to_string(number); }
  std::string post_id(std::uint64_t number) const {
    return options_.uuid_post_ids ? uuid(post_key_, number) : "post-" + std::to_string(number + 1);
  }

  Result<void> write_if_large() { return lines_.size() < kBytesPerWrite ? Result<void>() : write_all(); }
  Result<void> write_all() {
    auto written = write_(lines_);
    lines_.clear();
    return written;
  }

  const GeneratorOptions options_;
  FunctionRef<Result<void>(std::string_view)> write_;
  const std::uint64_t authors_;
  const std::uint64_t session_key_;
  const std::uint64_t post_key_;
  std::string lines_;
};

Result<void> check(const GeneratorOptions& options) {
  if (options.posts == 0 || options.posts > kGeneratedPostsMax) {
    return invalid("posts", fmt::format("posts must be 1 to {}", kGeneratedPostsMax));
  }
  if (options.sessions > kGeneratedSessionsMax)
    return invalid("sessions", fmt::format("sessions must be at most {}", kGeneratedSessionsMax));
  // The limits above keep the product within 64 bits.
  static_assert(kGeneratedPostsMax <= UINT64_MAX / kGeneratedSessionsMax);
  if (options.likes > options.posts * options.sessions) {
    return invalid("likes", fmt::format("{} posts and {} sessions make only {} different likes, {} were asked for", options.posts,
                                        options.sessions, options.posts * options.sessions, options.likes));
  }
  return {};
}

}  // namespace

Result<void> generate(const GeneratorOptions& options, FunctionRef<Result<void>(std::string_view bytes)> write) {
  if (auto checked = check(options); !checked) return checked;
  return Generator(options, write).run();
}

}  // namespace hearth::app::dataset
