package d2

import (
	"slices"
	"strings"

	"oss.terrastruct.com/d2/d2ast"
	"oss.terrastruct.com/d2/d2graph"
	"oss.terrastruct.com/d2/d2parser"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/diag"
)

// reader turns a compiled graph into a drawing.
type reader struct {
	in      *input
	drawing *Drawing
	kept    map[*d2graph.Object]string // boxes of the drawing and their names
	aside   map[*d2graph.Object]string // what was set aside, and what it is
	refused map[*d2graph.Object]bool
}

// choose finds the board that was asked for. Boards not asked for are noted; a drawing that has
// nothing but boards asks for a choice.
func (r *reader) choose(root *d2graph.Graph, want string) *d2graph.Graph {
	at := diag.Position{File: r.in.file, Line: 1, Column: 1}
	names := boards(root, "")
	if want == "" {
		if len(root.Objects) > 0 {
			r.noteBoards(names)
			return root
		}
		if len(names) == 0 {
			r.in.refuse(at, "empty", "the drawing has no box")
			return nil
		}
		r.in.refuse(at, "board", "all boxes are in other boards, choose one with --board, %s",
			diag.Expected("", names))
		return nil
	}
	if board := find(root, want); board != nil {
		if len(board.Objects) == 0 {
			r.in.refuse(at, "empty", "board %q has no box", want)
			return nil
		}
		return board
	}
	r.in.refuse(at, "unknown-board", "there is no board %q, %s", want, diag.Expected(want, names))
	return nil
}

func (r *reader) noteBoards(names []string) {
	if len(names) > 0 {
		r.drawing.Notes.Add(diag.Position{File: r.in.file, Line: 1, Column: 1}, "board",
			"boards %s are not read, choose one with --board", strings.Join(names, ", "))
	}
}

// family is a graph's boards of one sort.
type family struct {
	word   string
	boards []*d2graph.Graph
}

func families(g *d2graph.Graph) []family {
	return []family{{"layers", g.Layers}, {"scenarios", g.Scenarios}, {"steps", g.Steps}}
}

// boards lists the full names of all boards below g.
func boards(g *d2graph.Graph, prefix string) []string {
	var names []string
	for _, f := range families(g) {
		for _, b := range f.boards {
			name := prefix + f.word + "." + topology.JoinName(b.Name)
			names = append(names, name)
			names = append(names, boards(b, name+".")...)
		}
	}
	return names
}

// find follows a board's name from the root; "layers.", "scenarios." and "steps." may be left out.
func find(g *d2graph.Graph, name string) *d2graph.Graph {
	key, err := d2parser.ParseKey(name)
	if err != nil {
		return nil
	}
	words := key.StringIDA()
	for len(words) > 0 {
		if _, ok := d2ast.BoardKeywords[words[0]]; ok && len(words) > 1 {
			i := slices.IndexFunc(families(g), func(f family) bool { return f.word == words[0] })
			g = pick(families(g)[i].boards, words[1])
			words = words[2:]
		} else {
			g = g.GetBoard(words[0])
			words = words[1:]
		}
		if g == nil {
			return nil
		}
	}
	return g
}

func pick(boards []*d2graph.Graph, name string) *d2graph.Graph {
	i := slices.IndexFunc(boards, func(b *d2graph.Graph) bool { return b.Name == name })
	if i < 0 {
		return nil
	}
	return boards[i]
}
