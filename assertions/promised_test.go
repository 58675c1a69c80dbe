package assertions_test

import (
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
)

// What ends a message by the system's own word alone is a loss where the promise does not have it.
func TestNoRowJustifiesItself(t *testing.T) {
	at := time.Duration(hit) * every
	ended := func(kind history.Kind, after time.Duration, set func(*history.Event)) log {
		return replaced(func(l *log) {
			l.sent("t", hit, at)
			l.relayed("t", hit, at)
			l.received("t", hit, at+ms(6))
			l.add(kind, at+after, about("t", hit, func(e *history.Event) {
				e.Node, e.Handler = "worker", "records"
				set(e)
			}))
		})
	}
	dropped := ended(history.Filter, ms(8), func(e *history.Event) { e.Step = "only warm ones" })
	expired := ended(history.Expire, 6*time.Second, func(*history.Event) {})
	dead := ended(history.DeadLetter, ms(8), func(e *history.Event) {
		e.Channel, e.Reason, e.Attempt, e.Outcome = "stream/e.dead", "schema", 1, history.Ok
	}).with(func(l *log) { l.foundDead(hit, 1) })
	handler := func(change func(*topology.Handler)) *topology.Topology {
		system := plant()
		change(system.Node("worker").Handlers[0])
		return system
	}
	cond := func(otherwise string) *topology.Topology {
		return handler(func(h *topology.Handler) {
			h.Do = append(h.Do, &topology.Step{Name: "only warm ones", Kind: topology.When, Cond: "data.temp > 0",
				Else: otherwise})
		})
	}
	for name, c := range map[string]struct {
		log    log
		system *topology.Topology
		want   []string
	}{
		"filter/promised/accounted for":        {dropped, cond("filter"), nil},
		"filter/not promised/lost":             {dropped, plant(), []string{"invalid", "lost t-17"}},
		"filter/a condition that ends nothing": {dropped, cond(""), []string{"invalid", "lost t-17"}},
		"expire/promised/accounted for":        {expired, plant(), nil},
		"expire/not promised/lost":             {expired, handler(func(h *topology.Handler) { h.Policy.TTL = 0 }), []string{"invalid", "lost t-17"}},
		"dead letter/promised/accounted for":   {dead, plant(), nil},
		"dead letter/not promised/lost":        {dead, handler(func(h *topology.Handler) { h.Policy.DeadLetter = nil }), []string{"invalid", "lost t-17"}},
	} {
		t.Run(name, func(t *testing.T) {
			v := assertions.Judge(c.log.events(), []assertions.Check{assertions.Delivery("t")},
				assertions.Context{Topology: c.system})
			if diff := gocmp.Diff(c.want, findings(v, nil)["delivery[t]"]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", v[0].Summary, diff)
			}
		})
	}
}
