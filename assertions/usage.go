package assertions

import "slices"

// Usage is the most that a node used of the machine in a run, as the gauges "cpu_permille" and
// "memory_bytes" tell it.
type Usage struct {
	Node       string
	PeakCPU    int64 // thousandths of one core, over about a second
	PeakMemory int64 // bytes
}

// Usage is that of every node whose use was told, in the order in which they first were.
func (l *Ledger) Usage() []Usage {
	all := make([]Usage, len(l.used))
	for i, u := range l.used {
		all[i] = *u
	}
	return all
}

func (l *Ledger) usage(node string) *Usage {
	i := slices.IndexFunc(l.used, func(u *Usage) bool { return u.Node == node })
	if i < 0 {
		i = len(l.used)
		l.used = append(l.used, &Usage{Node: node})
	}
	return l.used[i]
}
