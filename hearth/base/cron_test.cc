#include "hearth/base/cron.h"

#include <gtest/gtest.h>

namespace hearth {
namespace {

UtcMicros at(const char* time) {
  return parse_rfc3339(time, "time").value();
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
