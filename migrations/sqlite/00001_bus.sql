-- The bus: orders (conversations and their leases), records, the hashes of keys
-- whose records have gone, and the state. Times are microseconds since 1970;
-- 0 stands for none.

-- +goose Up

-- One row for each order. Whoever may work on it is decided here: held and epoch
-- are the lease, due is when the order may be leased (the end of its lease, else
-- the time of its first waiting record; NULL: nothing waits), head is the first
-- record that waits, tail the last that the lease has handed out.
CREATE TABLE bus_order (
	id      INTEGER PRIMARY KEY,
	queue   TEXT    NOT NULL,
	channel TEXT    NOT NULL,
	name    TEXT    NOT NULL,
	epoch   INTEGER NOT NULL,
	held    INTEGER NOT NULL DEFAULT 0,
	due     INTEGER,
	head    INTEGER NOT NULL DEFAULT 0,
	tail    INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX bus_order_name ON bus_order (queue, channel, name);
-- What may be leased, oldest first. Only orders with waiting records are in it.
CREATE INDEX bus_order_due ON bus_order (queue, channel, due, head) WHERE due IS NOT NULL;

-- The body comes last and the columns that change keep their size on a message's
-- usual way, so that a large body is written once. No index holds a column that
-- this way changes.
-- state: 2 ready, 3 leased, 4 parked, 5 dead, 6 done.
-- due: ready: not before; parked: when it expires.
CREATE TABLE bus_record (
	seq       INTEGER PRIMARY KEY AUTOINCREMENT,
	order_id  INTEGER NOT NULL,
	state     INTEGER NOT NULL,
	attempt   INTEGER NOT NULL,
	due       INTEGER NOT NULL,
	at        INTEGER NOT NULL,
	published INTEGER NOT NULL,
	queue     TEXT    NOT NULL,
	channel   TEXT    NOT NULL,
	account   TEXT    NOT NULL,
	key       TEXT    NOT NULL,
	workspace TEXT    NOT NULL,
	reason    TEXT,
	tag       TEXT,
	progress  BLOB,
	body      BLOB
);
CREATE UNIQUE INDEX bus_record_key ON bus_record (queue, channel, key, account);
CREATE INDEX bus_record_order ON bus_record (order_id, seq);
CREATE INDEX bus_record_parked ON bus_record (tag) WHERE state = 4;
CREATE INDEX bus_record_dead ON bus_record (queue, seq) WHERE state = 5;

-- Keys outlive their records here, so that a late duplicate is still known.
CREATE TABLE bus_key (
	hash      BLOB    PRIMARY KEY,
	published INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE bus_state (
	space   TEXT    NOT NULL,
	key     TEXT    NOT NULL,
	version INTEGER NOT NULL,
	value   BLOB    NOT NULL,
	PRIMARY KEY (space, key)
) WITHOUT ROWID;
