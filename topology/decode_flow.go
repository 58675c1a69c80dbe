package topology

import (
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/topology/policy"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// channels reads what is declared about channels.
func (d *decoder) channels(v yamlpos.Value) {
	for _, e := range v.Entries() {
		name, value := d.nameKey(e, func(s string) bool { return d.knownChannel(s) != nil })
		c := d.knownChannel(name)
		if c == nil {
			ref := d.channelRef(e.Key, name)
			if ref == "" {
				continue
			}
			c = &Channel{Ref: ref}
			if d.t.Channel(ref) != nil {
				e.Key.Errorf("duplicate-channel", "channel %q is already declared", ref)
			}
			d.t.Channels = append(d.t.Channels, c)
		} else if !d.overlay {
			e.Key.Errorf("duplicate-channel", "channel %q is already declared", c.Ref)
		}
		d.at[c] = e.Key
		if !d.overlay {
			c.At = e.Key.Position()
		}
		d.channel(c, value)
	}
}

func (d *decoder) knownChannel(text string) *Channel {
	node, name := cutRef(text)
	full, err := d.t.Resolve(node)
	if err != nil || name == "" {
		return nil
	}
	return d.t.Channel(full + "/" + name)
}

func (d *decoder) channel(c *Channel, v yamlpos.Value) {
	before := c.DeadLetter
	d.fields(v, map[string]func(yamlpos.Value){
		"parallel":    func(v yamlpos.Value) { c.Parallel = v.Int(1, maxParallel) },
		"key":         func(v yamlpos.Value) { c.Key = d.field(v) },
		"ttl":         func(v yamlpos.Value) { c.TTL = d.span(v) },
		"priority":    func(v yamlpos.Value) { c.Priority = d.field(v) },
		"durable":     func(v yamlpos.Value) { c.Transient = !v.Bool() },
		"dead_letter": func(v yamlpos.Value) { laid(&c.DeadLetter, v, d.deadLetter) },
	})
	d.inherit(c, before)
}

// inherit hands a channel's changed dead-lettering to the handlers that had it from the channel.
func (d *decoder) inherit(c *Channel, before *policy.DeadLetter) {
	if !d.overlay {
		return
	}
	for _, n := range d.t.Nodes {
		for _, h := range n.Handlers {
			own := h.Policy.DeadLetter
			if h.Source() == c.Ref && equalPtr(own, before) {
				h.Policy.DeadLetter = clonePtr(c.DeadLetter)
			}
		}
	}
}

func equalPtr[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// field is the name of a body's field.
func (d *decoder) field(v yamlpos.Value) string {
	if v.IsScalar() && !v.Null() && !v.IsText() {
		v.Errorf("wrong-type", "expected the name of a body field, found %q", v.Text())
		return ""
	}
	return v.String()
}

// flows reads the flows: all names first, since one may derive from another.
func (d *decoder) flows(v yamlpos.Value) {
	type entry struct {
		flow  *Flow
		value yamlpos.Value
	}
	var entries []entry
	for _, e := range v.Entries() {
		name, value := d.nameKey(e, func(s string) bool { return d.t.Flow(s) != nil })
		if strings.TrimSpace(name) == "" {
			e.Key.Errorf("wrong-type", "a flow's name is a text, this is empty")
			continue
		}
		f := d.t.Flow(name)
		if f == nil {
			f = &Flow{Name: name, Guarantee: DefaultGuarantee}
			d.t.Flows = append(d.t.Flows, f)
		}
		d.at[f] = e.Key
		if !d.overlay {
			f.At = e.Key.Position()
		}
		entries = append(entries, entry{f, value})
	}
	for _, e := range entries {
		d.flow(e.flow, e.value)
	}
}

func (d *decoder) flow(f *Flow, v yamlpos.Value) {
	if path := v.Get("path"); path.Present() {
		d.paths(f, path)
	}
	d.fields(v, map[string]func(yamlpos.Value){
		"path": func(yamlpos.Value) {}, // read before: sinks and accepted_at are on it
		"key":  func(v yamlpos.Value) { f.Key = d.field(v) },
		"guarantee": func(v yamlpos.Value) {
			f.Guarantee = Guarantee(v.OneOf(string(AtLeastOnce), string(ExactlyOnce), string(AtMostOnce)))
		},
		"accepted_at":  func(v yamlpos.Value) { f.AcceptedAt = d.onPath(f, v, v.String()) },
		"derived_from": func(v yamlpos.Value) { f.DerivedFrom = d.flowRef(v) },
		"when":         func(v yamlpos.Value) { f.When = d.expression(v, CompileCondition) },
		"reply_within": func(v yamlpos.Value) { f.ReplyWithin = v.Positive() },
		"sinks":        func(v yamlpos.Value) { d.sinks(f, v) },
	})
}

// paths reads one path, or a list of them.
func (d *decoder) paths(f *Flow, v yamlpos.Value) {
	f.Paths, d.lines[f] = nil, nil
	lines := []yamlpos.Value{v}
	if !v.IsScalar() {
		lines = v.Items()
	}
	for _, line := range lines {
		path, ok := d.path(line)
		if !ok {
			d.broken[f] = true
		}
		if len(path) > 0 {
			f.Paths, d.lines[f] = append(f.Paths, path), append(d.lines[f], line)
		}
	}
}

// path reads "a -> broker/channel -> b"; a part that is wrong is reported and left out, and the
// path is not ok.
func (d *decoder) path(v yamlpos.Value) (path []Hop, ok bool) {
	text := v.String()
	if text == "" {
		return nil, false
	}
	elements := splitOutside(text, "->")
	if len(elements) < 2 {
		v.Errorf("wrong-form", "path %q has one element, write it as \"a -> b\"", text)
		return nil, false
	}
	ok = true
	offset := 0
	for _, element := range elements {
		bare := strings.TrimSpace(element)
		hop := d.hop(v.Inside(offset+strings.Index(element, bare)), bare)
		if hop.Node == "" {
			ok = false
		} else {
			path = append(path, hop)
		}
		offset += len(element) + len("->")
	}
	return path, ok
}

func (d *decoder) hop(v yamlpos.Value, text string) Hop {
	if text == "" {
		v.Errorf("wrong-form", "path has an empty element, write it as \"a -> b\"")
		return Hop{}
	}
	if indexOutside(text, "/") >= 0 {
		ref := d.channelRef(v, text)
		return Hop{Node: ChannelNode(ref), Channel: ref}
	}
	full := d.nodeRef(v, text)
	if n := d.t.Node(full); n != nil && n.Kind == Broker {
		v.Errorf("wrong-form", "path passes broker %q without a channel, write it as %s/channel",
			text, text)
		return Hop{}
	}
	return Hop{Node: full}
}

// onPath is a node that must be on the flow's path.
func (d *decoder) onPath(f *Flow, v yamlpos.Value, text string) string {
	full := d.nodeRef(v, text)
	if full == "" || f.passes(full) {
		return full
	}
	if len(f.Paths) > 0 && !d.broken[f] {
		v.Errorf("not-on-path", "%q is not on the path of flow %q", text, f.Name)
	}
	return ""
}

// passes says that a node is on the flow's path.
func (f *Flow) passes(node string) bool {
	for _, path := range f.Paths {
		if slices.ContainsFunc(path, func(h Hop) bool { return h.Node == node }) {
			return true
		}
	}
	return false
}

// sinks reads a list of nodes, or nodes with their SLO.
func (d *decoder) sinks(f *Flow, v yamlpos.Value) {
	if !v.IsMap() {
		f.Sinks = nil
		for _, item := range v.Items() {
			if node := d.onPath(f, item, item.String()); node != "" {
				f.Sinks = append(f.Sinks, Sink{Node: node})
			}
		}
		return
	}
	for _, e := range v.Entries() {
		if node := d.onPath(f, e.Key, e.Key.Text()); node != "" {
			d.sink(f.sink(node), e.Value)
		}
	}
}

// sink is the flow's sink at a node, made when it is not there.
func (f *Flow) sink(node string) *Sink {
	for i := range f.Sinks {
		if f.Sinks[i].Node == node {
			return &f.Sinks[i]
		}
	}
	f.Sinks = append(f.Sinks, Sink{Node: node})
	return &f.Sinks[len(f.Sinks)-1]
}

func (d *decoder) sink(s *Sink, v yamlpos.Value) {
	d.fields(v, map[string]func(yamlpos.Value){
		"success": func(v yamlpos.Value) { s.Success = v.Share() },
		"p50":     func(v yamlpos.Value) { s.P50 = v.Positive() },
		"p99":     func(v yamlpos.Value) { s.P99 = v.Positive() },
	})
}
