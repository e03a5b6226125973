-- Postgres keeps here whose a lease is. This file has one owner, whose leases end
-- when it is opened anew.

-- +goose Up
SELECT 1;
