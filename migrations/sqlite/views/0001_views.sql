-- views.db: what the view flusher makes of the journal. With the journal's tail it is the live state of views.

-- Each item that was ever viewed. `id` stands for it below.
CREATE TABLE viewed_items (
  id        INTEGER PRIMARY KEY,
  kind      INTEGER NOT NULL, -- 0 story, 1 chapter
  item_id   TEXT NOT NULL,
  views     INTEGER NOT NULL,
  buffered  INTEGER NOT NULL, -- of them not yet in SQL
  direct    INTEGER NOT NULL, -- of them counted by SQL itself
  marked_at INTEGER,          -- µs since 1970: from then on SQL lacks views; NULL: it has all
  synced_at INTEGER,          -- µs since 1970
  UNIQUE (kind, item_id)
);
CREATE INDEX viewed_items_marked ON viewed_items (marked_at) WHERE marked_at IS NOT NULL;

-- Views by hour (since 1970). The current hours lie together, for the flush and for trending.
CREATE TABLE view_hours (
  hour   INTEGER NOT NULL,
  item   INTEGER NOT NULL,
  kind   INTEGER NOT NULL, -- the item's
  views  INTEGER NOT NULL,
  in_sql INTEGER NOT NULL DEFAULT 0, -- as many as SQL is known to have
  PRIMARY KEY (hour, item)
) WITHOUT ROWID;
CREATE INDEX view_hours_item ON view_hours (item, hour);

-- Who was seen: 12 bytes an entry, 8 of hash and 4 of milliseconds after `began_at`. Rows are added and leave whole.
CREATE TABLE seen_viewers (
  id       INTEGER PRIMARY KEY,
  began_at INTEGER NOT NULL, -- ms since 1970, of the generation
  ends_at  INTEGER NOT NULL,
  entries  BLOB NOT NULL
);
CREATE INDEX seen_viewers_ends_at ON seen_viewers (ends_at);

-- The flusher's place in the journal, moved in the transaction that applies what lies before it.
CREATE TABLE view_cursor (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  sequence INTEGER NOT NULL,
  checksum INTEGER NOT NULL -- of the entry at `sequence`
);
INSERT INTO view_cursor VALUES (1, 0, 0);
