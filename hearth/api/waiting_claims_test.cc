#include "hearth/api/waiting_claims.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <vector>

namespace hearth::api {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

class WaitingClaimsTest : public testing::Test {
 protected:
  std::unique_ptr<WaitingClaims::Place> place(const std::string& types = "t") {
    return std::make_unique<WaitingClaims::Place>(claims, types);
  }
  // `count` claims come after the signal's `seen`-th notice; looks find `jobs` jobs one by one, then nothing for a minute.
  // Returns how many looks there were.
  int looks_of(std::size_t count, std::uint64_t seen, int jobs) {
    int looks = 0;
    std::vector<std::unique_ptr<WaitingClaims::Place>> places;
    for (std::size_t i = 0; i < count; ++i) places.push_back(place());
    boost::asio::io_context loop;
    for (auto& one : places) {
      boost::asio::co_spawn(
          loop,
          [&, &place = *one]() -> Task<void> {
            auto until = co_await place.take_turn(seen);
            if (until) co_return;
            ++looks;
            for (int i = 0; i < 5; ++i) co_await boost::asio::post(use_task);  // others come meanwhile
            bool is_found = jobs-- > 0;
            place.end_turn(seen, is_found ? std::nullopt : std::optional(clock.steady() + minutes(1)));
          },
          boost::asio::detached);
    }
    loop.run();
    return looks;
  }

  SimulatedClock clock;
  WaitingClaims claims{clock};
  const std::unique_ptr<WaitingClaims::Place> first = place();  // so that what was found out is kept between the steps
};

TEST_F(WaitingClaimsTest, OneLooksForAllWhenThereIsNothing) {
  EXPECT_EQ(looks_of(50, 1, 0), 1);
}

TEST_F(WaitingClaimsTest, TheNextOneLooksWhereOneHasFoundJobs) {
  EXPECT_EQ(looks_of(50, 1, 3), 4);
}

TEST_F(WaitingClaimsTest, NothingIsLookedForAgainBeforeANewNoticeOrTheMoment) {
  EXPECT_EQ(looks_of(10, 7, 0), 1);
  EXPECT_EQ(looks_of(10, 7, 0), 0);
  EXPECT_EQ(looks_of(10, 6, 0), 0) << "the look came after that notice too";
  EXPECT_EQ(looks_of(10, 8, 0), 1);
  clock.advance(minutes(1));
  EXPECT_EQ(looks_of(10, 8, 0), 1);
}

TEST_F(WaitingClaimsTest, ATurnThatIsGivenUpPassesToAnother) {
  boost::asio::io_context loop;
  auto looking = place();
  auto next = place();
  bool has_turn = false;
  boost::asio::co_spawn(
      loop,
      [&]() -> Task<void> {
        EXPECT_FALSE(co_await looking->take_turn(1));
        co_await boost::asio::post(use_task);
        looking.reset();
      },
      boost::asio::detached);
  boost::asio::co_spawn(
      loop,
      [&]() -> Task<void> {
        EXPECT_FALSE(co_await next->take_turn(1));
        EXPECT_EQ(looking, nullptr);
        has_turn = true;
      },
      boost::asio::detached);
  loop.run();
  EXPECT_TRUE(has_turn);
}

TEST_F(WaitingClaimsTest, ThoseThatWaitForOtherTypesDoNotWaitForEachOther) {
  boost::asio::io_context loop;
  auto mail = place("mail");
  auto other = place("other");
  int turns = 0;
  for (auto* one : {mail.get(), other.get()}) {
    boost::asio::co_spawn(
        loop,
        [&turns, one]() -> Task<void> {
          EXPECT_FALSE(co_await one->take_turn(1));
          ++turns;
        },
        boost::asio::detached);
  }
  loop.run();
  EXPECT_EQ(turns, 2);
}

TEST_F(WaitingClaimsTest, SoManyWaitAndNoMore) {
  std::vector<std::unique_ptr<WaitingClaims::Place>> places;
  for (std::size_t i = 1; i < kWaitingClaimsMax; ++i) {
    places.push_back(place());
    ASSERT_TRUE(places.back()->is_there());
  }
  EXPECT_FALSE(place()->is_there());
  places.pop_back();
  EXPECT_TRUE(place()->is_there());
}

}  // namespace
}  // namespace hearth::api
