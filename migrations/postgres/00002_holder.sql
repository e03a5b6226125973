-- Whose a lease is: the number that the engine took when it connected, and whose
-- advisory lock it holds while it lives. What a dead one was working on is freed.

-- +goose Up
CREATE SEQUENCE bus_holder AS integer CYCLE;
ALTER TABLE bus_order ADD COLUMN holder integer;
