package assertions

import (
	"fmt"

	"github.com/faultline-sim/faultline/assertions/history"
)

// Trace judges that what arrived can be followed from its source.
//
// Definition: for each message that reached a sink, the hops it took join into one path from its
// source (a derived message: from where it was born) to that sink, and all its events carry one
// trace id.
//
// Evidence: Receive, Publish, Call and Store rows, which name both ends of each hop, and their
// trace ids. Valid: at least one message arrived and every one has its path. Invalid: a message
// arrived over a gap (unconnected), changed its trace id (broken-trace) or came without one
// (untraced). Unknown: nothing arrived, the flow has no path, it takes more than 32 kinds of hops,
// or events were shed.
//
// It cannot see hops inside a node, nor spans of a system that is not instrumented: a node that runs
// code of its own joins what went into it and what came out of it by the trace id alone. Cost: one bit
// pair a kind of hop in the message's row; paths are searched once for each set of hops.
// Source: W3C Trace Context, section 3.2.
func Trace(flow string) Check {
	return Check{Name: named("trace", flow), Property: "trace", Flow: flow,
		New: func(l *Ledger, _ Context) Checker { return &trace{ledger: l, flow: flow} }}
}

type trace struct {
	ledger *Ledger
	flow   string
}

func (c *trace) Kinds() []history.Kind  { return nil }
func (c *trace) Observe(*history.Event) {}

func (c *trace) Verdict() Verdict {
	var r ruling
	r.sound(c.ledger)
	f := c.ledger.flow(c.flow)
	if f == nil || f.size == 0 {
		r.lack("messages: flow %q has none in this run", c.flow)
		return r.verdict("no message of flow %s", c.flow)
	}
	if f.route.flow.Source() == "" {
		r.lack("a path in the topology for flow %q", c.flow)
	}
	if f.crowded {
		r.lack("fewer than 33 kinds of hops in flow %q", c.flow)
	}
	judged := 0
	if len(r.lacks) == 0 {
		judged = c.judge(f, &r)
		if judged == 0 {
			r.lack("messages that reached a sink")
		}
	}
	r.count("traced", judged, "messages")
	return r.verdict("%d arrivals traced to their source", judged)
}

func (c *trace) judge(f *flowLedger, r *ruling) (judged int) {
	known := map[uint64]map[string]bool{}
	for i := range f.size {
		m := f.rows.get(i)
		reach, ok := known[m.hops]
		if !ok {
			reach = f.follow(m.hops, c.ledger.bridges(f))
			known[m.hops] = reach
		}
		delivered := false
		for j, leg := range f.route.legs {
			if leg.reply || f.legRows[j].get(i).state&arrived == 0 {
				continue
			}
			delivered = true
			judged++
			if !reach[leg.node] {
				r.anomaly(Anomaly{Kind: "unconnected", Flow: f.name, Message: i, Where: leg.name(),
					Text: fmt.Sprintf("%s-%d reached %s, and its hops do not join up from %s",
						f.name, i, leg.name(), f.route.flow.Source())})
			}
		}
		if delivered {
			f.identity(i, &m, r)
		}
	}
	return judged
}

// identity reports a message whose trace id did not stay the same.
func (f *flowLedger) identity(i int64, m *row, r *ruling) {
	switch {
	case m.flags&traceBroken != 0:
		r.anomaly(Anomaly{Kind: "broken-trace", Flow: f.name, Message: i,
			Text: fmt.Sprintf("%s-%d has events with different trace ids", f.name, i)})
	case m.flags&untraced != 0:
		r.anomaly(Anomaly{Kind: "untraced", Flow: f.name, Message: i,
			Text: fmt.Sprintf("%s-%d was received without a trace id", f.name, i)})
	}
}

// follow is all that a set of hops reaches from the flow's source. The source's own send shows as a
// Produce row, so its first hop is given. A call that failed for its caller and was received all
// the same counts as taken. Next are hops that are taken as given; it is changed.
func (f *flowLedger) follow(hops uint64, next map[string][]string) map[string]bool {
	received := map[string]bool{}
	for _, h := range f.kinds {
		if hops&h.took != 0 && h.key.kind == history.Receive {
			received[h.to] = true
		}
	}
	for _, h := range f.kinds {
		took := hops&h.took != 0
		took = took || h.key.kind == history.Call && hops&h.tried != 0 && received[h.to]
		if took {
			next[h.from] = append(next[h.from], h.to)
		}
	}
	source := f.route.flow.Source()
	for _, path := range f.route.flow.Paths {
		if len(path) > 1 && path[0].Node == source {
			next[source] = append(next[source], vertex(path[1]))
		}
	}
	return reachable(next, source)
}
