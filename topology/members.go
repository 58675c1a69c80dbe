package topology

import "hash/fnv"

// MemberFor is the id of the member of a fleet that a text belongs to: the same text gives the same
// member in every run. A name that stands for no fleet gives "". It is MessageEnv's Member.
func (t *Topology) MemberFor(fleet, text string) string {
	full, err := t.Resolve(fleet)
	if err != nil {
		return ""
	}
	n := t.Node(full)
	if n.Kind != Fleet || n.Count < 1 {
		return ""
	}
	h := fnv.New64a()
	h.Write([]byte(text))
	return MemberID(full, int(h.Sum64()%uint64(n.Count)))
}
