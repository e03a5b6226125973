package archtest

import (
	"go/ast"
	"slices"
	"strings"
)

// symbol is one name of one package.
type symbol struct{ path, name string }

// uses finds each mention of the symbols, be it a call or a value.
func (f *file) uses(rule, text string, symbols ...symbol) []Violation {
	var found []Violation
	ast.Inspect(f.ast, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg := f.packageOf(s.X); pkg != "" && slices.Contains(symbols, symbol{pkg, s.Sel.Name}) {
			found = append(found, f.at(s, rule, "%s.%s: %s", pkg, s.Sel.Name, text))
		}
		return true
	})
	return found
}

// watched are the packages whose names the rules look for; a dot import would
// hide them.
var watched = []string{"net", "net/http", "crypto/tls", "time", Module + "/internal/scope"}

func checkDotImports(f *file) []Violation {
	var found []Violation
	for _, i := range f.imports {
		if i.name == "." && slices.Contains(watched, i.path) {
			found = append(found, f.atLine(i.line, "dot-import", "%s: a dot import hides what the other rules look for", i.path))
		}
	}
	return found
}

// checkScopes keeps the minting of scopes where senders are verified.
func checkScopes(f *file) []Violation {
	if f.test || within(f.dir, "gateway/identity") {
		return nil
	}
	return f.uses("scope", "only gateway/identity mints scopes", symbol{Module + "/internal/scope", "New"})
}

// dialers reach the network past the egress rules.
var dialers = []symbol{
	{"net", "Dial"},
	{"net", "DialTimeout"},
	{"net", "DialTCP"},
	{"net", "DialUDP"},
	{"net", "DialIP"},
	{"net", "DialUnix"},
	{"net", "Dialer"},
	{"crypto/tls", "Dial"},
	{"crypto/tls", "DialWithDialer"},
	{"crypto/tls", "Dialer"},
	{"net/http", "DefaultClient"},
	{"net/http", "DefaultTransport"},
	{"net/http", "Transport"},
	{"net/http", "Get"},
	{"net/http", "Head"},
	{"net/http", "Post"},
	{"net/http", "PostForm"},
	{"github.com/gorilla/websocket", "DefaultDialer"},
	{"github.com/gorilla/websocket", "Dialer"},
}

// checkEgress keeps vault/egress the only way out.
func checkEgress(f *file) []Violation {
	const rule, text = "egress", "vault/egress is the only way out: take the client or dialer that the host gives"
	if f.test || within(f.dir, "vault/egress") {
		return nil
	}
	found := f.uses(rule, text, dialers...)
	ast.Inspect(f.ast, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		s, ok := lit.Type.(*ast.SelectorExpr)
		if ok && s.Sel.Name == "Client" && f.packageOf(s.X) == "net/http" && !setsField(lit, "Transport") {
			found = append(found, f.at(lit, rule, "a net/http.Client without a Transport uses the default one: %s", text))
		}
		return true
	})
	return found
}

func setsField(lit *ast.CompositeLit, name string) bool {
	return slices.ContainsFunc(lit.Elts, func(e ast.Expr) bool {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			return false
		}
		key, ok := kv.Key.(*ast.Ident)
		return ok && key.Name == name
	})
}

// checkSleeps keeps real waiting out of the tests. Within a synctest bubble a
// sleep takes no time and is how the clock is moved.
func checkSleeps(f *file) []Violation {
	if !f.test {
		return nil
	}
	bubbles := f.bubbles()
	found := f.uses("sleep", "a test waits for a condition or a signal, or runs in testing/synctest", symbol{"time", "Sleep"})
	return slices.DeleteFunc(found, func(v Violation) bool {
		return slices.ContainsFunc(bubbles, func(b lines) bool { return b.from <= v.Line && v.Line <= b.to })
	})
}

type lines struct{ from, to int }

// bubbles are the places of a file that run on a fake clock: the arguments of
// synctest.Test, and functions that call synctest.Wait, which panics elsewhere.
func (f *file) bubbles() []lines {
	var found []lines
	var around []ast.Node // from the file down to the node
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if n == nil {
			around = around[:len(around)-1]
			return true
		}
		around = append(around, n)
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		s, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || f.packageOf(s.X) != "testing/synctest" {
			return true
		}
		inside := ast.Node(call)
		if s.Sel.Name == "Wait" {
			inside = innermostFunction(around)
		}
		found = append(found, lines{f.fset.Position(inside.Pos()).Line, f.fset.Position(inside.End()).Line})
		return true
	})
	return found
}

func innermostFunction(around []ast.Node) ast.Node {
	for _, n := range slices.Backward(around) {
		switch n.(type) {
		case *ast.FuncDecl, *ast.FuncLit:
			return n
		}
	}
	return around[len(around)-1]
}

// checkInits forbids init: what a program does at its start is written in
// cmd, in order.
func checkInits(f *file) []Violation {
	var found []Violation
	for _, decl := range f.ast.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			found = append(found, f.at(fn, "init", "no init functions: the composition root does what must be done at the start"))
		}
	}
	return found
}

// checkGoroutines keeps go statements to those who own long-lived goroutines.
func checkGoroutines(f *file) []Violation {
	if f.test || within(f.dir, "gateway") || within(f.dir, "cmd") {
		return nil
	}
	var found []Violation
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if g, ok := n.(*ast.GoStmt); ok {
			found = append(found, f.at(g, "goroutine", "only gateway and cmd start goroutines: offer a Run(ctx) error that blocks"))
		}
		return true
	})
	return found
}

// exception excuses a file, or a folder with all that lies under it, from one rule.
type exception struct {
	rule, path string
	holds      string // part of the violation's text; "" excuses all of the rule
	why        string
}

// exceptions are few, and each says why. One that excuses nothing any more is
// itself a fault.
var exceptions = []exception{
	{
		rule: "egress", path: "cmd/gatehouse/socket.go",
		why: "the command line speaks to admin.sock of the running gateway, a file in its data folder",
	},
	{
		rule: "goroutine", path: "adapters/whatsapp/session.go",
		why: "whatsmeow's handshake waits for 20 s whatever becomes of its context, and the end of the gateway must not",
	},
	{
		rule: "goroutine", path: "vault/kek/keyring.go",
		why: "the calls to a system's keyring take no context and may never end; one at a time is waited for from outside",
	},
	{
		rule: "libraries", path: "vault/egress/strays_test.go",
		why: "it drives the SDKs over the gate and watches for requests that go round it",
	},
}

func (e exception) excuses(v Violation) bool {
	return e.rule == v.Rule && within(v.File, e.path) && strings.Contains(v.Text, e.holds)
}
