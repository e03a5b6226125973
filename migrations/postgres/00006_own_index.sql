-- Each unit that holds much has an index of its own for its vectors. The one over
-- all units goes, since it would be asked in the place of comparing a small unit's
-- vectors, of which it finds few.

-- +goose Up

-- +goose StatementBegin
DO $$
DECLARE
	old record;
	own record;
BEGIN
	PERFORM set_config('gatehouse.units', 'all', true);
	FOR old IN SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = 'memory_vector' AND indexname ~ '^memory_vector_m[0-9]+$' LOOP
		EXECUTE format('DROP INDEX %I', old.indexname);
	END LOOP;
	CREATE TEMPORARY TABLE memory_large ON COMMIT DROP AS -- a loop over the table itself would keep it from being indexed
		SELECT v.model, v.unit, m.dimensions FROM memory_vector v JOIN memory_model m ON m.id = v.model WHERE v.v IS NOT NULL
		GROUP BY v.model, v.unit, m.dimensions HAVING count(*) >= 2000;
	FOR own IN SELECT * FROM memory_large LOOP
		EXECUTE format('CREATE INDEX IF NOT EXISTS memory_vector_m%s_u%s ON memory_vector USING hnsw ((v::halfvec(%s)) halfvec_cosine_ops) WITH (m = 24, ef_construction = 128) WHERE model = %s AND unit = %s AND v IS NOT NULL',
			own.model, own.unit, own.dimensions, own.model, own.unit);
	END LOOP;
END
$$;
-- +goose StatementEnd
