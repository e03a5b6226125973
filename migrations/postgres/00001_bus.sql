-- The bus: orders (conversations and their leases), records, the hashes of keys
-- whose records have gone, and the state. Times are microseconds since 1970 by
-- the database's clock; 0 stands for none. Texts compare as bytes.

-- +goose Up

-- One row for each order. Whoever publishes to it or works on it locks it first,
-- so that positions grow in commit order within it. held and epoch are the lease,
-- due is when the order may be leased (the end of its lease, else the time of its
-- first waiting record; NULL: nothing waits), head is the first record that
-- waits, tail the last that the lease has handed out.
CREATE TABLE bus_order (
	id      bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	queue   text    COLLATE "C" NOT NULL,
	channel text    COLLATE "C" NOT NULL,
	name    text    COLLATE "C" NOT NULL,
	epoch   bigint  NOT NULL,
	held    boolean NOT NULL DEFAULT false,
	due     bigint,
	head    bigint  NOT NULL DEFAULT 0,
	tail    bigint  NOT NULL DEFAULT 0,
	UNIQUE (queue, channel, name)
) WITH (fillfactor = 80);
CREATE INDEX bus_order_due ON bus_order (queue, due, head) WHERE due IS NOT NULL;
CREATE INDEX bus_order_due_channel ON bus_order (queue, channel, due, head) WHERE due IS NOT NULL;

CREATE SEQUENCE bus_seq;

-- No index holds a column that a message's usual way changes, in its key or in
-- its condition: updates then stay within the page.
-- state: 2 ready, 3 leased, 4 parked, 5 dead, 6 done. tag is set while parked,
-- dead while dead. due: ready: not before; parked: when it expires.
CREATE TABLE bus_record (
	seq       bigint  NOT NULL DEFAULT nextval('bus_seq') PRIMARY KEY,
	order_id  bigint  NOT NULL,
	state     smallint NOT NULL,
	attempt   integer NOT NULL,
	due       bigint  NOT NULL,
	at        bigint  NOT NULL,
	published bigint  NOT NULL,
	dead      boolean NOT NULL DEFAULT false,
	queue     text    COLLATE "C" NOT NULL,
	channel   text    COLLATE "C" NOT NULL,
	account   text    COLLATE "C" NOT NULL,
	key       text    COLLATE "C" NOT NULL,
	workspace text    COLLATE "C" NOT NULL,
	reason    text,
	tag       text    COLLATE "C",
	progress  bytea,
	body      bytea,
	UNIQUE (queue, channel, key, account)
) WITH (fillfactor = 80);
ALTER SEQUENCE bus_seq OWNED BY bus_record.seq;
CREATE INDEX bus_record_order ON bus_record (order_id, seq);
CREATE INDEX bus_record_parked ON bus_record (tag) WHERE tag IS NOT NULL;
CREATE INDEX bus_record_age ON bus_record USING brin (published);
CREATE INDEX bus_record_dead ON bus_record (queue, seq) WHERE dead;

CREATE TABLE bus_key (
	hash      bytea  PRIMARY KEY,
	published bigint NOT NULL
);

CREATE TABLE bus_state (
	space   text   COLLATE "C" NOT NULL,
	key     text   COLLATE "C" NOT NULL,
	version bigint NOT NULL,
	value   bytea  NOT NULL,
	PRIMARY KEY (space, key)
);
