//go:build !linux

package sqlite

// disk names the way to the disk that files take: SQLite's own.
func disk() (string, error) { return "", nil }
