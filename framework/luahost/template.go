package luahost

import (
	"fmt"
	"strings"
)

// The templates of html.render are a part of Mustache: values, sections,
// comments. Templates have no code, no partials and no other delimiters.
const (
	maxTemplate = 256 << 10 // bytes
	maxSections = 64        // within each other
)

// node is one part of a template. The nodes of a section follow it, up to end.
type node struct {
	kind nodeKind
	text string // of a textNode; else the name, checked
	line int
	end  int
}

const nodeSize = 48

type nodeKind byte

const (
	textNode     nodeKind = iota
	valueNode             // {{name}}
	rawNode               // {{{name}}} or {{&name}}
	sectionNode           // {{#name}}
	invertedNode          // {{^name}}
)

// String gives the tag, for messages.
func (n *node) String() string {
	front := map[nodeKind]string{valueNode: "{{", rawNode: "{{&", sectionNode: "{{#", invertedNode: "{{^"}[n.kind]
	return front + clip(n.text, 64) + "}}"
}

// templateParser reads a template in one pass.
type templateParser struct {
	nodes []node
	open  []int // the sections that are not closed, by their place in nodes
	line  int
}

// parseTemplate gives the nodes of a template, of which there are about n.
func parseTemplate(s string, n int) ([]node, error) {
	p := &templateParser{nodes: make([]node, 0, n), line: 1}
	for {
		text, rest, found := strings.Cut(s, "{{")
		if text != "" {
			p.add(textNode, text)
		}
		p.line += strings.Count(text, "\n")
		if !found {
			break
		}
		tag, after, err := p.cut(rest)
		if err != nil {
			return nil, err
		}
		if err := p.tag(tag); err != nil {
			return nil, err
		}
		p.line += strings.Count(tag, "\n")
		s = after
	}
	if len(p.open) > 0 {
		n := &p.nodes[p.open[len(p.open)-1]]
		return nil, fmt.Errorf("line %d of the template: %s is never closed", n.line, n)
	}
	return p.nodes, nil
}

// cut parts a tag without its braces, a third pair as the sign "{", from what follows.
func (p *templateParser) cut(s string) (tag, after string, err error) {
	end := "}}"
	if strings.HasPrefix(s, "{") {
		end = "}}}"
	}
	tag, after, found := strings.Cut(s, end)
	if !found {
		head, _, _ := strings.Cut(s, "\n")
		return "", "", p.errorf("the tag {{%s has no %s", clip(head, 64), end)
	}
	return tag, after, nil
}

func (p *templateParser) tag(tag string) error {
	sign, name := byte(0), strings.TrimSpace(tag)
	if name != "" && strings.IndexByte("{&#^/!>=", name[0]) >= 0 {
		sign, name = name[0], strings.TrimSpace(name[1:])
	}
	switch sign {
	case '!':
		return nil
	case '>', '=':
		return p.errorf("{{%c is not available: a template has no partials and no other delimiters", sign)
	}
	if err := p.checkName(tag, name); err != nil {
		return err
	}
	if sign == '/' {
		return p.closeSection(name)
	}
	kind := kindOf(sign)
	if kind == sectionNode || kind == invertedNode {
		if len(p.open) == maxSections {
			return p.errorf("more than %d sections within each other", maxSections)
		}
		p.open = append(p.open, len(p.nodes))
	}
	p.add(kind, name)
	return nil
}

// kindOf gives the kind of a tag that has a name.
func kindOf(sign byte) nodeKind {
	switch sign {
	case '{', '&':
		return rawNode
	case '#':
		return sectionNode
	case '^':
		return invertedNode
	}
	return valueNode
}

// checkName takes "." and names between dots, without white space and braces.
func (p *templateParser) checkName(tag, name string) error {
	if name == "." {
		return nil
	}
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || strings.ContainsAny(part, " \t\r\n{}") {
			return p.errorf("{{%s}} has no name that can be looked up", clip(tag, 64))
		}
	}
	return nil
}

func (p *templateParser) closeSection(name string) error {
	if len(p.open) == 0 {
		return p.errorf("{{/%s}} closes nothing", clip(name, 64))
	}
	n := &p.nodes[p.open[len(p.open)-1]]
	if n.text != name {
		return p.errorf("{{/%s}} stands where %s of line %d is to be closed", clip(name, 64), n, n.line)
	}
	p.open = p.open[:len(p.open)-1]
	n.end = len(p.nodes)
	return nil
}

func (p *templateParser) add(kind nodeKind, text string) {
	p.nodes = append(p.nodes, node{kind: kind, text: text, line: p.line})
}

func (p *templateParser) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d of the template: %s", p.line, fmt.Sprintf(format, args...))
}
