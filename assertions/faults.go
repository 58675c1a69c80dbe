package assertions

import (
	"fmt"
	"strings"

	"github.com/faultline-sim/faultline/assertions/history"
)

// Faults judges that the run broke what it set out to break.
//
// Definition: each fault of the timeline was injected and touched at least one message or connection.
// A fault that touched nothing has tried nothing, so that no verdict of the run says what it seems to.
//
// Evidence: Fault rows. Valid: every fault bit. Never invalid: what was not tried is no fault of the
// system's. Unknown: one was not injected or bit nothing, or events were shed.
//
// It cannot see whether what was touched was enough to matter. Cost: one look at the faults.
// Source: mutation testing's rule that a mutant that no test reaches says nothing of the tests
// (Offutt and Untch, Mutation 2000).
func Faults(names ...string) Check {
	return Check{Name: "faults", Property: "faults",
		New: func(l *Ledger, _ Context) Checker { return &faults{ledger: l, names: names} }}
}

type faults struct {
	ledger *Ledger
	names  []string
}

func (c *faults) Kinds() []history.Kind  { return nil }
func (c *faults) Observe(*history.Event) {}

func (c *faults) Verdict() Verdict {
	var r ruling
	r.sound(c.ledger)
	var told []string
	for _, name := range c.names {
		spans, bite, _ := c.ledger.faultNamed(name)
		switch {
		case len(spans) == 0:
			r.lack("the fault %q: the history has no injection of it", name)
		case bite == 0:
			r.lack("a fault that bites: %q touched nothing", name)
		}
		told = append(told, fmt.Sprintf("%s touched %d", name, bite))
	}
	return r.verdict("%s", strings.Join(told, ", "))
}
