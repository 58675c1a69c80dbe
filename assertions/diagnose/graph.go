package diagnose

import (
	"strings"

	"github.com/faultline-sim/faultline/topology"
)

// graph is which operations wait for which: a call for the handler that answers it, a handler's run
// for its steps, a receiver for the runs that free it.
type graph struct{ topology *topology.Topology }

// declared is the declared reference that a concrete one belongs to, or itself.
func (g *graph) declared(ref string) string {
	parts := strings.Split(ref, "/")
	for _, c := range g.topology.Channels {
		if c.Ref == ref || fits(strings.Split(c.Ref, "/"), parts) {
			return c.Ref
		}
	}
	return ref
}

func fits(declared, parts []string) bool {
	if len(declared) != len(parts) {
		return false
	}
	for i, d := range declared {
		if d != parts[i] && !strings.HasPrefix(d, ":") {
			return false
		}
	}
	return true
}

// place is a handler of a node, in which operations wait together.
type place struct{ node, handler string }

// waitsFor are the handlers that an operation waits for directly.
func (g *graph) waitsFor(op operation) []place {
	switch op.kind {
	case "run", "receive", "ack":
		return nil // its own steps: the same handler
	case "send":
		return g.sendWaits(op)
	case "step":
		return g.stepWaits(op)
	}
	return nil
}

// sendWaits are the handlers that a source's send waits for: those of the service it calls.
func (g *graph) sendWaits(op operation) []place {
	n := g.topology.Node(op.node)
	if n == nil {
		return nil
	}
	var all []place
	for _, s := range n.Sends {
		to, method, path := s.HTTP()
		far := g.topology.Node(to)
		if s.Flow != op.handler || far == nil {
			continue
		}
		for _, h := range far.Handlers {
			if h.Answers(method, path) {
				all = append(all, place{to, h.Name})
			}
		}
	}
	return all
}

// stepWaits are the handlers that answer a step: a call's, or those that consume what a request
// publishes.
func (g *graph) stepWaits(op operation) []place {
	n := g.topology.Node(op.node)
	if n == nil || n.Handler(op.handler) == nil {
		return nil
	}
	var all []place
	for s := range n.Handler(op.handler).Steps() {
		if s.Name != op.step {
			continue
		}
		switch s.Kind {
		case topology.Call:
			if far := g.topology.Node(s.Target); far != nil {
				for _, h := range far.Handlers {
					if h.Answers(s.Method, s.Path) {
						all = append(all, place{far.Name, h.Name})
					}
				}
			}
		case topology.Request:
			for _, c := range g.topology.Consumers(s.Target) {
				for _, h := range c.Handlers {
					if h.Source() == s.Target {
						all = append(all, place{c.Name, h.Name})
					}
				}
			}
		}
	}
	return all
}

// deeper are all handlers that an operation waits for, at any depth; the own handler is among them
// for a run and a receiver, whose steps it waits for.
func (g *graph) deeper(op operation) map[place]bool {
	seen := map[place]bool{}
	var queue []place
	if op.kind == "run" || op.kind == "receive" {
		queue = append(queue, place{op.node, op.handler})
	}
	queue = append(queue, g.waitsFor(op)...)
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if seen[at] {
			continue
		}
		seen[at] = true
		queue = append(queue, g.callees(at)...)
	}
	return seen
}

// callees are the handlers that a handler's steps wait for.
func (g *graph) callees(at place) []place {
	n := g.topology.Node(at.node)
	if n == nil || n.Handler(at.handler) == nil {
		return nil
	}
	var all []place
	for s := range n.Handler(at.handler).Steps() {
		all = append(all, g.stepWaits(operation{kind: "step", node: at.node, handler: at.handler,
			step: s.Name})...)
	}
	return all
}
