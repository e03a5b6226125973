package quality_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-chat/gatehouse/memory/quality"
)

func TestMeasures(t *testing.T) {
	g := quality.Grades{"a": 3, "b": 2, "c": 1, "d": 0}
	for _, c := range []struct {
		name         string
		hits         []string
		ndcg, recall float64
	}{
		{"the best order", []string{"a", "b", "c", "d"}, 1, 1},
		{"nothing", nil, 0, 0},
		{"the wrong ones", []string{"d", "x"}, 0, 0},
		{"one of three", []string{"x", "a"}, 3 / math.Log2(3) / (3 + 2/math.Log2(3) + 0.5), 1.0 / 3},
		{"too late", []string{"x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "a"}, 0, 0},
	} {
		if got := quality.NDCG(c.hits, g); math.Abs(got-c.ndcg) > 1e-9 {
			t.Errorf("%s: nDCG %v, want %v", c.name, got, c.ndcg)
		}
		if got := quality.Recall(c.hits, g); math.Abs(got-c.recall) > 1e-9 {
			t.Errorf("%s: recall %v, want %v", c.name, got, c.recall)
		}
	}
}

// folder has files, and a set of theirs with their sums.
func folder(t *testing.T, like string, texts ...string) (quality.Set, string) {
	t.Helper()
	dir := t.TempDir()
	for _, s := range quality.Sets() {
		if s.Name != like {
			continue
		}
		for i, text := range texts {
			if err := os.WriteFile(filepath.Join(dir, s.Files[i].Name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256([]byte(text))
			s.Files[i].SHA256 = hex.EncodeToString(sum[:])
		}
		return s, dir
	}
	t.Fatalf("no set %s", like)
	return quality.Set{}, ""
}

func TestReaders(t *testing.T) {
	for _, c := range []struct {
		like  string
		files []string
		want  quality.Collection
	}{
		{
			"JSQuAD v1.3 valid",
			[]string{`{"data":[{"paragraphs":[{"context":"庭 [SEP] 緑です。","qas":[{"id":"q","question":"何色?"}]}]}]}`},
			quality.Collection{
				Passages:  map[string]string{"0-0": "緑です。"},
				Questions: []quality.Question{{ID: "q", Text: "何色?", Grades: quality.Grades{"0-0": 1}}},
			},
		},
		{
			"Cranfield",
			[]string{".I 1\n.T\ntitle\n.W\na wing .\n.I 2\n.W\n", ".I 001\n.W\nwhat wing\n.I 004\n.W\nwhat tail\n", "1 1 2 \n1 2 1\n2 1 -1\n"},
			quality.Collection{
				Passages:  map[string]string{"1": "a wing .", "2": ""},
				Questions: []quality.Question{{ID: "1", Text: "what wing", Grades: quality.Grades{"1": 3}}, {ID: "2", Text: "what tail", Grades: quality.Grades{"1": 0}}},
			},
		},
		{
			"CISI",
			[]string{".I 1\n.T\nBooks\n.A\nX\n.W\nOn books.\n", ".I 7\n.W\nWhat books?\n.I 8\n.W\nWhat else?\n", "  7  1\t0\t0.0\n"},
			quality.Collection{
				Passages:  map[string]string{"1": "Books\n\nOn books."},
				Questions: []quality.Question{{ID: "7", Text: "What books?", Grades: quality.Grades{"1": 1}}},
			},
		},
	} {
		set, dir := folder(t, c.like, c.files...)
		got, err := set.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", c.like, diff)
		}
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	set, dir := folder(t, "XQuAD en", "{}")
	set.Files[0].SHA256 = strings.Repeat("0", 64)
	if _, err := set.Open(dir); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Error(err)
	}
	if _, err := set.Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "https://") {
		t.Errorf("%v does not say where the file is", err)
	}
}
