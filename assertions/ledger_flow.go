package assertions

import (
	"math"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

// flowLedger is the account of one flow: a row a message, a row a message and leg, and the hops
// that its messages took.
type flowLedger struct {
	name    string
	route   *route
	size    int64 // one more than the highest number seen
	rows    column[row]
	legRows []column[legRow]
	// origins are, of derived messages, µs from the send of what they were born of until their birth.
	origins column[uint32]
	hops    map[hopKey]*hop
	kinds   []*hop
	bits    int  // of row.hops given to kinds so far
	crowded bool // more kinds of hops than bits
	begun   int64
}

// row is one message, 32 bytes.
type row struct {
	sent     int64  // ns, the intended send time; a derived message's birth
	hops     uint64 // the kinds of hops it tried and took, see hop
	trace    uint32 // a hash of its trace id, 0 before it is known
	answered uint32 // µs from sent until its producer was answered
	last     uint32 // µs from sent until its last event
	flags    uint16
	redrives uint8
	_        uint8
}

// flags of a row.
const (
	begun          uint16 = 1 << iota // its source began it, or it was derived
	derived                           // it was born of another message
	toldOk                            // its producer has an answer: done
	toldFail                          // its producer has an answer: not done
	toldUnknown                       // its producer has no answer
	accepted                          // the node named by accepted_at has it; a derived one: published
	traceBroken                       // it came by with two different trace ids
	untraced                          // it was received without a trace id
	filtered                          // it rightly ended
	refusedForGood                    // a refusal that the promise declares permanent dead-lettered it
)

// legRow is one obligation of a message, 8 bytes.
type legRow struct {
	after  uint32 // µs from sent until it was settled, by arrival where it arrived
	state  uint8
	copies uint8 // that the audit found
	_      uint16
}

// states of a leg.
const (
	arrived      uint8 = 1 << iota // the history shows that it reached the sink
	foundThere                     // the audit found it there
	legDead                        // it was dead-lettered on the way
	legExpired                     // it outlived its TTL on the way
	legFiltered                    // it was rightly dropped on the way
	foundDead                      // the audit found it in a dead-letter channel of the way
	legReordered                   // it came after a later one of its key
)

// settledBits are the states in which nothing is owed any more while a run goes on.
const settledBits = arrived | foundThere | legDead | legExpired | legFiltered

// hopKey is how one kind of hop shows in events.
type hopKey struct {
	kind                               history.Kind
	node, handler, step, wire, channel string
}

// hop is one kind of hop: who did what over which wire or channel. The vertices are node names and
// channel references.
type hop struct {
	key      hopKey
	tried    uint64 // bit of row.hops: it was tried; 0 when there are too many kinds
	took     uint64 // bit of row.hops: it was taken, or may have been
	from, to string
	leg      int   // that an Ok event of this kind reaches, −1 for none
	tries    int64 // events of this kind
	distinct int64 // messages that had at least one
}

// micros is a span in µs, held within 32 bits (71 minutes).
func micros(ns int64) uint32 {
	return uint32(min(max(ns/1000, 0), math.MaxUint32))
}

func (f *flowLedger) observe(e *history.Event, r *routes, now *passage) {
	f.size = max(f.size, e.Message+1)
	m := f.rows.at(e.Message)
	switch e.Kind {
	case history.Produce:
		f.produce(m, e)
	case history.Derive:
		f.derive(m, e)
	case history.Receive, history.Publish, history.Call, history.Store:
		f.hop(m, e, r, now)
	case history.Attempt, history.Ack:
		f.handled(m, e, r, now)
	case history.Filter:
		f.filter(m, e, r)
	case history.DeadLetter:
		if e.Reason == "schema" || policy.Covers(r.permanentAt(e.Node, e.Handler), e.Reason) {
			m.flags |= refusedForGood
		}
		if r.promises(e) {
			f.settle(e, f.legsBelow(e, r), legDead)
		}
	case history.Expire:
		if r.promises(e) {
			f.settle(e, f.legsBelow(e, r), legExpired)
		}
	case history.Reply:
		f.replied(e, now)
	case history.Redrive:
		f.redrive(m, e, r)
	case history.Found:
		f.found(e, r)
		return
	}
	if e.Kind != history.Produce || e.Outcome != history.None {
		m.last = max(m.last, micros(e.At-m.sent))
	}
	f.trace(m, e)
}

func (f *flowLedger) produce(m *row, e *history.Event) {
	switch e.Outcome {
	case history.None:
		if m.flags&begun == 0 {
			f.begun++
			m.sent = e.At
		}
		m.flags |= begun
		return
	case history.Ok:
		m.flags |= toldOk
	case history.Fail:
		m.flags |= toldFail
	case history.Unknown:
		m.flags |= toldUnknown
	}
	m.answered = max(1, micros(e.At-m.sent))
}

// derive begins a message; the same birth seen again after a redelivery changes nothing.
func (f *flowLedger) derive(m *row, e *history.Event) {
	if m.flags&begun == 0 {
		f.begun++
		m.sent = e.At
	}
	m.flags |= begun | derived
}

// hop books a movement, and the arrival that it may be.
func (f *flowLedger) hop(m *row, e *history.Event, r *routes, now *passage) {
	h := f.hopOf(e, r)
	now.hop = h
	if untried(e.Reason) {
		return
	}
	h.tries++
	now.tried, now.first = true, m.hops&h.tried == 0
	if now.first {
		h.distinct++
	}
	m.hops |= h.tried
	if e.Outcome != history.Fail {
		m.hops |= h.took
	}
	if e.Outcome == history.Fail || e.Outcome == history.Unknown {
		return
	}
	if e.Kind != history.Receive {
		f.accept(m, h.to, h.from)
	}
	if h.leg >= 0 {
		f.arrive(e, h.leg, now)
	}
}

// accept notes that a message has come into the keeping of the node that accepted_at names; a
// derived message is kept from its first publish on.
func (f *flowLedger) accept(m *row, to, from string) {
	at := f.route.flow.AcceptedAt
	switch {
	case at != "" && (to == at || topology.ChannelNode(to) == at):
		m.flags |= accepted
	case at == "" && m.flags&derived != 0 && from == f.route.flow.Source():
		m.flags |= accepted
	}
}

// handled books the end of a handler's run or of a delivery: the arrival at a sink that is itself
// a service, and the acceptance by one.
func (f *flowLedger) handled(m *row, e *history.Event, r *routes, now *passage) {
	if e.Outcome != history.Ok {
		return
	}
	if e.Node == f.route.flow.AcceptedAt {
		m.flags |= accepted
	}
	for i, l := range f.route.legs {
		if l.node == e.Node && !l.reply && e.Kind == history.Attempt &&
			r.kinds[l.node] != topology.Fleet {
			f.arrive(e, i, now)
			return
		}
	}
}

func (f *flowLedger) replied(e *history.Event, now *passage) {
	for i, l := range f.route.legs {
		if l.reply && e.Outcome != history.Fail && e.Outcome != history.Unknown {
			f.arrive(e, i, now)
		}
	}
}

// arrive notes the first arrival at a leg; later copies change nothing.
func (f *flowLedger) arrive(e *history.Event, leg int, now *passage) {
	lr := f.legRows[leg].at(e.Message)
	now.leg, now.new = leg, lr.state&arrived == 0
	if !now.new {
		return
	}
	lr.state |= arrived
	lr.after = micros(e.At - f.rows.at(e.Message).sent)
}

// settle ends the obligation on legs that have not been reached.
func (f *flowLedger) settle(e *history.Event, legs uint16, state uint8) {
	for i := range f.legRows {
		if legs&(1<<i) == 0 {
			continue
		}
		lr := f.legRows[i].at(e.Message)
		if lr.state&settledBits == 0 {
			lr.after = micros(e.At - f.rows.at(e.Message).sent)
		}
		lr.state |= state
	}
}

// filter ends a message rightly, where the promise has the condition. A copy that a dedupe policy dropped
// is no end: the first one still has to arrive.
func (f *flowLedger) filter(m *row, e *history.Event, r *routes) {
	if e.Step == "dedupe" || e.Reason == "duplicate" || !r.promises(e) {
		return
	}
	m.flags |= filtered
	f.settle(e, f.legsBelow(e, r), legFiltered)
}

// legsBelow are the legs that lie behind the node of an event, or behind the channel it names.
func (f *flowLedger) legsBelow(e *history.Event, r *routes) uint16 {
	if b, ok := f.route.below[e.Node]; ok {
		return b
	}
	return f.route.below[r.channel(e.Channel)]
}

// redrive puts a message back: what dead-lettering settled is owed again.
func (f *flowLedger) redrive(m *row, e *history.Event, r *routes) {
	m.redrives = uint8(min(int(m.redrives)+1, math.MaxUint8))
	legs := f.route.below[r.channel(e.Channel)]
	for i := range f.legRows {
		if legs == 0 || legs&(1<<i) != 0 {
			f.legRows[i].at(e.Message).state &^= legDead
		}
	}
}

// found books what the audit read back, at a sink or in a channel.
func (f *flowLedger) found(e *history.Event, r *routes) {
	channel := r.channel(e.Channel)
	for i, l := range f.route.legs {
		lr := f.legRows[i].at(e.Message)
		switch {
		case l.reply:
		case channel == "" && l.node == e.Node, channel != "" &&
			l.node == topology.ChannelNode(channel):
			lr.state |= foundThere
			lr.copies = uint8(min(int64(lr.copies)+max(1, e.Value), math.MaxUint8))
		case channel != "":
			lr.state |= foundDead & f.deadState(channel, i, r)
		}
	}
}

// deadState is all ones when a channel is a dead-letter channel in front of a leg.
func (f *flowLedger) deadState(channel string, leg int, r *routes) uint8 {
	for _, d := range r.deadLetters() {
		if d.channel == channel && f.route.below[d.node]&(1<<leg) != 0 {
			return 0xff
		}
	}
	return 0
}

// trace compares the trace id with the one that the message came by with first.
func (f *flowLedger) trace(m *row, e *history.Event) {
	if e.Trace == ([16]byte{}) {
		if e.Kind == history.Receive {
			m.flags |= untraced
		}
		return
	}
	hash := fold(&e.Trace)
	switch m.trace {
	case 0:
		m.trace = hash
	case hash:
	default:
		m.flags |= traceBroken
	}
}

// fold is a 32-bit hash of a trace id, never 0.
func fold(id *[16]byte) uint32 {
	h := uint32(2166136261)
	for _, b := range id {
		h = (h ^ uint32(b)) * 16777619
	}
	return max(h, 1)
}

func (f *flowLedger) hopOf(e *history.Event, r *routes) *hop {
	key := hopKey{kind: e.Kind, node: e.Node, handler: e.Handler, step: e.Step,
		wire: e.Wire, channel: e.Channel}
	h := f.hops[key]
	if h == nil {
		h = f.newHop(key, r)
		f.hops[key] = h
	}
	return h
}

// newHop finds the kind of hop that a key belongs to: concrete channels of one declared channel
// are one kind.
func (f *flowLedger) newHop(key hopKey, r *routes) *hop {
	key.channel = r.channel(key.channel)
	for _, h := range f.kinds {
		if h.key == key {
			return h
		}
	}
	h := &hop{key: key, leg: -1}
	h.from, h.to = ends(key, r)
	for i, l := range f.route.legs {
		if !l.reply && f.reaches(h, l, r) {
			h.leg = i
		}
	}
	f.kinds = append(f.kinds, h)
	if f.bits+2 > 64 {
		f.crowded = true
		return h
	}
	h.tried, h.took = 1<<f.bits, 2<<f.bits
	f.bits += 2
	return h
}

// reaches says whether an Ok hop of this kind is an arrival at a leg's sink.
func (f *flowLedger) reaches(h *hop, l leg, r *routes) bool {
	switch r.kinds[l.node] {
	case topology.Fleet:
		return h.key.kind == history.Receive && h.to == l.node
	case topology.Broker:
		return h.key.kind == history.Publish && topology.ChannelNode(h.to) == l.node
	case topology.Store:
		return h.key.kind == history.Store && h.to == l.node
	}
	return false
}

// ends are the two vertices of a hop. A long poll is received over a wire that its receiver dials.
func ends(key hopKey, r *routes) (from, to string) {
	a, b := r.wire(key.wire)
	switch {
	case key.kind == history.Receive && key.channel != "":
		return key.channel, key.node
	case key.kind == history.Receive && a == key.node:
		return b, key.node
	case key.kind == history.Receive:
		return a, key.node
	case key.channel != "":
		return key.node, key.channel
	}
	return key.node, b
}
