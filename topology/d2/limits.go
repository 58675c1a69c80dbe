package d2

import (
	"fmt"
	"strings"

	"oss.terrastruct.com/d2/d2ast"
	"oss.terrastruct.com/d2/d2parser"
)

// Limits on a drawing: beyond them it is refused before the compiler sees it, since the compiler's
// time and memory grow with the square of what it is given.
const (
	maxBytes = 1 << 20
	maxDepth = 64   // braces and brackets open at once, and keys in one name
	maxChain = 1000 // arrows on one line
	maxLinks = 5000 // links, with those that globs may grow into
)

// tooMuch says in which line, counted from 1, and why a drawing is refused; why is "" for one that
// may be compiled. Mistakes of syntax are left to the compiler.
func tooMuch(name, text string) (line int, why string) {
	if line := deepLine(text); line > 0 {
		return line, fmt.Sprintf("more than %d braces and brackets are open at once", maxDepth)
	}
	for i, l := range strings.Split(text, "\n") {
		if strings.Count(l, "->")+strings.Count(l, "--")+strings.Count(l, "<-") > maxChain {
			return i + 1, fmt.Sprintf("more than %d arrows stand on one line", maxChain)
		}
	}
	var c census
	c.countMap(parse(name, text))
	if c.deepest > maxDepth {
		return c.deepestLine, fmt.Sprintf("a name has more than %d keys", maxDepth)
	}
	if links := c.links(); links > maxLinks {
		return 1, fmt.Sprintf("its links may grow to %d, at most %d are read; name the ends of links "+
			"instead of using globs", links, maxLinks)
	}
	return 0, ""
}

// parse is a text's syntax tree, nil when it has none: then the compiler says why.
func parse(name, text string) (m *d2ast.Map) {
	defer func() {
		if recover() != nil {
			m = nil
		}
	}()
	m, err := d2parser.Parse(name, strings.NewReader(text), nil)
	if err != nil {
		return nil
	}
	return m
}

// deepLine is the first line where too many braces and brackets are open, 0 for none.
func deepLine(text string) int {
	open, line := 0, 1
	for _, r := range text {
		switch r {
		case '\n':
			line++
		case '{', '[', '(':
			open++
		case '}', ']', ')':
			open = max(0, open-1)
		}
		if open > maxDepth {
			return line
		}
	}
	return 0
}

// census counts what a drawing's source names.
type census struct {
	keys                 int // each key of each name
	plain, half, twofold int // links without a glob, with one at one end, with one at both
	deepest, deepestLine int
}

// links is how many links there may be at most, when a glob stands for every key.
func (c *census) links() int { return c.plain + c.half*c.keys + c.twofold*c.keys*c.keys }

func (c *census) countMap(m *d2ast.Map) {
	if m == nil {
		return
	}
	for _, n := range m.Nodes {
		if n.MapKey != nil {
			c.countKey(n.MapKey)
		}
	}
}

func (c *census) countKey(k *d2ast.Key) {
	c.countPath(k.Key)
	for _, e := range k.Edges {
		c.countPath(e.Src)
		c.countPath(e.Dst)
		switch from, to := e.Src.HasGlob(), e.Dst.HasGlob(); {
		case from && to:
			c.twofold++
		case from || to:
			c.half++
		default:
			c.plain++
		}
	}
	c.countMap(k.Value.Map)
}

func (c *census) countPath(p *d2ast.KeyPath) {
	if p == nil {
		return
	}
	c.keys += len(p.Path)
	if len(p.Path) > c.deepest {
		c.deepest, c.deepestLine = len(p.Path), p.Range.Start.Line+1
	}
}
