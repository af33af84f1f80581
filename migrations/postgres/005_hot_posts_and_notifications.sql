-- The posts that were hottest when recompute_rankings ran last, hottest first: candidates of the hot rank.
CREATE TABLE hot_posts (
  place   integer PRIMARY KEY,
  post_id text COLLATE "C" NOT NULL
);

-- What users were told.
CREATE TABLE notifications (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id    text COLLATE "C" NOT NULL,
  type       text NOT NULL,
  title      text NOT NULL,
  body       text,
  data       jsonb,
  created_at timestamptz NOT NULL,
  read_at    timestamptz
);

CREATE INDEX notifications_by_user ON notifications (user_id, id DESC);
CREATE INDEX notifications_by_time ON notifications (created_at);
