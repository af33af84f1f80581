-- What is known about the live store, where that is Redis: one row.
CREATE TABLE live_control (
  only_row      INTEGER PRIMARY KEY CHECK (only_row = 1),
  deployment_id TEXT,                        -- NULL before the first start
  partitions    INTEGER,
  is_tagged     INTEGER,
  is_fallback   INTEGER NOT NULL DEFAULT 0,  -- likes are served from SQL
  is_closing    INTEGER NOT NULL DEFAULT 0   -- and no more changes are taken, until what waits has been drained
);
INSERT INTO live_control (only_row) VALUES (1);

-- When a node last said that it reaches the live store, in µs since 1970.
CREATE TABLE live_reports (
  node       TEXT PRIMARY KEY,
  healthy_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Servers of the live store, by the id of their run, that were compared with SQL.
CREATE TABLE live_servers (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id TEXT NOT NULL UNIQUE
);

-- Likes of fallback that the live store must still get, as absolute states: at most one of each post and session. Drained
-- ones stay until the ledger has caught up with them.
CREATE TABLE like_inbox (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  post_id    TEXT NOT NULL,
  session_id TEXT NOT NULL,
  is_liked   INTEGER NOT NULL,
  at         INTEGER NOT NULL,  -- µs since 1970
  likes      INTEGER NOT NULL,  -- of the post after it, and its version
  version    INTEGER NOT NULL,
  is_drained INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX like_inbox_by_post ON like_inbox (post_id, id);
CREATE UNIQUE INDEX like_inbox_by_session ON like_inbox (session_id, post_id);
CREATE INDEX like_inbox_waiting ON like_inbox (id) WHERE NOT is_drained;

-- The answers that Idempotency-Keys got in fallback.
CREATE TABLE inbox_keys (
  scope      BLOB PRIMARY KEY,
  request    BLOB NOT NULL,
  created_at INTEGER NOT NULL,  -- µs since 1970
  post_id    TEXT NOT NULL,
  is_liked   INTEGER NOT NULL,
  likes      INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  changed    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX inbox_keys_by_time ON inbox_keys (created_at);
