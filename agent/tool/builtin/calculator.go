package builtin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/gatehouse-chat/gatehouse/agent"
)

// Calculator computes with exact fractions.
type Calculator struct{}

var _ agent.Tool = Calculator{}

// Spec implements agent.Tool.
func (Calculator) Spec() agent.Spec {
	return agent.Spec{
		Name: "calculator", Effect: agent.ReadLocal,
		Description: "Computes an expression exactly: + - * / % (remainder), ^ (whole powers) and parentheses.",
		Schema: json.RawMessage(`{"type":"object","properties":{"expression":{"type":"string","description":"such as (19.99*3)*1.19"}},` +
			`"required":["expression"],"additionalProperties":false}`),
	}
}

// Call implements agent.Tool.
func (Calculator) Call(_ context.Context, _ *agent.Turn, args json.RawMessage) (agent.ToolResult, error) {
	a, err := read[struct{ Expression string }](args)
	if err != nil {
		return fault(err)
	}
	v, err := Compute(a.Expression)
	if err != nil {
		return fault(err)
	}
	return here("%s", v), nil
}

// The limits of an expression: what a person would write, and no more work than
// a moment.
const (
	maxExpression = 1000 // bytes
	maxDepth      = 50
	maxPower      = 512
	maxBits       = 1 << 14 // of an intermediate result
	places        = 12      // of a fraction that does not end
)

var (
	errExpression = errors.New("this is not an expression such as (2+3)*4")
	errZero       = errors.New("a division by zero")
	errHuge       = errors.New("the numbers become too large")
)

// Compute evaluates an expression. The result has at most twelve decimal
// places, and "≈" in front when that is not all.
func Compute(expression string) (string, error) {
	if len(expression) > maxExpression {
		return "", errHuge
	}
	p := &parser{rest: strings.ReplaceAll(strings.ReplaceAll(expression, " ", ""), "_", "")}
	v, err := p.sum()
	if err != nil {
		return "", err
	}
	if p.rest != "" {
		return "", errExpression
	}
	return decimal(v), nil
}

func decimal(v *big.Rat) string {
	if v.IsInt() {
		return v.Num().String()
	}
	text := v.FloatString(places)
	if back, ok := new(big.Rat).SetString(text); ok && back.Cmp(v) == 0 {
		return strings.TrimRight(text, "0")
	}
	return "≈" + text
}

// parser evaluates while it reads, by recursive descent.
type parser struct {
	rest  string
	depth int
}

func (p *parser) next(ops string) (byte, bool) {
	if p.rest == "" || !strings.ContainsRune(ops, rune(p.rest[0])) {
		return 0, false
	}
	op := p.rest[0]
	p.rest = p.rest[1:]
	return op, true
}

func (p *parser) sum() (*big.Rat, error) { return p.chain("+-", p.product) }

func (p *parser) product() (*big.Rat, error) { return p.chain("*/%", p.signed) }

// chain evaluates operators of one precedence from the left.
func (p *parser) chain(ops string, operand func() (*big.Rat, error)) (*big.Rat, error) {
	left, err := operand()
	if err != nil {
		return nil, err
	}
	for {
		op, ok := p.next(ops)
		if !ok {
			return left, nil
		}
		right, err := operand()
		if err != nil {
			return nil, err
		}
		if left, err = apply(op, left, right); err != nil {
			return nil, err
		}
	}
}

func apply(op byte, a, b *big.Rat) (*big.Rat, error) {
	out := new(big.Rat)
	switch op {
	case '+':
		out.Add(a, b)
	case '-':
		out.Sub(a, b)
	case '*':
		out.Mul(a, b)
	case '/', '%':
		if b.Sign() == 0 {
			return nil, errZero
		}
		out.Quo(a, b)
		if op == '%' {
			whole := new(big.Int).Div(out.Num(), out.Denom())
			out.Sub(a, new(big.Rat).Mul(b, new(big.Rat).SetInt(whole)))
		}
	}
	if out.Num().BitLen()+out.Denom().BitLen() > maxBits {
		return nil, errHuge
	}
	return out, nil
}

// signed reads a sign, which binds less than a power: -2^2 is -4.
func (p *parser) signed() (*big.Rat, error) {
	op, ok := p.next("+-")
	if !ok {
		return p.power()
	}
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer p.higher()
	v, err := p.signed()
	if err == nil && op == '-' {
		v = new(big.Rat).Neg(v)
	}
	return v, err
}

func (p *parser) power() (*big.Rat, error) {
	base, err := p.atom()
	if err != nil {
		return nil, err
	}
	if _, ok := p.next("^"); !ok {
		return base, nil
	}
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer p.higher()
	exponent, err := p.signed() // from the right: 2^3^2 is 2^9
	if err != nil {
		return nil, err
	}
	return raise(base, exponent)
}

func raise(base, exponent *big.Rat) (*big.Rat, error) {
	if !exponent.IsInt() || exponent.Num().CmpAbs(big.NewInt(maxPower)) > 0 {
		return nil, fmt.Errorf("a power must be a whole number up to %d", maxPower)
	}
	n := int(exponent.Num().Int64())
	op := byte('*')
	if n < 0 {
		n, op = -n, '/'
	}
	out := big.NewRat(1, 1)
	for range n {
		var err error
		if out, err = apply(op, out, base); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (p *parser) atom() (*big.Rat, error) {
	if _, ok := p.next("("); ok {
		if err := p.deeper(); err != nil {
			return nil, err
		}
		defer p.higher()
		v, err := p.sum()
		if err != nil {
			return nil, err
		}
		if _, ok := p.next(")"); !ok {
			return nil, errExpression
		}
		return v, nil
	}
	n := 0
	for n < len(p.rest) && (p.rest[n] >= '0' && p.rest[n] <= '9' || p.rest[n] == '.') {
		n++
	}
	v, ok := new(big.Rat).SetString(p.rest[:n])
	if n == 0 || !ok {
		return nil, errExpression
	}
	p.rest = p.rest[n:]
	return v, nil
}

func (p *parser) deeper() error {
	if p.depth++; p.depth > maxDepth {
		return errHuge
	}
	return nil
}

func (p *parser) higher() { p.depth-- }
