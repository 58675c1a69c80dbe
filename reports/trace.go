package reports

import (
	"fmt"
	"io"

	"github.com/faultline-sim/faultline/assertions/history"
)

// TraceOptions is how journeys are laid out.
type TraceOptions struct {
	Width int   // columns; 0 is 110
	Names Names // to show
}

// Trace prints the way of a message and its kin, hop by hop.
func Trace(w io.Writer, journeys []history.Journey, opt TraceOptions) error {
	p := newPage(w, TextOptions{Width: opt.Width}, opt.Names)
	for _, j := range journeys {
		p.journey(j, len(journeys) > 1)
	}
	return p.err
}

// journey prints one message's way, deeper for those born of another.
func (p *page) journey(j history.Journey, several bool) {
	indent := 2 * j.Depth
	asked := ""
	if j.Asked && several {
		asked = "  (asked for)"
	}
	p.printf("%*s%s  trace %x%s\n", indent, "", Plain(j.ID()), j.Trace, asked)
	if j.ParentFlow != "" {
		p.printf("%*s  born of %s-%d\n", indent, "", Plain(j.ParentFlow), j.Parent)
	}
	for _, h := range j.Hops {
		p.hop(indent+2, h)
	}
	p.printf("\n")
}

func (p *page) hop(indent int, h history.Hop) {
	place := fmt.Sprintf("%s[%d]", h.Node, h.Replica)
	if h.Handler != "" {
		place += " " + h.Handler
	}
	if h.Via != "" {
		place += " by " + h.Via
	}
	if h.Delivery > 1 {
		place += fmt.Sprintf(", delivery %d", h.Delivery)
	}
	p.wrapped(indent, fmt.Sprintf("%9s  ", Seconds(h.From)), 11,
		fmt.Sprintf("%s (%s)", p.plain(place), took(h.To-h.From)))
	for _, e := range h.Events {
		p.event(indent+2, e)
	}
}
