#include "hearth/auth/caller.h"

#include <gtest/gtest.h>

namespace hearth::auth {
namespace {

// A column for each Access, a row for each kind of caller: y may, n may not.
struct Row {
  CallerKind kind;
  std::string_view allowed;  // kPublicRead kActAsUser kService kCron kMetrics kAdminRead kAdmin
  bool reads_when_closed;    // kPublicRead with public reads off
};
constexpr Row kTable[] = {
    {CallerKind::kAnonymous, "ynnnnnn", false},  //
    {CallerKind::kUser, "yynnnnn", true},        //
    {CallerKind::kService, "yyynynn", true},     //
    {CallerKind::kCron, "ynnynnn", false},       //
    {CallerKind::kViewer, "ynnnyyn", false},     //
    {CallerKind::kAdmin, "yyyyyyy", true},       //
    {CallerKind::kLocal, "yyyyyyy", true},
};
constexpr Access kAccesses[] = {Access::kPublicRead, Access::kActAsUser, Access::kService, Access::kCron,
                                Access::kMetrics,    Access::kAdminRead, Access::kAdmin};

TEST(CallerTest, EachCredentialMayWhatTheContractSays) {
  for (const auto& row : kTable) {
    for (std::size_t i = 0; i < std::size(kAccesses); ++i) {
      auto checked = check({.kind = row.kind}, kAccesses[i], true);
      EXPECT_EQ(checked.has_value(), row.allowed[i] == 'y') << "caller " << int(row.kind) << ", access " << i;
      if (checked) continue;
      bool is_anonymous = row.kind == CallerKind::kAnonymous;
      EXPECT_EQ(checked.error().code, is_anonymous ? ErrorCode::kUnauthenticated : ErrorCode::kForbidden);
      EXPECT_NE(checked.error().message.find("this needs the "), std::string::npos);
    }
    EXPECT_EQ(check({.kind = row.kind}, Access::kPublicRead, false).has_value(), row.reads_when_closed) << int(row.kind);
  }
}

TEST(CallerTest, AUserActsAsItselfAlone) {
  const Caller ada{.kind = CallerKind::kUser, .user_id = "ada"};
  EXPECT_TRUE(may_act_as(ada, "ada"));
  EXPECT_FALSE(may_act_as(ada, "bob"));
  EXPECT_FALSE(may_act_as(ada, "Ada"));
  EXPECT_FALSE(may_act_as(ada, ""));
}

TEST(CallerTest, TrustedCallersNameAnybodyAndOthersNobody) {
  for (auto kind : {CallerKind::kService, CallerKind::kAdmin, CallerKind::kLocal}) EXPECT_TRUE(may_act_as({.kind = kind}, "ada"));
  for (auto kind : {CallerKind::kAnonymous, CallerKind::kCron, CallerKind::kViewer}) {
    EXPECT_FALSE(may_act_as({.kind = kind}, "ada"));
    EXPECT_FALSE(may_act_as({.kind = kind}, ""));
  }
}

}  // namespace
}  // namespace hearth::auth
