package d2

import (
	"strings"

	"oss.terrastruct.com/d2/d2graph"
	"oss.terrastruct.com/d2/d2target"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/diag"
)

// boxes reads a board's objects: each becomes a box, is set aside with a note, or is refused.
func (r *reader) boxes(g *d2graph.Graph) {
	r.kept = map[*d2graph.Object]string{}
	r.aside = map[*d2graph.Object]string{}
	r.refused = map[*d2graph.Object]bool{}
	if g.Legend != nil {
		r.drawing.Notes.Add(diag.Position{File: r.in.file, Line: 1, Column: 1}, "legend",
			"the legend is not part of the system")
	}
	r.refuseLayout(g.Root, diag.Position{File: r.in.file, Line: 1, Column: 1})
	for _, o := range g.Objects {
		r.box(o)
	}
	r.markContainers()
	if len(r.drawing.Boxes) == 0 && r.in.diags.Empty() {
		r.in.refuse(diag.Position{File: r.in.file, Line: 1, Column: 1}, "empty",
			"the drawing has no box that stands for a part of the system")
	}
}

// box reads one object, after the one it lies in: imported boxes come in the order of their own
// file. What lies inside something refused or set aside shares its fate.
func (r *reader) box(o *d2graph.Object) {
	if o == nil || o.Parent == nil || r.kept[o] != "" || r.aside[o] != "" || r.refused[o] {
		return
	}
	r.box(o.Parent)
	at := r.at(o)
	switch what := setAside(o); {
	case r.refused[o.Parent]:
		r.refused[o] = true
	case r.aside[o.Parent] != "":
		r.aside[o] = r.aside[o.Parent]
	case r.refuseLayout(o, at) || r.refuseName(o, at):
		r.refused[o] = true
	case what != "":
		r.aside[o] = what
		r.drawing.Notes.Add(at, "set-aside", "%s %q is not part of the system", what, o.IDVal)
	default:
		r.keep(o, at)
	}
}

func (r *reader) keep(o *d2graph.Object, at diag.Position) {
	name := topology.JoinName(o.IDVal)
	if parent := r.kept[o.Parent]; parent != "" {
		name = parent + "." + name
	}
	r.kept[o] = name
	r.drawing.Boxes = append(r.drawing.Boxes, Box{
		Name: name, Label: strings.TrimSpace(o.Label.Value), Shape: o.Shape.Value, At: at,
	})
	if o.SQLTable != nil && len(o.SQLTable.Columns) > 0 {
		r.drawing.Notes.Add(at, "table", "the columns of table %q are not boxes", o.IDVal)
	}
}

// setAside names what an object is when it describes the system rather than being a part of it.
func setAside(o *d2graph.Object) string {
	switch o.Shape.Value {
	case d2target.ShapeText:
		return "text"
	case d2target.ShapeCode:
		return "code"
	case d2target.ShapeClass:
		return "class"
	}
	return ""
}

// refuseLayout refuses what is drawn by other rules than boxes and links.
func (r *reader) refuseLayout(o *d2graph.Object, at diag.Position) bool {
	switch {
	case o.IsSequenceDiagram():
		r.in.refuse(at, "sequence-diagram", "a sequence diagram tells an order in time, not who is "+
			"connected; draw its actors as boxes with links, and the sequence as a flow's path")
		return true
	case o.IsGridDiagram():
		r.in.refuse(at, "grid", "a grid arranges boxes in rows and columns, which says nothing about "+
			"the system; take grid-rows and grid-columns away")
		return true
	}
	return false
}

// refuseName refuses a key that a topology could not name.
func (r *reader) refuseName(o *d2graph.Object, at diag.Position) bool {
	switch key := o.IDVal; {
	case strings.TrimSpace(key) == "":
		r.in.refuse(at, "empty-name", "a box needs a name, its key is empty")
	case strings.ContainsAny(key, "\n\r"):
		r.in.refuse(at, "name", "key %q has a line break, which names of nodes cannot have; give the "+
			"box a plain key and keep the text as its label", key)
	default:
		return false
	}
	return true
}

// at is where an object is first named.
func (r *reader) at(o *d2graph.Object) diag.Position {
	for _, ref := range o.References {
		if ref.Key != nil && ref.KeyPathIndex >= 0 && ref.KeyPathIndex < len(ref.Key.Path) {
			return r.in.position(ref.Key.Path[ref.KeyPathIndex].Unbox().GetRange())
		}
	}
	return diag.Position{File: r.in.file, Line: 1, Column: 1}
}

// markContainers marks the boxes that hold other boxes; one that held only notes is a leaf.
func (r *reader) markContainers() {
	holds := map[string]bool{}
	for o := range r.kept {
		holds[r.kept[o.Parent]] = true
	}
	for i := range r.drawing.Boxes {
		b := &r.drawing.Boxes[i]
		b.Container = holds[b.Name]
	}
}

// links reads a board's edges between the boxes that were kept.
func (r *reader) links(g *d2graph.Graph) {
	seen := map[Link]diag.Position{}
	for _, e := range g.Edges {
		r.link(e, seen)
	}
}

// link reads one edge. Seen has the links so far, without their positions.
func (r *reader) link(e *d2graph.Edge, seen map[Link]diag.Position) {
	at := diag.Position{File: r.in.file, Line: 1, Column: 1}
	if len(e.References) > 0 {
		at = r.in.position(e.References[0].Edge.Range)
	}
	for _, end := range []*d2graph.Object{e.Src, e.Dst} {
		if r.refused[end] {
			return
		}
		if what := r.aside[end]; what != "" {
			r.drawing.Notes.Add(at, "set-aside", "a link with %s %q is not part of the system", what,
				end.IDVal)
			return
		}
	}
	if e.Src == e.Dst {
		r.in.refuse(at, "self-link", "box %q is linked to itself, which no wire can carry; draw the "+
			"parts that talk as boxes of their own, or take the link away", r.kept[e.Src])
		return
	}
	if e.SrcTableColumnIndex != nil || e.DstTableColumnIndex != nil {
		r.drawing.Notes.Add(at, "table", "a link with a table's column is read as one with the table")
	}
	l := r.direct(e)
	if first, ok := seen[l]; ok {
		r.drawing.Notes.Add(at, "duplicate-link", "link %s is already drawn at line %d", l, first.Line)
		return
	}
	seen[l] = at
	l.At, l.Line = at, at.Line
	r.drawing.Links = append(r.drawing.Links, l)
}

// direct reads an edge's ends and arrows.
func (r *reader) direct(e *d2graph.Edge) Link {
	l := Link{
		Link:      topology.Link{From: r.kept[e.Src], To: r.kept[e.Dst]},
		Direction: Undirected, Label: strings.TrimSpace(e.Label.Value),
	}
	switch {
	case e.SrcArrow && e.DstArrow:
		l.Direction = Both
	case e.DstArrow:
		l.Direction = Forward
	case e.SrcArrow:
		l.Direction, l.From, l.To = Forward, l.To, l.From
	}
	return l
}
