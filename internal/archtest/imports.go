package archtest

import (
	"path"
	"strings"
)

// area is a part of the tree with imports of its own. Within an area anything
// may import anything, as far as Go allows.
type area struct {
	dir string
	may []string // areas or folders of this repository; path.Match per element, trailing /** is implied
}

// everything lets the composition root import all areas.
const everything = "*"

// leaves are what every area may import: they know nothing of the rest.
var leaves = []string{"internal/failpoint", "internal/nearest", "internal/cputest", "internal/porttest"}

// areas is the import table. A folder belongs to the longest entry that holds
// it; a folder that belongs to none is a fault, so that a new room of the house is
// a decision. An entry with a * stands for each folder that matches it.
var areas = []area{
	{dir: "cmd", may: []string{everything}},

	{dir: "gateway", may: []string{
		"agent", "channels", "vault", "memory", "migrations", "internal/scope", "internal/policy", "internal/db",
	}},
	{dir: "gateway/login", may: []string{"gateway", "internal/scope", "internal/policy", "internal/db", "internal/jwks"}},
	// Who installs a module is for the person in charge to say.
	{dir: "gateway/operator", may: []string{
		"gateway", "agent", "channels", "vault", "memory", "internal/scope", "internal/policy", "internal/db", "internal/module",
	}},
	{dir: "gateway/ingress", may: []string{
		"gateway", "agent", "channels", "vault", "memory", "internal/scope", "internal/policy", "internal/db", "internal/web", "internal/module",
	}},

	{dir: "agent", may: []string{"channels", "vault", "memory", "internal/scope", "internal/policy"}},
	// Tools that keep something do it through the contract of the durable state.
	{dir: "agent/tool", may: []string{"agent", "channels", "vault", "memory", "internal/scope", "internal/policy", "internal/db"}},
	{dir: "agent/tool/guest", may: []string{
		"agent", "channels", "vault", "memory", "internal/scope", "internal/policy", "internal/sandbox", "internal/module",
	}},

	{dir: "adapters/*", may: []string{"channels"}},
	{dir: "adapters/console", may: []string{"channels", "internal/web"}},
	{dir: "adapters/wasm", may: []string{"channels", "internal/sandbox", "internal/module"}},
	{dir: "adapters/guests", may: []string{"channels", "adapters/*/codec", "adapters/whatsapp/cloud/codec"}}, // the same codec, compiled to WASM

	{dir: "vault", may: []string{"migrations", "internal/scope", "internal/policy", "internal/db"}},
	{dir: "memory", may: []string{"migrations", "internal/scope", "internal/policy", "internal/db"}},

	{dir: "channels"},
	// Whose request it is: platforms that sign in say so with tokens, as proxies do.
	{dir: "channels/proof", may: []string{"channels", "internal/jwks"}},
	{dir: "config"},
	{dir: "migrations"}, // schemas, for the engines that stand on them
	{dir: "docs"},
	{dir: "deploy"},

	{dir: "internal/scope"},
	{dir: "internal/policy"},
	{dir: "internal/sandbox"},
	{dir: "internal/module/project", may: []string{"internal/module", "channels/guest/kits"}}, // an author's project begins as a copy of a kit
	{dir: "internal/module", may: []string{"internal/sandbox", "internal/db"}},                // what is installed lies in the durable state
	{dir: "internal/db", may: []string{"migrations"}},
	{dir: "internal/jwks"},
	{dir: "internal/web"},
	{dir: "internal/failpoint"},
	{dir: "internal/nearest"},
	{dir: "internal/mutation"},
	{dir: "internal/cputest"},
	{dir: "internal/porttest"},
	{dir: "internal/browsertest"},
	{dir: "internal/ptytest"},
	{dir: "internal/archtest"},
	{dir: "internal/emulate"}, // platforms that only guests of others speak to
	{dir: "internal/e2e", may: []string{everything}},
}

// matches reports whether dir is, or lies under, what pattern describes, and
// how many elements the pattern has.
func matches(dir, pattern string) (depth int, ok bool) {
	wanted, elements := strings.Split(pattern, "/"), strings.Split(dir, "/")
	if len(elements) < len(wanted) {
		return 0, false
	}
	for i, element := range wanted {
		if ok, err := path.Match(element, elements[i]); err != nil || !ok {
			return 0, false
		}
	}
	return len(wanted), true
}

// areaOf finds the area of a folder and the area's own folder, which differs
// from the area's entry where that has a *. An exact entry goes before a *.
func areaOf(dir string) (found area, root string, ok bool) {
	best := 0
	for _, a := range areas {
		depth, matched := matches(dir, a.dir)
		if !matched {
			continue
		}
		rank := 2 * depth
		if !strings.Contains(a.dir, "*") {
			rank++
		}
		if rank > best {
			best, found = rank, a
			root = strings.Join(strings.Split(dir, "/")[:depth], "/")
		}
	}
	return found, root, best > 0
}

// checkAreas holds the files to the import table. Tests may import what they
// like, for they put things together that must not know of each other; but
// nothing that ships may import code for tests.
func checkAreas(f *file) []Violation {
	const rule = "imports"
	var found []Violation
	a, root, ok := areaOf(f.dir)
	if !ok && f.dir != "." {
		return []Violation{f.atLine(1, rule, "folder %s is in no area of the import table in internal/archtest", f.dir)}
	}
	for _, i := range f.imports {
		target, ours := strings.CutPrefix(i.path, Module+"/")
		if !ours || f.test {
			continue
		}
		switch {
		case forTests(target) && !within(f.dir, target):
			found = append(found, f.atLine(i.line, rule, "%s is for tests, it must not ship", target))
		case !mayImport(a, root, target):
			found = append(found, f.atLine(i.line, rule, "%s must not import %s", root, target))
		}
	}
	return found
}

func mayImport(from area, root, target string) bool {
	if within(target, root) {
		return true
	}
	for _, allowed := range append(leaves, from.may...) {
		if allowed == everything {
			return true
		}
		if _, ok := matches(target, allowed); ok {
			return true
		}
	}
	return false
}
