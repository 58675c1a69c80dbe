package simulators

import (
	"maps"
	"math"
	"slices"
	"sync"
)

// Tally counts how often each message of each flow was seen, in one byte a message; it stops
// counting at 255. The zero value is ready and safe for concurrent use.
type Tally struct {
	mu    sync.Mutex
	flows map[string]map[int64]*page
}

const pageSize = 4096

type page [pageSize]uint8

// Add counts a message once more and says how often it was seen by now.
func (t *Tally) Add(flow string, number int64) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	pages, ok := t.flows[flow]
	if !ok {
		if t.flows == nil {
			t.flows = map[string]map[int64]*page{}
		}
		pages = map[int64]*page{}
		t.flows[flow] = pages
	}
	p, ok := pages[number/pageSize]
	if !ok {
		p = new(page)
		pages[number/pageSize] = p
	}
	n := &p[number%pageSize]
	if *n < math.MaxUint8 {
		*n++
	}
	return int(*n)
}

// Each reports every message of a flow that was seen, with how often, in order of their numbers.
func (t *Tally) Each(flow string, found func(number int64, copies int)) {
	pages := t.snapshot(flow)
	for _, base := range slices.Sorted(maps.Keys(pages)) {
		for i, n := range pages[base] {
			if n > 0 {
				found(base*pageSize+int64(i), int(n))
			}
		}
	}
}

func (t *Tally) snapshot(flow string) map[int64]page {
	t.mu.Lock()
	defer t.mu.Unlock()
	pages := make(map[int64]page, len(t.flows[flow]))
	for base, p := range t.flows[flow] {
		pages[base] = *p
	}
	return pages
}
