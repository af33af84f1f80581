-- Who writes, what they wrote, and comments on it. Ids are compared by their bytes, as in SQLite and in cursors.

CREATE TABLE users (
  id                text COLLATE "C" PRIMARY KEY,
  username          text NOT NULL,
  username_key      text COLLATE "C" NOT NULL UNIQUE,  -- the username folded to lower case: unique whatever the case
  display_name      text,
  bio               text,
  profile_image_url text,
  created_at        timestamptz NOT NULL
);

CREATE TABLE posts (
  id             text COLLATE "C" PRIMARY KEY,
  author_id      text COLLATE "C" NOT NULL REFERENCES users (id),
  content        text,
  image_url      text,
  media_urls     text[] NOT NULL DEFAULT '{}',
  created_at     timestamptz NOT NULL,
  comments_count integer NOT NULL DEFAULT 0,
  -- A copy of post_counts, for ordering only: pages show the live count. Who writes either first locks the post's row in
  -- post_counts, be it to create the post or to flush likes; so neither order leaves an old copy.
  likes          integer NOT NULL DEFAULT 0,
  likes_version  bigint NOT NULL DEFAULT 0
);

CREATE INDEX posts_by_time ON posts (created_at DESC, id DESC);
CREATE INDEX posts_by_author ON posts (author_id, created_at DESC, id DESC);
CREATE INDEX posts_by_likes ON posts (likes DESC, created_at DESC, id DESC);

-- No reference to posts: what a comment is about may be kept by another program, as with likes. `hearth diagnose` lists those
-- without a post. Of an adopted database its own table is left as it is (ledger.comments_table).
DO $$ BEGIN
  IF current_setting('hearth.adopted_comments', true) IS DISTINCT FROM 'on' THEN
    CREATE TABLE comments (
      id         text COLLATE "C" PRIMARY KEY,
      post_id    text COLLATE "C" NOT NULL,
      author_id  text COLLATE "C" NOT NULL REFERENCES users (id),
      content    text NOT NULL,
      created_at timestamptz NOT NULL
    );
    CREATE INDEX comments_by_post ON comments (post_id, created_at DESC, id DESC);
  END IF;
END $$;

-- The answer that an Idempotency-Key got, written in the transaction of the change it made. NULL, seen by that transaction
-- only: it is being made.
CREATE TABLE idempotency_keys (
  scope      text COLLATE "C" PRIMARY KEY,
  request    text NOT NULL,
  answer     text,
  created_at timestamptz NOT NULL
);

CREATE INDEX idempotency_keys_by_time ON idempotency_keys (created_at);
