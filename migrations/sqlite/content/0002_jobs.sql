-- Background jobs. Times are microseconds since 1970-01-01 UTC, by Hearth's clock.

-- Jobs that wait, run or are dead. One that completes or is cancelled moves to job_history.
CREATE TABLE background_jobs (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: history names them
  job_type         TEXT NOT NULL,
  payload          TEXT NOT NULL DEFAULT '{}',
  url              TEXT,  -- where it is posted to
  has_url          INTEGER NOT NULL GENERATED ALWAYS AS (url IS NOT NULL) VIRTUAL,
  -- No IN: for a list of more than two SQLite builds a table each time it checks, which is most of the cost of an insert.
  status           TEXT NOT NULL DEFAULT 'pending' CHECK (status = 'pending' OR status = 'processing' OR status = 'dead'),
  priority         INTEGER NOT NULL DEFAULT 0 CHECK (priority BETWEEN 0 AND 10),
  attempts         INTEGER NOT NULL DEFAULT 0,
  max_attempts     INTEGER NOT NULL DEFAULT 3,
  scheduled_for    INTEGER NOT NULL,
  started_at       INTEGER,
  completed_at     INTEGER,  -- in job_history only, as result
  failed_at        INTEGER,  -- the last attempt that failed
  error_message    TEXT,
  result           TEXT,
  progress         TEXT,
  created_at       INTEGER NOT NULL,
  updated_at       INTEGER NOT NULL,
  idempotency_key  TEXT,
  debounce_key     TEXT,  -- until it starts
  worker_id        TEXT,
  lease_token      TEXT,  -- of who runs it, or snoozed it last
  lease_ms         INTEGER,
  lease_expires_at INTEGER
) STRICT;

-- A claim reads the first entries of each type and priority: what is not due, running or dead costs it nothing. The last column
-- is for counting. Few indexes, because each statement that changes a job opens them all.
CREATE INDEX background_jobs_pending ON background_jobs (has_url, job_type, priority DESC, scheduled_for, id, failed_at)
  WHERE status = 'pending';
CREATE INDEX background_jobs_leases ON background_jobs (lease_expires_at) WHERE status = 'processing';
CREATE INDEX background_jobs_dead ON background_jobs (failed_at) WHERE status = 'dead';
CREATE UNIQUE INDEX background_jobs_key ON background_jobs (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX background_jobs_debounced ON background_jobs (debounce_key) WHERE debounce_key IS NOT NULL;

-- Statements of other programs. Hearth's own move updated_at themselves, always.
CREATE TRIGGER background_jobs_updated AFTER UPDATE ON background_jobs WHEN NEW.updated_at = OLD.updated_at BEGIN
  UPDATE background_jobs
  SET updated_at = max(OLD.updated_at + 1, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000)
  WHERE id = NEW.id;
END;

-- One row for each attempt that ended. Number 0 is how the job itself ended: there is one at most, and it holds what the job
-- was. 1, 2, 3 … are the attempts that failed, in their order.
CREATE TABLE job_history (
  job_id          INTEGER NOT NULL,
  number          INTEGER NOT NULL,
  job_type        TEXT NOT NULL,
  status          TEXT NOT NULL CHECK (status = 'completed' OR status = 'failed' OR status = 'dead' OR status = 'cancelled'),
  attempts        INTEGER NOT NULL,  -- which one this was
  worker_id       TEXT,
  lease_token     TEXT,  -- so that ending again with it is known from ending with a stale one
  is_taken_over   INTEGER NOT NULL DEFAULT 0,  -- its lease was over: the token is stale
  started_at      INTEGER,
  ended_at        INTEGER NOT NULL,
  duration_ms     INTEGER,
  error_message   TEXT,
  payload         TEXT,
  url             TEXT,
  result          TEXT,
  progress        TEXT,
  priority        INTEGER,
  max_attempts    INTEGER,
  scheduled_for   INTEGER,
  completed_at    INTEGER,
  failed_at       INTEGER,
  created_at      INTEGER,
  idempotency_key TEXT,
  PRIMARY KEY (job_id, number),
  CHECK ((number = 0) = (status IN ('completed', 'cancelled')))
) STRICT, WITHOUT ROWID;

CREATE INDEX job_history_by_time ON job_history (ended_at);

-- Whose a key is. It stays taken for 24 h after the job ended.
CREATE TABLE job_keys (
  key      TEXT PRIMARY KEY,
  job_id   INTEGER NOT NULL,
  ended_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX job_keys_ended ON job_keys (ended_at) WHERE ended_at IS NOT NULL;

-- How jobs of a type are treated. `rate_state`: its last starts.
CREATE TABLE job_types (
  job_type       TEXT PRIMARY KEY,
  is_paused      INTEGER NOT NULL DEFAULT 0,
  rate_count     INTEGER,
  rate_window_ms INTEGER,
  rate_state     TEXT NOT NULL DEFAULT '',
  max_attempts   INTEGER,
  retry_base_s   INTEGER,
  retry_max_s    INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE job_counters (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Jobs that the clock enqueues.
CREATE TABLE schedules (
  name          TEXT PRIMARY KEY,
  cron          TEXT NOT NULL,
  time_zone     TEXT NOT NULL,
  job_type      TEXT NOT NULL,
  payload       TEXT NOT NULL,
  catch_up      TEXT NOT NULL CHECK (catch_up IN ('once', 'skip')),
  is_configured INTEGER NOT NULL,
  last_run_at   INTEGER,
  next_run_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX schedules_due ON schedules (next_run_at);
