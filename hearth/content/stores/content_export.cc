#include "hearth/content/stores/content_export.h"

#include "hearth/content/stores/content_rows.h"

namespace hearth::content {
namespace {

constexpr char kUsers[] = HEARTH_SELECT_USER "ORDER BY id";
constexpr char kPosts[] = HEARTH_SELECT_POST "ORDER BY p.id";

}  // namespace

Result<void> for_each_user(sqlite::Connection& connection, FunctionRef<Result<void>(const User&)> use) {
  return sqlite::Connection::guard([&]() -> Result<void> {
    auto& row = connection.statement(kUsers).query();
    while (row.next()) {
      if (auto used = use(user_in(row)); !used) return used;
    }
    return {};
  });
}

Result<void> for_each_post(sqlite::Connection& connection, FunctionRef<Result<void>(const Post&)> use) {
  return sqlite::Connection::guard([&]() -> Result<void> {
    auto& row = connection.statement(kPosts).query();
    while (row.next()) {
      if (auto used = use(post_in(row)); !used) return used;
    }
    return {};
  });
}

}  // namespace hearth::content
