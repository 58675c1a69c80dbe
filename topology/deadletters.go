package topology

import (
	"maps"
	"slices"
)

// DeadLetterChannels are the full references of all channels that a handler dead-letters to,
// sorted.
func (t *Topology) DeadLetterChannels() []string {
	found := map[string]bool{}
	for _, n := range t.Nodes {
		for _, h := range n.Handlers {
			if dl := h.Policy.DeadLetter; dl != nil && dl.Channel != "" {
				found[dl.Channel] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// Origin is the full reference of the channel that a message in a dead-letter channel came from.
// Who dead-lettered it may have told, by any name of the broker; else it is the only channel whose
// takers dead-letter there. It is "" where neither says.
func (t *Topology) Origin(dead, told string) string {
	if node, name := cutRef(told); name != "" {
		full, err := t.Resolve(node)
		if err == nil && t.Node(full).Kind == Broker {
			return full + "/" + name
		}
	}
	sources := map[string]bool{}
	for _, n := range t.Nodes {
		for _, h := range n.Handlers {
			if dl := h.Policy.DeadLetter; dl != nil && dl.Channel == dead && h.Source() != "" {
				sources[h.Source()] = true
			}
		}
	}
	if len(sources) != 1 {
		return ""
	}
	return slices.Collect(maps.Keys(sources))[0]
}
