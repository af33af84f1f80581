-- Who likes what. Of an adopted database its own table is used instead (ledger.ratings_table).
DO $$ BEGIN
  IF current_setting('hearth.adopted_post_ratings', true) IS DISTINCT FROM 'on' THEN
    CREATE TABLE post_ratings (
      post_id    text COLLATE "C" NOT NULL,
      session_id text COLLATE "C" NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (post_id, session_id)
    );
    CREATE INDEX post_ratings_by_session ON post_ratings (session_id, created_at DESC);
  END IF;
END $$;

-- The count of each post that was ever liked, and its version. Whoever changes a post's likes locks its row here first.
CREATE TABLE post_counts (
  post_id text COLLATE "C" PRIMARY KEY,
  likes   bigint NOT NULL CHECK (likes >= 0),
  version bigint NOT NULL
);

-- Each consumer's place in each partition of the outbox, and which node reads it. Moved in the transaction that applies what
-- lies before it. Partition -1 is the journal.
CREATE TABLE outbox_cursors (
  consumer       text NOT NULL,
  partition      integer NOT NULL,
  position_major bigint NOT NULL DEFAULT 0,
  position_minor bigint NOT NULL DEFAULT 0,
  checksum       bigint NOT NULL DEFAULT 0, -- of the entry there
  owner          text,                      -- the node that reads it, if any
  fence          bigint NOT NULL DEFAULT 0, -- grows with every new owner
  lease_until    timestamptz,
  PRIMARY KEY (consumer, partition)
);

-- The nodes that live, for sharing the partitions among them.
CREATE TABLE nodes (
  node     text PRIMARY KEY,
  alive_at timestamptz NOT NULL
);

-- Events that SQL refused, for people to look at.
CREATE TABLE outbox_parked (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  partition  integer NOT NULL,
  post_id    text NOT NULL,
  session_id text NOT NULL,
  version    bigint NOT NULL,
  is_liked   boolean NOT NULL,
  at         timestamptz NOT NULL,
  reason     text NOT NULL,
  parked_at  timestamptz NOT NULL DEFAULT now()
);
