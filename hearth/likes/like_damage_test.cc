// Files that were truncated, damaged or lost: Hearth starts with what can still be trusted, or says why it does not.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "hearth/likes/like_model.h"
#include "hearth/likes/test_world.h"

namespace hearth::likes {
namespace {

const std::vector<std::string> kPosts = {"a", "b", "c"};
const std::vector<std::string> kSessions = {"ada", "bob", "550e8400-e29b-41d4-a716-446655440000", "eve"};

using Likes = std::set<std::pair<std::string, std::string>>;

// Copies of the data folder at a moment under way, as a crash leaves it, and the likes at each moment before.
class LikeDamage : public testing::Test {
 protected:
  void toggle(int times) {
    for (int i = 0; i < times; ++i) {
      std::string post_id = kPosts[random() % kPosts.size()];
      std::string session_id = kSessions[random() % kSessions.size()];
      world.stack->toggle(post_id, session_id);
      if (!likes.erase({post_id, session_id})) likes.insert({post_id, session_id});
      history.push_back(likes);
    }
  }
  // Likes, a flush, and more likes that only the journal has.
  void live() {
    history.push_back(likes);
    toggle(15);
    world.stack->flush();
    flushed_at = history.size() - 1;
    toggle(15);
  }

  // A folder with the files as they are now.
  std::unique_ptr<sqlite::TemporaryFolder> crash_image() {
    auto image = std::make_unique<sqlite::TemporaryFolder>();
    for (const auto& file : std::filesystem::directory_iterator(world.folder.path())) {
      if (!file.path().string().ends_with("-shm")) std::filesystem::copy(file.path(), image->path() / file.path().filename());
    }
    return image;
  }

  // Starts on the folder; checks that count = members = SQL and that a new like works; returns the likes found there.
  Likes start_on(const std::filesystem::path& folder) {
    sqlite::FaultVfs disk;
    TestStack stack(folder, world.clock, {.vfs = disk.name()});
    LikeModel live = expect_sql_equals_live(stack, kPosts, kSessions);
    Likes found;
    for (const auto& [post_id, seen] : live.posts) {
      for (const auto& session_id : seen.sessions) found.insert({post_id, session_id});
    }
    auto version = stack.view("a", "zoe").version;
    EXPECT_GT(stack.toggle("a", "zoe").version, version);
    stack.flush();
    EXPECT_TRUE(read_ledger(*stack.ledger).is_liked("a", "zoe"));
    return found;
  }
  bool is_at_or_after(const Likes& found, std::size_t first) {
    return std::find(history.begin() + static_cast<std::ptrdiff_t>(first), history.end(), found) != history.end();
  }

  static std::string read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void write(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  void flip(std::string& bytes, std::size_t from) {
    for (std::size_t flips = random() % 8 + 1; flips > 0; --flips)
      bytes[from + random() % (bytes.size() - from)] ^= static_cast<char>(random() | 1);
  }

  const std::uint64_t seed = fresh_seed();
  testing::ScopedTrace trace{__FILE__, __LINE__, "seed " + std::to_string(seed)};
  std::mt19937_64 random{seed};
  World world;
  Likes likes;
  std::vector<Likes> history;
  std::size_t flushed_at = 0;
};

TEST_F(LikeDamage, ACrashImageStartsWithEverything) {
  live();
  EXPECT_EQ(start_on(crash_image()->path()), likes);
}

TEST_F(LikeDamage, ATruncatedLogOfTheJournalStartsWithAPrefix) {
  live();
  auto size = std::filesystem::file_size(world.folder.path() / "journal.db-wal");
  for (int i = 0; i < 60; ++i) {
    auto image = crash_image();
    std::filesystem::resize_file(image->path() / "journal.db-wal", i == 0 ? 0 : random() % size);
    EXPECT_TRUE(is_at_or_after(start_on(image->path()), flushed_at));
  }
}

TEST_F(LikeDamage, ADamagedTailOfTheJournalsLogStartsWithAPrefix) {
  live();
  for (int i = 0; i < 60; ++i) {
    auto image = crash_image();
    std::string bytes = read(image->path() / "journal.db-wal");
    flip(bytes, random() % (bytes.size() - 1));
    write(image->path() / "journal.db-wal", bytes);
    EXPECT_TRUE(is_at_or_after(start_on(image->path()), flushed_at));
  }
}

TEST_F(LikeDamage, GarbageBehindTheLogIsIgnored) {
  live();
  auto image = crash_image();
  std::string bytes = read(image->path() / "journal.db-wal");
  for (int i = 0; i < 10'000; ++i) bytes += static_cast<char>(random());
  write(image->path() / "journal.db-wal", bytes);
  EXPECT_EQ(start_on(image->path()), likes);
}

// The log of the ledger is lost: what the journal still holds comes again, and counts are those of rows.
TEST_F(LikeDamage, ATruncatedLogOfTheLedgerStaysCountedRight) {
  live();
  auto size = std::filesystem::file_size(world.folder.path() / "ratings.db-wal");
  for (int i = 0; i < 30; ++i) {
    auto image = crash_image();
    std::filesystem::resize_file(image->path() / "ratings.db-wal", random() % size);
    start_on(image->path());
  }
}

// SQLite sees only some of this. Whatever starts must be consistent, and nothing may crash.
TEST_F(LikeDamage, ADamagedJournalFileIsRefusedOrStartsConsistent) {
  live();
  world.stack->journal->stop();
  world.stack.reset();
  int refused = 0;
  for (int i = 0; i < 60; ++i) {
    auto image = crash_image();
    std::string bytes = read(image->path() / "journal.db");
    if (i % 3 == 0) bytes.resize(random() % bytes.size());
    if (!bytes.empty()) flip(bytes, 0);
    write(image->path() / "journal.db", bytes);
    try {
      start_on(image->path());
    } catch (const std::runtime_error& error) {
      ++refused;
      EXPECT_STRNE(error.what(), "");
    }
  }
  EXPECT_GT(refused, 0);
}

TEST_F(LikeDamage, AnEntryWithAFlippedBitIsRefusedByName) {
  live();
  world.stack.reset();
  auto image = crash_image();
  std::string bytes = read(image->path() / "journal.db");
  auto place = bytes.rfind("550e8400");
  ASSERT_NE(place, std::string::npos);
  bytes[place] ^= 1;
  write(image->path() / "journal.db", bytes);
  try {
    start_on(image->path());
    ADD_FAILURE() << "it started";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("is damaged on disk"), std::string::npos) << error.what();
  }
}

TEST_F(LikeDamage, AJournalThatIsGoneLosesOnlyWhatTheLedgerDoesNotHave) {
  live();
  auto image = crash_image();
  for (const char* name : {"journal.db", "journal.db-wal"}) std::filesystem::remove(image->path() / name);
  EXPECT_EQ(start_on(image->path()), history[flushed_at]);
}

// The journal of an older backup: its entries are behind the cursor, and new ones are numbered above it.
TEST_F(LikeDamage, AnOlderJournalLosesNothingThatTheLedgerHas) {
  history.push_back(likes);
  toggle(5);
  world.stack->flush();
  auto older = crash_image();
  toggle(20);
  world.stack->flush();
  auto image = crash_image();
  for (const char* name : {"journal.db", "journal.db-wal"}) {
    std::filesystem::copy(older->path() / name, image->path() / name, std::filesystem::copy_options::overwrite_existing);
  }
  EXPECT_EQ(start_on(image->path()), likes);
}

}  // namespace
}  // namespace hearth::likes
