package gateway_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-chat/gatehouse/gateway"
)

// writtenSpaces finds the spaces that this program writes to: what stands as
// Space in every write, constants resolved.
func writtenSpaces(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{} // space -> where
	root := ".."
	err := filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if d.Name() == "testdata" || d.Name() == "bustest" || d.Name() == "vaulttest" || d.Name() == "channeltest" {
			return filepath.SkipDir
		}
		spacesOf(t, dir, found)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// spacesOf looks at one package.
func spacesOf(t *testing.T, dir string, found map[string]string) {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	consts, used := map[string]string{}, map[string]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, id := range n.Names {
					if i < len(n.Values) {
						if s, ok := literal(n.Values[i]); ok {
							consts[id.Name] = s
						}
					}
				}
			case *ast.KeyValueExpr:
				id, isID := n.Key.(*ast.Ident)
				if !isID || id.Name != "Space" {
					break
				}
				if s, ok := literal(n.Value); ok {
					found[s] = name
				}
				if v, ok := n.Value.(*ast.Ident); ok {
					used[v.Name] = name
				}
			}
			return true
		})
	}
	for name, where := range used {
		if s, ok := consts[name]; ok {
			found[s] = where
		}
	}
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}

// TestEverySpaceIsKnown: somebody has thought about whether a space holds what
// people wrote.
func TestEverySpaceIsKnown(t *testing.T) {
	kept, written := gateway.Kept(), writtenSpaces(t)
	if len(written) < 15 {
		t.Fatalf("only %v was found", written)
	}
	for space, where := range written {
		if _, ok := kept[space]; !ok {
			t.Errorf("the space %q of %s is not in gateway/kept.go: say there what it holds", space, where)
		}
	}
}

// TestContentOf: what is asked for each value that is written.
func TestContentOf(t *testing.T) {
	is, owner := gateway.Content()
	for space, want := range map[string]bool{"session": true, "channel/support": true, "channel": false, "vault": false, "identity": false, "approval": true, "blob/x": false} {
		if is(space) != want {
			t.Errorf("%s is content: %v", space, !want)
		}
	}
	for _, c := range [][3]string{
		{"session", "ac%7Cme|support/1|m-1!0001", "ac|me"},
		{"note", "acme/member/m-1/x", "acme"},
		{"room", "support/1!001", ""},
		{"channel/support", "acme", ""},
		{"note", "%zz/x", ""},
	} {
		if got := owner(c[0], c[1]); got != c[2] {
			t.Errorf("%s %s is of %q, want %q", c[0], c[1], got, c[2])
		}
	}
}
