package topology

import (
	"slices"

	"github.com/faultline-sim/faultline/topology/policy"
)

// checkRetryChannel refuses a retry channel where nothing could wait in it, where attempts are counted
// elsewhere, and where others would take what waits.
func (d *decoder) checkRetryChannel(n *Node, h *Handler) {
	ref, dead := h.RetryChannel(), h.Policy.DeadLetter
	switch {
	case ref == "":
	case h.Source() == "" || n.Kind == Fleet:
		d.report(h, "wrong-kind", "handler %q has a retry channel, accepted where a service "+
			"subscribes", h.Name)
	case h.Batch != nil:
		d.report(h, "conflict", "handler %q takes batches and has a retry channel, which is for single "+
			"messages; subscribe instead", h.Name)
	case ref == h.Source():
		d.report(h, "cycle", "handler %q retries over the channel it reads, %q; name another", h.Name, ref)
	case ChannelNode(ref) != ChannelNode(h.Source()):
		d.report(h, "wrong-hop", "retry channel %q is on another broker than %q, accepted: the same",
			ref, h.Source())
	case dead != nil && dead.Native:
		d.report(h, "conflict", "handler %q has a retry channel and native dead-lettering: attempts "+
			"would be counted by two; take one away", h.Name)
	case dead != nil && dead.Channel == ref:
		d.report(h, "conflict", "handler %q retries over its dead-letter channel %q; name another",
			h.Name, ref)
	case d.takenByOthers(ref, h):
		d.report(h, "conflict", "handler %q retries over %q, which another handler takes from; name a "+
			"channel of its own", h.Name, ref)
	}
}

// takenByOthers says that a handler is not the only one to take from a channel.
func (d *decoder) takenByOthers(ref string, own *Handler) bool {
	for _, n := range d.t.Nodes {
		for _, h := range n.Handlers {
			if h != own && slices.Contains(h.Sources(), ref) {
				return true
			}
		}
	}
	return false
}

// checkOwnTries refuses a retry channel for what is no handler.
func (d *decoder) checkOwnTries(thing any, kind, name string, r *policy.Retry) {
	if r != nil && r.Channel != "" {
		d.report(thing, "wrong-kind", "%s %q has a retry channel, accepted on a handler", kind, name)
	}
}
