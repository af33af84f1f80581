-- The posts that were hottest when recompute_rankings ran last, hottest first: candidates of the hot rank.
CREATE TABLE hot_posts (
  place   INTEGER PRIMARY KEY,
  post_id TEXT NOT NULL
) STRICT;

-- What users were told. `data` is JSON.
CREATE TABLE notifications (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id    TEXT NOT NULL,
  type       TEXT NOT NULL,
  title      TEXT NOT NULL,
  body       TEXT,
  data       TEXT,
  created_at INTEGER NOT NULL,
  read_at    INTEGER
) STRICT;

CREATE INDEX notifications_by_user ON notifications (user_id, id DESC);
CREATE INDEX notifications_by_time ON notifications (created_at);
