package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
)

// versionFormat is the first line of the counters' file.
const versionFormat = "gatehouse-versions-v1"

var _ Watermark = (*Marks)(nil)

// Marks keeps the counters in a file of its own. Its methods may be called
// concurrently; several processes must not share the file.
type Marks struct {
	path, data string
	mu         sync.Mutex
}

// NewMarks names the file, which is made at the first Raise. It must not lie in
// the data folder, "" for none: who puts an old folder back would put the
// counters back with it.
func NewMarks(path, data string) *Marks { return &Marks{path: path, data: data} }

// Highest returns the last number raised for id.
func (m *Marks) Highest(_ context.Context, id string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all, err := m.read()
	return all[id], err
}

// Raise makes n durable.
func (m *Marks) Raise(_ context.Context, id string, n int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	all, err := m.read()
	if err != nil || all[id] >= n {
		return err
	}
	if m.data != "" && inside(m.path, m.data) {
		return fmt.Errorf("the versions %s lie inside the data folder %s: name another file with key: {state: ...} in the configuration", m.path, m.data)
	}
	all[id] = n
	err = os.MkdirAll(filepath.Dir(m.path), 0o700)
	if err == nil {
		err = replaceWhole(m.path, formatMarks(all))
	}
	if err != nil {
		return fmt.Errorf("keep the version (can it not be written beside the key, name another file with key: {state: ...}): %w", err)
	}
	return nil
}

func (m *Marks) read() (map[string]int64, error) {
	text, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]int64{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the versions: %w", err)
	}
	all, err := parseMarks(text)
	if err != nil {
		return nil, fmt.Errorf("the versions %s: %w", m.path, err)
	}
	return all, nil
}

// parseMarks reads what formatMarks writes: the format's name, then lines of
// an id and a number.
func parseMarks(text []byte) (map[string]int64, error) {
	all := map[string]int64{}
	first := true
	for line := range bytes.Lines(text) {
		if first {
			first = false
			if string(bytes.TrimSpace(line)) != versionFormat {
				return nil, fmt.Errorf("does not begin with %q", versionFormat)
			}
			continue
		}
		fields := bytes.Fields(line)
		if len(fields) != 2 {
			return nil, errors.New("has a line that is not \"<id> <number>\"")
		}
		n, err := strconv.ParseInt(string(fields[1]), 10, 64)
		if err != nil || n < 0 {
			return nil, errors.New("has a line without a number")
		}
		if _, twice := all[string(fields[0])]; twice {
			return nil, errors.New("names an id twice")
		}
		all[string(fields[0])] = n
	}
	if first {
		return nil, errors.New("is empty")
	}
	return all, nil
}

func formatMarks(all map[string]int64) []byte {
	out := []byte(versionFormat + "\n")
	for _, id := range slices.Sorted(maps.Keys(all)) {
		out = fmt.Appendf(out, "%s %d\n", id, all[id])
	}
	return out
}
