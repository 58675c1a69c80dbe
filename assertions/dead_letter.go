package assertions

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/faultline-sim/faultline/assertions/history"
)

// DeadLetterParams are what a dead-letter assertion may say. The zero value but Channel is the
// promise alone.
type DeadLetterParams struct {
	Channel string // full reference of the dead-letter channel
	// Exactly and AtLeast bound how many different messages must be found there; below 0 (Exactly)
	// or 0 (AtLeast) is no bound.
	Exactly, AtLeast int
}

// DeadLetter judges one dead-letter channel: all that belongs in it is there, and nothing else.
//
// Definition: every message whose handler attempts were used up, or that was refused as permanent,
// at a handler that dead-letters to the channel, is found in it, and nothing else is. A message is
// there twice only beside a crash of the handler's node, an unanswered publish, or a redrive. It
// was sent after exactly the declared attempts, or earlier for a permanent reason, and says why
// (reason, attempts, trace). A redriven message completes, or is dead-lettered again. Where the
// broker dead-letters by itself, an attempt is a delivery.
//
// Evidence: Attempt and DeadLetter rows of those handlers, Redrive rows, Found rows of the channel.
// Valid: a message failed for good, or one was found, and all of this holds; where a number was asked
// for, it was found. Untested: none did.
// Invalid: missing, undue, twice, too-early, over-retried, unlabelled, redrive-incomplete, or a
// wrong count. Unknown: the run did not end, or events were shed.
//
// It cannot see headers that a broker does not carry, nor read a channel on MQTT, where the sent
// row stands for the found one. Cost: one map entry for each message that failed for good.
// Source: Enterprise Integration Patterns, Dead Letter Channel; Amazon SQS redrive policy.
func DeadLetter(p DeadLetterParams) Check {
	return Check{Name: named("dead_letter", p.Channel), Property: "dead_letter",
		New: func(l *Ledger, _ Context) Checker { return newDeadLetter(l, p) }}
}

type deadLetterChecker struct {
	ledger *Ledger
	p      DeadLetterParams
	ways   []deadLetter
	dead   map[subject]*deadMessage
	r      ruling
}

// deadMessage is a message that ought to be in the channel, or is.
type deadMessage struct {
	way      int
	owed     bool
	at       int64
	why      string
	sent     int // dead-letter publishes that were answered
	unsure   int // those that were not
	found    int
	redriven int
}

func newDeadLetter(l *Ledger, p DeadLetterParams) *deadLetterChecker {
	c := &deadLetterChecker{ledger: l, p: p, dead: map[subject]*deadMessage{}}
	for _, d := range l.routes.deadLetters() {
		if d.channel == p.Channel {
			c.ways = append(c.ways, d)
		}
	}
	return c
}

func (c *deadLetterChecker) Kinds() []history.Kind {
	return []history.Kind{history.Attempt, history.DeadLetter, history.Redrive, history.Found}
}

func (c *deadLetterChecker) Observe(e *history.Event) {
	if e.Message < 0 {
		return
	}
	switch e.Kind {
	case history.Attempt:
		if i := c.way(e); i >= 0 {
			c.attempt(e, i)
		}
	case history.DeadLetter:
		if i := c.way(e); i >= 0 && (e.Channel == "" || c.ours(e.Channel)) {
			c.sent(e, i)
		}
	case history.Redrive:
		c.redriven(e)
	case history.Found:
		if e.Channel != "" && c.ours(e.Channel) {
			c.of(e, 0).found += int(max(1, e.Value))
		}
	}
}

func (c *deadLetterChecker) ours(channel string) bool {
	return channel == c.p.Channel || c.ledger.routes.channel(channel) == c.p.Channel
}

// way is which of the handlers that dead-letter here an event is of, −1 for none.
func (c *deadLetterChecker) way(e *history.Event) int {
	return slices.IndexFunc(c.ways, func(d deadLetter) bool {
		return d.handler == e.Handler && d.node == e.Node
	})
}

func (c *deadLetterChecker) of(e *history.Event, way int) *deadMessage {
	k := subject{e.Flow, e.Message}
	d := c.dead[k]
	if d == nil {
		d = &deadMessage{way: way, at: e.At}
		c.dead[k] = d
	}
	return d
}

// attempt notes a run that was the last one, whether it failed or was never answered, and a later
// success that takes the debt away.
func (c *deadLetterChecker) attempt(e *history.Event, i int) {
	w := &c.ways[i]
	switch {
	case e.Outcome == history.Ok:
		if d := c.dead[subject{e.Flow, e.Message}]; d != nil && d.sent+d.unsure == 0 {
			d.owed = false
		}
	case e.Reason == "crash" || e.Reason == "stopped": // it will be delivered again
	case w.attempt(e) >= w.most() || permanent(e.Reason, w.permanent()):
		d := c.of(e, i)
		d.owed, d.at, d.why = true, e.At, e.Reason
	}
}

// most is how many attempts a message gets before it is dead-lettered.
func (d *deadLetter) most() int {
	return max(1, cmp.Or(d.limit, attempts(d.set.Retry)))
}

func (d *deadLetter) permanent() []string { return permanents(d.set, d.steps) }

func (c *deadLetterChecker) sent(e *history.Event, i int) {
	d := c.of(e, i)
	d.why = cmp.Or(e.Reason, d.why)
	if e.Outcome == history.Ok || e.Outcome == history.None {
		d.sent++
	} else {
		d.unsure++
	}
	w := &c.ways[i]
	final := perhapsPermanent(e.Reason, w.permanent())
	d.owed = d.owed || final
	switch n := int(e.Attempt); {
	case n == 0 || e.Reason == "":
		c.wrong(e.Flow, e.Message, "unlabelled", "was dead-lettered without its reason or attempts")
	case n > w.most():
		c.wrong(e.Flow, e.Message, "over-retried",
			fmt.Sprintf("was dead-lettered after %d attempts, declared %d", n, w.most()))
	case n < w.most() && !final:
		c.wrong(e.Flow, e.Message, "too-early",
			fmt.Sprintf("was dead-lettered after %d attempts for %q, declared %d", n, e.Reason,
				w.most()))
	}
}

func (c *deadLetterChecker) redriven(e *history.Event) {
	d := c.dead[subject{e.Flow, e.Message}]
	if d != nil && (e.Channel == "" || c.ledger.routes.channel(e.Channel) == c.ways[d.way].source) {
		d.redriven++
	}
}

func (c *deadLetterChecker) wrong(flow string, message int64, kind, text string) {
	c.r.anomaly(Anomaly{Kind: kind, Flow: flow, Message: message, Where: c.p.Channel,
		Text: fmt.Sprintf("%s-%d %s (%s)", flow, message, text, c.p.Channel)})
}

func (c *deadLetterChecker) Verdict() Verdict {
	c.r.complete(c.ledger)
	for _, w := range c.ways {
		if c.ledger.unseen(w.node) {
			c.r.doubt("%s", insideOf(w.node))
		}
	}
	owed, found, redriven := 0, 0, 0
	byMessage := func(a, b subject) int {
		return cmp.Or(cmp.Compare(a.flow, b.flow), cmp.Compare(a.message, b.message))
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.dead), byMessage) {
		d := c.dead[k]
		if !c.ledger.routes.readable(c.p.Channel) {
			d.found = d.sent
		}
		owed += one(d.owed)
		found += one(d.found > 0)
		redriven += one(d.redriven > 0)
		c.judge(k, d)
	}
	c.counted(found)
	if owed+found == 0 {
		c.r.trial("a message that fails for good, of those that dead-letter to %s", c.p.Channel)
	}
	c.r.count("owed", owed, "messages")
	c.r.count("found", found, "messages")
	c.r.count("redriven", redriven, "messages")
	return c.r.verdict("%d messages belong in %s, %d found there, %d redriven",
		owed, c.p.Channel, found, redriven)
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// judge is what became of one message.
func (c *deadLetterChecker) judge(k subject, d *deadMessage) {
	if len(c.ways) == 0 {
		c.wrong(k.flow, k.message, "undue", "is in a channel that nothing dead-letters to")
		return
	}
	w := &c.ways[d.way]
	copies := max(d.found, d.sent)
	switch {
	case d.owed && d.found == 0:
		c.wrong(k.flow, k.message, "missing", fmt.Sprintf(
			"failed for good at %v (%s) and is not there", seconds(d.at), d.why))
	case !d.owed && d.found > 0 && d.redriven == 0:
		c.wrong(k.flow, k.message, "undue", "is there without having failed for good")
	case copies > 1+d.redriven && d.unsure == 0 && c.ledger.downs[w.node] == 0:
		c.wrong(k.flow, k.message, "twice", fmt.Sprintf("is there %d times", copies))
	}
	if d.redriven > 0 && !c.completed(k, w) {
		c.wrong(k.flow, k.message, "redrive-incomplete", "was redriven and ended nowhere")
	}
}

// completed says whether a message reached every leg behind the handler in the end.
func (c *deadLetterChecker) completed(k subject, w *deadLetter) bool {
	f := c.ledger.flow(k.flow)
	for j := range f.route.legs {
		if f.route.below[w.node]&(1<<j) != 0 && f.legEnd(j, k.message, c.ledger) == isLost {
			return false
		}
	}
	return true
}

// counted holds the number found against what was asked for.
func (c *deadLetterChecker) counted(found int) {
	if c.p.Exactly >= 0 && found != c.p.Exactly {
		c.r.anomaly(Anomaly{Kind: "wrong-count", Message: -1, Where: c.p.Channel,
			Text: fmt.Sprintf("%d messages are in %s, asserted %d", found, c.p.Channel,
				c.p.Exactly)})
	}
	if found < c.p.AtLeast {
		c.r.anomaly(Anomaly{Kind: "wrong-count", Message: -1, Where: c.p.Channel,
			Text: fmt.Sprintf("%d messages are in %s, asserted at least %d", found, c.p.Channel,
				c.p.AtLeast)})
	}
}
