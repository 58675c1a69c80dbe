package diagnose

import (
	"strings"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
)

// ward is the signs of all operations, gathered in one pass.
type ward struct {
	topology *topology.Topology
	graph    *graph
	born     map[inFlow]inFlow // parent and step to a child whose publish is a row of the parent's
	byOp     map[operation]*sign
	order    []*sign // in order of their first row
	loads    map[place]*load
	downs    map[string][]int64
	sends    map[string]operation // by flow: its source's send
	produced map[string]*produced // by flow
	inside   map[string]*inside   // by channel
	channels map[string]string    // concrete reference to declared reference
	stalls   stalls
	phase    string
	begun    int64 // when the first message was begun
	loadEnd  int64 // when the load was taken off, 0 while it is on
	last     int64
}

// produced is when each message of a flow was begun, until it is answered.
type produced struct{ open map[int64]int64 }

// inside is when each message entered a channel, until it is received.
type inside struct {
	since     map[inFlow]int64
	consumers []*sign
}

type inFlow struct {
	flow    string
	message int64
}

// receivedBefore marks a message that was received before its publish was answered.
const receivedBefore = int64(-1)

// mostInside bounds how many messages on their way are remembered in a channel.
const mostInside = 100_000

func newWard(t *topology.Topology) *ward {
	w := &ward{topology: t, graph: &graph{topology: t}, byOp: map[operation]*sign{},
		downs: map[string][]int64{},
		sends: map[string]operation{}, produced: map[string]*produced{},
		inside:   map[string]*inside{},
		channels: map[string]string{}, loads: map[place]*load{}, born: map[inFlow]inFlow{}}
	for _, f := range t.Flows {
		w.produced[f.Name] = &produced{open: map[int64]int64{}}
		w.sends[f.Name] = sendOf(f)
	}
	return w
}

// sendOf is the operation by which a flow's source sends.
func sendOf(f *topology.Flow) operation {
	op := operation{kind: "send", node: f.Source(), handler: f.Name}
	if len(f.Paths) > 0 && len(f.Paths[0]) > 1 {
		next := f.Paths[0][1]
		far := next.Node
		if next.Channel != "" {
			far = topology.ChannelNode(next.Channel)
		}
		op.wire = topology.Wire{From: op.node, To: far}.String()
	}
	return op
}

func (w *ward) sign(op operation) *sign {
	s := w.byOp[op]
	if s == nil {
		s = &sign{op: op}
		w.byOp[op] = s
		w.order = append(w.order, s)
	}
	return s
}

func (w *ward) signs() []*sign { return w.order }

// steady says whether an event belongs to the time by which the rest is measured: the steady phase,
// or the first two seconds of a history without one.
func (w *ward) steady(at int64) bool {
	if w.phase != "" {
		return w.phase == "steady"
	}
	return at < w.begun+int64(2*time.Second)
}

func (w *ward) observe(e *history.Event) {
	w.last = max(w.last, e.At)
	switch e.Kind {
	case history.Phase:
		w.phase = e.Step
		if e.Step == "drain" || e.Step == "audit" {
			w.close(e.At)
		}
	case history.Gauge:
		if e.Step == "sched_delay_ns" {
			w.stalls.read(e.At, e.Value)
		}
	case history.NodeState:
		w.state(e)
	case history.Produce:
		w.produce(e)
	case history.Derive:
		if len(w.born) < mostInside {
			w.born[inFlow{e.ParentFlow + "/" + e.Step, e.Parent}] = inFlow{e.Flow, e.Message}
		}
	case history.Publish, history.Call, history.Store:
		w.step(e)
	case history.Attempt:
		w.outcome(w.sign(operation{kind: "run", node: e.Node, handler: e.Handler}), e)
		w.occupied(e)
	case history.Ack:
		if op := w.receiver(e); op.wire != "" && e.Outcome == history.Ok {
			op.kind = "ack" // apart from receiving, which may wait for a batch to fill
			w.outcome(w.sign(op), e)
		}
	case history.Receive:
		w.receive(e)
	}
}

// close notes that the load is off: what is seen from then on is no silence.
func (w *ward) close(at int64) {
	if w.loadEnd == 0 {
		w.loadEnd = at
	}
}

func (w *ward) outcome(s *sign, e *history.Event) {
	switch {
	case e.Outcome == history.Ok || e.Outcome == history.None:
		w.took(s, e.At, e.Duration)
	case w.steady(e.At):
	case e.Reason == "timeout":
		w.stalls.hold(doubtful{s, e.At - e.Duration, e.At, e.Reason})
	default:
		s.failed(e)
	}
}

// took books an operation that went well, and whether it was slow.
func (w *ward) took(s *sign, at, d int64) {
	switch {
	case w.steady(at):
		s.normal(time.Duration(d))
		s.bucket(at).ok++
	case time.Duration(d) > s.limit():
		w.stalls.hold(doubtful{s, at - d, at, ""})
	default:
		s.bucket(at).ok++
	}
}

func (w *ward) state(e *history.Event) {
	if w.loadEnd != 0 || w.phase == "" || w.phase == "setup" {
		return
	}
	switch e.Reason {
	case "crash", "down":
		w.downs[e.Node] = append(w.downs[e.Node], e.At)
		s := w.sign(operation{kind: "run", node: e.Node})
		s.down++
		s.mark(e.At, e.At)
	case "disconnect":
		if e.Wire != "" {
			s := w.sign(operation{kind: "connection", node: e.Node, wire: e.Wire})
			s.trouble(e.At, e.At, "disconnected")
		}
	}
}

// produce notes when a source's send was begun, and that it was answered; how its tries went are
// rows of their own.
func (w *ward) produce(e *history.Event) {
	p := w.produced[e.Flow]
	if p == nil {
		return
	}
	if w.begun == 0 {
		w.begun = e.At
	}
	if e.Outcome == history.None {
		p.open[e.Message] = e.At
		return
	}
	delete(p.open, e.Message)
}

// step books one try of a step, or of a source's send, whose rows have no handler.
func (w *ward) step(e *history.Event) {
	if e.Wire != "" {
		op := operation{kind: "step", node: e.Node, handler: e.Handler, step: e.Step, wire: e.Wire}
		if e.Handler == "" && e.Flow != "" {
			op = w.sends[e.Flow]
			op.wire = e.Wire
		}
		w.outcome(w.sign(op), e)
	}
	if e.Kind == history.Publish && e.Outcome == history.Ok {
		w.enter(w.channel(e.Channel), e)
	}
}

// enter books a message that is in a channel from now on.
func (w *ward) enter(channel string, e *history.Event) {
	if channel == "" || e.Message < 0 {
		return
	}
	in := w.inside[channel]
	if in == nil {
		in = &inside{since: map[inFlow]int64{}}
		w.inside[channel] = in
	}
	for _, s := range in.consumers {
		s.bucket(e.At).in++
	}
	k := inFlow{e.Flow, e.Message}
	parent := inFlow{e.Flow + "/" + e.Step, e.Message}
	if child, ok := w.born[parent]; ok {
		k = child
		delete(w.born, parent)
	}
	if in.since[k] == receivedBefore {
		delete(in.since, k)
		return
	}
	if len(in.since) < mostInside {
		in.since[k] = e.At
	}
}

// receiver is the operation of taking deliveries that an event is part of.
func (w *ward) receiver(e *history.Event) operation {
	op := operation{kind: "receive", node: e.Node, handler: e.Handler, wire: e.Wire}
	channel := w.channel(e.Channel)
	if channel == "" {
		return operation{}
	}
	op.step = channel
	if op.wire == "" {
		op.wire = topology.Wire{From: e.Node, To: topology.ChannelNode(channel)}.String()
	}
	return op
}

// receive measures how long a message stood in its channel.
func (w *ward) receive(e *history.Event) {
	op := w.receiver(e)
	if op.wire == "" {
		return
	}
	s := w.sign(op)
	in := w.inside[op.step]
	if in == nil {
		return
	}
	known := false
	for _, c := range in.consumers {
		known = known || c == s
	}
	if !known {
		in.consumers = append(in.consumers, s)
	}
	k := inFlow{e.Flow, e.Message}
	since, ok := in.since[k]
	switch {
	case ok && since != receivedBefore:
		delete(in.since, k)
		if !w.busy(place{e.Node, e.Handler}, e.At) {
			w.took(s, e.At, max(0, e.At-since-w.patience(place{e.Node, e.Handler})))
			return
		}
	case !ok && e.Delivery <= 1 && len(in.since) < mostInside:
		in.since[k] = receivedBefore
	}
	s.bucket(e.At).ok++
}

// patience is how long a handler lets messages wait on purpose, for a batch to fill.
func (w *ward) patience(at place) int64 {
	n := w.topology.Node(at.node)
	if n == nil || n.Handler(at.handler) == nil || n.Handler(at.handler).Batch == nil {
		return 0
	}
	return int64(n.Handler(at.handler).Batch.Every)
}

// channel is the declared reference of a concrete one.
func (w *ward) channel(ref string) string {
	if ref == "" {
		return ""
	}
	declared, ok := w.channels[ref]
	if !ok {
		declared = w.graph.declared(ref)
		w.channels[strings.Clone(ref)] = declared
	}
	return declared
}

// finish books what never came: sends without an answer, and channels that filled while their
// consumer was silent.
func (w *ward) finish() {
	w.close(w.last)
	w.stalls.settle(w.last + int64(lookAhead) + 1)
	for flow, p := range w.produced {
		for _, at := range p.open {
			if w.loadEnd-at > int64(2*time.Second) && !w.steady(at) {
				w.sign(w.sends[flow]).trouble(at, at+int64(time.Second), "unanswered")
			}
		}
	}
	for _, s := range w.order {
		if s.op.kind == "receive" {
			w.silence(s)
		}
	}
}

// silence counts the buckets in which messages came into the channel and none was received, in
// spans of at least three.
func (w *ward) silence(s *sign) {
	run := 0
	for i := range s.buckets {
		end := int64(i+1) * int64(width)
		b := s.buckets[i]
		if b.in == 0 || b.ok+b.slow+b.bad > 0 || end > w.loadEnd || w.steady(end) && w.phase == "" {
			run = 0
			continue
		}
		if run++; run == 3 {
			s.silent += 2
			s.mark(end-3*int64(width), end)
		}
		if run >= 3 {
			s.silent++
			s.mark(end-int64(width), end)
		}
	}
}
