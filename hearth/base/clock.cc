#include "hearth/base/clock.h"

#include <fmt/format.h>
#include <time.h>

#include <charconv>
#include <fstream>
#include <optional>

namespace hearth {
namespace {

using std::chrono::microseconds;

std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  if (at + count > text.size()) return std::nullopt;
  int value = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

// The part after the seconds: a fraction, then "Z" or an offset.
std::optional<microseconds> parse_fraction_and_offset(std::string_view rest) {
  microseconds fraction{0};
  if (rest.starts_with('.')) {
    std::size_t end = 1;
    std::int64_t scale = 100'000;
    for (; end < rest.size() && rest[end] >= '0' && rest[end] <= '9'; ++end, scale /= 10)
      fraction += microseconds((rest[end] - '0') * scale);
    if (end == 1) return std::nullopt;
    rest.remove_prefix(end);
  }
  if (rest == "Z" || rest == "z") return fraction;
  if (rest.size() != 6 || (rest[0] != '+' && rest[0] != '-') || rest[3] != ':') return std::nullopt;
  auto hours = digits(rest, 1, 2);
  auto minutes = digits(rest, 4, 2);
  if (!hours || !minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  auto offset = std::chrono::hours(*hours) + std::chrono::minutes(*minutes);
  return rest[0] == '+' ? fraction - offset : fraction + offset;
}

std::optional<UtcMicros> parse(std::string_view text) {
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't' && text[10] != ' ') || text[13] != ':' ||
      text[16] != ':') {
    return std::nullopt;
  }
  auto year = digits(text, 0, 4);
  auto month = digits(text, 5, 2);
  auto day = digits(text, 8, 2);
  auto hour = digits(text, 11, 2);
  auto minute = digits(text, 14, 2);
  auto second = digits(text, 17, 2);
  auto rest = parse_fraction_and_offset(text.substr(19));
  if (!year || !month || !day || !hour || !minute || !second || !rest) return std::nullopt;
  std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(*month), std::chrono::day(*day)};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  return UtcMicros(std::chrono::sys_days(date)) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second) + *rest;
}

}  // namespace

microseconds SystemClock::boot() const {
  timespec time{};
  clock_gettime(CLOCK_BOOTTIME, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::duration_cast<microseconds>(std::chrono::nanoseconds(time.tv_nsec));
}

std::string SystemClock::boot_id() const {
  std::string id;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
  return id;
}

std::string to_rfc3339(UtcMicros time) {
  auto day = std::chrono::floor<std::chrono::days>(time);
  std::chrono::year_month_day date{day};
  std::chrono::hh_mm_ss clock{std::chrono::floor<std::chrono::milliseconds>(time - day)};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", int(date.year()), unsigned(date.month()), unsigned(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

Result<UtcMicros> parse_rfc3339(std::string_view text, std::string_view field) {
  if (auto time = parse(text)) return *time;
  return invalid(std::string(field), std::string(field) + " must be an RFC 3339 time such as 2026-01-31T12:00:00.000Z");
}

}  // namespace hearth
