package topology

import (
	"maps"
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/topology/policy"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// OverlayOptions say what an overlay is for.
type OverlayOptions struct {
	// AsBuilt lets words in that no promise can hold ("dead_letter: dropped"), and shuts out
	// channels:, flows: and policies:, which are promises.
	AsBuilt bool
}

// Overlay is a copy of t with a mapping of overrides laid over it; t stays as it is. A key is a
// node and, behind dots, what of it ("worker1.handlers.records: {ack: before_work}"); mappings may
// be nested instead. Under nodes:, channels:, flows: and policies: stand what a file has there.
// Steps are changed by name or number ("do: {call data_api: {retry: none}}"), a list of steps takes
// the place of all. Mistakes go to v's diagnostics; the result is whole only when there are none.
func (t *Topology) Overlay(v yamlpos.Value, opt OverlayOptions) *Topology {
	c := t.clone()
	if !v.Present() || v.Null() {
		return c
	}
	d := newDecoder(c, v)
	d.overlay, d.asBuilt = true, opt.AsBuilt
	before := flowPaths(c)
	var bodies []yamlpos.Entry
	for _, e := range v.Entries() {
		d.overlayEntry(e, &bodies)
	}
	if !maps.EqualFunc(before, flowPaths(c), equalPaths) {
		d.forgetInferred(before)
		d.checkPaths()
		d.infer()
	}
	for _, e := range bodies {
		d.overlayNode(e)
	}
	d.finish()
	return c
}

func flowPaths(t *Topology) map[string][][]Hop {
	paths := map[string][][]Hop{}
	for _, f := range t.Flows {
		paths[f.Name] = f.Paths
	}
	return paths
}

func equalPaths(a, b [][]Hop) bool {
	return slices.EqualFunc(a, b, func(x, y []Hop) bool { return slices.Equal(x, y) })
}

// overlayEntry reads one of the sections at once and puts nodes aside until all are read.
func (d *decoder) overlayEntry(e yamlpos.Entry, nodes *[]yamlpos.Entry) {
	sections := map[string]func(yamlpos.Value){
		"channels": d.channels, "flows": d.flows, "policies": d.policies,
	}
	segments := SplitName(e.Key.Text())
	section, value := segments[0], e.Value
	if len(segments) > 1 {
		value = value.Under(e.Key, strings.Join(segments[1:], "."))
	}
	if _, err := d.t.Resolve(section); err == nil {
		*nodes = append(*nodes, e)
		return
	}
	switch read := sections[section]; {
	case section == "nodes":
		*nodes = append(*nodes, value.Entries()...)
	case read == nil:
		*nodes = append(*nodes, e)
	case d.asBuilt:
		e.Key.Errorf("promise-only", "%q is promised, not built; put it under change:", section)
	default:
		read(value)
	}
}

// overlayNode lays one entry over the node that the longest possible beginning of its key names.
func (d *decoder) overlayNode(e yamlpos.Entry) {
	segments := SplitName(e.Key.Text())
	for end := len(segments); end > 0; end-- {
		full, err := d.t.Resolve(JoinName(segments[:end]...))
		if err != nil {
			continue
		}
		n, value := d.t.Node(full), e.Value.Under(e.Key, segments[end:]...)
		d.at[n] = e.Key
		d.node(n, value)
		return
	}
	if inside := d.t.below(e.Key.Text()); len(inside) > 0 && refines(e.Value) {
		for _, child := range e.Value.Entries() {
			name := JoinName(slices.Concat(segments, SplitName(child.Key.Text()))...)
			d.overlayNode(yamlpos.Entry{Key: child.Key.Renamed(name), Value: child.Value})
		}
		return
	}
	d.unknownNode(e.Key, segments)
}

// unknownNode reports the beginning of a dotted key that comes nearest to being a node's name.
func (d *decoder) unknownNode(key yamlpos.Value, segments []string) {
	for end := len(segments); end > 0; end-- {
		_, err := d.t.Resolve(JoinName(segments[:end]...))
		if name, ok := err.(*NameError); ok && (end == 1 || len(name.Candidates) > 0) {
			d.nameError(key, err)
			return
		}
		if !slices.Contains(nodeFields, segments[end-1]) {
			continue
		}
		_, err = d.t.Resolve(JoinName(segments[:end-1]...))
		d.nameError(key, err)
		return
	}
}

// forgetInferred takes away default handlers and sends, for other paths give others.
func (d *decoder) forgetInferred(before map[string][][]Hop) {
	for _, n := range d.t.Nodes {
		if n.Inferred {
			n.Handlers, n.Inferred = nil, false
		}
		n.Sends = slices.DeleteFunc(n.Sends, func(s *Send) bool {
			old := before[s.Flow]
			if len(old) == 0 || equalPaths(old, d.t.Flow(s.Flow).Paths) {
				return false
			}
			if s.FarNode() == old[0][1].Node {
				s.To = ""
			}
			return d.t.Flow(s.Flow).Source() != n.Name
		})
	}
}

// clone is a copy of a topology that shares nothing that is ever changed.
func (t *Topology) clone() *Topology {
	c := *t
	c.Links = slices.Clone(t.Links)
	c.Nodes = cloneAll(t.Nodes, cloneNode)
	c.Channels = cloneAll(t.Channels, func(ch Channel) *Channel {
		ch.DeadLetter = clonePtr(ch.DeadLetter)
		return &ch
	})
	c.Flows = cloneAll(t.Flows, func(f Flow) *Flow {
		f.Sinks = slices.Clone(f.Sinks)
		f.Paths = slices.Clone(f.Paths)
		return &f
	})
	c.Policies = maps.Clone(t.Policies)
	for name, set := range c.Policies {
		c.Policies[name] = clonePolicies(set)
	}
	return &c
}

func cloneAll[T any](all []*T, clone func(T) *T) []*T {
	if all == nil {
		return nil
	}
	copies := make([]*T, len(all))
	for i, one := range all {
		copies[i] = clone(*one)
	}
	return copies
}

func cloneNode(n Node) *Node {
	n.Quota, n.Own = clonePtr[policy.RateLimit](n.Quota), cloneOwn(n.Own)
	n.Correlate = clonePtr(n.Correlate)
	n.Handlers = cloneAll(n.Handlers, func(h Handler) *Handler {
		h.Batch, h.Policy, h.Do = clonePtr(h.Batch), clonePolicies(h.Policy), cloneSteps(h.Do)
		return &h
	})
	n.Sends = cloneAll(n.Sends, func(s Send) *Send {
		s.Body, s.Policy = maps.Clone(s.Body), clonePolicies(s.Policy)
		return &s
	})
	return &n
}

func cloneSteps(steps []*Step) []*Step {
	return cloneAll(steps, func(s Step) *Step {
		s.Flows, s.Policy, s.Do = slices.Clone(s.Flows), clonePolicies(s.Policy), cloneSteps(s.Do)
		return &s
	})
}
