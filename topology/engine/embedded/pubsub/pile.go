package pubsub

import (
	"container/heap"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// pile gives the item that comes first, and lets go of any. An item lies in one pile at most.
type pile struct {
	items  []*item
	before func(a, b *item) bool
}

func (p *pile) Len() int           { return len(p.items) }
func (p *pile) Less(i, j int) bool { return p.before(p.items[i], p.items[j]) }

func (p *pile) Swap(i, j int) {
	p.items[i], p.items[j] = p.items[j], p.items[i]
	p.items[i].at, p.items[j].at = i, j
}

// Push is for package heap only.
func (p *pile) Push(x any) {
	it := x.(*item)
	it.at = len(p.items)
	p.items = append(p.items, it)
}

// Pop is for package heap only.
func (p *pile) Pop() any {
	last := len(p.items) - 1
	it := p.items[last]
	p.items[last] = nil
	p.items = p.items[:last]
	return it
}

// first is what comes first, nil when there is nothing.
func (p *pile) first() *item {
	if len(p.items) == 0 {
		return nil
	}
	return p.items[0]
}

func (p *pile) put(it *item) {
	it.in = p
	heap.Push(p, it)
}

// letGo takes an item out of the pile that it lies in, if any.
func (it *item) letGo() {
	if it.in != nil {
		heap.Remove(it.in, it.at)
		it.in = nil
	}
}

// moved puts an item, whose rank in its pile has changed, where it belongs.
func (it *item) moved() { heap.Fix(it.in, it.at) }

// size is about how many bytes a message is on a wire.
func size(m *pb.PubsubMessage) int {
	n := len(m.Data) + len(m.OrderingKey) + 64
	for name, value := range m.Attributes {
		n += len(name) + len(value) + 8
	}
	return n
}
