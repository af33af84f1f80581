-- What all nodes agree on about the live store: one row.
CREATE TABLE live_control (
  only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  deployment_id text,                           -- NULL before the first start
  partitions    integer,
  is_tagged     boolean,
  is_fallback   boolean NOT NULL DEFAULT false, -- likes are served from SQL
  is_closing    boolean NOT NULL DEFAULT false  -- and no more changes are taken, until what waits has been drained
);
INSERT INTO live_control DEFAULT VALUES;

-- When each node last said that it reaches the live store.
CREATE TABLE live_reports (
  node       text PRIMARY KEY,
  healthy_at timestamptz NOT NULL
);

-- Servers of the live store, by the id of their run, that were compared with SQL.
CREATE TABLE live_servers (
  run_id      text PRIMARY KEY,
  admitted_at timestamptz NOT NULL
);

-- Likes that the live store must still get, as absolute states: the changes of fallback, and
-- what other programs did to the ratings. Drained ones from fallback stay until the ledger has caught up with them.
CREATE TABLE like_inbox (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  post_id    text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  is_liked   boolean NOT NULL,
  at         timestamptz NOT NULL,
  is_foreign boolean NOT NULL,
  likes      bigint,  -- of the post after it, and its version; of foreign ones not known
  version    bigint,
  is_drained boolean NOT NULL DEFAULT false
);
CREATE INDEX like_inbox_by_post ON like_inbox (post_id, id);
CREATE INDEX like_inbox_by_session ON like_inbox (session_id, post_id, id);
CREATE INDEX like_inbox_waiting ON like_inbox (id) WHERE NOT is_drained;

-- The answers that Idempotency-Keys got in fallback. NULL, seen by its own transaction only: it is being made.
CREATE TABLE inbox_keys (
  scope      bytea PRIMARY KEY,
  request    bytea NOT NULL,
  created_at timestamptz NOT NULL,
  post_id    text,
  is_liked   boolean,
  likes      bigint,
  version    bigint,
  changed    boolean
);
CREATE INDEX inbox_keys_by_time ON inbox_keys (created_at);

-- For a trigger on the table of ratings, whose names are its arguments: TABLE's column of the post, and of the session.
-- Rows that other programs write become operations of the inbox. With the rights of who made it, as they may have none here.
DO $migration$ BEGIN
  EXECUTE format($create$
    CREATE FUNCTION note_rating() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $body$
    BEGIN
      IF TG_OP <> 'INSERT' THEN
        INSERT INTO %1$I.like_inbox (post_id, session_id, is_liked, at, is_foreign)
        SELECT to_jsonb(OLD) ->> TG_ARGV[0], to_jsonb(OLD) ->> TG_ARGV[1], false, clock_timestamp(), true;
      END IF;
      IF TG_OP <> 'DELETE' THEN
        INSERT INTO %1$I.like_inbox (post_id, session_id, is_liked, at, is_foreign)
        SELECT to_jsonb(NEW) ->> TG_ARGV[0], to_jsonb(NEW) ->> TG_ARGV[1], true, clock_timestamp(), true;
      END IF;
      RETURN NULL;
    END $body$
  $create$, current_schema());
END $migration$;
