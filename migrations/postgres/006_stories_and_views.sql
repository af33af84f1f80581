-- Stories and their chapters, how often they were viewed, and documents that nodes share. Hours and days are where they
-- begin, in UTC.

-- Another program may keep the story of a chapter, and who wrote it: neither refers to a row here.
CREATE TABLE stories (
  id              text COLLATE "C" PRIMARY KEY,
  author_id       text COLLATE "C",
  title           text,
  summary         text,
  cover_image_url text,
  read_count      bigint NOT NULL DEFAULT 0,  -- the total of view_counts
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX stories_by_time ON stories (created_at DESC, id DESC);

CREATE TABLE chapters (
  id         text COLLATE "C" PRIMARY KEY,
  story_id   text COLLATE "C" NOT NULL,
  title      text,
  content    text,
  position   bigint,
  read_count bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX chapters_by_story ON chapters (story_id, position, id);

-- The total of each item as of the last sync, whether its content is here or not. `direct`: those of them that SQL counted
-- itself, while the live store was switched off. Whoever changes anything of an item's views first locks its row here.
CREATE TABLE view_counts (
  kind      text COLLATE "C" NOT NULL CHECK (kind IN ('story', 'chapter')),
  item_id   text COLLATE "C" NOT NULL,
  views     bigint NOT NULL DEFAULT 0,
  direct    bigint NOT NULL DEFAULT 0,
  synced_at timestamptz,
  PRIMARY KEY (kind, item_id)
);

CREATE TABLE view_hours (
  kind    text COLLATE "C" NOT NULL,
  item_id text COLLATE "C" NOT NULL,
  hour    timestamptz NOT NULL,
  views   bigint NOT NULL,
  PRIMARY KEY (kind, item_id, hour)
);

-- An hour's most viewed items, and hours that are kept no longer.
CREATE INDEX view_hours_by_views ON view_hours (hour, kind, views DESC);

-- The sums of the hours, kept longer than those.
CREATE TABLE view_days (
  kind    text COLLATE "C" NOT NULL,
  item_id text COLLATE "C" NOT NULL,
  day     timestamptz NOT NULL,
  views   bigint NOT NULL,
  PRIMARY KEY (kind, item_id, day)
);

CREATE INDEX view_days_by_day ON view_days (day);

-- Views that came while the live store was away or switched off. `is_counted`: nothing of it is left to count, as SQL has
-- counted it itself or it only remembers the viewer.
CREATE TABLE view_inbox (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind       text COLLATE "C" NOT NULL,
  item_id    text COLLATE "C" NOT NULL,
  viewer     bigint NOT NULL,
  previous   bigint,           -- the same viewer under another key
  at         timestamptz NOT NULL,
  is_counted boolean NOT NULL
);

CREATE UNIQUE INDEX view_inbox_by_viewer ON view_inbox (kind, item_id, viewer, at);
CREATE INDEX view_inbox_over ON view_inbox (at) WHERE is_counted;

-- How many rows of view_inbox wait to be counted: nobody has to count them.
CREATE TABLE view_waiting (
  kind    text COLLATE "C" NOT NULL,
  item_id text COLLATE "C" NOT NULL,
  hour    timestamptz NOT NULL,
  views   bigint NOT NULL,
  PRIMARY KEY (kind, item_id, hour)
);

CREATE INDEX view_waiting_by_hour ON view_waiting (hour, kind);

-- The keys of hashes that stand for viewers; in use from then on until the next one.
CREATE TABLE viewer_keys (
  purpose    text NOT NULL CHECK (purpose IN ('user', 'anonymous')),
  valid_from timestamptz NOT NULL,
  bytes      bytea NOT NULL,
  PRIMARY KEY (purpose, valid_from)
);

-- Settings that are changed while Hearth runs. A version is never given twice: what was removed stays, without a body.
CREATE TABLE shared_documents (
  name       text COLLATE "C" PRIMARY KEY,
  version    bigint NOT NULL,
  body       text,
  updated_at timestamptz NOT NULL
);
