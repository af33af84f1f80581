#include "hearth/content/keyed_answers.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "hearth/content/stores/postgres_content_under_test.h"
#include "hearth/content/stores/postgres_keyed_answers.h"
#include "hearth/content/stores/sqlite_content_under_test.h"
#include "hearth/content/stores/sqlite_keyed_answers.h"

namespace hearth::content {
namespace {

struct Answers {
  std::shared_ptr<ContentUnderTest> content;
  std::unique_ptr<KeyedAnswers> answers;
};

Answers on_sqlite(const Clock& clock) {
  auto content = std::make_shared<SqliteContentUnderTest>(clock);
  auto answers = std::make_unique<SqliteKeyedAnswers>(content->database(), clock);
  return {std::move(content), std::move(answers)};
}

Answers on_postgres(const Clock& clock) {
  auto content = std::make_shared<PostgresContentUnderTest>(clock);
  auto answers = std::make_unique<PostgresKeyedAnswers>(content->database(), clock);
  return {std::move(content), std::move(answers)};
}

class KeyedAnswersConformance : public testing::TestWithParam<Answers (*)(const Clock&)> {
 protected:
  KeyedAnswers& answers() { return *made.answers; }

  SimulatedClock clock;
  Answers made = GetParam()(clock);
};

TEST_P(KeyedAnswersConformance, KeepsTheFirstAnswerForItsTime) {
  const IdempotencyKey key{"scope", "request"};
  EXPECT_EQ(run(answers().find(key)).value(), std::nullopt);
  EXPECT_EQ(run(answers().keep(key, "first")).value(), "first");
  EXPECT_EQ(run(answers().keep(key, "second")).value(), "first");
  EXPECT_EQ(run(answers().find(key)).value(), "first");
  clock.advance(kIdempotencyKept);
  EXPECT_EQ(run(answers().find(key)).value(), std::nullopt);
  EXPECT_EQ(run(answers().keep(key, "third")).value(), "third");
}

TEST_P(KeyedAnswersConformance, RefusesAKeyThatCameWithAnotherRequest) {
  ASSERT_TRUE(run(answers().keep({"scope", "request"}, "answer")));
  auto found = run(answers().find({"scope", "other"}));
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kIdempotencyKeyReused);
  auto kept = run(answers().keep({"scope", "other"}, "answer"));
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().code, ErrorCode::kIdempotencyKeyReused);
}

TEST_P(KeyedAnswersConformance, OfAnswersKeptAtOnceOneCounts) {
  std::vector<std::string> kept(8);
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      threads.emplace_back([&, i] { kept[i] = run(answers().keep({"scope", "request"}, std::to_string(i))).value(); });
    }
  }
  for (const auto& answer : kept) EXPECT_EQ(answer, kept.front());
}

INSTANTIATE_TEST_SUITE_P(Databases, KeyedAnswersConformance, testing::Values(&on_sqlite, &on_postgres),
                         [](const auto& info) { return info.param == &on_sqlite ? "sqlite" : "postgres"; });

}  // namespace
}  // namespace hearth::content
