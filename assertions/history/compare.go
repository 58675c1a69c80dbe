package history

import (
	"bytes"
	"cmp"
	"strings"
)

// Compare orders events by (At, Kind, Node, Replica, Flow, Message), and those that agree in all
// of these by their remaining fields, so that only equal events compare as 0 and one set of events
// has one order however it was recorded.
func (e *Event) Compare(o *Event) int {
	if c := cmp.Compare(e.At, o.At); c != 0 {
		return c
	}
	if c := cmp.Or(
		cmp.Compare(e.Kind, o.Kind),
		strings.Compare(e.Node, o.Node),
		cmp.Compare(e.Replica, o.Replica),
		strings.Compare(e.Flow, o.Flow),
		cmp.Compare(e.Message, o.Message),
	); c != 0 {
		return c
	}
	return e.compareRest(o)
}

func (e *Event) compareRest(o *Event) int {
	return cmp.Or(
		cmp.Compare(e.Delivery, o.Delivery),
		cmp.Compare(e.Attempt, o.Attempt),
		strings.Compare(e.Handler, o.Handler),
		strings.Compare(e.Step, o.Step),
		cmp.Compare(e.Outcome, o.Outcome),
		strings.Compare(e.Wire, o.Wire),
		strings.Compare(e.Channel, o.Channel),
		cmp.Compare(e.Partition, o.Partition),
		cmp.Compare(e.Offset, o.Offset),
		cmp.Compare(e.Duration, o.Duration),
		cmp.Compare(e.Value, o.Value),
		strings.Compare(e.Reason, o.Reason),
		strings.Compare(e.Key, o.Key),
		cmp.Compare(e.KeySeq, o.KeySeq),
		strings.Compare(e.ParentFlow, o.ParentFlow),
		cmp.Compare(e.Parent, o.Parent),
		bytes.Compare(e.Trace[:], o.Trace[:]),
	)
}
