package topology

import (
	"fmt"
	"slices"
	"strings"
)

// deadLetter: a handler that may refuse a message for good, and has nowhere to put it, is given the
// same message again and again.
func (l *linter) deadLetter(n *Node, h *Handler) {
	source := h.Source()
	if source == "" || n.Kind == Fleet || h.Policy.DeadLetter != nil || !l.onBroker(source) {
		return
	}
	var waiting []*Flow
	for _, f := range l.promising(h) {
		if f.ReplyWithin == 0 && l.ours(f, n) {
			waiting = append(waiting, f)
		}
	}
	if len(waiting) == 0 {
		return
	}
	severity, why := SeverityWarning, "a message that always fails is delivered for ever"
	if refuses(h) {
		severity, why = SeverityFault, "a message that it refuses for good is delivered for ever"
	}
	l.add("no-dead-letter", severity, about{node: n, flow: waiting[0]},
		fmt.Sprintf("%s takes %s from %s without a dead-letter channel, %s",
			l.where(n, h), flowNames(waiting), l.t.ShortRef(source), why),
		"declare dead_letter: {attempts: 5} on the channel or the handler")
}

// refuses says that a handler has a step that can fail for good.
func refuses(h *Handler) bool {
	for s := range h.Steps() {
		if s.Kind == Validate || s.Kind == Authenticate ||
			s.Policy.Retry != nil && len(s.Policy.Retry.Permanent) > 0 {
			return true
		}
	}
	return false
}

func (l *linter) onBroker(ref string) bool {
	n := l.t.Node(ChannelNode(ref))
	return n != nil && n.Kind == Broker
}

// idempotent: what is delivered at least once arrives twice some day, and a new row each time shows
// it.
func (l *linter) idempotent(n *Node, h *Handler, s *Step) {
	if s.Kind != StoreStep || !s.Append || h.Policy.Dedupe != nil || s.Policy.Dedupe != nil {
		return
	}
	for _, f := range l.promising(h) {
		if !s.For(f.Name) {
			continue
		}
		severity := SeverityWarning
		if f.Guarantee == ExactlyOnce {
			severity = SeverityFault
		}
		l.add("not-idempotent", severity, about{node: n, flow: f},
			fmt.Sprintf("%s appends to %s what flow %s delivers %s: a redelivered message becomes "+
				"a second row", l.where(n, h), l.t.Short(s.Target), f.Name, AtLeastOnce),
			"store by message id (append: false), or declare dedupe")
	}
}

// ackBeforeWork: what is given back to its broker as done before the work is lost by a crash.
func (l *linter) ackBeforeWork(n *Node, h *Handler) {
	if h.Ack != "before_work" {
		return
	}
	for _, f := range l.promising(h) {
		if l.ours(f, n) {
			l.add("ack-before-work", SeverityFault, about{node: n, flow: f},
				fmt.Sprintf("%s acknowledges before its work, while flow %s promises %s: a crash loses "+
					"what was acknowledged", l.where(n, h), f.Name, f.Guarantee),
				"acknowledge after_work, or promise at-most-once")
		}
	}
}

// cleanSession: a session that forgets its subscriptions misses what comes while it is away.
func (l *linter) cleanSession(n *Node, h *Handler) {
	broker := l.t.Node(ChannelNode(h.Source()))
	if !n.Session.Clean || broker == nil || broker.Protocol != "mqtt" {
		return
	}
	for _, f := range l.promising(h) {
		l.add("clean-session", SeverityFault, about{node: n, flow: f},
			fmt.Sprintf("%s begins a clean session at each connect, while flow %s promises %s over %s: "+
				"what is sent while it is away is lost", l.t.Short(n.Name), f.Name, f.Guarantee,
				l.t.ShortRef(h.Source())),
			"keep the session (session: {clean: false})")
	}
}

// quality: the quality of service bounds what a flow can promise from its first hop on.
func (l *linter) quality(n *Node, s *Send) {
	f, broker := l.t.Flow(s.Flow), l.t.Node(ChannelNode(s.Channel()))
	if f == nil || broker == nil {
		return
	}
	a := about{node: n, flow: f}
	switch mqtt := broker.Protocol == "mqtt"; {
	case mqtt && s.QoS == 0 && f.Guarantee != AtMostOnce && l.ours(f, n):
		l.add("qos-below-guarantee", SeverityFault, a,
			fmt.Sprintf("%s sends flow %s with qos 0, which may lose what the flow promises %s",
				l.t.Short(n.Name), f.Name, f.Guarantee), "send with qos 1")
	case !mqtt && s.QoS == 2:
		l.add("broker-cannot", SeverityFault, a,
			fmt.Sprintf("%s asks %s for qos 2, which %s does not have",
				l.t.Short(n.Name), l.t.Short(broker.Name), broker.Protocol), "take qos away")
	case s.QoS == 2 && f.Guarantee == ExactlyOnce:
		l.add("broker-cannot", SeverityWarning, a,
			fmt.Sprintf("%s sends flow %s with qos 2, which ends at %s: behind it a message can still "+
				"come twice", l.t.Short(n.Name), f.Name, l.t.Short(broker.Name)),
			"store by message id or declare dedupe at the sinks; qos 1 is then enough")
	}
}

// unused: a channel with one end only.
func (l *linter) unused(c *Channel) {
	if slices.Contains(l.t.DeadLetterChannels(), c.Ref) || strings.HasSuffix(c.Ref, ".dead") {
		return
	}
	publishers, consumers := l.t.publishers(c.Ref), l.t.Consumers(c.Ref)
	a := about{at: c.At}
	switch {
	case len(publishers) == 0 && len(consumers) > 0:
		a.node = consumers[0]
		l.add("nobody-publishes", SeverityWarning, a,
			fmt.Sprintf("%s takes messages from %s, to which nobody publishes",
				l.t.Short(consumers[0].Name), l.t.ShortRef(c.Ref)),
			"publish to it in a step or a send, or take the handler away")
	case len(publishers) > 0 && len(consumers) == 0 && !l.t.repliesOn(c.Ref):
		a.node = publishers[0]
		l.add("nobody-consumes", SeverityWarning, a,
			fmt.Sprintf("%s publishes to %s, from which nobody takes messages",
				l.t.Short(publishers[0].Name), l.t.ShortRef(c.Ref)),
			"subscribe a handler to it, or do not publish")
	case len(publishers) == 0 && len(consumers) == 0 && !l.t.repliesOn(c.Ref):
		l.add("channel-unused", SeverityWarning, a,
			fmt.Sprintf("channel %s is declared, but no node publishes to it or takes from it",
				l.t.ShortRef(c.Ref)), "take it away, or use it in a path")
	}
}

// publishers are the nodes that publish to a channel, in the topology's order.
func (t *Topology) publishers(ref string) []*Node {
	var found []*Node
	for _, n := range t.Nodes {
		publishes := slices.ContainsFunc(n.Sends, func(s *Send) bool { return s.Channel() == ref })
		for _, h := range n.Handlers {
			publishes = publishes || h.RetryChannel() == ref
			for s := range h.Steps() {
				publishes = publishes || s.Target == ref && (s.Kind == Publish || s.Kind == Request)
			}
		}
		if publishes {
			found = append(found, n)
		}
	}
	return found
}

// repliesOn says that answers to requests arrive on a channel.
func (t *Topology) repliesOn(ref string) bool {
	for _, n := range t.Nodes {
		for _, h := range n.Handlers {
			for s := range h.Steps() {
				if s.Kind == Request && s.ReplyTo == ref {
					return true
				}
			}
		}
	}
	return false
}
