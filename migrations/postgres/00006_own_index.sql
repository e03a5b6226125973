-- The index of vectors over all units goes, since it would be asked in the place
-- of comparing a small unit's vectors, of which it finds few. Each unit that holds
-- much gets an index of its own in the background, while the gateway runs; until
-- then its vectors are all compared.

-- +goose Up

-- +goose StatementBegin
DO $$
DECLARE
	old record;
BEGIN
	FOR old IN SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = 'memory_vector' AND indexname ~ '^memory_vector_m[0-9]+$' LOOP
		EXECUTE format('DROP INDEX %I', old.indexname);
	END LOOP;
END
$$;
-- +goose StatementEnd
