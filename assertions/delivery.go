package assertions

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
)

// Delivery judges that what was accepted is not lost.
//
// Definition: for each message whose producer was told ok (a flow with accepted_at: that the named
// node took; a derived flow: that was published), and for each sink of its flow: the audit found it
// at the sink, or it was dead-lettered on that branch and the audit found it there, or it expired,
// or it was rightly filtered. A flow with reply_within owes the answer too. Else it is lost. Found
// but never sent is unexpected. Found twice is duplicated where the flow promises exactly-once or
// at-most-once. A flow that promises at-most-once cannot lose.
//
// Evidence: Produce, Derive, the arrivals (Store, Attempt, Receive, Reply), DeadLetter, Expire,
// Filter and Found events. Valid: at least one message is owed and all are accounted for. Invalid:
// one is lost, unexpected or wrongly duplicated. Unknown: nothing was accepted, the run did not
// end, events were shed, or messages were still moving when the drain ended (in flight).
//
// It cannot see a message whose parent ought to have given birth to it and did not, nor what a
// store lost after the audit. Cost: one pass over the flow's rows, nothing kept.
// Source: Jepsen's set and queue checkers (lost, unexpected, duplicated, recovered).
func Delivery(flow string) Check {
	return Check{Name: named("delivery", flow), Property: "delivery", Flow: flow,
		New: func(l *Ledger, _ Context) Checker { return &delivery{ledger: l, flow: flow} }}
}

// quiet is how long before the drain's end a message must have been silent to count as lost rather
// than in flight.
const quiet = int64(500 * time.Millisecond)

type delivery struct {
	ledger *Ledger
	flow   string
}

// named is "property[subject]", or the property alone.
func named(property, subject string) string {
	if subject == "" {
		return property
	}
	return property + "[" + subject + "]"
}

func (c *delivery) Kinds() []history.Kind  { return nil }
func (c *delivery) Observe(*history.Event) {}

func (c *delivery) Verdict() Verdict {
	var r ruling
	f := c.ledger.flow(c.flow)
	if f == nil || f.size == 0 {
		r.sound(c.ledger)
		r.lack("messages: flow %q has none in this run", c.flow)
		return r.verdict("no message of flow %s", c.flow)
	}
	n := c.ledger.account(f, &r)
	if n.lost > 0 || n.owed == 0 {
		r.complete(c.ledger)
	} else {
		r.sound(c.ledger)
	}
	if n.owed == 0 {
		r.lack("accepted messages: no producer of flow %q was told ok", c.flow)
	}
	if !c.ledger.ended {
		r.lack("a run that reaches its end: this one has no audit")
	}
	if n.unseen > 0 {
		r.lack("%s", insideOf(n.sink))
	}
	if n.inFlight > 0 {
		r.lack("a longer drain: %d messages were in flight at its end, such as %s-%d",
			n.inFlight, c.flow, n.moving)
	}
	n.figures(&r)
	return r.verdict("%d of %d accepted messages accounted for", n.owed-n.lost-n.inFlight, n.owed)
}

// account is how the messages of one flow ended; a message counts once, by its worst leg.
type account struct {
	owed, lost, inFlight       int
	found, dead, expired       int
	filtered, duplicated       int
	unexpected, refusedYetHere int
	moving                     int64 // a message in flight
	unseen                     int   // ended, if at all, inside a node that cannot be seen
	sink                       string
}

func (n account) figures(r *ruling) {
	r.count("owed", n.owed, "messages")
	r.count("found", n.found, "messages")
	r.count("dead_lettered", n.dead, "messages")
	r.count("expired", n.expired, "messages")
	r.count("filtered", n.filtered, "messages")
	r.count("lost", n.lost, "messages")
	r.count("in_flight", n.inFlight, "messages")
	r.count("unexpected", n.unexpected, "messages")
	r.count("duplicated", n.duplicated, "messages")
	r.count("found_though_refused", n.refusedYetHere, "messages")
}

// account adds up a flow and gives its counterexamples to the ruling.
func (l *Ledger) account(f *flowLedger, r *ruling) account {
	var n account
	standing := l.standing(f)
	for i := range f.size {
		m := f.rows.get(i)
		f.surplus(i, &m, r, &n)
		if !f.owes(&m) {
			continue
		}
		n.owed++
		n.add(l.end(f, i, &m, standing, r), i)
	}
	for _, leg := range f.route.legs {
		if l.unseen(leg.node) && !leg.reply {
			n.unseen, n.sink = n.owed, leg.node
		}
	}
	return n
}

// ending is how one message ended.
type ending uint8

const (
	isFound ending = iota
	isFiltered
	isExpired
	isDead
	isInFlight
	isLost
)

func (n *account) add(e ending, message int64) {
	switch e {
	case isFound:
		n.found++
	case isFiltered:
		n.filtered++
	case isExpired:
		n.expired++
	case isDead:
		n.dead++
	case isInFlight:
		n.inFlight++
		n.moving = message
	case isLost:
		n.lost++
	}
}

// owes says whether a message is ours not to lose.
func (f *flowLedger) owes(m *row) bool {
	switch {
	case m.flags&begun == 0:
		return false
	case m.flags&derived != 0, f.route.flow.AcceptedAt != "":
		return m.flags&accepted != 0
	}
	return m.flags&toldOk != 0
}

// end is the worst ending among a message's legs.
func (l *Ledger) end(f *flowLedger, i int64, m *row, s []standing, r *ruling) ending {
	worst := isFound
	for j, leg := range f.route.legs {
		e := f.legEnd(j, i, l)
		if e == isLost && l.unseen(leg.node) && !leg.reply {
			continue
		}
		if e == isLost && l.moving(m, s) {
			e = isInFlight
		}
		if e == isLost && f.route.flow.Guarantee == topology.AtMostOnce {
			e = isFiltered
		}
		if e == isLost && worst < isLost {
			r.anomaly(Anomaly{Kind: "lost", Flow: f.name, Message: i, Where: leg.name(),
				Text: fmt.Sprintf("%s-%d was accepted and never reached %s: sent %v, last seen %v",
					f.name, i, leg.name(), seconds(m.sent), seconds(m.sent+int64(m.last)*1000))})
		}
		worst = max(worst, e)
	}
	return worst
}

// legEnd is how one obligation ended. A reply is its own evidence, a sink is believed only when the
// audit found the message there, and a dead-letter channel likewise where it can be read.
func (f *flowLedger) legEnd(leg int, i int64, l *Ledger) ending {
	lr := f.legRows[leg].get(i)
	switch {
	case lr.state&foundThere != 0, f.route.legs[leg].reply && lr.state&arrived != 0:
		return isFound
	case lr.state&legFiltered != 0:
		return isFiltered
	case lr.state&legExpired != 0:
		return isExpired
	case lr.state&foundDead != 0 && l.unseenDeadLetters(f, leg):
		return isDead
	case lr.state&legDead != 0 && (lr.state&foundDead != 0 || !l.deadReadable(f, leg)):
		return isDead
	}
	return isLost
}

// deadReadable says whether every dead-letter channel in front of a leg can be read back.
func (l *Ledger) deadReadable(f *flowLedger, leg int) bool {
	any := false
	for _, d := range l.routes.deadLetters() {
		if f.route.below[d.node]&(1<<leg) != 0 {
			if !l.routes.readable(d.channel) {
				return false
			}
			any = true
		}
	}
	return any
}

// moving says whether a message was still on its way when the drain ended: heard of just before,
// or last seen in a channel that was not empty.
func (l *Ledger) moving(m *row, in []standing) bool {
	if m.sent+int64(m.last)*1000 > l.drainEnd()-quiet {
		return true
	}
	return slices.ContainsFunc(in, func(s standing) bool {
		return m.hops&s.in == s.in && m.hops&s.out == 0
	})
}

// standing is a channel that was not empty when the drain ended: the hop by which messages came in
// (0 for a source that leaves no row of its own), and the hops by which they left.
type standing struct{ in, out uint64 }

// standing are the channels in which a flow's messages may have stood when the drain ended: those
// with a depth by their last reading, and, where something still moved then, those that nobody can
// read the depth of.
func (l *Ledger) standing(f *flowLedger) (all []standing) {
	for _, h := range f.kinds {
		if h.key.kind != history.Publish {
			continue
		}
		depth, read := l.depth(h.to)
		switch {
		case depth > 0:
			all = append(all, standing{in: h.took})
		case !read && l.moved > l.drainEnd()-quiet:
			all = append(all, standing{in: h.took, out: f.receives(h.to)})
		}
	}
	for _, path := range f.route.flow.Paths {
		if len(path) > 1 && path[0].Node == f.route.flow.Source() {
			if depth, _ := l.depth(path[1].Channel); depth > 0 {
				all = append(all, standing{out: math.MaxUint64})
			}
		}
	}
	return all
}

// receives are the hops by which messages leave a channel.
func (f *flowLedger) receives(channel string) (bits uint64) {
	for _, h := range f.kinds {
		if h.key.kind == history.Receive && h.from == channel {
			bits |= h.took
		}
	}
	return bits
}

// surplus counts what is at a sink and should not be, or too often.
func (f *flowLedger) surplus(i int64, m *row, r *ruling, n *account) {
	for j, leg := range f.route.legs {
		lr := f.legRows[j].get(i)
		if lr.state&(foundThere|arrived) == 0 {
			continue
		}
		switch {
		case m.flags&begun == 0:
			n.unexpected++
			r.anomaly(Anomaly{Kind: "unexpected", Flow: f.name, Message: i, Where: leg.name(),
				Text: fmt.Sprintf("%s-%d is at %s and was never sent", f.name, i, leg.name())})
		case m.flags&toldFail != 0:
			n.refusedYetHere++
		}
		if lr.copies > 1 {
			n.duplicated++
			if g := f.route.flow.Guarantee; g == topology.ExactlyOnce || g == topology.AtMostOnce {
				r.anomaly(Anomaly{Kind: "duplicated", Flow: f.name, Message: i, Where: leg.name(),
					Text: fmt.Sprintf("%s-%d is at %s %d times, promised %s",
						f.name, i, leg.name(), lr.copies, g)})
			}
		}
	}
}

// seconds prints a time of the run to the millisecond.
func seconds(ns int64) time.Duration { return time.Duration(ns).Round(time.Millisecond) }
