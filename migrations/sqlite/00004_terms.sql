-- The index of words on Postgres takes another form here.

-- +goose Up
SELECT 1;
