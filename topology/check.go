package topology

import (
	"strings"

	"github.com/faultline-sim/faultline/topology/claims"
	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/policy"
)

// check refuses what no simulator could do. What could be done but should not is lint's.
func (d *decoder) check() {
	for _, n := range d.t.Nodes {
		d.checkNode(n)
		d.checkOwn(n)
		for _, s := range n.Sends {
			d.checkSend(n, s)
		}
		routes := map[string]bool{}
		for _, h := range n.Handlers {
			if h.HTTP != "" && routes[h.HTTP] {
				d.report(h, "duplicate-route", "%q is already answered by another handler of %s",
					h.HTTP, n.Name)
			}
			routes[h.HTTP] = true
			d.checkTrigger(n, h)
			for s := range h.Steps() {
				d.checkStep(n, h, s)
			}
		}
	}
	for _, f := range d.t.Flows {
		d.checkBorn(f)
		for _, s := range f.Sinks {
			d.checkPlain(f, s.Node)
		}
	}
	for _, c := range d.t.Channels {
		d.checkPlain(c, c.Node())
		d.checkChannel(c)
	}
}

func (d *decoder) checkNode(n *Node) {
	accepted := protocols[n.Kind]
	if needsProtocol(n.Kind) && n.Protocol == "" && !d.badKey(n, "protocol") {
		d.report(n, "missing-key", "%s %q has no protocol, accepted: %s",
			n.Kind, n.Name, strings.Join(accepted, ", "))
	}
	if b, _ := claims.Of(n.Protocol); n.Brokers > 1 && !b.Clusters && n.Protocol != "" {
		d.report(n, "wrong-kind", "%q has %d brokers, a cluster is for kafka", n.Name, n.Brokers)
	}
	if n.Image != "" && n.Engine != "" && n.Engine != "container" {
		d.report(n, "conflict", "%q has the image %q, and its engine %s runs none; take one away",
			n.Name, n.Image, n.Engine)
	}
	issuer := d.t.Node(n.Login)
	if issuer != nil && !issuer.issues() {
		d.report(n, "no-issuer", "%q logs in at %s, where no http handler has a step issue: token",
			n.Name, issuer.Name)
	}
	issuer = d.t.Node(n.Authenticates)
	if issuer != nil && !issuer.issues() {
		d.report(n, "no-issuer",
			"%q asks for tokens of %s, where no http handler has a step issue: token", n.Name, issuer.Name)
	}
}

// needsProtocol says that a node of a kind speaks one of several protocols; others speak HTTP.
func needsProtocol(k Kind) bool { return k == Broker || k == Store }

// badKey says that a key is there, and so was reported when it was read.
func (d *decoder) badKey(thing any, key string) bool {
	body, ok := d.bodies[thing]
	return ok && body.Get(key).Present()
}

func (d *decoder) checkSend(n *Node, s *Send) {
	f := d.t.Flow(s.Flow)
	far := d.t.Node(s.FarNode())
	d.checkPlain(s, s.FarNode())
	d.checkOwnTries(s, "send", s.Flow, s.Policy.Retry)
	switch {
	case f == nil:
		return
	case f.DerivedFrom != "":
		d.report(s, "cannot-send", "flow %q is derived from %q, a step gives birth to its messages",
			f.Name, f.DerivedFrom)
		return
	case f.Source() != n.Name && f.Source() != "":
		d.report(s, "cannot-send", "flow %q begins at %q, not at %q", f.Name, f.Source(), n.Name)
		return
	}
	if _, given := s.Body[f.Key]; f.Key != "" && !given && s.Body != nil {
		d.report(s, "key-not-in-body", "body has no field %q, the key of flow %q", f.Key, f.Name)
	}
	if far == nil {
		return
	}
	if n.Kind == Fleet && notForFleets(far) {
		d.report(s, "wrong-hop", "%q is a fleet, it speaks mqtt and http, not %s", n.Name, far.Protocol)
	}
	if s.Channel() != "" && far.Kind != Broker {
		d.report(s, "wrong-kind", "%q is a %s's mailbox, only it puts messages there", s.To, far.Kind)
	}
	if node, method, path := s.HTTP(); node != "" {
		d.checkAnswered(s, far, method+" "+path)
	}
}

// checkAnswered reports a request that no handler of the far end takes.
func (d *decoder) checkAnswered(thing any, far *Node, request string) {
	if len(d.broken) > 0 {
		return // default handlers are missing, more would be said than is wrong
	}
	method, path, _ := strings.Cut(request, " ")
	var routes []string
	for _, h := range far.Handlers {
		if h.Answers(method, path) {
			return
		}
		if h.HTTP != "" {
			routes = append(routes, h.HTTP)
		}
	}
	d.report(thing, "unknown-route", "no handler of %s answers %q, %s",
		far.Name, request, diag.Expected(request, routes))
}

func (d *decoder) checkTrigger(n *Node, h *Handler) {
	source := d.t.Node(ChannelNode(h.Source()))
	switch {
	case n.Kind == Fleet && h.Subscribe == "" && (h.HTTP != "" || h.Every > 0 || h.Batch != nil):
		d.report(h, "wrong-kind", "handler %q of a fleet has another trigger than subscribe", h.Name)
	case source == nil:
	case source.Kind != Broker && n.Kind != Fleet:
		d.report(h, "wrong-kind", "%q is a mailbox, accepted: a fleet reads it", h.Source())
	case n.Kind == Fleet && notForFleets(source):
		d.report(h, "wrong-hop", "%q is a fleet, it speaks mqtt and http, not %s",
			n.Name, source.Protocol)
	}
	d.checkDeadLetter(h, h.Policy.DeadLetter, h)
	d.checkRetryChannel(n, h)
}

// checkDeadLetter refuses dead-lettering to nowhere, to itself or to a mailbox.
func (d *decoder) checkDeadLetter(thing any, p *policy.DeadLetter, h *Handler) {
	if p == nil || p.Dropped {
		return
	}
	n := d.t.Node(ChannelNode(p.Channel))
	switch {
	case p.Channel == "":
		d.report(thing, "missing-key",
			"handler %q takes messages from no channel, its dead_letter needs channel", h.Name)
	case p.Channel == h.Source():
		d.report(thing, "cycle", "handler %q dead-letters to the channel it reads, %q", h.Name, p.Channel)
	case n != nil && n.Kind != Broker:
		d.report(thing, "wrong-kind", "dead-letter channel %q is on a %s, accepted: a broker",
			p.Channel, n.Kind)
	}
}

func (d *decoder) checkStep(n *Node, h *Handler, s *Step) {
	d.checkDeadLetter(s, s.Policy.DeadLetter, h)
	d.checkOwnTries(s, "step", s.Name, s.Policy.Retry)
	d.checkPlain(s, s.FarNode())
	if n.Kind == Fleet && (s.Kind == StoreStep || s.Kind == Lookup || s.Kind == Issue) {
		d.report(s, "wrong-kind", "a fleet has no %q step", s.Kind)
	}
	if issuer := d.t.Node(s.Target); s.Kind == Authenticate && issuer != nil && !issuer.issues() {
		d.report(s, "no-issuer",
			"tokens of %s are asked for, where no http handler has a step issue: token", issuer.Name)
	}
	far := d.t.Node(s.FarNode())
	if far == nil {
		return
	}
	switch s.Kind {
	case Call:
		d.checkAnswered(s, far, s.Method+" "+s.Path)
	case Publish:
		if far.Kind != Broker && far != n {
			d.report(s, "wrong-kind", "%q is a mailbox of %s, only it puts messages there",
				s.Target, far.Name)
		}
	case Request:
		d.checkRequest(s, far)
	}
	if n.Kind == Fleet && notForFleets(far) {
		d.report(s, "wrong-hop", "%q is a fleet, it speaks mqtt and http, not %s", n.Name, far.Protocol)
	}
}

func (d *decoder) checkRequest(s *Step, far *Node) {
	if far.Kind != Broker {
		d.report(s, "wrong-kind", "request to %q, accepted: a channel of a broker", s.Target)
		return
	}
	if back := ChannelNode(s.ReplyTo); s.ReplyTo != "" && back != far.Name {
		d.report(s, "wrong-hop", "request on %s is answered on %s, accepted: the same broker",
			far.Name, back)
	}
}

// checkBorn refuses a flow whose messages nothing begins.
func (d *decoder) checkBorn(f *Flow) {
	if len(d.broken) > 0 || f.DerivedFrom == "" {
		return
	}
	for _, n := range d.t.Nodes {
		for _, h := range n.Handlers {
			for s := range h.Steps() {
				if s.Derive == f.Name {
					return
				}
			}
		}
	}
	d.report(f, "never-born", "no step gives birth to flow %q, add \"derive: %s\" to a step of %s",
		f.Name, f.Name, f.Source())
}
