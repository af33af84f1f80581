#pragma once

// All users and all posts of content.db, one after the other, in the order of their ids.
//
// For a thread that may block, on a connection of its own. The caller's transaction decides whether both are one snapshot.

#include "hearth/base/function_ref.h"
#include "hearth/content/content.h"
#include "hearth/drivers/sqlite/connection.h"

namespace hearth::content {

// Each stops at the first failure of `use` and returns it.
Result<void> for_each_user(sqlite::Connection& connection, FunctionRef<Result<void>(const User&)> use);
Result<void> for_each_post(sqlite::Connection& connection, FunctionRef<Result<void>(const Post&)> use);

}  // namespace hearth::content
