package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"sort"
	"strings"
)

// change is one small mistake that is put into the code.
type change struct {
	id   int
	file string // base name
	line int
	what string // "< to <="
}

// at is where it is, such as vault.go:12.
func (c change) at() string { return fmt.Sprintf("%s:%d", c.file, c.line) }

// edit is text that is put in at an offset of a file, in place of what is there.
type edit struct {
	at, end int
	text    string
	depth   int
	closing bool
}

// mutator collects the changes of one file.
type mutator struct {
	fset  *token.FileSet
	info  *types.Info
	src   []byte
	name  string
	next  func() int
	skip  map[int]bool // lines on which a change does not compile
	found []change
	edits []edit
	depth int
}

var _ ast.Visitor = (*mutator)(nil)

func (m *mutator) offset(p token.Pos) int { return m.fset.Position(p).Offset }
func (m *mutator) text(n ast.Node) string {
	return string(m.src[m.offset(n.Pos()):m.offset(n.End())])
}

func (m *mutator) add(at token.Pos, format string, args ...any) int {
	id := m.next()
	m.found = append(m.found, change{id: id, file: m.name, line: m.fset.Position(at).Line, what: fmt.Sprintf(format, args...)})
	return id
}

// wrap puts text around a node.
func (m *mutator) wrap(n ast.Node, before, after string) {
	m.edits = append(m.edits,
		edit{at: m.offset(n.Pos()), end: m.offset(n.Pos()), text: before, depth: m.depth},
		edit{at: m.offset(n.End()), end: m.offset(n.End()), text: after, depth: m.depth, closing: true},
	)
}

// Visit implements ast.Visitor.
func (m *mutator) Visit(n ast.Node) ast.Visitor {
	if n == nil {
		m.depth--
		return nil
	}
	m.depth++
	if m.skip[m.fset.Position(n.Pos()).Line] {
		return m
	}
	switch n := n.(type) {
	case *ast.GenDecl:
		if n.Tok == token.CONST || n.Tok == token.TYPE || n.Tok == token.IMPORT {
			m.depth--
			return nil
		}
	case *ast.ArrayType:
		m.depth--
		return nil
	case *ast.BinaryExpr:
		m.binary(n)
	case *ast.UnaryExpr:
		if n.Op == token.SUB && m.counts(n.X) && m.counts(n) {
			id := m.add(n.OpPos, "-x to x")
			m.wrap(n, fmt.Sprintf("mutatedSign(%d, ", id), ")")
		}
	case *ast.IncDecStmt:
		to := map[token.Token]token.Token{token.INC: token.DEC, token.DEC: token.INC}[n.Tok]
		id := m.add(n.TokPos, "%s to %s", n.Tok, to)
		m.wrap(n, fmt.Sprintf("func() { if mutated(%d) { %s%s } else { ", id, m.text(n.X), to), " } }()")
	case *ast.AssignStmt:
		m.assign(n)
	}
	return m
}

// counts reports whether an expression is a number that is not known before
// the program runs.
func (m *mutator) counts(e ast.Expr) bool {
	t, ok := m.info.Types[e]
	if !ok || t.Value != nil && t.Value.Kind() != constant.Unknown {
		return false
	}
	b, ok := t.Type.Underlying().(*types.Basic)
	return ok && b.Info()&(types.IsInteger|types.IsFloat) != 0
}

var calculations = map[token.Token]struct {
	to   token.Token
	name string
}{
	token.ADD: {token.SUB, "mutatedSum"}, token.SUB: {token.ADD, "mutatedDifference"},
	token.MUL: {token.QUO, "mutatedProduct"}, token.QUO: {token.MUL, "mutatedQuotient"}, token.REM: {token.MUL, "mutatedRest"},
}

var comparisons = map[token.Token][2]token.Token{ // the bound moved, and turned round
	token.LSS: {token.LEQ, token.GEQ}, token.LEQ: {token.LSS, token.GTR}, token.GTR: {token.GEQ, token.LEQ}, token.GEQ: {token.GTR, token.LSS},
}

func (m *mutator) binary(n *ast.BinaryExpr) {
	if t, ok := m.info.Types[n]; !ok || t.Value != nil {
		return // it is constant
	}
	switch n.Op {
	case token.EQL, token.NEQ:
		to := map[token.Token]token.Token{token.EQL: token.NEQ, token.NEQ: token.EQL}[n.Op]
		m.wrap(n, "((", fmt.Sprintf(") != mutated(%d))", m.add(n.OpPos, "%s to %s", n.Op, to)))
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		to := comparisons[n.Op]
		moved, turned := m.add(n.OpPos, "%s to %s", n.Op, to[0]), m.add(n.OpPos, "%s to %s", n.Op, to[1])
		// Moving the bound changes the result exactly where both are equal.
		m.wrap(n, "((", fmt.Sprintf(") != (mutated(%d) && (%s) == (%s) || mutated(%d)))", moved, m.text(n.X), m.text(n.Y), turned))
	case token.LAND, token.LOR:
		to := map[token.Token]token.Token{token.LAND: token.LOR, token.LOR: token.LAND}[n.Op]
		id := m.add(n.OpPos, "%s to %s", n.Op, to)
		m.wrap(n, fmt.Sprintf("func() bool { if mutated(%d) { return (%s) %s (%s) }; return ", id, m.text(n.X), to, m.text(n.Y)), " }()")
	default:
		c, ok := calculations[n.Op]
		if !ok || !m.counts(n) {
			return
		}
		id := m.add(n.OpPos, "%s to %s", n.Op, c.to)
		m.wrap(n, fmt.Sprintf("%s(%d, ", c.name, id), ")")
		at := m.offset(n.OpPos)
		m.edits = append(m.edits, edit{at: at, end: at + len(n.Op.String()), text: ",", depth: m.depth})
	}
}

func (m *mutator) assign(n *ast.AssignStmt) {
	to, ok := map[token.Token]token.Token{
		token.ADD_ASSIGN: token.SUB_ASSIGN, token.SUB_ASSIGN: token.ADD_ASSIGN, token.MUL_ASSIGN: token.QUO_ASSIGN, token.QUO_ASSIGN: token.MUL_ASSIGN,
	}[n.Tok]
	if !ok || !m.counts(n.Lhs[0]) {
		return
	}
	id := m.add(n.TokPos, "%s to %s", n.Tok, to)
	m.wrap(n, fmt.Sprintf("func() { if mutated(%d) { %s %s %s } else { ", id, m.text(n.Lhs[0]), to, m.text(n.Rhs[0])), " } }()")
}

// apply returns the file's text with its edits. What opens at one place is
// ordered from the outer to the inner expression, what closes the other way.
func (m *mutator) apply() string {
	sort.SliceStable(m.edits, func(i, j int) bool {
		a, b := m.edits[i], m.edits[j]
		switch {
		case a.at != b.at:
			return a.at < b.at
		case a.closing != b.closing:
			return a.closing
		case a.closing:
			return a.depth > b.depth
		default:
			return a.depth < b.depth
		}
	})
	var b strings.Builder
	at := 0
	for _, e := range m.edits {
		b.Write(m.src[at:e.at])
		b.WriteString(e.text)
		at = e.end
	}
	b.Write(m.src[at:])
	return b.String()
}

// switchboard is the file that is added to a package: it says which change acts,
// and notes which places the tests came by.
const switchboard = `package %s

import (
	mutationos "os"
	mutationstrconv "strconv"
	mutationatomic "sync/atomic"
)

var mutationChosen, mutationSeen = func() (int, *mutationos.File) {
	n, _ := mutationstrconv.Atoi(mutationos.Getenv("MUTATION"))
	path := mutationos.Getenv("MUTATION_SEEN")
	if path == "" {
		return n, nil
	}
	f, err := mutationos.OpenFile(path, mutationos.O_APPEND|mutationos.O_CREATE|mutationos.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	return n, f
}()

var mutationMarks [%d]mutationatomic.Bool

func mutated(id int) bool {
	if mutationSeen != nil && mutationMarks[id].CompareAndSwap(false, true) {
		mutationSeen.WriteString(mutationstrconv.Itoa(id) + "\n")
	}
	return id == mutationChosen
}

type mutationInteger interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

type mutationNumber interface {
	mutationInteger | ~float32 | ~float64
}

func mutatedSign[T mutationNumber](id int, x T) T {
	if mutated(id) {
		return -x
	}
	return x
}

func mutatedSum[T mutationNumber](id int, a, b T) T {
	if mutated(id) {
		return a - b
	}
	return a + b
}

func mutatedDifference[T mutationNumber](id int, a, b T) T {
	if mutated(id) {
		return a + b
	}
	return a - b
}

func mutatedProduct[T mutationNumber](id int, a, b T) T {
	if mutated(id) {
		return a / b
	}
	return a * b
}

func mutatedQuotient[T mutationNumber](id int, a, b T) T {
	if mutated(id) {
		return a * b
	}
	return a / b
}

func mutatedRest[T mutationInteger](id int, a, b T) T {
	if mutated(id) {
		return a * b
	}
	return a %% b
}
`
