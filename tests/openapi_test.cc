// Holds docs/api/openapi.yaml to the routes, both ways, and to the limits in the code. Reads it line by line: the file keeps to a
// form that allows that, and says so.

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "hearth/app/wiring.h"
#include "hearth/drivers/sqlite/temporary_folder.h"
#include "tests/support/child_process.h"

namespace hearth::tests {
namespace {

struct Operation {
  std::string path;
  std::string method;
  std::map<std::string, std::string> fields;  // and what stands behind the colon
  std::vector<std::string> lines;
};

struct Document {
  std::vector<std::string> lines;
  std::vector<Operation> operations;
  std::map<std::string, std::vector<std::string>> path_lines;  // of a path, outside of its operations
  std::set<std::string> components;                            // schemas/Id
  std::map<std::string, std::string> path_parameters;          // of the components: their name in the path
};

std::size_t indent(const std::string& line) {
  return std::min(line.find_first_not_of(' '), line.size());
}

// "name: rest" at so many spaces.
bool read_key(const std::string& line, std::size_t spaces, std::string& key, std::string& rest) {
  if (indent(line) != spaces) return false;
  auto end = line.find(':', spaces);
  if (end == std::string::npos || line[spaces] == '-') return false;
  key = line.substr(spaces, end - spaces);
  rest = end + 1 < line.size() ? line.substr(end + 2) : "";
  return true;
}

class DocumentReader {
 public:
  Document read() {
    std::ifstream file(std::string(HEARTH_SOURCE_DIR) + "/docs/api/openapi.yaml");
    for (std::string line; std::getline(file, line);) {
      document_.lines.push_back(line);
      std::string key;
      std::string rest;
      if (read_key(line, 0, key, rest)) {
        section_ = key;
      } else if (section_ == "paths") {
        read_path_line(line);
      } else if (section_ == "components") {
        read_component_line(line);
      }
    }
    return document_;
  }

 private:
  void read_path_line(const std::string& line) {
    std::string key;
    std::string rest;
    if (read_key(line, 2, key, rest)) {
      path_ = key;
      operation_ = false;
    } else if (read_key(line, 4, key, rest)) {
      operation_ = key != "parameters";
      if (operation_) document_.operations.push_back({.path = path_, .method = key, .fields = {}, .lines = {}});
    } else if (!operation_) {
      document_.path_lines[path_].push_back(line);
    } else {
      auto& operation = document_.operations.back();
      if (read_key(line, 6, key, rest)) operation.fields[key] = rest;
      operation.lines.push_back(line);
    }
  }

  void read_component_line(const std::string& line) {
    std::string key;
    std::string rest;
    if (read_key(line, 2, key, rest)) {
      kind_ = key;
    } else if (read_key(line, 4, key, rest)) {
      document_.components.insert(kind_ + "/" + key);
      std::smatch match;
      if (std::regex_search(rest, match, std::regex(R"(name: (\w+), in: path)"))) document_.path_parameters[key] = match[1];
    }
  }

  Document document_;
  std::string section_;
  std::string path_;
  std::string kind_;
  bool operation_ = false;
};

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

class OpenApi : public testing::Test {
 protected:
  std::string text_of(const std::string& path, const std::string& method) const {
    std::string text;
    for (const auto& operation : document.operations) {
      if (operation.path != path || operation.method != method) continue;
      for (const auto& line : operation.lines) text += line + "\n";
    }
    return text;
  }
  void expect_says(const std::string& path, const std::string& method, const std::string& what) const {
    EXPECT_NE(text_of(path, method).find(what), std::string::npos) << method << " " << path << " does not say: " << what;
  }

  const Document document = DocumentReader().read();
};

TEST_F(OpenApi, DescribesEveryRouteAndNoOther) {
  sqlite::TemporaryFolder folder;
  SystemClock clock;
  app::Config config;
  config.listen.port = 0;
  config.data = folder.path() / "data";
  auto hearth = app::Hearth::open(config, clock);
  ASSERT_TRUE(hearth) << hearth.error().message;
  auto service = app::Service::open(config, **hearth);
  ASSERT_TRUE(service) << service.error().message;

  std::set<std::string> routes;
  for (const auto& [method, pattern] : (*service)->router().routes()) routes.insert(lower(http::method_name(method)) + " " + pattern);
  std::set<std::string> described;
  for (const auto& operation : document.operations) described.insert(operation.method + " " + operation.path);
  EXPECT_EQ(described, routes);
  EXPECT_EQ(described.size(), document.operations.size());  // none comes twice
}

TEST_F(OpenApi, SaysOfEveryOperationWhatItCostsAndWhatMayBeRepeatedOrLost) {
  std::set<std::string> names;
  for (const auto& operation : document.operations) {
    auto where = operation.method + " " + operation.path;
    for (const char* field : {"operationId", "tags", "summary", "x-access", "x-cost", "x-repeat", "x-loss"}) {
      ASSERT_TRUE(operation.fields.contains(field)) << where << " lacks " << field;
      EXPECT_FALSE(operation.fields.at(field).empty()) << where << ": " << field << " is empty";
    }
    EXPECT_TRUE(operation.fields.contains("responses")) << where;
    EXPECT_TRUE(names.insert(operation.fields.at("operationId")).second) << where << " has the name of another operation";
  }
}

TEST_F(OpenApi, NamesTheParametersOfEachPath) {
  for (const auto& operation : document.operations) {
    std::vector<std::string> in_path;
    for (std::size_t at = operation.path.find('{'); at != std::string::npos; at = operation.path.find('{', at + 1)) {
      in_path.push_back(operation.path.substr(at + 1, operation.path.find('}', at) - at - 1));
    }
    std::vector<std::string> described;
    auto lines = document.path_lines.find(operation.path);
    for (const auto& line : lines == document.path_lines.end() ? std::vector<std::string>() : lines->second) {
      std::smatch match;
      if (!std::regex_search(line, match, std::regex(R"(#/components/parameters/(\w+))"))) continue;
      ASSERT_TRUE(document.path_parameters.contains(match[1])) << line;
      described.push_back(document.path_parameters.at(match[1]));
    }
    EXPECT_EQ(described, in_path) << operation.path;
  }
}

TEST_F(OpenApi, RefersToWhatItHas) {
  for (const auto& line : document.lines) {
    static const std::regex reference("#/components/(\\w+/\\w+)");
    for (std::sregex_iterator match(line.begin(), line.end(), reference), end; match != end; ++match) {
      EXPECT_TRUE(document.components.contains((*match)[1])) << line;
    }
  }
}

TEST_F(OpenApi, GivesTheLimitsOfTheCode) {
  auto most = [](std::size_t limit) { return "More than " + std::to_string(limit) + " is taken as " + std::to_string(limit); };
  expect_says("/api/users/{sessionId}/likes", "get", most(likes::kLikesPerSessionMax));
  expect_says("/api/timeline/public", "get", most(content::kTimelinePostsMax));
  expect_says("/api/users/{userId}/posts", "get", most(content::kUserPostsMax));
  expect_says("/api/rank", "get", most(content::kRankPostsMax));
  expect_says("/api/rank", "get", "default: " + std::to_string(content::kRankPostsDefault));
  expect_says("/api/likes/batch", "post", "maxItems: " + std::to_string(likes::kChangesPerBatchMax));
  expect_says("/api/posts/merge", "post", "maxItems: " + std::to_string(likes::kPostsPerReadMax));

  auto number = [](auto limit) { return std::to_string(limit); };
  expect_says("/api/jobs/bulk", "post", "maxItems: " + number(jobs::kJobsPerEnqueueMax));
  expect_says("/api/jobs/claim", "post", "as may: " + number(api::kWaitingClaimsMax));
  expect_says("/api/jobs/{id}/snooze", "post", "maximum: " + number(jobs::kSnoozeMax.count()));
  expect_says("/api/admin/jobs", "get", most(jobs::kJobsPerPageMax));
  expect_says("/api/queue/process", "post", "at most " + number(api::kJobsPerProcessMax) + " due jobs");
  expect_says("/api/queue/process", "post", "within " + number(api::kProcessBudget.count() / 1'000) + " s");

  std::string all;
  for (const auto& line : document.lines) all += line + "\n";
  for (const auto& what :
       {"PostIds: { type: array, maxItems: " + std::to_string(likes::kPostsPerReadMax), "maxLength: " + std::to_string(kIdBytesMax),
        "mediaUrls: { type: array, maxItems: " + std::to_string(content::kMediaUrlsMax),
        "limit: { type: integer, minimum: 1, maximum: " + number(api::kJobsPerHttpClaimMax),
        "leaseMs: { type: integer, minimum: " + number(jobs::kLeaseMin.count()) + ", maximum: " + number(jobs::kLeaseMax.count()) +
            ", default: " + number(jobs::kLeaseDefault.count()),
        "waitMs: { type: integer, minimum: 0, maximum: " + number(api::kClaimWaitMax.count()),
        "minimum: 0, maximum: " + number(jobs::kPriorityMax) + ", description: 'Higher first"}) {
    EXPECT_NE(all.find(what), std::string::npos) << what;
  }
  auto version = run_hearth({"version"}).output;
  EXPECT_NE(all.find("  version: " + version.substr(version.find(' ') + 1)), std::string::npos) << version;
}

}  // namespace
}  // namespace hearth::tests
