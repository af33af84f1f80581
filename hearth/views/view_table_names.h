#pragma once

// What the tables of an adopted database that hold numbers of views are called. A table may be given with its schema:
// "public.Story".

#include <string>

namespace hearth::views {

struct ViewTableNames {
  std::string stories_table = "stories";
  std::string stories_id_column = "id";
  std::string stories_count_column = "read_count";
  std::string chapters_table = "chapters";
  std::string chapters_id_column = "id";
  std::string chapters_count_column = "read_count";

  friend bool operator==(const ViewTableNames&, const ViewTableNames&) = default;
};

}  // namespace hearth::views
