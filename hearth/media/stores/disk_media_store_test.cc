#include "hearth/media/stores/disk_media_store.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>

#include "hearth/base/digest.h"
#include "hearth/drivers/sqlite/temporary_folder.h"

namespace hearth::media {
namespace {

namespace fs = std::filesystem;

class DiskMediaStoreTest : public testing::Test {
 protected:
  static std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  bool has_incoming() const { return !fs::is_empty(folder.path() / ".incoming"); }

  sqlite::TemporaryFolder folder;
  std::unique_ptr<DiskMediaStore> store = DiskMediaStore::open(folder.path()).value();
  const std::string name = media_name("bytes", "webp");
};

TEST_F(DiskMediaStoreTest, AFileIsNamedAsItIsAskedForAndReadableByAll) {
  EXPECT_EQ(store->put(name, "bytes", "image/webp").value(), "/media/" + name);
  EXPECT_EQ(read(folder.path() / name), "bytes");
  struct stat status = {};
  ASSERT_EQ(stat((folder.path() / name).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0644u);
  EXPECT_FALSE(has_incoming());
}

TEST_F(DiskMediaStoreTest, OnlyFilesOfTheFolderAreServed) {
  std::ofstream(folder.path().string() + "-secret") << "secret";
  fs::create_symlink(folder.path().string() + "-secret", folder.path() / "link.webp");
  fs::create_directory(folder.path() / "folder.webp");
  ASSERT_EQ(mkfifo((folder.path() / "pipe.webp").c_str(), 0600), 0);
  for (const char* other : {"link.webp", "folder.webp", "pipe.webp"}) {
    auto media = store->get(other);
    ASSERT_TRUE(media) << other << media.error().message;
    EXPECT_FALSE(media->has_value()) << other;
  }
  fs::remove(folder.path().string() + "-secret");
}

TEST_F(DiskMediaStoreTest, WhatACrashLeftIsRemoved) {
  std::ofstream(folder.path() / ".incoming" / (name + ".abcdef")) << "half";
  store = DiskMediaStore::open(folder.path()).value();
  EXPECT_FALSE(has_incoming());
}

TEST_F(DiskMediaStoreTest, AFailedWriteLeavesNothingAndSaysWhy) {
  struct rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit small = {.rlim_cur = 1'000, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  auto address = store->put(name, std::string(10'000, 'x'), "image/webp");
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);

  ASSERT_FALSE(address);
  EXPECT_EQ(address.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(address.error().message, "cannot write the file " + name + ": File too large");
  EXPECT_FALSE(store->get(name)->has_value());
  EXPECT_FALSE(has_incoming());
}

TEST_F(DiskMediaStoreTest, AFolderThatCannotBeIsSaid) {
  std::ofstream(folder.path() / "file") << "x";
  auto opened = DiskMediaStore::open(folder.path() / "file" / "media");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kUnavailable);
  EXPECT_TRUE(opened.error().message.contains("cannot make the media folder")) << opened.error().message;
}

// Puts files until it is killed, and says the name of each that was put.
[[noreturn]] void put_for_ever(DiskMediaStore& store, int pipe) {
  for (unsigned i = 0;; ++i) {
    std::string bytes;
    while (bytes.size() < 200'000) bytes += sha256(std::to_string(getpid()) + "-" + std::to_string(i) + "-" + std::to_string(bytes.size()));
    auto name = media_name(bytes, "webp");
    if (!store.put(name, bytes, "image/webp")) _exit(1);
    if (write(pipe, name.data(), name.size()) != static_cast<ssize_t>(name.size())) _exit(1);
  }
}

TEST_F(DiskMediaStoreTest, AKilledProcessLeavesWholeFilesAndAllThatWerePut) {
  for (int round = 0; round < 20; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) put_for_ever(*store, ends[1]);
    close(ends[1]);
    std::string said(name.size(), '\0');
    for (int i = 0; i <= round % 4; ++i) ASSERT_EQ(::read(ends[0], said.data(), said.size()), static_cast<ssize_t>(said.size()));
    kill(child, SIGKILL);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    while (::read(ends[0], said.data(), said.size()) > 0) EXPECT_TRUE(store->get(said)->has_value());
    close(ends[0]);
    EXPECT_TRUE(store->get(said)->has_value());
  }
  std::size_t files = 0;
  for (const auto& file : fs::directory_iterator(folder.path())) {
    if (!file.is_regular_file()) continue;
    EXPECT_EQ(media_name(read(file.path()), "webp"), file.path().filename());
    ++files;
  }
  EXPECT_GE(files, 50u);
}

}  // namespace
}  // namespace hearth::media
