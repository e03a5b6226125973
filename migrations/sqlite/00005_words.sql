-- The index of words, with each word and its unit as one term: what a scope may
-- read is a part of every term, and the lists of words need not be intersected
-- with that of a unit. Neither the places of words nor the lengths of texts are
-- in it: what is found is scored by the program. What is deleted leaves the index
-- at once.
--
-- The index is filled by the program, in the background: chunks with an id below
-- the one that stands in memory_unworded are not in it yet.

-- +goose Up

DROP TABLE memory_words;
CREATE VIRTUAL TABLE memory_words USING fts5(terms, content = '', columnsize = 0, detail = none, tokenize = 'ascii');
INSERT INTO memory_words (memory_words, rank) VALUES ('secure-delete', 1);

CREATE TABLE memory_unworded (below INTEGER NOT NULL);
INSERT INTO memory_unworded (below) SELECT coalesce(max(id) + 1, 0) FROM memory_chunk;
