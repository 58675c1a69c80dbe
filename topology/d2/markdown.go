package d2

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"

	"github.com/faultline-sim/faultline/topology/diag"
)

// fence is one fenced d2 block: its lines as they stand in the Markdown file.
type fence struct {
	line int // of the block's first line, from 0
	text []string
	cut  []int // characters before each line that belong to the Markdown around it
}

// unfence replaces a Markdown text by the chosen d2 block in it, at the same lines.
func (in *input) unfence(src []byte, chosen int) bool {
	fences := findFences(src)
	at := diag.Position{File: in.file, Line: 1, Column: 1}
	switch {
	case len(fences) == 0:
		in.refuse(at, "no-block", "the file has no fenced block marked d2")
		return false
	case chosen > len(fences) || chosen < 0:
		in.refuse(at, "block", "there is no block %d, accepted: 1 to %d", chosen, len(fences))
		return false
	case chosen == 0 && len(fences) > 1:
		for i, f := range fences {
			at.Line = f.line
			in.refuse(at, "block", "this is block %d of %d marked d2, choose one by its number",
				i+1, len(fences))
		}
		return false
	}
	f := fences[max(chosen, 1)-1]
	in.text = strings.Repeat("\n", f.line) + strings.Join(f.text, "")
	in.indent = append(make([]int, f.line), f.cut...)
	return true
}

// findFences lists the fenced blocks whose language is d2, also those in lists and quotes.
func findFences(src []byte) []fence {
	var found []fence
	doc := goldmark.DefaultParser().Parse(text.NewReader(src))
	ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		block, ok := n.(*ast.FencedCodeBlock)
		if !ok || !entering || !strings.EqualFold(string(block.Language(src)), "d2") {
			return ast.WalkContinue, nil
		}
		if block.Lines().Len() > 0 {
			found = append(found, cutFence(src, block.Lines()))
		} else {
			at := bytes.Count(src[:block.Info.Segment.Start], []byte("\n")) + 1
			found = append(found, fence{line: at})
		}
		return ast.WalkContinue, nil
	})
	return found
}

// cutFence copies a block's lines and notes how far each is indented in the file.
func cutFence(src []byte, lines *text.Segments) fence {
	f := fence{line: bytes.Count(src[:lines.At(0).Start], []byte("\n"))}
	for i := range lines.Len() {
		segment := lines.At(i)
		start := bytes.LastIndexByte(src[:segment.Start], '\n') + 1
		f.text = append(f.text, string(segment.Value(src)))
		f.cut = append(f.cut, utf8.RuneCount(src[start:segment.Start])-segment.Padding)
	}
	return f
}
