-- One row per committed batch: its events, encoded by outbox/event.h.
CREATE TABLE journal (
  sequence INTEGER PRIMARY KEY,
  events   BLOB NOT NULL,
  checksum INTEGER NOT NULL -- of sequence and events: SQLite itself does not notice a flipped bit here
);

-- The answers that Idempotency-Keys got, written with the batch that made them true. They outlive the batch's row.
CREATE TABLE idempotency_records (
  sequence INTEGER PRIMARY KEY,
  at       INTEGER NOT NULL, -- µs since 1970: of the newest record in the row
  records  BLOB NOT NULL
);
CREATE INDEX idempotency_records_at ON idempotency_records (at);
