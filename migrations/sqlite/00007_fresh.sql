-- On Postgres vectors are found in another way here. Those of SQLite stay as they
-- are.

-- +goose Up

SELECT 1;
