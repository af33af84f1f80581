#include "hearth/base/cron.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace hearth {
namespace {

UtcMicros at(const char* time) {
  return parse_rfc3339(time, "time").value();
}

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;

TimeZone zone(std::string_view name) {
  return TimeZone::find(name, "zone").value();
}

struct Case {
  const char* cron;
  const char* after;
  const char* next;
};

TEST(Cron, TheNextMomentIsTheFirstThatAllFieldsAllow) {
  const Case cases[] = {
      {"* * * * *", "2026-11-21T02:13:00Z", "2026-11-21T02:14:00Z"},
      {"* * * * *", "2026-11-21T02:13:59.999999Z", "2026-11-21T02:14:00Z"},
      {"0 */6 * * *", "2026-11-21T02:13:00Z", "2026-11-21T06:00:00Z"},
      {"0 */6 * * *", "2026-11-21T06:00:00Z", "2026-11-21T12:00:00Z"},
      {"0 */6 * * *", "2026-11-21T18:00:01Z", "2026-11-22T00:00:00Z"},
      {"15,45 8-18/5 * * *", "2026-11-21T08:45:00Z", "2026-11-21T13:15:00Z"},
      {"15,45 8-18/5 * * *", "2026-11-21T18:45:00Z", "2026-11-22T08:15:00Z"},
      {"5/20 * * * *", "2026-11-21T10:25:00Z", "2026-11-21T10:45:00Z"},
      {"5/20 * * * *", "2026-11-21T10:45:00Z", "2026-11-21T11:05:00Z"},
      {"0 0 1 jan *", "2026-11-21T00:00:00Z", "2027-01-01T00:00:00Z"},
      {"0 0 1 JAN-mar *", "2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"},
      {"30 9 * * mon-fri", "2026-11-20T09:30:00Z", "2026-11-23T09:30:00Z"},  // from a Friday to the Monday
      {"0 0 * * 0", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"},
      {"0 0 * * 7", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"},
      {"0 0 * * Sat,sun", "2026-11-22T00:00:00Z", "2026-11-28T00:00:00Z"},
      {"0 0 13 * fri", "2026-11-10T00:00:00Z", "2026-11-13T00:00:00Z"},  // either day is enough
      {"0 0 13 * fri", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"},
      {"0 0 13 * */2", "2026-11-13T00:00:00Z", "2026-12-13T00:00:00Z"},  // a star restricts nothing: both must hold
      {"0 0 31 * *", "2026-11-21T00:00:00Z", "2026-12-31T00:00:00Z"},
      {"0 0 31 * *", "2027-01-31T00:00:00Z", "2027-03-31T00:00:00Z"},
      {"0 0 29 2 *", "2026-11-21T00:00:00Z", "2028-02-29T00:00:00Z"},
      {"0 0 29 feb *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"},
      {"59 23 31 12 *", "2026-12-31T23:59:00Z", "2027-12-31T23:59:00Z"},
      {"  0\t12  *  * * ", "2026-11-21T00:00:00Z", "2026-11-21T12:00:00Z"},
  };
  for (const auto& [cron, after, next] : cases) {
    auto parsed = Cron::parse(cron, "cron");
    ASSERT_TRUE(parsed) << cron << ": " << parsed.error().message;
    EXPECT_EQ(to_rfc3339(parsed->next_after(at(after))), to_rfc3339(at(next))) << cron << " after " << after;
  }
}

// Clocks of Berlin skip 02:00 to 03:00 on 2026-03-29 and show it twice on 2026-10-25; those of New York on 2026-03-08 and, from
// 01:00 to 02:00, on 2026-11-01; those of Lord Howe skip 02:00 to 02:30 on 2026-10-04 and show 01:30 to 02:00 twice on 2026-04-05.
TEST(Cron, FollowsTheClocksOfATimeZone) {
  const struct {
    const char* zone;
    const char* cron;
    const char* after;
    std::vector<const char*> next;
  } cases[] = {
      {"UTC", "30 2 * * *", "2026-03-29T01:00:00Z", {"2026-03-29T02:30:00Z", "2026-03-30T02:30:00Z"}},
      {"Europe/Berlin", "0 9 * * *", "2026-03-28T00:00:00Z", {"2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z"}},
      // A time of the day that is skipped comes after the gap, and all of them once.
      {"Europe/Berlin", "30 2 * * *", "2026-03-28T01:30:00Z", {"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
      {"Europe/Berlin", "*/10 2 * * *", "2026-03-28T01:50:00Z", {"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"}},
      {"Europe/Berlin", "0 2,3 * * *", "2026-03-29T00:00:00Z", {"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"}},
      {"Europe/Berlin", "30 2 * * mon", "2026-03-28T00:00:00Z", {"2026-03-30T00:30:00Z"}},
      {"Europe/Berlin", "30 2 29 3 *", "2026-03-28T00:00:00Z", {"2026-03-29T01:00:00Z", "2027-03-29T00:30:00Z"}},
      // A rhythm leaves out what is skipped.
      {"Europe/Berlin", "*/30 * * * *", "2026-03-29T00:00:00Z", {"2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"}},
      {"Europe/Berlin", "30 * * * *", "2026-03-29T00:00:00Z", {"2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"}},
      {"Europe/Berlin", "30 0-23 * * *", "2026-03-29T00:00:00Z", {"2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"}},
      // A time of the day that comes twice counts once, and a rhythm goes on.
      {"Europe/Berlin", "30 2 * * *", "2026-10-24T12:00:00Z", {"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
      {"Europe/Berlin", "30 2 * * *", "2026-10-25T01:00:00Z", {"2026-10-26T01:30:00Z"}},
      {"Europe/Berlin", "30 2,3 * * *", "2026-10-25T00:30:00Z", {"2026-10-25T02:30:00Z", "2026-10-26T01:30:00Z"}},
      {"Europe/Berlin", "30 * * * *", "2026-10-25T00:00:00Z", {"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"}},
      {"Europe/Berlin",
       "*/30 * * * *",
       "2026-10-25T00:00:00Z",
       {"2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"}},
      {"America/New_York", "15 2 * * *", "2026-03-07T12:00:00Z", {"2026-03-08T07:00:00Z", "2026-03-09T06:15:00Z"}},
      {"America/New_York", "15 1 * * *", "2026-10-31T12:00:00Z", {"2026-11-01T05:15:00Z", "2026-11-02T06:15:00Z"}},
      {"America/New_York", "0 0 * * *", "2026-10-31T12:00:00Z", {"2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"}},
      {"America/New_York", "15 * * * *", "2026-11-01T05:00:00Z", {"2026-11-01T05:15:00Z", "2026-11-01T06:15:00Z", "2026-11-01T07:15:00Z"}},
      // Half an hour.
      {"Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00:00:00Z", {"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"}},
      {"Australia/Lord_Howe", "45 2 * * *", "2026-10-03T00:00:00Z", {"2026-10-03T15:45:00Z"}},
      {"Australia/Lord_Howe", "45 1 * * *", "2026-04-04T00:00:00Z", {"2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"}},
      {"Australia/Lord_Howe",
       "45 * * * *",
       "2026-04-04T14:00:00Z",
       {"2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z", "2026-04-04T16:15:00Z"}},
      // Midnight can be skipped (Beirut), and so could a day: Samoa had no 30 December 2011.
      {"Asia/Beirut", "0 0 * * *", "2026-03-28T12:00:00Z", {"2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z"}},
      {"Pacific/Apia", "0 12 30 * *", "2011-12-01T00:00:00Z", {"2011-12-30T10:00:00Z", "2012-01-29T22:00:00Z"}},
      {"Asia/Kolkata", "0 9 * * *", "2026-01-01T12:00:00Z", {"2026-01-02T03:30:00Z"}},
      {"Asia/Kathmandu", "0 0 1 * *", "2026-01-15T00:00:00Z", {"2026-01-31T18:15:00Z"}},
  };
  for (const auto& [name, text, after, next] : cases) {
    auto cron = Cron::parse(text, "cron").value();
    UtcMicros time = at(after);
    for (const char* expected : next) {
      time = cron.next_after(time, zone(name));
      EXPECT_EQ(to_rfc3339(time), to_rfc3339(at(expected))) << text << " in " << name << " after " << after;
    }
  }
}

// Minute for minute what next_after() says in one step.
class ByTheMinute {
 public:
  // `text` has a `*` for its days: what clocks show in an hour and a minute is looked up in `of_day`.
  ByTheMinute(const TimeZone& zone, std::vector<bool> of_day, bool is_any_hour)
      : zone_(zone), of_day_(std::move(of_day)), is_any_hour_(is_any_hour) {}

  bool is_due(UtcMicros time) const {
    auto period = zone_.period_of(time);
    auto shown = time + period.offset;
    if (is_any_hour_) return shows_due(shown);
    auto back = period.offset_before - period.offset;
    if (time == period.begin) {
      for (auto skipped = shown + back; skipped < shown; skipped += minutes(1)) {
        if (shows_due(skipped)) return true;
      }
    }
    return time >= period.begin + back && shows_due(shown);
  }

 private:
  bool shows_due(UtcMicros shown) const {
    return of_day_[static_cast<std::size_t>((shown - std::chrono::floor<days>(shown)) / minutes(1))];
  }

  const TimeZone& zone_;
  const std::vector<bool> of_day_;
  const bool is_any_hour_;
};

TEST(Cron, TheNextMomentIsLaterAndDueAndTheFirst) {
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  SCOPED_TRACE("seed " + std::to_string(seed));
  auto below = [&](int end) { return static_cast<int>(random() % static_cast<unsigned>(end)); };
  for (const char* name : {"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/St_Johns"}) {
    TimeZone where = zone(name);
    for (int round = 0; round < 400; ++round) {
      bool is_any_hour = below(3) == 0;
      int minute = below(60), step = 1 + below(59), hour = below(24), last_hour = hour + below(24 - hour);
      if (hour == 0 && last_hour == 23) last_hour = 22;
      std::string text = std::to_string(minute) + "/" + std::to_string(step) + " " +
                         (is_any_hour ? "*" : std::to_string(hour) + "-" + std::to_string(last_hour)) + " * * *";
      std::vector<bool> of_day(24 * 60);
      for (int h = is_any_hour ? 0 : hour; h <= (is_any_hour ? 23 : last_hour); ++h) {
        for (int m = minute; m < 60; m += step) of_day[static_cast<std::size_t>(h * 60 + m)] = true;
      }
      ByTheMinute slow(where, std::move(of_day), is_any_hour);
      auto cron = Cron::parse(text, "cron").value();
      // Around a change of clocks, and anywhere in the year before it.
      UtcMicros change = where.period_of(at("2026-01-01T00:00:00Z") + days(below(365))).end;
      if (change > at("2030-01-01T00:00:00Z")) change = at("2026-06-01T00:00:00Z");
      UtcMicros time = below(4) == 0 ? change - minutes(below(365 * 24 * 60)) : change + minutes(below(6 * 60) - 3 * 60);
      time += std::chrono::microseconds(below(60'000'000));
      UtcMicros next = cron.next_after(time, where);
      ASSERT_GT(next, time) << text << " in " << name;
      ASSERT_TRUE(slow.is_due(next)) << text << " in " << name << " after " << to_rfc3339(time) << ": " << to_rfc3339(next);
      for (auto between = std::chrono::floor<minutes>(time) + minutes(1); between < next; between += minutes(1)) {
        ASSERT_FALSE(slow.is_due(between)) << text << " in " << name << " after " << to_rfc3339(time) << ": " << to_rfc3339(between)
                                           << " before " << to_rfc3339(next);
      }
    }
  }
}

TEST(TimeZone, AnUnknownOneIsRefusedByFieldWithWhatItTakes) {
  for (const char* name : {"", "Europe/Atlantis", "europe/berlin", "../../../etc/passwd", "/etc/passwd", "UTC ", "tzdata.zi", "Europe"}) {
    auto found = TimeZone::find(name, "timeZone");
    ASSERT_FALSE(found) << name;
    EXPECT_EQ(found.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(found.error().field, "timeZone");
    EXPECT_NE(found.error().message.find("Europe/Berlin"), std::string::npos) << found.error().message;
  }
}

TEST(TimeZone, APeriodLiesBetweenTwoChangesOfClocks) {
  auto period = zone("Europe/Berlin").period_of(at("2026-07-01T00:00:00Z"));
  EXPECT_EQ(to_rfc3339(period.begin), "2026-03-29T01:00:00.000Z");
  EXPECT_EQ(to_rfc3339(period.end), "2026-10-25T01:00:00.000Z");
  EXPECT_EQ(period.offset, hours(2));
  EXPECT_EQ(period.offset_before, hours(1));
  EXPECT_EQ(TimeZone().period_of(at("2026-07-01T00:00:00Z")).offset, hours(0));
}

TEST(Cron, WhatCannotBeReadIsRefusedAndNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "five fields"},
      {"* * * *", "five fields"},
      {"* * * * * *", "five fields"},
      {"@daily", "five fields"},
      {"60 * * * *", "the minute cannot be \"60\""},
      {"-1 * * * *", "the minute"},
      {"* 24 * * *", "the hour cannot be \"24\""},
      {"* * 0 * *", "the day of the month"},
      {"* * 32 * *", "the day of the month"},
      {"* * * 13 *", "the month"},
      {"* * * january *", "the month"},
      {"* * * * 8", "the day of the week"},
      {"* * * * fri-mon", "the day of the week"},
      {"* * L * *", "the day of the month"},
      {"*/0 * * * *", "the minute"},
      {"*/60 * * * *", "the minute"},
      {"*/x * * * *", "the minute"},
      {"1, * * * *", "the minute"},
      {",1 * * * *", "the minute"},
      {"5-1 * * * *", "the minute"},
      {"1- * * * *", "the minute"},
      {"1-2-3 * * * *", "the minute"},
      {"99999999999 * * * *", "the minute"},
      {"0 0 30 2 *", "no such day"},
      {"0 0 31 4,6,9,11 *", "no such day"},
  };
  for (const auto& [text, part] : cases) {
    auto parsed = Cron::parse(text, "reconcile.cron");
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(parsed.error().field, "reconcile.cron");
    EXPECT_NE(parsed.error().message.find(part), std::string::npos) << text << ": " << parsed.error().message;
  }
}

}  // namespace
}  // namespace hearth
