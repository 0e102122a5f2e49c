package config

import (
	"fmt"
	"math"
	"math/big"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/dbbasic/station/sdk/errs"
	"github.com/dbbasic/station/sdk/plugin"
)

// value gives the text of an attribute's value, which its option takes; what is
// wrong is noted. Values are written out: a variable or a calculation would be
// another program to understand, and one that hostile input makes slow.
func (l *loader) value(a *hclsyntax.Attribute, o plugin.Option) (text string, ok bool) {
	at := a.Expr.Range()
	v, ok := l.literal(a.Expr)
	if !ok {
		return "", false
	}
	switch {
	case o.Type == plugin.List:
		return l.list(v, o, at)
	case v.typ == cty.String && (o.Type == plugin.String || o.Type == plugin.Duration):
		text = v.text
	case v.typ == cty.Bool && o.Type == plugin.Bool, v.typ == cty.Number && o.Type == plugin.Integer, v.typ == cty.Number && o.Type == plugin.Duration && v.text == "0":
		text = v.text
	default:
		l.wrong(at, "The option %s is %s; it must be %s.", o.Name, v.kind(), o.Allowed())
		return "", false
	}
	if err := o.Check(text); err != nil {
		l.wrong(at, "%s", errs.From(err).Text())
		return "", false
	}
	return text, true
}

func (l *loader) list(v literal, o plugin.Option, at hcl.Range) (text string, ok bool) {
	if !v.isList {
		l.wrong(at, "The option %s is %s; it must be %s.", o.Name, v.kind(), o.Allowed())
		return "", false
	}
	list := make([]string, len(v.list))
	ok = true
	for i, e := range v.list {
		if e.typ != cty.String {
			l.wrong(e.at, "The option %s lists %s; it must be %s.", o.Name, e.kind(), o.Allowed())
			ok = false
		}
		list[i] = e.text
	}
	return plugin.ListText(list), ok
}

// literal is a value that is written out.
type literal struct {
	typ    cty.Type // String, Bool, Number, or DynamicPseudoType for null
	text   string
	isList bool
	list   []literal
	at     hcl.Range
}

// kind names what a value is, for messages.
func (v literal) kind() string {
	switch {
	case v.isList:
		return "a list"
	case v.typ == cty.String:
		return "text"
	case v.typ == cty.Bool:
		return v.text
	case v.typ == cty.Number:
		return "the number " + cut(v.text)
	}
	return "null"
}

// literal reads an expression that is a value; what is none is noted.
func (l *loader) literal(e hclsyntax.Expression) (literal, bool) {
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr:
		return scalar(e.Val, e.Range()), true
	case *hclsyntax.TemplateExpr:
		out := literal{typ: cty.String, at: e.Range()}
		for _, p := range e.Parts {
			part, ok := p.(*hclsyntax.LiteralValueExpr)
			if !ok || part.Val.Type() != cty.String || part.Val.IsNull() {
				return l.noLiteral(p)
			}
			out.text += part.Val.AsString()
		}
		return out, true
	case *hclsyntax.UnaryOpExpr:
		if v, ok := e.Val.(*hclsyntax.LiteralValueExpr); ok && e.Op == hclsyntax.OpNegate && v.Val.Type() == cty.Number {
			return scalar(cty.NumberVal(new(big.Float).Neg(v.Val.AsBigFloat())), e.Range()), true
		}
	case *hclsyntax.TupleConsExpr:
		out, ok := literal{isList: true, at: e.Range()}, true
		for _, x := range e.Exprs {
			v, good := l.literal(x)
			out.list, ok = append(out.list, v), ok && good
		}
		return out, ok
	case *hclsyntax.ScopeTraversalExpr:
		l.wrong(e.Range(), "A value is written out: text stands in quotes, and there are no variables.")
		return literal{}, false
	}
	return l.noLiteral(e)
}

func (l *loader) noLiteral(e hclsyntax.Expression) (literal, bool) {
	l.wrong(e.Range(), "A value is written out: there are no variables, functions and calculations. In text, $${ stands for a plain ${.")
	return literal{}, false
}

func scalar(v cty.Value, at hcl.Range) literal {
	out := literal{typ: v.Type(), at: at}
	switch {
	case v.IsNull():
		out.typ = cty.DynamicPseudoType
	case out.typ == cty.String:
		out.text = v.AsString()
	case out.typ == cty.Bool:
		out.text = map[bool]string{true: "true", false: "false"}[v.True()]
	case out.typ == cty.Number:
		out.text = number(v.AsBigFloat())
	}
	return out
}

// number writes a number in decimal, whole numbers without a point. One that no
// integer can be is not written in full, which could be long; and one that is
// too large or too small for a float64 not exactly, which could take hours.
func number(f *big.Float) string {
	if n, exact := f.Int64(); exact == big.Exact {
		return big.NewInt(n).String()
	}
	if exp := f.MantExp(nil); exp < -1000 || exp > 1000 {
		return fmt.Sprintf("%.0fe%+.0f", math.Copysign(1, float64(f.Sign())), float64(exp)*math.Log10(2)) // roughly
	}
	return f.Text('g', 10)
}
