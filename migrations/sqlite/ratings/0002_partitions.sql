-- A cursor for each partition of the outbox: the journal is partition -1, streams are numbered from 0. A position is the
-- number of an entry of the journal and 0, or the two parts of the id of an entry of a stream.
CREATE TABLE partition_cursors (
  partition INTEGER PRIMARY KEY,
  major     INTEGER NOT NULL,
  minor     INTEGER NOT NULL,
  checksum  INTEGER NOT NULL -- of the entry there
);
INSERT INTO partition_cursors SELECT -1, sequence, 0, checksum FROM outbox_cursors WHERE sequence > 0;
DROP TABLE outbox_cursors;
ALTER TABLE partition_cursors RENAME TO outbox_cursors;
