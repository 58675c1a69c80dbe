package topology

import (
	"fmt"

	"github.com/faultline-sim/faultline/topology/claims"
)

// parallelConsumers: messages of one key that are handled side by side overtake each other.
func (l *linter) parallelConsumers(n *Node, h *Handler) {
	source := h.Source()
	broker := l.t.Node(ChannelNode(source))
	if broker == nil || broker.Kind != Broker || n.Kind == Fleet {
		return
	}
	for _, f := range l.flows[h] {
		if f.Key == "" {
			continue
		}
		a := about{node: n, flow: f}
		switch {
		case h.RetryChannel() != "":
			l.add("order-lost", SeverityFault, a,
				fmt.Sprintf("%s lets a message that failed wait in %s while later ones go on, and flow %s "+
					"promises order by %s", l.where(n, h), l.t.ShortRef(h.RetryChannel()), f.Name, f.Key),
				"retry without a channel, or promise no key")
		case h.Order == "none" && (h.Concurrency > 1 || n.Replicas > 1):
			l.add("order-lost", SeverityFault, a,
				fmt.Sprintf("%s handles %d messages at once in any order, while flow %s promises order by %s",
					l.where(n, h), h.Concurrency*max(1, n.Replicas), f.Name, f.Key),
				"declare order: key, or promise no key")
		case !keyOrder(broker) && n.Replicas > 1:
			l.add("order-lost", SeverityFault, a,
				fmt.Sprintf("%d replicas of %s share %s, and mqtt deals messages out without regard to "+
					"their key, while flow %s promises order by %s",
					n.Replicas, l.t.Short(n.Name), l.t.ShortRef(source), f.Name, f.Key),
				"run one replica, or put a channel with parallel and key behind it")
		}
	}
}

// mapping: what a channel asks of its broker that the broker does not have.
func (l *linter) mapping(c *Channel) {
	n := l.t.Node(c.Node())
	if n == nil || n.Kind != Broker {
		return
	}
	a := about{node: n, at: c.At}
	b, known := claims.Of(n.Protocol)
	if known && !b.Parts && c.Parallel > 1 {
		l.add("broker-cannot", SeverityFault, a,
			fmt.Sprintf("channel %s asks for %d parallel parts, %s has none",
				l.t.ShortRef(c.Ref), c.Parallel, n.Protocol), b.Instead[claims.ParallelParts])
	}
	if known && c.TTL > 0 && b.TTL == "" {
		l.add("broker-cannot", SeverityInfo, a,
			fmt.Sprintf("channel %s has a ttl, %s expires no single message: consumers drop it when "+
				"they meet it", l.t.ShortRef(c.Ref), n.Protocol), "count on late expiry")
	}
	l.keyOrder(c, a)
}

// keyOrder says that order by key holds over several consumers of a group.
func keyOrder(broker *Node) bool {
	b, known := claims.Of(broker.Protocol)
	return !known || b.KeyOrder
}

// keyOrder: parallel parts keep the order of the channel's own key only.
func (l *linter) keyOrder(c *Channel, a about) {
	if c.Parallel <= 1 {
		return
	}
	for _, f := range l.t.Flows {
		if f.Key == "" || f.Key == c.Key || !f.over(c.Ref) {
			continue
		}
		a.flow = f
		has := "no key"
		if c.Key != "" {
			has = "key " + c.Key
		}
		l.add("broker-cannot", SeverityFault, a,
			fmt.Sprintf("channel %s has %d parallel parts and %s, so it cannot keep the order by %s that "+
				"flow %s promises", l.t.ShortRef(c.Ref), c.Parallel, has, f.Key, f.Name),
			fmt.Sprintf("declare key: %s on the channel, or parallel: 1", f.Key))
	}
}

// over says that a flow's path goes over a channel.
func (f *Flow) over(ref string) bool {
	for _, path := range f.Paths {
		for _, hop := range path {
			if hop.Channel == ref {
				return true
			}
		}
	}
	return false
}

// cluster: only some protocols have clusters.
func (l *linter) cluster(n *Node) {
	if n.Kind == Broker && n.Protocol == "mqtt" && n.Brokers > 1 {
		l.add("broker-cannot", SeverityFault, about{node: n},
			fmt.Sprintf("%s asks for %d cluster nodes, an mqtt broker has one",
				l.t.Short(n.Name), n.Brokers),
			"take brokers away")
	}
}

// singlePoint: one replica that several flows need takes them all with it.
func (l *linter) singlePoint(n *Node) {
	alone := n.Kind == Service && n.Replicas <= 1 || n.Kind == Broker && n.Brokers <= 1
	if !alone {
		return
	}
	var flows []*Flow
	for _, f := range l.t.Flows {
		for _, w := range l.t.FlowWires(f.Name) {
			if w.From == n.Name || w.To == n.Name {
				flows = append(flows, f)
				break
			}
		}
	}
	if len(flows) >= 2 {
		l.add("single-point", SeverityInfo, about{node: n},
			fmt.Sprintf("%s runs once, and %d flows need it: %s", l.t.Short(n.Name), len(flows),
				flowNames(flows)), "run replicas, or expect these flows in the blast radius")
	}
}
