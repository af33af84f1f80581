#pragma once

// The commands of the executable. Each takes the arguments after its name and returns the process's exit status:
// 0 done, 1 done in part or failed, 2 the arguments or the configuration are wrong.

#include <string>
#include <vector>

namespace hearth::app {

using Arguments = std::vector<std::string>;

int serve(const Arguments& arguments);
int import_data(const Arguments& arguments);
int export_data(const Arguments& arguments);
int generate_data(const Arguments& arguments);
int diagnose(const Arguments& arguments);
int check_config(const Arguments& arguments);
int print_configuration(const Arguments& arguments);
int migrate(const Arguments& arguments);
int jobs_command(const Arguments& arguments);  // `jobs`; that name is a namespace
int reconcile(const Arguments& arguments);
int sync_views(const Arguments& arguments);
int version(const Arguments& arguments);

}  // namespace hearth::app
