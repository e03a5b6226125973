-- The memory: items, the chunks that are found, the words and vectors by which
-- they are found. Times are microseconds since 1970; 0 stands for none.
--
-- Whoever reads says which units it may read, in each statement, and besides in
-- the setting gatehouse.units, by which the policies below hold it to them:
-- numbers with commas between, or "all" for upkeep. Without it nothing is there.

-- +goose Up

CREATE EXTENSION IF NOT EXISTS vector;

-- One row for what is read together: a member's own memory, a room's, a
-- channel's, a workspace's. The counts are of its chunks: how many, the words in
-- those that are not sealed, and how many are.
CREATE TABLE memory_unit (
	id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	workspace text   NOT NULL,
	reach     text   NOT NULL,
	name      text   NOT NULL,
	chunks    bigint NOT NULL DEFAULT 0,
	words     bigint NOT NULL DEFAULT 0,
	sealed    bigint NOT NULL DEFAULT 0,
	UNIQUE (workspace, reach, name)
);

CREATE TABLE memory_item (
	seq    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id     text COLLATE "C" NOT NULL UNIQUE,
	unit   bigint  NOT NULL,
	kind   text    NOT NULL,
	label  text    NOT NULL,
	member text    NOT NULL,
	at     bigint  NOT NULL,
	until  bigint  NOT NULL,
	tags   text    NOT NULL,
	sealed boolean NOT NULL,
	body   bytea   NOT NULL,
	text   bytea
);
CREATE INDEX memory_item_unit ON memory_item (unit, id);
CREATE INDEX memory_item_until ON memory_item (until) WHERE until > 0;
CREATE INDEX memory_item_sealed ON memory_item (sealed, id);

CREATE TABLE memory_chunk (
	id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	item   bigint  NOT NULL,
	unit   bigint  NOT NULL,
	n      integer NOT NULL,
	first  integer NOT NULL,
	last   integer NOT NULL,
	words  integer NOT NULL,
	sealed boolean NOT NULL,
	model  bigint  NOT NULL DEFAULT 0,
	body   bytea   NOT NULL
);
CREATE INDEX memory_chunk_item ON memory_chunk (item);
CREATE INDEX memory_chunk_model ON memory_chunk (model, id);
CREATE INDEX memory_chunk_sealed ON memory_chunk (unit) WHERE sealed;

CREATE TABLE memory_model (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name       text    NOT NULL UNIQUE,
	dimensions integer NOT NULL
);

-- v is the vector, code that sealed; both NULL where the model knows nothing of
-- the text. The index of each model is made when its first vectors are.
CREATE TABLE memory_vector (
	chunk bigint PRIMARY KEY,
	unit  bigint NOT NULL,
	model bigint NOT NULL,
	v     halfvec,
	code  bytea
);
CREATE INDEX memory_vector_unit ON memory_vector (unit, model);

-- The words of the chunks that are not sealed, cut by the program; their unit is
-- one of them. There is no policy on this table: the operator that searches it
-- may not run before a policy has seen the row, so that with one its index is
-- never used. It holds no text, and what it gives are numbers of chunks.
CREATE TABLE memory_words (
	chunk bigint   PRIMARY KEY,
	terms tsvector NOT NULL
);
CREATE INDEX memory_words_terms ON memory_words USING gin (terms) WITH (fastupdate = off);

ALTER TABLE memory_item ENABLE ROW LEVEL SECURITY;
ALTER TABLE memory_item FORCE ROW LEVEL SECURITY;
ALTER TABLE memory_chunk ENABLE ROW LEVEL SECURITY;
ALTER TABLE memory_chunk FORCE ROW LEVEL SECURITY;
ALTER TABLE memory_vector ENABLE ROW LEVEL SECURITY;
ALTER TABLE memory_vector FORCE ROW LEVEL SECURITY;

CREATE POLICY memory_item_unit ON memory_item USING (
	(SELECT current_setting('gatehouse.units', true) = 'all')
	OR unit = ANY ((SELECT string_to_array(nullif(nullif(current_setting('gatehouse.units', true), 'all'), ''), ',')::bigint[])::bigint[])
);
CREATE POLICY memory_chunk_unit ON memory_chunk USING (
	(SELECT current_setting('gatehouse.units', true) = 'all')
	OR unit = ANY ((SELECT string_to_array(nullif(nullif(current_setting('gatehouse.units', true), 'all'), ''), ',')::bigint[])::bigint[])
);
CREATE POLICY memory_vector_unit ON memory_vector USING (
	(SELECT current_setting('gatehouse.units', true) = 'all')
	OR unit = ANY ((SELECT string_to_array(nullif(nullif(current_setting('gatehouse.units', true), 'all'), ''), ',')::bigint[])::bigint[])
);
