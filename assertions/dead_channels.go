package assertions

import (
	"strings"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/policy"
)

// deadLetter is one declared way into a dead-letter channel.
type deadLetter struct {
	node    string
	handler string
	source  string // the channel that the handler is subscribed to
	channel string // the dead-letter channel
	limit   int    // handler attempts before a message is dead-lettered
	native  bool   // by the broker: attempts are deliveries, of one try each
	set     policy.Set
	steps   []*topology.Step
}

// deadLetters are all ways into dead-letter channels that the topology declares.
func (r *routes) deadLetters() []deadLetter {
	if r.dead == nil {
		r.dead = []deadLetter{}
		for _, n := range r.topology.Nodes {
			for _, h := range n.Handlers {
				if d, ok := r.deadLetterOf(n, h); ok {
					r.dead = append(r.dead, d)
				}
			}
		}
	}
	return r.dead
}

func (r *routes) deadLetterOf(n *topology.Node, h *topology.Handler) (deadLetter, bool) {
	source := h.Source()
	declared := h.Policy.DeadLetter
	for _, c := range r.topology.Channels {
		if declared == nil && c.Ref == source {
			declared = c.DeadLetter
		}
	}
	if declared == nil || source == "" {
		return deadLetter{}, false
	}
	d := deadLetter{node: n.Name, handler: h.Name, source: source, channel: declared.Channel,
		limit: declared.Attempts, native: declared.Native, set: h.Policy, steps: h.Do}
	switch {
	case d.channel == "":
		d.channel = topology.DeadLetterChannel(source)
	case !strings.Contains(d.channel, "/"):
		d.channel = topology.ChannelNode(source) + "/" + d.channel
	}
	return d, true
}

// permanentAt are the reasons that a handler that dead-letters declares permanent.
func (r *routes) permanentAt(node, handler string) []string {
	for i := range r.deadLetters() {
		if d := &r.dead[i]; d.node == node && d.handler == handler {
			return d.permanent()
		}
	}
	return nil
}

// attempt is which attempt at its message an event is about: the broker counts deliveries, a handler
// its own tries in one.
func (d *deadLetter) attempt(e *history.Event) int {
	if d.native {
		return int(e.Delivery)
	}
	return int(e.Attempt)
}
