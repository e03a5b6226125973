package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
)

// versionFormat is the first line of the counters' file.
const versionFormat = "gatehouse-versions-v1"

// marks is where the counters lie.
func (k *KeyFile) marks() string { return k.path + ".version" }

// Highest returns the last number raised for id.
func (k *KeyFile) Highest(_ context.Context, id string) (int64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	all, err := k.readMarks()
	return all[id], err
}

// Raise makes n durable.
func (k *KeyFile) Raise(_ context.Context, id string, n int64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	all, err := k.readMarks()
	if err != nil || all[id] >= n {
		return err
	}
	all[id] = n
	if err := replaceWhole(k.marks(), formatMarks(all)); err != nil {
		return fmt.Errorf("keep the version: %w", err)
	}
	return nil
}

func (k *KeyFile) readMarks() (map[string]int64, error) {
	text, err := os.ReadFile(k.marks())
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]int64{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the versions: %w", err)
	}
	all, err := parseMarks(text)
	if err != nil {
		return nil, fmt.Errorf("the versions %s: %w", k.marks(), err)
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
