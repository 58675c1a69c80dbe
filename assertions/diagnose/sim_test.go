package diagnose_test

import (
	"cmp"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
)

// trouble is what a made-up run suffers from: something on a wire, or errors of a node.
type trouble struct {
	kind     string // "black hole", "cut", "latency", "errors" or "" for none
	wire     string
	node     string
	from, to time.Duration
}

func (x trouble) on(wire string, at time.Duration) bool {
	return x.wire == wire && at >= x.from && at < x.to
}

// world makes up the history of a run of any topology: it walks each message through the declared
// handlers and steps, with their timeouts and retries, and writes the rows that simulators write.
type world struct {
	t       *topology.Topology
	trouble trouble
	rand    *rand.Rand
	rows    []history.Event
	born    map[string]int64
}

// letter is a message on its way.
type letter struct {
	flow   string
	number int64
	sent   time.Duration
}

// Phases of every made-up run.
const (
	timelineFrom = 3 * time.Second
	loadEnds     = 10 * time.Second
)

func run(t *topology.Topology, x trouble, seed uint64, rates map[string]int) []history.Event {
	w := &world{t: t, trouble: x, rand: rand.New(rand.NewPCG(seed, 1)), born: map[string]int64{}}
	for _, p := range []struct {
		name string
		at   time.Duration
	}{{"steady", 0}, {"timeline", timelineFrom}, {"recover", x.to}, {"drain", loadEnds}} {
		e := history.New(history.Phase, int64(p.at))
		e.Step = p.name
		w.rows = append(w.rows, e)
	}
	for _, f := range t.Flows {
		if rate := rates[f.Name]; rate > 0 {
			for i := range int64(rate) * int64(loadEnds/time.Second) {
				w.send(letter{f.Name, i, time.Duration(i) * time.Second / time.Duration(rate)})
			}
		}
	}
	end := history.New(history.Ended, int64(60*time.Second))
	w.rows = append(w.rows, end)
	slices.SortStableFunc(w.rows, func(a, b history.Event) int { return cmp.Compare(a.At, b.At) })
	return w.rows
}

func events(rows []history.Event) iter.Seq[*history.Event] {
	return func(yield func(*history.Event) bool) {
		for i := range rows {
			if !yield(&rows[i]) {
				return
			}
		}
	}
}

func (w *world) row(kind history.Kind, l letter, at time.Duration, set func(*history.Event)) {
	e := history.New(kind, int64(at))
	e.Flow, e.Message, e.Delivery = l.flow, l.number, 1
	set(&e)
	w.rows = append(w.rows, e)
}

// answer is how something asked of another node ended.
type answer struct {
	at      time.Duration
	outcome history.Outcome
	reason  string
}

func (w *world) send(l letter) {
	f := w.t.Flow(l.flow)
	n := w.t.Node(f.Source())
	w.row(history.Produce, l, l.sent, func(e *history.Event) { e.Node = n.Name })
	for _, s := range n.Sends {
		if s.Flow != l.flow {
			continue
		}
		wire := topology.Wire{From: n.Name, To: s.FarNode()}.String()
		got := w.attempts(l, l.sent, sendPolicy(s), func(at time.Duration, try int32) answer {
			got := w.over(wire, at, timeoutOf(s),
				func(at time.Duration) answer { return w.deliver(l, s, at) })
			w.row(kindOf(s), l, got.at, func(e *history.Event) {
				e.Node, e.Step, e.Wire, e.Channel, e.Attempt = n.Name, "send", wire, s.Channel(),
					try
				e.Duration, e.Outcome, e.Reason = int64(got.at-at), got.outcome, got.reason
			})
			return got
		})
		w.row(history.Produce, l, got.at, func(e *history.Event) {
			e.Node, e.Outcome, e.Duration = n.Name, got.outcome, int64(got.at-l.sent)
		})
	}
}

func kindOf(s *topology.Send) history.Kind {
	if s.Channel() != "" {
		return history.Publish
	}
	return history.Call
}

func timeoutOf(s *topology.Send) time.Duration { return cmp.Or(s.Policy.Timeout, 2*time.Second) }

// sendPolicy is how often a source tries: to a broker until it works, over HTTP once.
func sendPolicy(s *topology.Send) (limit int) {
	if s.Channel() != "" {
		return 50
	}
	return 1
}

func (w *world) deliver(l letter, s *topology.Send, at time.Duration) answer {
	if ref := s.Channel(); ref != "" {
		w.consume(l, ref, at)
		return answer{at, history.Ok, ""}
	}
	node, method, path := s.HTTP()
	return w.request(l, node, method, path, at)
}

// attempts repeats a try with a growing pause.
func (w *world) attempts(l letter, at time.Duration, limit int, try func(time.Duration,
	int32) answer) answer {
	pause := 50 * time.Millisecond
	for n := int32(1); ; n++ {
		got := try(at, n)
		if got.outcome == history.Ok || int(n) >= limit {
			return got
		}
		at = got.at + pause
		pause = min(2*pause, time.Second)
	}
}

// over does something over a wire, with what the trouble does to it.
func (w *world) over(wire string, at, timeout time.Duration, do func(time.Duration) answer) answer {
	there := at + time.Duration(200+w.rand.IntN(800))*time.Microsecond
	if w.trouble.on(wire, at) {
		switch w.trouble.kind {
		case "cut":
			return answer{there, history.Fail, "refused"}
		case "black hole":
			return answer{at + timeout, history.Unknown, "timeout"}
		case "latency":
			there += 500 * time.Millisecond
		}
	}
	if there > at+timeout {
		return answer{at + timeout, history.Unknown, "timeout"}
	}
	got := do(there)
	if got.at > at+timeout {
		return answer{at + timeout, history.Unknown, "timeout"}
	}
	return got
}

// request has a service's handler answer.
func (w *world) request(l letter, node, method, path string, at time.Duration) answer {
	for _, h := range w.t.Node(node).Handlers {
		if h.Answers(method, path) {
			w.row(history.Receive, l, at, func(e *history.Event) {
				e.Node, e.Handler = node,
					h.Name
			})
			got := w.handle(l, w.t.Node(node), h, at, 1)
			if h.Ack == "before_work" {
				return answer{at, history.Ok, ""}
			}
			if got.outcome != history.Ok {
				return answer{got.at, history.Fail, "5xx"}
			}
			return got
		}
	}
	return answer{at, history.Fail, "4xx"}
}

// consume has every consumer of a channel take a message that was published at a time.
func (w *world) consume(l letter, ref string, at time.Duration) {
	for _, n := range w.t.Consumers(ref) {
		for _, h := range n.Handlers {
			if h.Source() != ref {
				continue
			}
			wire := topology.Wire{From: n.Name, To: topology.ChannelNode(ref)}.String()
			there, ack := w.fetched(wire, at)
			if h.Batch != nil {
				there += time.Duration(w.rand.Int64N(int64(h.Batch.Every)))
			}
			w.row(history.Receive, l, there, func(e *history.Event) {
				e.Node, e.Handler, e.Channel, e.Wire = n.Name, h.Name, ref, wire
			})
			got := w.attempts(l, there, 5, func(at time.Duration,
				try int32) answer {
				return w.handle(l, n, h, at, try)
			})
			w.row(history.Ack, l, got.at+ack, func(e *history.Event) {
				e.Node, e.Handler, e.Channel, e.Wire = n.Name, h.Name, ref, wire
				e.Outcome, e.Duration = history.Ok, int64(ack)
			})
		}
	}
}

// fetched is when a consumer has a message, and how long its acknowledgement takes.
func (w *world) fetched(wire string, at time.Duration) (there, ack time.Duration) {
	there, ack = at+time.Millisecond, time.Millisecond
	if !w.trouble.on(wire, at) {
		return there, ack
	}
	if w.trouble.kind == "latency" {
		return there + 500*time.Millisecond, ack + 500*time.Millisecond
	}
	return w.trouble.to + time.Duration(w.rand.IntN(300))*time.Millisecond, ack
}

// handle runs a handler's steps once.
func (w *world) handle(l letter, n *topology.Node, h *topology.Handler, at time.Duration,
	try int32) answer {
	got := answer{at, history.Ok, ""}
	if x := w.trouble; x.kind == "errors" && x.node == n.Name && at >= x.from && at < x.to {
		got = answer{at, history.Fail, "5xx"}
	} else {
		got = w.steps(l, n, h, h.Do, at)
	}
	w.row(history.Attempt, l, got.at, func(e *history.Event) {
		e.Node, e.Handler, e.Attempt = n.Name, h.Name, try
		e.Outcome, e.Reason, e.Duration = got.outcome, got.reason, int64(got.at-at)
	})
	return got
}

func (w *world) steps(l letter, n *topology.Node, h *topology.Handler, steps []*topology.Step,
	at time.Duration) answer {
	got := answer{at, history.Ok, ""}
	for _, s := range steps {
		if !s.For(l.flow) {
			continue
		}
		if got = w.step(l, n, h, s, got.at); got.outcome != history.Ok {
			return got
		}
	}
	return got
}

func (w *world) step(l letter, n *topology.Node, h *topology.Handler, s *topology.Step,
	at time.Duration) answer {
	switch s.Kind {
	case topology.Work:
		return answer{at + time.Duration((0.5+w.rand.Float64())*float64(s.P50)), history.Ok, ""}
	case topology.When:
		if w.rand.IntN(20) > 0 {
			return answer{at, history.Ok, ""}
		}
		return w.steps(l, n, h, s.Do, at)
	case topology.Call, topology.Request, topology.Publish, topology.StoreStep, topology.Lookup:
		return w.far(l, n, h, s, at)
	}
	return answer{at, history.Ok, ""}
}

var stepRows = map[topology.StepKind]history.Kind{topology.Call: history.Call,
	topology.Request: history.Call,
	topology.Publish: history.Publish, topology.StoreStep: history.Store,
	topology.Lookup: history.Call}

func (w *world) far(l letter, n *topology.Node, h *topology.Handler, s *topology.Step,
	at time.Duration) answer {
	child := l
	if s.Derive != "" {
		child = letter{s.Derive, w.born[s.Derive], at}
		w.born[s.Derive]++
		w.row(history.Derive, child, at, func(e *history.Event) {
			e.Node, e.Handler, e.Step, e.ParentFlow, e.Parent = n.Name, h.Name, s.Name, l.flow,
				l.number
		})
	}
	wire, limit := "", 1
	if s.FarNode() != n.Name {
		wire = topology.Wire{From: n.Name, To: s.FarNode()}.String()
	}
	if s.Policy.Retry != nil {
		limit = s.Policy.Retry.Attempts
	}
	return w.attempts(l, at, limit, func(at time.Duration, try int32) answer {
		got := w.over(wire, at, cmp.Or(s.Policy.Timeout, 2*time.Second),
			func(at time.Duration) answer {
				return w.answered(child, s, at)
			})
		w.row(stepRows[s.Kind], l, got.at, func(e *history.Event) {
			e.Node, e.Handler, e.Step, e.Wire, e.Attempt = n.Name, h.Name, s.Name, wire, try
			e.Outcome, e.Reason, e.Duration = got.outcome, got.reason, int64(got.at-at)
			if s.Kind == topology.Publish || s.Kind == topology.Request {
				e.Channel = s.Target
			}
		})
		return got
	})
}

// answered is what the far end of a step does.
func (w *world) answered(l letter, s *topology.Step, at time.Duration) answer {
	switch s.Kind {
	case topology.Call:
		return w.request(l, s.Target, s.Method, s.Path, at)
	case topology.Publish:
		w.consume(l, s.Target, at)
	case topology.Request:
		for _, n := range w.t.Consumers(s.Target) {
			wire := topology.Wire{From: n.Name, To: topology.ChannelNode(s.Target)}.String()
			there, _ := w.fetched(wire, at)
			w.consume(l, s.Target, at)
			return answer{there + 2*time.Millisecond, history.Ok, ""}
		}
	}
	return answer{at + time.Duration(1000+w.rand.IntN(3000))*time.Microsecond, history.Ok, ""}
}
