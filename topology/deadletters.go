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
