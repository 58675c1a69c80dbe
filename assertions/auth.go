package assertions

import (
	"fmt"

	"github.com/faultline-sim/faultline/assertions/history"
)

// Auth judges that a refused token has no effect.
//
// Definition: a message that a node refused with the reason "auth" reaches no sink of its flow,
// unless the same node let it in later (with a renewed token).
//
// Evidence: Reject and failed Attempt rows with the reason "auth", arrivals and Found rows. Valid:
// at least one message was refused and none of those arrived. Invalid: one did
// (effect-behind-refusal). Unknown: nothing was refused, or events were shed.
//
// It cannot see tokens, only refusals: a forged token that everyone lets in shows as an arrival of
// a message that ought to have been refused, which only the scenario knows (expect: refused at
// least N). Cost: one map entry a refused message.
// Source: OWASP API Security Top 10, API2 Broken Authentication.
func Auth(flow string, atLeast int) Check {
	return Check{Name: named("auth", flow), Property: "auth", Flow: flow,
		New: func(l *Ledger, _ Context) Checker {
			return &auth{ledger: l, flow: flow, atLeast: max(1, atLeast),
				refused: map[subject]string{}}
		}}
}

// subject is one message of a run.
type subject struct {
	flow    string
	message int64
}

type auth struct {
	ledger  *Ledger
	flow    string
	atLeast int
	refused map[subject]string // by which node; entries go when it lets them in later
	seen    int
}

func (c *auth) Kinds() []history.Kind { return []history.Kind{history.Reject, history.Attempt} }

func (c *auth) Observe(e *history.Event) {
	if c.flow != "" && e.Flow != c.flow || e.Message < 0 {
		return
	}
	k := subject{e.Flow, e.Message}
	switch {
	case e.Reason == "auth":
		if _, ok := c.refused[k]; !ok {
			c.seen++
		}
		c.refused[k] = e.Node
	case e.Kind == history.Attempt && e.Outcome == history.Ok && c.refused[k] == e.Node:
		delete(c.refused, k)
	}
}

func (c *auth) Verdict() Verdict {
	var r ruling
	r.sound(c.ledger)
	for _, f := range c.ledger.flows {
		for i := range f.size {
			by, ok := c.refused[subject{f.name, i}]
			if !ok {
				continue
			}
			for j, leg := range f.route.legs {
				if f.legRows[j].get(i).state&(arrived|foundThere) != 0 {
					r.anomaly(Anomaly{Kind: "effect-behind-refusal", Flow: f.name, Message: i,
						Where: leg.name(),
						Text: fmt.Sprintf("%s-%d was refused by %s and is at %s", f.name, i, by,
							leg.name())})
				}
			}
		}
	}
	if c.seen < c.atLeast {
		r.lack("%d messages refused for their token, there were %d", c.atLeast, c.seen)
	}
	r.count("refused", c.seen, "messages")
	return r.verdict("%d messages refused, none with an effect", c.seen)
}
