-- The count of each post that was ever liked, and its version. `id` stands for the post in `ratings`.
CREATE TABLE post_counts (
  id      INTEGER PRIMARY KEY,
  post_id TEXT NOT NULL UNIQUE,
  likes   INTEGER NOT NULL CHECK (likes >= 0),
  version INTEGER NOT NULL
);

-- Who likes what. A session is the 16 bytes of its UUID, or its text where it is none: a row is 31 bytes instead of 63.
CREATE TABLE ratings (
  post       INTEGER NOT NULL,
  session    NOT NULL,
  created_at INTEGER NOT NULL, -- µs since 1970
  PRIMARY KEY (post, session)
) WITHOUT ROWID;

-- The same the other way round, for what a session likes. A table and not an index, so that a flush can write it in its own order.
CREATE TABLE ratings_by_session (
  session    NOT NULL,
  post       INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (session, post)
) WITHOUT ROWID;

-- The same for people and other programs.
CREATE VIEW post_ratings (post_id, session_id, created_at) AS
SELECT
  post_counts.post_id,
  CASE typeof(session)
    WHEN 'blob' THEN lower(
      substr(hex(session), 1, 8) || '-' || substr(hex(session), 9, 4) || '-' || substr(hex(session), 13, 4) || '-' ||
      substr(hex(session), 17, 4) || '-' || substr(hex(session), 21))
    ELSE session
  END,
  strftime('%Y-%m-%dT%H:%M:%S', created_at / 1000000, 'unixepoch') || printf('.%03dZ', created_at / 1000 % 1000)
FROM ratings JOIN post_counts ON post_counts.id = ratings.post;

-- Each consumer's place in the journal, moved in the transaction that applies what lies before it.
CREATE TABLE outbox_cursors (
  consumer TEXT PRIMARY KEY,
  sequence INTEGER NOT NULL,
  checksum INTEGER NOT NULL -- of the entry at `sequence`
) WITHOUT ROWID;
INSERT INTO outbox_cursors VALUES ('ledger', 0, 0);
