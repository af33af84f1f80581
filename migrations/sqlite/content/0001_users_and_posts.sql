-- content.db: who writes, and what they wrote. Times are microseconds since 1970-01-01 UTC.
-- Rows refer to each other by small integer keys; ids of the API are looked up once.

CREATE TABLE users (
  key               INTEGER PRIMARY KEY,
  id                TEXT NOT NULL UNIQUE,
  username          TEXT NOT NULL,
  username_key      TEXT NOT NULL UNIQUE,  -- the username folded to lower case: unique whatever the case
  display_name      TEXT,
  bio               TEXT,
  profile_image_url TEXT,
  created_at        INTEGER NOT NULL
) STRICT;

CREATE TABLE posts (
  key            INTEGER PRIMARY KEY,
  id             TEXT NOT NULL UNIQUE,
  author         INTEGER NOT NULL REFERENCES users (key),
  content        TEXT,
  image_url      TEXT,
  media_urls     TEXT NOT NULL DEFAULT '',  -- one a line
  created_at     INTEGER NOT NULL,
  comments_count INTEGER NOT NULL DEFAULT 0,
  -- A projection of the ledger's count, for ordering only: pages show the live count. It is replaced by a newer version
  -- and never by an older one. NULL: not projected yet.
  likes          INTEGER NOT NULL DEFAULT 0,
  likes_version  INTEGER
) STRICT;

CREATE INDEX posts_by_time ON posts (created_at DESC, id DESC);
CREATE INDEX posts_by_author ON posts (author, created_at DESC, id DESC);
CREATE INDEX posts_by_likes ON posts (likes DESC, created_at DESC, id DESC);
CREATE INDEX posts_unprojected ON posts (created_at DESC) WHERE likes_version IS NULL;

-- The answer that an Idempotency-Key got, written in the transaction of the change it made.
CREATE TABLE idempotency_keys (
  scope      TEXT PRIMARY KEY,
  request    TEXT NOT NULL,
  answer     TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_time ON idempotency_keys (created_at);

-- How far each consumer has read the outbox. The checksum is that of the entry at the cursor: if the log holds another
-- entry there, or none, it is not the log that was read. `steps` grows with every step of the consumer.
CREATE TABLE outbox_cursors (
  consumer TEXT PRIMARY KEY,
  sequence INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  steps    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
