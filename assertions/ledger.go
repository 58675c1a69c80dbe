package assertions

import (
	"fmt"
	"slices"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
)

// Ledger is the account that all checkers share: one dense row a message, the phases, the faults
// and the gauges. It sees each event once, before the checkers do, and is read by them in Verdict.
// It keeps 32 bytes a message and 8 for each of its flow's legs, however many events there are.
type Ledger struct {
	routes *routes
	flows  []*flowLedger
	byName map[string]*flowLedger
	recent *flowLedger // the flow of the last event: mostly the next one's too

	phases []PhaseSpan
	faults []FaultSpan
	delays []reading           // the harness's own scheduling delay
	depths map[backlog]reading // the last ones before the audit
	asked  map[string]int64
	used   []*Usage        // by what told it first
	downs  map[string]int  // crashes and stops seen, by node
	code   map[string]bool // nodes that run code of the user's own

	// born are the derived messages whose publish has not been answered yet: such a publish is a
	// row of the parent's.
	born map[birth]subject

	now   passage // what the last event was found to be
	first int64   // the first event's time
	last  int64   // the last event's time
	moved int64   // the last event of a message before the audit
	count int64
	shed  int64
	ended bool
	// implausible says why the history cannot be what a recorder wrote.
	implausible string
}

// PhaseSpan is one phase of the run.
type PhaseSpan struct {
	Name string
	Window
}

// FaultSpan is one injection of a fault. Bite is the number of flow messages it touched.
type FaultSpan struct {
	Name   string
	Node   string
	Wire   string
	Window       // To is the heal, or the history's end
	Healed bool  //
	Bite   int64 //
}

// reading is a gauge's value at a time, in ns.
type reading struct{ at, value int64 }

// birth is the step of a parent at which a message was born.
type birth struct {
	parent subject
	step   string
}

// backlog names a channel and the consumers that have not yet been done with what is in it.
type backlog struct{ channel, group string }

// depth is what stood in a channel when the drain ended, over all its consumers; read is false when
// nobody told.
func (l *Ledger) depth(channel string) (sum int64, read bool) {
	for b, r := range l.depths {
		if b.channel == channel {
			sum += r.value
			read = true
		}
	}
	return sum, read
}

// passage is how the ledger understood one event; checkers that see the same event read it.
type passage struct {
	flow *flowLedger
	hop  *hop
	leg  int  // the leg that the message reached with this event, −1 for none
	new  bool // it had not reached that leg before
	// tried says that the event is a try of the hop, first that it is the message's first one.
	tried, first bool
}

// NewLedger is an empty ledger for the flows of a topology, the promise.
func NewLedger(t *topology.Topology) *Ledger {
	l := &Ledger{
		routes: newRoutes(t),
		byName: map[string]*flowLedger{},
		depths: map[backlog]reading{},
		asked:  map[string]int64{},
		downs:  map[string]int{},
		code:   map[string]bool{},
		born:   map[birth]subject{},
		first:  -1,
	}
	for _, f := range t.Flows {
		l.open(f.Name)
	}
	return l
}

func (l *Ledger) open(name string) *flowLedger {
	f := &flowLedger{name: name, route: l.routes.flows[name], hops: map[hopKey]*hop{}}
	if f.route == nil {
		f.route = newRoute(&topology.Flow{Name: name})
	}
	f.legRows = make([]column[legRow], len(f.route.legs))
	l.flows = append(l.flows, f)
	l.byName[name] = f
	return f
}

// flow is a flow's account, nil where neither topology nor history knows the name.
func (l *Ledger) flow(name string) *flowLedger { return l.byName[name] }

// messages says whether the history has any message at all.
func (l *Ledger) messages() bool {
	return slices.ContainsFunc(l.flows, func(f *flowLedger) bool { return f.size > 0 })
}

// Observe takes the next event.
func (l *Ledger) Observe(e *history.Event) {
	if l.first < 0 {
		l.first = e.At
	}
	l.count++
	l.last = max(l.last, e.At)
	l.now = passage{leg: -1}
	switch e.Kind {
	case history.Phase:
		l.phase(e)
	case history.Fault:
		l.fault(e)
	case history.Gauge:
		l.gauge(e)
	case history.NodeState:
		if e.Reason == "crash" || e.Reason == "down" {
			l.downs[e.Node]++
		}
		if e.Reason == history.StateCode {
			l.code[e.Node] = true
		}
	case history.Shed:
		l.shed += e.Value
	case history.Ended:
		l.ended = true
	case history.Action, history.Breaker:
	default:
		l.message(e)
	}
}

// message books an event that is about one message. A number far beyond what so few events could
// have reached is no number that a source gave.
func (l *Ledger) message(e *history.Event) {
	if e.Flow == "" || e.Message < 0 {
		return
	}
	if e.Message > 4096+64*l.count {
		l.implausible = fmt.Sprintf("message %d of flow %q is no dense number", e.Message, e.Flow)
		return
	}
	f := l.recent
	if f == nil || f.name != e.Flow {
		if f = l.byName[e.Flow]; f == nil {
			f = l.open(e.Flow)
		}
		l.recent = f
	}
	l.now.flow = f
	if e.Kind != history.Found {
		l.moved = e.At
	}
	f.observe(e, l.routes, &l.now)
	if e.Kind == history.Derive || len(l.born) > 0 && e.Kind == history.Publish {
		l.birth(e)
	}
}

// birth notes that a derived message was published: from then on it is not to be lost.
func (l *Ledger) birth(e *history.Event) {
	if e.Kind == history.Derive {
		l.born[birth{subject{e.ParentFlow, e.Parent}, e.Step}] = subject{e.Flow, e.Message}
		l.originate(e)
		return
	}
	k := birth{subject{e.Flow, e.Message}, e.Step}
	if child, ok := l.born[k]; ok && e.Outcome == history.Ok {
		l.byName[child.flow].rows.at(child.message).flags |= accepted
		delete(l.born, k)
	}
}

func (l *Ledger) phase(e *history.Event) {
	at := time.Duration(e.At)
	if n := len(l.phases); n > 0 {
		l.phases[n-1].To = at
	}
	l.phases = append(l.phases, PhaseSpan{Name: e.Step, Window: Window{From: at, To: 1<<63 - 1}})
}

func (l *Ledger) fault(e *history.Event) {
	at := time.Duration(e.At)
	if e.Reason == "inject" {
		l.faults = append(l.faults, FaultSpan{Name: e.Step, Node: e.Node, Wire: e.Wire,
			Window: Window{From: at, To: 1<<63 - 1}})
		return
	}
	for i := range slices.Backward(l.faults) {
		f := &l.faults[i]
		if f.Name != e.Step || (f.Node != e.Node && e.Node != "") || (f.Wire != e.Wire &&
			e.Wire != "") {
			continue
		}
		if e.Reason == "bite" {
			f.Bite = max(f.Bite, e.Value)
			return
		}
		if e.Reason == "heal" && !f.Healed {
			f.Healed, f.To = true, at
			f.Bite = max(f.Bite, e.Value)
			return
		}
	}
}

func (l *Ledger) gauge(e *history.Event) {
	switch e.Step {
	case "sched_delay_ns":
		l.delays = append(l.delays, reading{e.At, e.Value})
	case "depth", "lag":
		if c := l.routes.channel(e.Channel); c != "" && !l.auditing() {
			l.depths[backlog{c, e.Handler}] = reading{e.At, e.Value}
		}
	case "asked":
		l.asked[e.Flow] = e.Value
	case "cpu_permille":
		u := l.usage(e.Node)
		u.PeakCPU = max(u.PeakCPU, e.Value)
	case "memory_bytes":
		u := l.usage(e.Node)
		u.PeakMemory = max(u.PeakMemory, e.Value)
	}
}

func (l *Ledger) auditing() bool {
	return len(l.phases) > 0 && l.phases[len(l.phases)-1].Name == "audit"
}

// Phases are the phases of the run, in order; the last one reaches to the history's end.
func (l *Ledger) Phases() []PhaseSpan {
	out := slices.Clone(l.phases)
	if n := len(out); n > 0 {
		out[n-1].To = time.Duration(l.last) + 1
	}
	return out
}

// Faults are the injections of the run, in order.
func (l *Ledger) Faults() []FaultSpan {
	out := slices.Clone(l.faults)
	for i := range out {
		out[i].To = min(out[i].To, time.Duration(l.last)+1)
	}
	return out
}

// span is the window of a phase, empty when the run had none of that name.
func (l *Ledger) span(phase string) (Window, bool) {
	for _, p := range l.Phases() {
		if p.Name == phase {
			return p.Window, true
		}
	}
	return Window{}, false
}

// faultNamed is the injections of one fault, the bite of all of them, and whether all healed. Each
// target of one injection tells the bite of the whole.
func (l *Ledger) faultNamed(name string) (spans []FaultSpan, bite int64, healed bool) {
	healed = true
	for _, f := range l.Faults() {
		if f.Name == name {
			if n := len(spans); n > 0 && spans[n-1].From == f.From {
				bite += max(0, f.Bite-spans[n-1].Bite)
			} else {
				bite += f.Bite
			}
			spans = append(spans, f)
			healed = healed && f.Healed
		}
	}
	return spans, bite, healed
}

// loadEnd is when the load was taken off: where drain or audit begins, else the history's end.
func (l *Ledger) loadEnd() int64 {
	for _, name := range []string{"drain", "audit"} {
		if w, ok := l.span(name); ok {
			return int64(w.From)
		}
	}
	return l.last
}

// drainEnd is when nothing was waited for any more.
func (l *Ledger) drainEnd() int64 {
	if w, ok := l.span("audit"); ok {
		return int64(w.From)
	}
	return l.last
}

// delay is the worst scheduling delay of the harness in a window, in ns.
func (l *Ledger) delay(w Window) (worst int64) {
	for _, d := range l.delays {
		if d.at >= int64(w.From) && d.at < int64(w.To) {
			worst = max(worst, d.value)
		}
	}
	return worst
}

// stood is the longest that the harness stood still at a time that touches a window, in ns.
func (l *Ledger) stood(w Window) (worst int64) {
	for _, d := range l.delays {
		if d.at >= int64(w.From) && d.at-d.value <= int64(w.To) {
			worst = max(worst, d.value)
		}
	}
	return worst
}
