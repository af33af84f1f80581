// import, export and generate: data in and out, in the format of docs/data-format.md.

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "hearth/app/commands/command_line.h"
#include "hearth/app/commands/running_server.h"
#include "hearth/app/database_import.h"
#include "hearth/app/dataset/dataset_routes.h"
#include "hearth/app/dataset/exporter.h"
#include "hearth/app/dataset/generator.h"
#include "hearth/app/dataset/importer.h"
#include "hearth/app/wiring.h"
#include "hearth/base/run_to_end.h"

namespace hearth::app {
namespace {

// Of lines that are sent at once. No more than the MiB that a server takes as a body, so that a line of any length fits.
constexpr std::size_t kPieceBytes = dataset::kLineBytesMax + 2;

int report(const Error& error) {
  complain("hearth: " + error.message);
  return kFailed;
}

// Gives the input in pieces of whole lines. A line that is too long to be a good one is cut, but stays too long.
class LineReader {
 public:
  explicit LineReader(std::istream& input) : input_(input), line_(dataset::kLineBytesMax + 2) {}

  // Empty at the end.
  std::string next() {
    std::string piece = std::exchange(held_, {});
    while (true) {
      input_.getline(line_.data(), static_cast<std::streamsize>(line_.size()));
      auto read = static_cast<std::size_t>(input_.gcount());
      bytes_ += read;
      if (read == 0) break;
      bool is_whole = input_.good();  // its newline was read too
      held_.assign(line_.data(), is_whole ? read - 1 : read) += '\n';
      if (!is_whole && !input_.eof()) skip_rest();
      if (!piece.empty() && piece.size() + held_.size() > kPieceBytes) return piece;
      piece += std::exchange(held_, {});
    }
    return piece;
  }
  std::uint64_t bytes() const { return bytes_; }

 private:
  void skip_rest() {
    input_.clear();
    input_.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    bytes_ += static_cast<std::uint64_t>(input_.gcount());
  }

  std::istream& input_;
  std::vector<char> line_;
  std::string held_;  // the line that did not fit any more
  std::uint64_t bytes_ = 0;
};

// 0 for what has no size, as a pipe.
std::uint64_t size_of(const std::string& path) {
  std::error_code error;
  auto size = std::filesystem::file_size(path, error);
  return error ? 0 : size;
}

// A line that is drawn again and again, on a terminal only.
class ProgressBar {
 public:
  ProgressBar(const char* what, std::uint64_t bytes_total)
      : what_(what), bytes_total_(bytes_total), is_shown_(isatty(STDERR_FILENO) != 0) {}
  ~ProgressBar() {
    if (is_shown_) std::fprintf(stderr, "\n");
  }
  void show(std::uint64_t bytes, std::uint64_t lines) const {
    if (!is_shown_) return;
    constexpr int kWidth = 30;
    double share = bytes_total_ == 0 ? 0.0 : std::min(1.0, static_cast<double>(bytes) / static_cast<double>(bytes_total_));
    std::string bar(static_cast<std::size_t>(share * kWidth), '#');
    std::fprintf(stderr, "\r%s [%-*s] %3.0f %%  %llu lines", what_, kWidth, bar.c_str(), share * 100,
                 static_cast<unsigned long long>(lines));
  }

 private:
  const char* what_;
  const std::uint64_t bytes_total_;
  const bool is_shown_;
};

// The same for steps of which nobody knows how long they are.
class StepLine {
 public:
  void show(const char* what, std::uint64_t posts) {
    if (isatty(STDERR_FILENO) == 0) return;
    std::fprintf(stderr, "\r%-24s %12llu posts", what, static_cast<unsigned long long>(posts));
    is_open_ = true;
  }
  void end() {
    if (std::exchange(is_open_, false)) std::fprintf(stderr, "\n");
  }

 private:
  bool is_open_ = false;
};

void add_up(dataset::ImportReport& total, dataset::ImportReport part) {
  total.lines += part.lines;
  total.users += part.users;
  total.posts += part.posts;
  total.stories += part.stories;
  total.chapters += part.chapters;
  total.ratings += part.ratings;
  total.unchanged += part.unchanged;
  total.bad_total += part.bad_total;
  for (auto& bad : part.bad) {
    if (total.bad.size() < dataset::kBadLinesListedMax) total.bad.push_back(std::move(bad));
  }
}

// Reads the whole file through an importer of this process.
Result<dataset::ImportReport> read_file(const std::string& path, dataset::ImportTarget target, dataset::ImportMode mode) {
  std::ifstream file(path, std::ios::binary);
  LineReader reader(file);
  ProgressBar progress(mode == dataset::ImportMode::kCheck ? "checking" : "importing", size_of(path));
  dataset::Importer importer(target, {.mode = mode});
  for (auto piece = reader.next(); !piece.empty(); piece = reader.next()) {
    if (auto fed = run_to_end(importer.feed(std::move(piece))); !fed) return std::unexpected(fed.error());
    progress.show(reader.bytes(), importer.report().lines);
  }
  if (auto finished = run_to_end(importer.finish()); !finished) return std::unexpected(finished.error());
  return importer.report();
}

// Sends the file to the server that holds the folder, piece by piece.
Result<dataset::ImportReport> send_file(const std::string& path, const RunningServer& server) {
  std::ifstream file(path, std::ios::binary);
  LineReader reader(file);
  ProgressBar progress("importing", size_of(path));
  dataset::ImportReport total;
  for (auto piece = reader.next(); !piece.empty(); piece = reader.next()) {
    auto answer = server.post("/api/admin/import?firstLine=" + std::to_string(total.lines + 1), std::move(piece), "application/x-ndjson");
    if (!answer) return std::unexpected(answer.error());
    auto part = dataset::parse_report(*std::move(answer));
    if (!part) return std::unexpected(part.error());
    add_up(total, *std::move(part));
    progress.show(reader.bytes(), total.lines);
  }
  return total;
}

int print_report(const dataset::ImportReport& report, bool as_json, bool was_imported) {
  if (as_json) {
    std::printf("%s\n", dataset::to_json(report).c_str());
  } else {
    for (const auto& bad : report.bad)
      std::fprintf(stderr, "line %llu: %s\n", static_cast<unsigned long long>(bad.line), bad.reason.c_str());
    if (report.bad_total > report.bad.size()) {
      std::fprintf(stderr, "… and %llu more bad lines\n", static_cast<unsigned long long>(report.bad_total - report.bad.size()));
    }
    std::printf("%s %llu lines: %llu users, %llu posts, %llu stories, %llu chapters, %llu ratings, %llu unchanged, %llu bad%s\n",
                was_imported ? "imported" : "checked", static_cast<unsigned long long>(report.lines),
                static_cast<unsigned long long>(report.users), static_cast<unsigned long long>(report.posts),
                static_cast<unsigned long long>(report.stories), static_cast<unsigned long long>(report.chapters),
                static_cast<unsigned long long>(report.ratings), static_cast<unsigned long long>(report.unchanged),
                static_cast<unsigned long long>(report.bad_total), was_imported ? "" : "; nothing was imported");
  }
  return report.bad_total == 0 ? kDone : kFailed;
}

// The check of --strict while another process serves from the folder: it only reads content.
Result<dataset::ImportReport> check_beside_server(const std::string& path, const Config& config, const Clock& clock) {
  auto sql = open_sql(config, clock);
  if (!sql) return std::unexpected(sql.error());
  return read_file(path, {(*sql)->content(), (*sql)->pages(), (*sql)->stories(), nullptr}, dataset::ImportMode::kCheck);
}

Result<dataset::ImportReport> import_into(Hearth& hearth, const std::string& path, dataset::ImportMode mode) {
  return read_file(path, {hearth.sql->content(), hearth.sql->pages(), hearth.sql->stories(), &hearth.live->store()}, mode);
}

// The likes of a database that another program has filled.
int import_database(const Config& config, DatabaseImportOptions options, bool as_json) {
  if (!config.database.url) {
    complain("hearth: --from-database: database.url says which; it is not set");
    return kWrongArguments;
  }
  if (config.live.store == LiveStore::kMemory) {
    if (auto free = DataFolder::lock(config.data); !free)
      return report({free.error().code, free.error().message + "; it has the likes in memory: stop it, and import then"});
  }
  SystemClock clock;
  StepLine progress;
  options.progress = [&](const char* what, std::uint64_t posts) { progress.show(what, posts); };
  auto imported = DatabaseImport(config, clock, std::move(options)).run();
  progress.end();
  if (!imported) return report(imported.error());
  std::printf("%s", as_json ? (adoption::to_json(*imported) + "\n").c_str() : adoption::to_text(*imported).c_str());
  return imported->left.total == 0 ? kDone : kFailed;
}

}  // namespace

int import_data(const Arguments& arguments) {
  CommandLine command(
      "import",
      "Imports users, posts, stories, chapters and ratings from NDJSON, or the likes of the configured database, which another program has "
      "filled. Bad lines are reported and skipped. Running it again changes nothing.");
  std::string path;
  bool is_strict = false;
  bool as_json = false;
  bool is_from_database = false;
  DatabaseImportOptions database;
  auto* file = command.options().add_option("FILE", path, "the NDJSON file")->check(CLI::ExistingFile);
  auto* strict = command.options().add_flag("--strict", is_strict, "check the whole file first, and import nothing if a line is bad");
  auto* from_database =
      command.options().add_flag("--from-database", is_from_database, "adopt the ratings in database.url, by the names in ledger.*");
  command.options().add_flag("--dry-run", database.is_dry_run, "with --from-database: say what would be done")->needs(from_database);
  command.options()
      .add_flag("--keep-duplicates", database.keeps_duplicates, "with --from-database: refuse where the ratings have no unique index")
      ->needs(from_database);
  command.options().add_flag("--json", as_json, "print the report as JSON");
  from_database->excludes(file)->excludes(strict);
  int status = kDone;
  auto config = command.load(arguments, status);
  if (!config) return status;
  if (is_from_database) return import_database(*config, std::move(database), as_json);
  if (path.empty()) {
    complain("hearth: import needs a FILE, or --from-database");
    return kWrongArguments;
  }

  SystemClock clock;
  auto hearth = Hearth::open(*config, clock);
  auto address = DataFolder::announced(config->data);
  bool is_served = !hearth && hearth.error().code == ErrorCode::kConflict && address;
  if (!hearth && !is_served) return report(hearth.error());

  if (is_strict) {
    auto checked = is_served ? check_beside_server(path, *config, clock) : import_into(**hearth, path, dataset::ImportMode::kCheck);
    if (!checked) return report(checked.error());
    if (checked->bad_total > 0) return print_report(*checked, as_json, false);
  }
  auto imported = is_served ? send_file(path, RunningServer(*address, config->auth.admin_key))
                            : import_into(**hearth, path, dataset::ImportMode::kImport);
  if (!imported) return report(imported.error());
  if (!is_served) (*hearth)->stop();
  return print_report(*imported, as_json, true);
}

int export_data(const Arguments& arguments) {
  CommandLine command("export", "Writes all users, posts, stories, chapters and ratings as NDJSON, to a file or to standard output.");
  std::string path;
  command.options().add_option("FILE", path, "the file to write; without it standard output");
  int status = kDone;
  auto config = command.load(arguments, status);
  if (!config) return status;

  // SQL is brought up to date, by us or by the server that holds the folder; then it is read.
  SystemClock clock;
  auto hearth = Hearth::open(*config, clock);
  auto address = DataFolder::announced(config->data);
  if (!hearth) {
    if (hearth.error().code != ErrorCode::kConflict || !address) return report(hearth.error());
    auto flushed = RunningServer(*address, config->auth.admin_key).post("/api/admin/flush", "", "application/json");
    if (!flushed) return report(flushed.error());
  }
  auto sql = open_sql(*config, clock);
  if (!sql) return report(sql.error());

  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(path.empty() ? nullptr : std::fopen(path.c_str(), "wb"), std::fclose);
  if (!path.empty() && !file) return report({ErrorCode::kInvalidArgument, "cannot write " + path});
  std::FILE* out = file ? file.get() : stdout;
  auto exported = (*sql)->export_to([&](std::string_view bytes) -> Result<void> {
    if (std::fwrite(bytes.data(), 1, bytes.size(), out) != bytes.size())
      return fail(ErrorCode::kUnavailable, "the output could not be written");
    return {};
  });
  if (exported && std::fflush(out) != 0) return report({ErrorCode::kUnavailable, "the output could not be written"});
  if (!exported) return report(exported.error());
  std::fprintf(stderr, "exported %llu users, %llu posts, %llu stories, %llu chapters, %llu ratings\n",
               static_cast<unsigned long long>(exported->users), static_cast<unsigned long long>(exported->posts),
               static_cast<unsigned long long>(exported->stories), static_cast<unsigned long long>(exported->chapters),
               static_cast<unsigned long long>(exported->ratings));
  return kDone;
}

int generate_data(const Arguments& arguments) {
  CLI::App options("Makes NDJSON of skewed popularity for trials and benchmarks; the same options make the same data.", "hearth generate");
  dataset::GeneratorOptions generator;
  std::string path;
  options.add_option("--posts", generator.posts, "how many posts")->required();
  options.add_option("--sessions", generator.sessions, "how many sessions like them")->required();
  options.add_option("--likes", generator.likes, "how many likes, each of another (post, session) pair")->required();
  options.add_option("--seed", generator.seed, "another seed makes other data")->capture_default_str();
  options.add_flag("--uuid-posts", generator.uuid_post_ids, "UUIDs as ids of posts");
  options.add_option("--out", path, "the file to write; without it standard output");
  try {
    options.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
  } catch (const CLI::ParseError& error) {
    return options.exit(error) == 0 ? kDone : kWrongArguments;
  }
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(path.empty() ? nullptr : std::fopen(path.c_str(), "wb"), std::fclose);
  if (!path.empty() && !file) return report({ErrorCode::kInvalidArgument, "cannot write " + path});
  std::FILE* out = file ? file.get() : stdout;
  auto generated = dataset::generate(generator, [&](std::string_view bytes) -> Result<void> {
    if (std::fwrite(bytes.data(), 1, bytes.size(), out) != bytes.size())
      return fail(ErrorCode::kUnavailable, "the output could not be written");
    return {};
  });
  if (!generated) return report(generated.error());
  return std::fflush(out) == 0 ? kDone : report({ErrorCode::kUnavailable, "the output could not be written"});
}

}  // namespace hearth::app
