// hearth: the engagement backend for social apps. The commands are in commands/; what runs is connected in wiring.cc.

#include <cstdio>
#include <string>
#include <vector>

#include "hearth/app/commands/commands.h"

namespace {

using hearth::app::Arguments;

struct Command {
  const char* name;
  const char* about;
  int (*run)(const Arguments&);
};

constexpr Command kCommands[] = {
    {"serve", "serve the HTTP API", hearth::app::serve},
    {"import", "import users, posts and ratings from NDJSON", hearth::app::import_data},
    {"export", "write everything as NDJSON", hearth::app::export_data},
    {"generate", "make NDJSON for trials and benchmarks", hearth::app::generate_data},
    {"check-config", "check the settings and change nothing", hearth::app::check_config},
    {"print-config", "print the settings in force", hearth::app::print_configuration},
    {"migrate", "bring SQL to the newest schema", hearth::app::migrate},
    {"reconcile", "compare live state with SQL and repair what differs", hearth::app::reconcile},
    {"sync-views", "bring the views that are counted to SQL", hearth::app::sync_views},
    {"diagnose", "look for duplicates, wrong counts and orphans, and change nothing", hearth::app::diagnose},
    {"jobs", "list and steer background jobs", hearth::app::jobs_command},
    {"version", "print the version", hearth::app::version},
};

int usage(FILE* out, int status) {
  std::fprintf(out, "usage: hearth COMMAND [--setting=value …]\n\n");
  for (const auto& command : kCommands) std::fprintf(out, "  %-14s %s\n", command.name, command.about);
  std::fprintf(out, "\n`hearth COMMAND --help` lists the options of a command.\n");
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return usage(stderr, 2);
  std::string name = argv[1];
  if (name == "--help" || name == "-h" || name == "help") return usage(stdout, 0);
  if (name == "--version") name = "version";
  for (const auto& command : kCommands) {
    if (name == command.name) return command.run(Arguments(argv + 2, argv + argc));
  }
  std::fprintf(stderr, "hearth: there is no command %s\n\n", name.c_str());
  return usage(stderr, 2);
}
