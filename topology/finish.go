package topology

import (
	"slices"

	"github.com/faultline-sim/faultline/topology/claims"
	"github.com/faultline-sim/faultline/topology/policy"
)

// finish completes a topology whose declarations are read: default handlers, defaults, channels
// that are used but not listed; then it checks the whole.
func (d *decoder) finish() {
	d.checkPaths()
	d.infer()
	for _, n := range d.t.Nodes {
		fillNode(n)
	}
	d.fillFlows()
	d.deadLetters()
	for _, n := range d.t.Nodes {
		d.finishOwn(n)
	}
	d.addChannels()
	d.check()
}

// fillFlows gives a flow without sinks the ends of its path lines, unless it is answered.
func (d *decoder) fillFlows() {
	for _, f := range d.t.Flows {
		if len(f.Sinks) > 0 || f.ReplyWithin > 0 {
			continue
		}
		for _, path := range f.Paths {
			if len(path) > 0 {
				f.sink(path[len(path)-1].Node)
			}
		}
	}
}

// deadLetters hands a channel's dead-lettering to handlers without any of their own, and names the
// channels where none is named.
func (d *decoder) deadLetters() {
	for _, c := range d.t.Channels {
		nameDeadLetter(c.DeadLetter, c.Ref)
	}
	for _, n := range d.t.Nodes {
		for _, h := range n.Handlers {
			c := d.t.Channel(h.Source())
			old := d.overlay && !slices.Contains(d.fresh, h)
			if h.Policy.DeadLetter == nil && c != nil && !d.said[h] && !old {
				h.Policy.DeadLetter = clonePtr(c.DeadLetter)
			}
			nameDeadLetter(h.Policy.DeadLetter, h.Source())
			for s := range h.Steps() {
				nameDeadLetter(s.Policy.DeadLetter, h.Source())
			}
		}
	}
}

func nameDeadLetter(p *policy.DeadLetter, source string) {
	if p != nil && p.Channel == "" && source != "" {
		p.Channel = DeadLetterChannel(source)
	}
}

// addChannels lists every channel that something uses, then sets what is not declared.
func (d *decoder) addChannels() {
	for _, f := range d.t.Flows {
		for _, path := range f.Paths {
			for _, hop := range path {
				d.useChannel(hop.Channel)
			}
		}
	}
	for _, n := range d.t.Nodes {
		for _, s := range n.Sends {
			d.useChannel(s.Channel())
		}
		for _, h := range n.Handlers {
			for _, ref := range h.Sources() {
				d.useChannel(ref)
			}
			d.useDeadLetter(h.Policy.DeadLetter)
			for s := range h.Steps() {
				if s.Kind == Publish || s.Kind == Request {
					d.useChannel(s.Target)
				}
				d.useChannel(s.ReplyTo)
				d.useDeadLetter(s.Policy.DeadLetter)
			}
		}
	}
	for _, c := range slices.Clone(d.t.Channels) {
		d.useDeadLetter(c.DeadLetter)
	}
	d.fillChannels()
	d.groups()
}

func (d *decoder) useDeadLetter(p *policy.DeadLetter) {
	if p != nil && !p.Dropped {
		d.useChannel(p.Channel)
	}
}

func (d *decoder) useChannel(ref string) {
	if ref != "" && d.t.Channel(ref) == nil {
		d.t.Channels = append(d.t.Channels, &Channel{Ref: ref})
	}
}

func (d *decoder) fillChannels() {
	for _, c := range d.t.Channels {
		if c.Parallel > 0 {
			continue
		}
		c.Parallel = DefaultParallel
		if b, ok := d.t.claims(c.Node()); ok {
			c.Parallel = b.DefaultParts
		}
	}
}

// claims are what the protocol of a broker can promise; false for what is no broker, and for one
// whose protocol is not known here.
func (t *Topology) claims(node string) (claims.Broker, bool) {
	n := t.Node(node)
	if n == nil || n.Kind != Broker {
		return claims.Broker{}, false
	}
	return claims.Of(n.Protocol)
}

// groups tells each channel of a broker who takes from it.
func (d *decoder) groups() {
	for _, c := range d.t.Channels {
		c.Groups, c.Filters = nil, nil
	}
	for _, n := range d.t.Nodes {
		for _, h := range n.Handlers {
			for _, ref := range h.Sources() {
				if c := d.t.Channel(ref); c != nil && n.Kind != Fleet {
					c.takenBy(h.ConsumerGroup(n))
				}
			}
			if c := d.t.Channel(h.Source()); c != nil && n.Kind != Fleet && len(h.Flows) > 0 {
				if c.Filters == nil {
					c.Filters = map[string][]string{}
				}
				c.Filters[h.ConsumerGroup(n)] = h.Flows
			}
		}
	}
}

// takenBy notes a group that takes from the channel.
func (c *Channel) takenBy(group string) {
	if !slices.Contains(c.Groups, group) {
		c.Groups = append(c.Groups, group)
	}
}
