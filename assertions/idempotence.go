package assertions

import (
	"fmt"

	"github.com/faultline-sim/faultline/assertions/history"
)

// Idempotence judges that a message that came twice took effect once.
//
// Definition: the audit finds no message of the flow more than once at a sink, however often it was
// delivered.
//
// Evidence: Found rows, whose value counts copies, and Receive rows with a delivery above 1, which
// show that there was something to be idempotent about. Valid: something was found, at least one
// message was delivered twice, and none is there twice. Invalid: one is (duplicated). Untested:
// nothing was ever redelivered (use the fault "duplicates" or a crash). Unknown: nothing was found, or
// events were shed.
//
// It cannot see an effect that leaves no row behind, such as a mail. Cost: one pass over the rows.
// Source: Enterprise Integration Patterns, Idempotent Receiver.
func Idempotence(flow string) Check {
	return Check{Name: named("idempotence", flow), Property: "idempotence", Flow: flow,
		New: func(l *Ledger, _ Context) Checker { return &idempotence{ledger: l, flow: flow} }}
}

type idempotence struct {
	ledger *Ledger
	flow   string
	again  int // deliveries beyond a message's first to a handler
}

func (c *idempotence) Kinds() []history.Kind { return []history.Kind{history.Receive} }

func (c *idempotence) Observe(e *history.Event) {
	if e.Flow == c.flow && e.Delivery > 1 {
		c.again++
	}
}

func (c *idempotence) Verdict() Verdict {
	var r ruling
	r.complete(c.ledger)
	found := 0
	if f := c.ledger.flow(c.flow); f != nil {
		for j, leg := range f.route.legs {
			for i := range f.size {
				lr := f.legRows[j].get(i)
				if lr.state&foundThere != 0 {
					found++
				}
				if lr.copies > 1 {
					r.anomaly(Anomaly{Kind: "duplicated", Flow: f.name, Message: i,
						Where: leg.name(),
						Text: fmt.Sprintf("%s-%d took effect at %s %d times", f.name, i, leg.name(),
							lr.copies)})
				}
			}
		}
	}
	if found == 0 {
		r.lack("effects of flow %q that the audit found", c.flow)
	}
	if c.again == 0 {
		r.trial("a message of flow %q that is delivered twice: the fault duplicates, or a crash", c.flow)
	}
	r.count("found", found, "messages")
	r.count("redelivered", c.again, "deliveries")
	return r.verdict("%d effects once each over %d redeliveries", found-r.found(), c.again)
}
