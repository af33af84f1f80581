#pragma once

// What the tables of an adopted database are called. A table may be given with its schema: "public.ratings".

#include <string>

namespace hearth::likes {

struct LedgerNames {
  std::string ratings_table = "post_ratings";
  std::string ratings_post_column = "post_id";
  std::string ratings_session_column = "session_id";
  std::string ratings_created_column = "created_at";
  std::string posts_table = "posts";
  std::string posts_id_column = "id";
  std::string posts_likes_column = "likes";
  std::string comments_table = "comments";
  std::string comments_id_column = "id";
  std::string comments_post_column = "post_id";
};

}  // namespace hearth::likes
