// Data in and out by the commands, on a folder that nobody has locked and through the server that holds it.

#include <gtest/gtest.h>
#include <signal.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "hearth/drivers/sqlite/temporary_folder.h"
#include "tests/support/child_process.h"
#include "tests/support/http_client.h"
#include "tests/support/json_check.h"
#include "tests/support/server_process.h"

namespace hearth::tests {
namespace {

enum class Door : std::uint8_t { kFolder, kServer };

class Data : public testing::TestWithParam<Door> {
 protected:
  void SetUp() override {
    if (GetParam() == Door::kServer) server = std::make_unique<ServerProcess>(ServerOptions{.data = data()});
  }

  std::filesystem::path data() const { return folder.path() / "data"; }
  std::string file(const std::string& name, const std::string& text) const {
    auto path = folder.path() / name;
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }

  CommandResult hearth(std::vector<std::string> arguments) const {
    arguments.push_back("--data=" + data().string());
    return run_hearth(std::move(arguments));
  }
  std::string exported() const {
    auto result = hearth({"export"});
    EXPECT_EQ(result.code, 0) << result.errors;
    return result.output;
  }
  // The report of an import, which ends with `code`.
  boost::json::value imported(const std::string& path, int code, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"import", path, "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    auto result = hearth(arguments);
    EXPECT_EQ(result.code, code) << result.errors;
    return result.output.empty() ? boost::json::value() : boost::json::parse(result.output);
  }
  std::string generated(const std::string& seed) const {
    auto path = (folder.path() / ("generated-" + seed)).string();
    auto result = run_hearth({"generate", "--posts=200", "--sessions=3000", "--likes=12000", "--seed=" + seed, "--out=" + path});
    EXPECT_EQ(result.code, 0) << result.errors;
    return path;
  }

  sqlite::TemporaryFolder folder;
  std::unique_ptr<ServerProcess> server;
};

constexpr char kGood[] =
    R"({"type":"user","id":"ada","username":"ada","createdAt":"2026-01-01T00:00:00.000Z"}
{"type":"post","id":"p","authorId":"ada","content":"¡Hola!","createdAt":"2026-01-02T00:00:00.000Z"}
{"type":"rating","postId":"p","sessionId":"s1","createdAt":"2026-01-03T00:00:00.000Z"}
{"type":"rating","postId":"p","sessionId":"6f9619ff-8b86-4d11-b42d-00c04fc964ff","createdAt":"2026-01-04T00:00:00.000Z"}
{"type":"rating","postId":"elsewhere","sessionId":"s1","createdAt":"2026-01-05T00:00:00.000Z"}
)";

constexpr char kStories[] =
    R"({"type":"story","id":"s","authorId":"ada","title":"El río","createdAt":"2026-01-02T00:00:00.000Z","viewCount":40}
{"type":"chapter","id":"c","storyId":"s","content":"Érase","position":1,"createdAt":"2026-01-02T00:00:00.000Z","viewCount":7}
)";

TEST_P(Data, ImportingTwiceChangesNothing) {
  auto path = generated("1");
  auto first = imported(path, 0);
  EXPECT_EQ(find_mismatch(R"({"posts": 200, "ratings": 12000, "unchanged": 0, "badTotal": 0})", first), "");
  imported(file("stories", kStories), 0);
  auto once = exported();
  EXPECT_EQ(find_mismatch(R"({"stories": 0, "chapters": 0, "unchanged": 2})", imported(file("stories", kStories), 0)), "");
  auto second = imported(path, 0);
  EXPECT_EQ(find_mismatch(R"({"users": 0, "posts": 0, "ratings": 0, "badTotal": 0})", second), "");
  EXPECT_EQ(second.at("unchanged"), second.at("lines"));
  EXPECT_EQ(exported(), once);
}

TEST_P(Data, AnExportImportedElsewhereIsExportedTheSame) {
  imported(generated("2"), 0);
  imported(file("good", kGood), 0);
  EXPECT_EQ(find_mismatch(R"({"stories": 1, "chapters": 1})", imported(file("stories", kStories), 0)), "");
  auto text = exported();
  EXPECT_NE(text.find(kStories), std::string::npos) << "as they were, and next to each other";
  EXPECT_NE(text.find(R"("sessionId":"6f9619ff-8b86-4d11-b42d-00c04fc964ff")"), std::string::npos);
  auto other = "--data=" + (folder.path() / "other").string();
  EXPECT_EQ(run_hearth({"import", file("exported", text), other}).code, 0);
  EXPECT_EQ(run_hearth({"export", other}).output, text);
  // To a file, too.
  auto out = (folder.path() / "out").string();
  EXPECT_EQ(hearth({"export", out}).code, 0);
  std::ifstream stream(out, std::ios::binary);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stream), {}), text);
}

TEST_P(Data, BadLinesAreReportedWithTheirNumbersAndSkipped) {
  auto path = file("bad", std::string(kGood) + R"(nonsense
{"type":"user","id":"eve"}

{"type":"post","id":"q","authorId":"nobody"}
{"type":"rating","postId":"p","sessionId":"with space"}
{"type":"rating","postId":"p","sessionId":"s2","createdAt":"yesterday"}
{"type":"rating","postId":"p","sessionId":"s3","createdat":"2026-01-05T00:00:00.000Z"}
{"type":"user","id":"other","username":"ADA"}
{"type":"rating","postId":"p","sessionId":"s4","createdAt":"2026-01-05T00:00:00.000Z"})");
  auto report = imported(path, 1);
  EXPECT_EQ(find_mismatch(R"({"lines": 14, "users": 1, "posts": 1, "ratings": 4, "badTotal": 7,
                              "bad": [{"line": 6, "reason": "<string>"}, {"line": 7}, {"line": 9}, {"line": 10}, {"line": 11}, {"line": 12},
                                      {"line": 13}]})",
                          report),
            "");
  EXPECT_EQ(exported().find("eve"), std::string::npos);
  EXPECT_NE(exported().find("\"s4\""), std::string::npos);

  auto told = hearth({"import", path});
  EXPECT_EQ(told.code, 1);
  EXPECT_NE(told.errors.find("line 7: username is missing"), std::string::npos) << told.errors;
  EXPECT_NE(told.output.find("6 unchanged, 7 bad"), std::string::npos) << told.output;
}

TEST_P(Data, LinesKeepTheirNumbersInALargeFile) {
  std::string text(kGood);
  std::string line = R"({"type":"post","id":"big-#","authorId":"ada","content":")" + std::string(9'000, 'x') + "\"}\n";
  for (int i = 0; i < 300; ++i) text += i == 250 ? "nonsense\n" : std::string(line).replace(line.find('#'), 1, std::to_string(i));
  auto report = imported(file("large", text), 1);
  EXPECT_EQ(find_mismatch(R"({"lines": 305, "posts": 300, "badTotal": 1, "bad": [{"line": 256}]})", report), "");
}

TEST_P(Data, ChaptersMayBeLong) {
  std::string text;
  for (int i = 0; i < 5; ++i) {
    text += R"({"type":"chapter","storyId":"s","id":"c)" + std::to_string(i) + R"(","content":")";
    for (int k = 0; k < 100'000 * i; ++k) text += R"(\n)";
    text += "\"}\nnonsense\n";
  }
  auto report = imported(file("long", text), 1);
  EXPECT_EQ(find_mismatch(R"({"lines": 10, "chapters": 5, "badTotal": 5, "bad": [{"line": 2}, {"line": 4}, {"line": 6}, {"line": 8},
                              {"line": 10}]})",
                          report),
            "");
  auto whole = exported();
  EXPECT_EQ(find_mismatch(R"({"unchanged": 5, "badTotal": 0})", imported(file("whole", whole), 0)), "");
}

TEST_P(Data, ALineThatIsTooLongIsOneBadLine) {
  std::string text;
  for (std::size_t size : {std::size_t{300} << 10, std::size_t{1} << 20, std::size_t{3} << 20, std::size_t{700} << 10}) {
    text += R"({"type":"user","id":"x","username":"x","bio":")" + std::string(size, 'x') + "\"}\n";
  }
  auto report = imported(file("long", text + kGood), 1);
  EXPECT_EQ(find_mismatch(R"({"lines": 9, "users": 1, "posts": 1, "ratings": 3, "badTotal": 4,
                              "bad": [{"line": 1}, {"line": 2}, {"line": 3}, {"line": 4}]})",
                          report),
            "");
}

TEST_P(Data, StrictImportsNothingOfAFileWithABadLine) {
  imported(file("good", kGood), 0);
  auto before = exported();
  auto bad = file("bad", R"({"type":"rating","postId":"p","sessionId":"new"}
{"type":"user","id":"other","username":"ADA"}
{"type":"post","id":"q","authorId":"ada"}
)");
  auto report = imported(bad, 1, {"--strict"});
  EXPECT_EQ(find_mismatch(R"({"badTotal": 1, "bad": [{"line": 2}]})", report), "");
  EXPECT_EQ(exported(), before);

  auto good = imported(file("more", R"({"type":"rating","postId":"p","sessionId":"new"})"), 0, {"--strict"});
  EXPECT_EQ(find_mismatch(R"({"ratings": 1, "badTotal": 0})", good), "");
  EXPECT_NE(exported(), before);
}

TEST_P(Data, LikesOfAServerAreInTheExportAndOutliveAnImport) {
  if (!server) server = std::make_unique<ServerProcess>(ServerOptions{.data = data()});
  HttpClient(server->port()).call("PUT", "/api/posts/p/like", R"({"sessionId":"visitor"})");
  if (GetParam() == Door::kFolder) EXPECT_EQ(server->terminate().code, 0);
  imported(file("good", kGood), 0);
  EXPECT_NE(exported().find("visitor"), std::string::npos);
  if (GetParam() == Door::kFolder) server->start();
  EXPECT_EQ(HttpClient(server->port()).get("/api/posts/p/likes").json().at("likes").as_int64(), 3);
}

TEST_P(Data, ImportedViewsAreShownBesideLiveOnes) {
  if (!server) server = std::make_unique<ServerProcess>(ServerOptions{.data = data()});
  HttpClient(server->port()).call("POST", "/api/stories/s/view", R"({"userId":"eve"})");
  if (GetParam() == Door::kFolder) EXPECT_EQ(server->terminate().code, 0);
  imported(file("stories", kStories), 0);
  if (GetParam() == Door::kFolder) server->start();
  HttpClient client(server->port());
  EXPECT_EQ(client.get("/api/stories/s").json().at("viewCount").as_int64(), 40);
  EXPECT_EQ(client.get("/api/chapters/c").json().at("viewCount").as_int64(), 7);
  client.call("POST", "/api/stories/s/view", R"({"userId":"ada"})");
  client.call("POST", "/api/cron/sync-views", "{}");
  EXPECT_GE(client.get("/api/stories/s").json().at("viewCount").as_int64(), 40);
  EXPECT_GE(client.get("/api/stories/s/views").json().at("viewCount").as_int64(), 40);
}

TEST_P(Data, AnImportThatWasKilledIsSimplyImportedAgain) {
  auto path = generated("3");
  std::mt19937 random(std::random_device{}());
  for (int i = 0; i < 3; ++i) {
    ChildProcess import({HEARTH_EXECUTABLE, "import", path, "--data=" + data().string()});
    // Any moment will do, so the time it gets decides nothing.
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 60));
    import.signal(SIGKILL);
    import.wait();
  }
  imported(path, 0);
  auto text = exported();
  auto other = "--data=" + (folder.path() / "other").string();
  EXPECT_EQ(run_hearth({"import", path, other}).code, 0);
  EXPECT_EQ(run_hearth({"export", other}).output, text);
}

TEST_P(Data, AMissingFileIsAWrongArgument) {
  EXPECT_EQ(hearth({"import", "/nowhere/data.ndjson"}).code, 2);
  EXPECT_EQ(hearth({"import"}).code, 2);
  EXPECT_EQ(hearth({"export", "/nowhere/out.ndjson"}).code, 1);
}

INSTANTIATE_TEST_SUITE_P(, Data, testing::Values(Door::kFolder, Door::kServer),
                         [](const auto& info) { return info.param == Door::kFolder ? "Folder" : "Server"; });

TEST(DataThroughAServerWithKeys, NeedsTheAdminKey) {
  sqlite::TemporaryFolder folder;
  auto data = folder.path() / "data";
  ServerProcess server({.data = data, .environment = {"HEARTH_ADMIN_KEY=admin", "HEARTH_SERVICE_KEY=service"}});
  auto path = (folder.path() / "good").string();
  std::ofstream(path) << kGood;
  for (const auto& command : {std::vector<std::string>{"import", path}, std::vector<std::string>{"export"}}) {
    auto arguments = command;
    arguments.push_back("--data=" + data.string());
    auto refused = run_hearth(arguments);
    EXPECT_EQ(refused.code, 1);
    EXPECT_NE(refused.errors.find("401"), std::string::npos) << refused.errors;
    EXPECT_EQ(run_hearth(arguments, {"HEARTH_ADMIN_KEY=admin"}).code, 0);
  }
}

TEST(Generate, TheSameNumbersMakeTheSameDataAndNoOthers) {
  auto generate = [](const std::string& seed) {
    return run_hearth({"generate", "--posts=50", "--sessions=100", "--likes=1000", "--seed=" + seed});
  };
  EXPECT_EQ(generate("1").code, 0);
  EXPECT_EQ(generate("1").output, generate("1").output);
  EXPECT_NE(generate("1").output, generate("2").output);
  EXPECT_EQ(run_hearth({"generate", "--posts=2", "--sessions=2", "--likes=5"}).code, 1);
  EXPECT_EQ(run_hearth({"generate", "--posts=2"}).code, 2);
}

TEST(SmallCommands, SayWhatTheyShould) {
  sqlite::TemporaryFolder folder;
  auto data = "--data=" + (folder.path() / "data").string();
  EXPECT_TRUE(run_hearth({"version"}).output.starts_with("hearth 0."));
  EXPECT_EQ(run_hearth({"check-config", data}).code, 0);
  EXPECT_EQ(run_hearth({"check-config", "--durability=never"}).code, 2);
  EXPECT_NE(run_hearth({"print-config", "--durability=relaxed"}).output.find("durability = \"relaxed\""), std::string::npos);
  auto secret = run_hearth({"print-config"}, {"HEARTH_SERVICE_KEY=do-not-show"});
  EXPECT_EQ(secret.output.find("do-not-show"), std::string::npos);
  EXPECT_NE(run_hearth({"migrate", data}).output.find("steps applied: "), std::string::npos);
  EXPECT_NE(run_hearth({"migrate", data}).output.find("already"), std::string::npos);
  EXPECT_EQ(run_hearth({"migrate", data, "--json"}).output, "{\"applied\":0}\n");
  EXPECT_EQ(run_hearth({"nonsense"}).code, 2);
  EXPECT_EQ(run_hearth({}).code, 2);
  EXPECT_EQ(run_hearth({"serve", "--help"}).code, 0);
}

}  // namespace
}  // namespace hearth::tests
