#pragma once

// The tables of ratings and posts in PostgreSQL, Hearth's own or another program's, as statements name them.

#include <optional>
#include <string>
#include <string_view>

#include "hearth/base/result.h"
#include "hearth/drivers/postgres/adopted_table.h"
#include "hearth/drivers/postgres/connection.h"
#include "hearth/likes/ledger_names.h"

namespace hearth::likes {

using postgres::IdColumn;

struct RatingsTable {
  std::string name;  // quoted
  IdColumn post;
  IdColumn session;
  std::string created;   // quoted
  bool has_zone = true;  // of the time: timestamptz; otherwise timestamp, in UTC
  // What Hearth needs to write here: the one row of a pair can be found, and no other column must be given.
  bool has_unique_pair = false;
  std::string column_without_value = {};  // NOT NULL and without a default; empty: none

  // A timestamptz as the column's type, and back.
  std::string time_from(std::string_view time) const;
  std::string time_to(std::string_view time) const;
};

struct PostsTable {
  std::string name;
  IdColumn id;
  std::string likes;
  bool has_version = false;  // likes_version: Hearth's own
};

struct CommentsTable {
  std::string name;
  std::string id;
  std::string post;
};

struct AdoptedTables {
  RatingsTable ratings;
  std::optional<PostsTable> posts;  // none: there is no such table, and the name is the default
};

// Each looks a table up as it is. kInvalidArgument names the setting that must change.
Result<RatingsTable> find_ratings_table(postgres::Connection& connection, const LedgerNames& names);
Result<std::optional<PostsTable>> find_posts_table(postgres::Connection& connection, const LedgerNames& names);
Result<CommentsTable> find_comments_table(postgres::Connection& connection, const LedgerNames& names);

// kConflict: Hearth cannot add rows there.
Result<void> check_insertable(const RatingsTable& ratings, const LedgerNames& names);

// Those that Hearth writes. kInvalidArgument names the setting that must change; kConflict, what is missing in the database.
Result<AdoptedTables> find_adopted_tables(postgres::Connection& connection, const LedgerNames& names);

}  // namespace hearth::likes
