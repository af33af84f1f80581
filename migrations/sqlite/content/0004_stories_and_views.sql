-- Stories and their chapters, how often they were viewed, and documents that nodes share. Times are microseconds since
-- 1970-01-01 UTC; hours and days are where they begin.

-- Another program may keep the story of a chapter, and who wrote it: neither refers to a row here.
CREATE TABLE stories (
  id              TEXT PRIMARY KEY,
  author_id       TEXT,
  title           TEXT,
  summary         TEXT,
  cover_image_url TEXT,
  read_count      INTEGER NOT NULL DEFAULT 0,  -- the total of view_counts
  created_at      INTEGER NOT NULL,
  updated_at      INTEGER NOT NULL
) STRICT;

CREATE INDEX stories_by_time ON stories (created_at DESC, id DESC);

CREATE TABLE chapters (
  id         TEXT PRIMARY KEY,
  story_id   TEXT NOT NULL,
  title      TEXT,
  content    TEXT,
  position   INTEGER,
  read_count INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX chapters_by_story ON chapters (story_id, position, id);

-- The total of each item as of the last sync, whether its content is here or not. `direct`: those of them that SQL counted
-- itself, while the live store was switched off. Kinds are 'story' and 'chapter'.
CREATE TABLE view_counts (
  kind      TEXT NOT NULL,
  item_id   TEXT NOT NULL,
  views     INTEGER NOT NULL DEFAULT 0,
  direct    INTEGER NOT NULL DEFAULT 0,
  synced_at INTEGER,
  PRIMARY KEY (kind, item_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE view_hours (
  kind    TEXT NOT NULL,
  item_id TEXT NOT NULL,
  hour    INTEGER NOT NULL,
  views   INTEGER NOT NULL,
  PRIMARY KEY (kind, item_id, hour)
) STRICT, WITHOUT ROWID;

-- An hour's most viewed items, and hours that are kept no longer.
CREATE INDEX view_hours_by_views ON view_hours (hour, kind, views DESC);

-- The sums of the hours, kept longer than those.
CREATE TABLE view_days (
  kind    TEXT NOT NULL,
  item_id TEXT NOT NULL,
  day     INTEGER NOT NULL,
  views   INTEGER NOT NULL,
  PRIMARY KEY (kind, item_id, day)
) STRICT, WITHOUT ROWID;

CREATE INDEX view_days_by_day ON view_days (day);

-- Views that came while the live store was away or switched off. `is_counted`: nothing of it is left to count, as SQL has
-- counted it itself or it only remembers the viewer.
CREATE TABLE view_inbox (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  kind       TEXT NOT NULL,
  item_id    TEXT NOT NULL,
  viewer     INTEGER NOT NULL,
  previous   INTEGER,           -- the same viewer under another key
  at         INTEGER NOT NULL,
  is_counted INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX view_inbox_by_viewer ON view_inbox (kind, item_id, viewer, at);
CREATE INDEX view_inbox_over ON view_inbox (at) WHERE is_counted;

-- How many rows of view_inbox wait to be counted: nobody has to count them.
CREATE TABLE view_waiting (
  kind    TEXT NOT NULL,
  item_id TEXT NOT NULL,
  hour    INTEGER NOT NULL,
  views   INTEGER NOT NULL,
  PRIMARY KEY (kind, item_id, hour)
) STRICT, WITHOUT ROWID;

CREATE INDEX view_waiting_by_hour ON view_waiting (hour, kind);

-- The keys of hashes that stand for viewers. Purposes are 'user' and 'anonymous'; in use from then on until the next one.
CREATE TABLE viewer_keys (
  purpose    TEXT NOT NULL,
  valid_from INTEGER NOT NULL,
  bytes      BLOB NOT NULL,
  PRIMARY KEY (purpose, valid_from)
) STRICT, WITHOUT ROWID;

-- Settings that are changed while Hearth runs. A version is never given twice: what was removed stays, without a body.
CREATE TABLE shared_documents (
  name       TEXT PRIMARY KEY,
  version    INTEGER NOT NULL,
  body       TEXT,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
