-- On SQLite the index of words takes another form here. That of Postgres stays as
-- it is.

-- +goose Up

SELECT 1;
