package sqlite

import db "github.com/gatehouse-chat/gatehouse/internal/db/sqlite"

// NewBare returns an engine that holds no codes in memory.
func NewBare(d *db.DB) *Engine { return &Engine{db: d} }
