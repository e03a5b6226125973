-- On Postgres the vectors of large units get indexes of their own here. SQLite has
-- no such index.

-- +goose Up

SELECT 1;
