#include "hearth/base/cron.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <vector>

namespace hearth {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::sys_days;

// A year that is divisible by 100 and not by 400 is no leap year: from one 29 February to the next it may be eight years.
constexpr days kLongestWait{9 * 366};

constexpr std::string_view kMonths[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::string_view kDays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    auto end = std::min(text.find_first_of(separators), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::optional<int> parse_number(std::string_view text) {
  int value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

bool is_same_word(std::string_view word, std::string_view lower_case) {
  return std::ranges::equal(word, lower_case, [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
}

}  // namespace

// One of the five, and what it may hold.
struct Cron::Part {
  std::string_view name;
  int first;
  int last;
  std::span<const std::string_view> names = {};  // of the values from `first` on

  std::optional<int> value(std::string_view text) const {
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (is_same_word(text, names[i])) return first + static_cast<int>(i);
    }
    auto number = parse_number(text);
    return number && *number >= first && *number <= last ? number : std::nullopt;
  }
  std::unexpected<Error> wrong(std::string_view text) const {
    return invalid("", std::string(name) + " cannot be \"" + std::string(text) + "\": it takes " + std::to_string(first) + " to " +
                           std::to_string(last) + ", ranges, steps and lists of them, or *");
  }
};

Result<Cron::Values> Cron::parse_field(std::string_view text, const Part& part) {
  Values values;
  if (text.ends_with(',')) return part.wrong(text);
  for (auto item : split(text, ",")) {
    auto slash = item.find('/');
    auto range = item.substr(0, slash);
    auto step = slash == std::string_view::npos ? std::optional(1) : parse_number(item.substr(slash + 1));
    auto dash = range.find('-');
    auto from = range == "*" ? std::optional(part.first) : part.value(range.substr(0, dash));
    auto to = dash != std::string_view::npos                    ? part.value(range.substr(dash + 1))
              : range == "*" || slash != std::string_view::npos ? std::optional(part.last)
                                                                : from;
    if (!from || !to || !step || *from > *to || *step < 1 || *step > part.last) return part.wrong(item);
    for (int value = *from; value <= *to; value += *step) values.set(static_cast<std::size_t>(value));
  }
  return values;
}

Result<Cron> Cron::parse(std::string_view text, std::string_view field) {
  static constexpr Part kParts[] = {{"the minute", 0, 59},
                                    {"the hour", 0, 23},
                                    {"the day of the month", 1, 31},
                                    {"the month", 1, 12, kMonths},
                                    {"the day of the week", 0, 7, kDays}};
  auto fields = split(text, " \t");
  std::erase(fields, "");
  if (fields.size() != std::size(kParts)) {
    return invalid(std::string(field), "five fields are needed: minute, hour, day of month, month, day of week");
  }
  Cron cron;
  Values* const targets[] = {&cron.minutes_, &cron.hours_, &cron.days_of_month_, &cron.months_, &cron.days_of_week_};
  for (std::size_t i = 0; i < fields.size(); ++i) {
    auto values = parse_field(fields[i], kParts[i]);
    if (!values) return invalid(std::string(field), values.error().message);
    *targets[i] = *values;
  }
  if (cron.days_of_week_.test(7)) cron.days_of_week_.set(0);
  cron.is_either_day_enough_ = !fields[2].starts_with('*') && !fields[4].starts_with('*');

  // The longest wait begins in 2096.
  sys_days day = std::chrono::year(2096) / 3 / 1;
  for (sys_days end = day + kLongestWait; day < end; ++day) {
    if (cron.is_due_on(day)) return cron;
  }
  return invalid(std::string(field), "there is no such day in any year");
}

bool Cron::is_due_on(sys_days day) const {
  std::chrono::year_month_day date(day);
  if (!months_.test(static_cast<unsigned>(date.month()))) return false;
  bool is_day_of_month = days_of_month_.test(static_cast<unsigned>(date.day()));
  bool is_day_of_week = days_of_week_.test(std::chrono::weekday(day).c_encoding());
  return is_either_day_enough_ ? is_day_of_month || is_day_of_week : is_day_of_month && is_day_of_week;
}

UtcMicros Cron::next_after(UtcMicros time, const TimeZone& zone) const {
  auto period = zone.period_of(time);
  auto from = std::chrono::floor<minutes>(time + period.offset) + minutes(1);
  while (true) {
    // These minutes were shown before the clocks went back.
    if (!is_any_hour()) from = std::max(from, std::chrono::ceil<minutes>(period.begin + period.offset_before));
    if (auto due = first_due(from, std::chrono::ceil<minutes>(period.end + period.offset))) return *due - period.offset;
    period = zone.period_of(period.end);
    from = std::chrono::ceil<minutes>(period.begin + period.offset);
    if (!is_any_hour() && first_due(std::chrono::ceil<minutes>(period.begin + period.offset_before), from)) return period.begin;
  }
}

std::optional<Cron::Shown> Cron::first_due(Shown from, Shown end) const {
  while (from < end) {
    auto day = std::chrono::floor<days>(from);
    auto hour = std::chrono::floor<hours>(from);
    if (!is_due_on(day)) {
      from = day + days(1);
    } else if (!hours_.test(static_cast<std::size_t>((hour - day).count()))) {
      from = hour + hours(1);
    } else if (!minutes_.test(static_cast<std::size_t>((from - hour).count()))) {
      from += minutes(1);
    } else {
      return from;
    }
  }
  return std::nullopt;
}

}  // namespace hearth
