package assertions

import (
	"fmt"
	"slices"

	"github.com/faultline-sim/faultline/assertions/history"
)

// Load judges that what was asked was sent.
//
// Definition: for each flow under load, as many messages were begun as the plan asks for, with
// dense numbers, however slow the answers were (open loop).
//
// Evidence: Produce rows, and the plan's numbers (Context.Asked, or gauges "asked"). Valid: each
// flow's number is met. Invalid: a message is missing (not sent) or was sent beyond the plan
// (unasked). Unknown: the plan's numbers are not known, the run did not reach the end of its load,
// or events were shed.
//
// It cannot see a source that sends late, for a message's row stands at its intended time; lateness
// shows in the latencies, which count from there. Cost: one pass over each flow's rows.
// Source: Schroeder et al., Open Versus Closed: A Cautionary Tale (NSDI 2006).
func Load() Check {
	return Check{Name: "load", Property: "load",
		New: func(l *Ledger, c Context) Checker { return &load{ledger: l, asked: c.Asked} }}
}

type load struct {
	ledger *Ledger
	asked  map[string]int64
}

func (c *load) Kinds() []history.Kind  { return nil }
func (c *load) Observe(*history.Event) {}

func (c *load) Verdict() Verdict {
	var r ruling
	r.complete(c.ledger)
	asked := c.asked
	if asked == nil {
		asked = c.ledger.asked
	}
	if len(asked) == 0 {
		r.lack("the plan's number of messages for each flow")
	}
	var total, sent int64
	flows := make([]string, 0, len(asked))
	for flow := range asked {
		flows = append(flows, flow)
	}
	slices.Sort(flows)
	for _, flow := range flows {
		total += asked[flow]
		sent += c.flow(flow, asked[flow], &r)
	}
	if len(asked) > 0 && total == 0 {
		r.lack("a load: the plan asks for no message")
	}
	r.figure("asked", float64(total), "messages")
	r.figure("sent", float64(sent), "messages")
	return r.verdict("%d of %d messages asked for were sent", sent, total)
}

// flow compares one flow with its plan and gives the number of messages begun.
func (c *load) flow(name string, asked int64, r *ruling) int64 {
	f := c.ledger.flow(name)
	if f == nil {
		f = &flowLedger{}
	}
	for i := range asked {
		if f.rows.get(i).flags&begun == 0 {
			r.anomaly(Anomaly{Kind: "not-sent", Flow: name, Message: i,
				Text: fmt.Sprintf("%s-%d was asked for and never begun", name, i)})
		}
	}
	for i := asked; i < f.size; i++ {
		if f.rows.get(i).flags&(begun|derived) == begun {
			r.anomaly(Anomaly{Kind: "unasked", Flow: name, Message: i,
				Text: fmt.Sprintf("%s-%d was begun, the plan asks for %d messages", name, i,
					asked)})
		}
	}
	return f.begun
}
