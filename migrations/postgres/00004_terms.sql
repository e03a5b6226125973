-- Each word stands in the index behind its unit, as one term: what a scope may
-- read is a part of every term, and the lists of words need not be intersected
-- with that of a unit. It takes about a minute for 100,000 chunks.

-- +goose Up

SELECT set_config('gatehouse.units', 'all', true);
UPDATE memory_words w SET terms = (
	SELECT coalesce(array_to_tsvector(array_agg(c.unit || 'u' || t)), '') FROM unnest(tsvector_to_array(w.terms)) t WHERE t <> '#' || c.unit
) FROM memory_chunk c WHERE c.id = w.chunk;
