// Package d2 reads drawings made in D2: which boxes there are, which links join them, and where
// each stands in the file.
//
// It serves the load step of load → plan → run → check → report: a drawing becomes a topology's
// first draft, and is later held against the topology that grew out of it. It promises that every
// kind of input the D2 compiler takes is understood, set aside with a note, or refused by name with
// its position. It is the only package that imports the D2 compiler (https://d2lang.com), and
// imports nothing of simulators, scenarios or reports.
package d2

import (
	"io/fs"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/diag"
)

// Drawing is one board of a D2 file. Boxes and links stand in the order of the file.
type Drawing struct {
	File  string // the D2 or Markdown file it was read from
	Board string // the board that was asked for, "" for the file's own
	Boxes []Box
	Links []Link
	Notes diag.List // what was read and set aside, each with the reason; no mistakes
}

// Box is one box of the drawing. Its name is the dotted path of its keys, as topology.Node names
// are: a key with a dot in it is quoted.
type Box struct {
	Name      string
	Label     string // what is written on the box
	Shape     string // D2's word: "rectangle", "cylinder", "queue" …
	Container bool   // it holds other boxes
	At        diag.Position
}

// Direction is how a link is drawn. A link drawn as "a <- b" is kept as b -> a.
type Direction string

// The directions.
const (
	Forward    Direction = "->"
	Both       Direction = "<->"
	Undirected Direction = "--"
)

// Link is an edge between two boxes. Line of the embedded topology.Link equals At.Line.
type Link struct {
	topology.Link
	Direction Direction
	Label     string
	At        diag.Position
}

// String is "a -> b" with full names and the direction as drawn.
func (l Link) String() string { return l.From + " " + string(l.Direction) + " " + l.To }

// Options choose what is read. The zero value reads the only board of the only block.
type Options struct {
	// Board names a layer, scenario or step ("layers.night", or "night" where it is unique in its
	// parent); "" is the drawing itself.
	Board string
	// Block counts the fenced d2 blocks of a Markdown file from 1; 0 is the only one.
	Block int
	// FS is where imports are looked up, rooted at the drawing's folder; nil is the folder itself.
	FS fs.FS
}

// Read reads a drawing from a D2 file, or from a fenced d2 block when the file's name ends in .md
// or .markdown. The drawing is nil when the list has a mistake.
func Read(file string, src []byte, opt Options) (*Drawing, diag.List) {
	var diags diag.List
	in, ok := open(file, src, opt, &diags)
	if !ok {
		return nil, diags
	}
	graph := in.compile()
	if graph == nil {
		return nil, diags
	}
	r := reader{in: in, drawing: &Drawing{File: file, Board: opt.Board}}
	board := r.choose(graph, opt.Board)
	if board != nil {
		r.boxes(board)
		r.links(board)
	}
	if !diags.Empty() {
		return nil, diags
	}
	return r.drawing, diags
}

// Box is the box with a name, or nil.
func (d *Drawing) Box(name string) *Box {
	for i := range d.Boxes {
		if d.Boxes[i].Name == name {
			return &d.Boxes[i]
		}
	}
	return nil
}
