#include "hearth/app/dataset/dataset_routes.h"

#include <gtest/gtest.h>

namespace hearth::app::dataset {
namespace {

TEST(ImportReportJson, LeadsBackToTheReport) {
  ImportReport report{.lines = 70,
                      .users = 1,
                      .posts = 2,
                      .stories = 5,
                      .chapters = 6,
                      .ratings = 3,
                      .unchanged = 4,
                      .bad_total = 60,
                      .bad = {{7, "type must be user, post or rating"}, {8, "a \"quoted\"\nreason with ñ"}}};
  auto read = parse_report(to_json(report));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->lines, report.lines);
  EXPECT_EQ(read->users, report.users);
  EXPECT_EQ(read->posts, report.posts);
  EXPECT_EQ(read->stories, report.stories);
  EXPECT_EQ(read->chapters, report.chapters);
  EXPECT_EQ(read->ratings, report.ratings);
  EXPECT_EQ(read->unchanged, report.unchanged);
  EXPECT_EQ(read->bad_total, report.bad_total);
  EXPECT_EQ(read->bad, report.bad);
}

TEST(ImportReportJson, WhatIsNoReportIsRefused) {
  EXPECT_FALSE(parse_report("<html>"));
  EXPECT_FALSE(parse_report(R"({"lines":"many"})"));
  EXPECT_FALSE(parse_report(R"({"bad":[{"line":1,"reason":2}]})"));
}

}  // namespace
}  // namespace hearth::app::dataset
