package topology

import (
	"strings"

	"github.com/faultline-sim/faultline/topology/claims"
	"github.com/faultline-sim/faultline/topology/policy"
)

// checkChannel refuses what a channel asks of a broker whose protocol has no such thing, and says
// what to do instead.
func (d *decoder) checkChannel(c *Channel) {
	b, known := d.t.claims(c.Node())
	if !known {
		return
	}
	if strings.Contains(ChannelName(c.Ref), ":id") && !b.Wildcards {
		d.report(c, "broker-cannot", "channel %s is one for each id, which %s does not have; "+
			"publish to one channel with key: id", d.t.ShortRef(c.Ref), b.Protocol)
	}
	if len(c.Groups) > 1 && !b.FanOut {
		d.cannot(c, b, claims.FanOut, "is taken from by "+strings.Join(shorts(d.t, c.Groups), " and "))
	}
	if len(c.Filters) > 0 && b.Filters == "" {
		d.cannot(c, b, claims.MessageFilter, "has a handler with flows")
	}
	if c.Priority != "" && b.Priority == "" {
		d.cannot(c, b, claims.MessagePriority, "has priority: "+c.Priority)
	}
	if c.Priority != "" && c.DeadLetter != nil && c.DeadLetter.Native {
		d.report(c, "conflict", "channel %s has a priority and native dead-lettering, and %s's queues "+
			"that count deliveries have no priorities; take one away", d.t.ShortRef(c.Ref), b.Protocol)
	}
	if c.Transient && !b.Transient {
		d.cannot(c, b, claims.TransientChannel, "has durable: false")
	}
	if c.TTL > 0 && b.TTL != "" && c.TTL < b.LeastTTL {
		d.report(c, "broker-cannot", "channel %s has the ttl %v, accepted by %s: %v and more",
			d.t.ShortRef(c.Ref), c.TTL, b.Protocol, b.LeastTTL)
	}
	d.checkNative(c, b)
}

func shorts(t *Topology, names []string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = name
		if t.Node(name) != nil {
			all[i] = t.Short(name)
		}
	}
	return all
}

// cannot reports what a channel asks and its broker does not have.
func (d *decoder) cannot(c *Channel, b claims.Broker, asked claims.Asked, asks string) {
	instead := b.Instead[asked]
	if instead == "" {
		instead = "take it away, or use a broker that has it (faultline brokers)"
	}
	d.report(c, "broker-cannot", "channel %s %s, and %s has no %s; %s",
		d.t.ShortRef(c.Ref), asks, b.Protocol, asked, instead)
}

// checkNative: native dead-lettering is the channel's, done by its broker for all who take from it.
func (d *decoder) checkNative(c *Channel, b claims.Broker) {
	p := c.DeadLetter
	for _, n := range d.t.Nodes {
		for _, h := range n.Handlers {
			own := h.Policy.DeadLetter
			if h.Source() == c.Ref && own != nil && own.Native && !sameNative(own, p) {
				d.report(h, "conflict", "handler %q of %s has a native dead_letter of its own, the "+
					"broker's is the channel's; declare it on %s", h.Name, d.t.Short(n.Name),
					d.t.ShortRef(c.Ref))
			}
		}
	}
	switch {
	case p == nil || !p.Native:
	case b.DeadLetter == "":
		d.cannot(c, b, claims.NativeDeadLetter, "has dead_letter: {native: true}")
	case p.Attempts < b.LeastAttempts || b.MostAttempts > 0 && p.Attempts > b.MostAttempts:
		d.report(c, "broker-cannot", "channel %s is dead-lettered natively after %d attempts, "+
			"accepted by %s: %d to %d", d.t.ShortRef(c.Ref), p.Attempts, b.Protocol,
			b.LeastAttempts, b.MostAttempts)
	case ChannelNode(p.Channel) != c.Node():
		d.report(c, "wrong-hop", "channel %s is dead-lettered natively to %s, accepted: a channel of "+
			"the same broker", d.t.ShortRef(c.Ref), d.t.ShortRef(p.Channel))
	}
}

func sameNative(a, b *policy.DeadLetter) bool {
	return b != nil && b.Native && a.Channel == b.Channel && a.Attempts == b.Attempts
}
