-- The memory: items, the chunks that are found, the words and vectors by which
-- they are found. Times are microseconds since 1970; 0 stands for none.

-- +goose Up

-- One row for what is read together: a member's own memory, a room's, a
-- channel's, a workspace's. The counts are of its chunks: how many, the words in
-- those that are not sealed, and how many are.
CREATE TABLE memory_unit (
	id        INTEGER PRIMARY KEY,
	workspace TEXT    NOT NULL,
	reach     TEXT    NOT NULL,
	name      TEXT    NOT NULL,
	chunks    INTEGER NOT NULL DEFAULT 0,
	words     INTEGER NOT NULL DEFAULT 0,
	sealed    INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX memory_unit_name ON memory_unit (workspace, reach, name);

-- text is the whole text where its chunks are several; it comes last, so that
-- it is not read when an item is only named.
CREATE TABLE memory_item (
	seq    INTEGER PRIMARY KEY,
	id     TEXT    NOT NULL UNIQUE,
	unit   INTEGER NOT NULL,
	kind   TEXT    NOT NULL,
	label  TEXT    NOT NULL,
	member TEXT    NOT NULL,
	at     INTEGER NOT NULL,
	until  INTEGER NOT NULL,
	tags   TEXT    NOT NULL,
	sealed INTEGER NOT NULL,
	body   BLOB    NOT NULL,
	text   BLOB
);
CREATE INDEX memory_item_unit ON memory_item (unit, id);
CREATE INDEX memory_item_until ON memory_item (until) WHERE until > 0;
CREATE INDEX memory_item_sealed ON memory_item (sealed, id);

-- model is whose vector the chunk has, 0 for none.
CREATE TABLE memory_chunk (
	id     INTEGER PRIMARY KEY,
	item   INTEGER NOT NULL,
	unit   INTEGER NOT NULL,
	n      INTEGER NOT NULL,
	first  INTEGER NOT NULL,
	last   INTEGER NOT NULL,
	words  INTEGER NOT NULL,
	sealed INTEGER NOT NULL,
	model  INTEGER NOT NULL DEFAULT 0,
	body   BLOB    NOT NULL
);
CREATE INDEX memory_chunk_item ON memory_chunk (item);
CREATE INDEX memory_chunk_model ON memory_chunk (model, id);
CREATE INDEX memory_chunk_sealed ON memory_chunk (unit) WHERE sealed = 1;

CREATE TABLE memory_model (
	id         INTEGER PRIMARY KEY,
	name       TEXT    NOT NULL UNIQUE,
	dimensions INTEGER NOT NULL
);

-- code is the vector in bytes, or that sealed; NULL where the model knows
-- nothing of the text.
CREATE TABLE memory_vector (
	chunk  INTEGER PRIMARY KEY,
	unit   INTEGER NOT NULL,
	model  INTEGER NOT NULL,
	sealed INTEGER NOT NULL,
	code   BLOB
);

-- The words of the chunks that are not sealed, cut by the program. The unit is a
-- column of the index: which chunks may be read is a part of the search. What is
-- deleted leaves the index at once.
CREATE VIRTUAL TABLE memory_words USING fts5(unit, body, content = '', tokenize = 'ascii');
INSERT INTO memory_words (memory_words, rank) VALUES ('secure-delete', 1);
