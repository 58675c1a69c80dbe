package topology

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// decoder turns YAML into a topology, or lays it over one. Whatever is already there stays unless
// the YAML says otherwise, so a file and an overlay are read by the same code.
type decoder struct {
	t       *Topology
	root    yamlpos.Value
	at      map[any]yamlpos.Value     // where a *Node, *Handler, *Step … stands
	lines   map[*Flow][]yamlpos.Value // what each line of a path stands in
	broken  map[*Flow]bool            // flows with a mistake in their path
	bodies  map[any]yamlpos.Value     // what is said about a *Node
	said    map[*Handler]bool         // handlers that say something about dead-lettering
	fresh   []*Handler                // handlers that were not there before
	overlay bool
	asBuilt bool
	draw    func(string) (Drawing, diag.List, error)
	drawn   diag.List
	boxes   []string
	err     error
}

func newDecoder(t *Topology, root yamlpos.Value) *decoder {
	return &decoder{
		t: t, root: root, at: map[any]yamlpos.Value{}, bodies: map[any]yamlpos.Value{},
		lines: map[*Flow][]yamlpos.Value{}, broken: map[*Flow]bool{},
		said: map[*Handler]bool{},
	}
}

// pathError is a mistake in one line of a flow's path.
func (d *decoder) pathError(f *Flow, line int, kind, format string, args ...any) {
	d.broken[f] = true
	if at := d.lines[f]; line < len(at) {
		at[line].Errorf(kind, format, args...)
		return
	}
	d.report(f, kind, format, args...)
}

// report is a mistake found after reading: where the thing stands, or the whole file.
func (d *decoder) report(thing any, kind, format string, args ...any) {
	v, ok := d.at[thing]
	if !ok {
		v = d.root
	}
	v.Errorf(kind, format, args...)
}

// fields reads a mapping strictly. In an overlay a key may be a dotted path: "retry.attempts: 3".
func (d *decoder) fields(v yamlpos.Value, fields map[string]func(yamlpos.Value)) {
	if !d.overlay {
		v.Fields(fields)
		return
	}
	for _, e := range v.Entries() {
		key := e.Key.Text()
		segments := SplitName(key)
		switch {
		case fields[key] != nil:
			fields[key](e.Value)
		case len(segments) > 1 && fields[segments[0]] != nil:
			fields[segments[0]](e.Value.Under(e.Key, segments[1:]...))
		default:
			e.Value.Under(e.Key, key).Fields(fields)
		}
	}
}

// body is a node's name taken from the file and the value that tells about it.
type body struct {
	node  *Node
	value yamlpos.Value
}

// collect makes the nodes under a mapping of names, refined boxes included.
func (d *decoder) collect(prefix []string, v yamlpos.Value) []body {
	var bodies []body
	for _, e := range v.Entries() {
		if strings.TrimSpace(e.Key.Text()) == "" {
			e.Key.Errorf("wrong-type", "a node's name is a text, this is empty")
			continue
		}
		segments := slices.Concat(prefix, SplitName(e.Key.Text()))
		if refines(e.Value) {
			bodies = append(bodies, d.collect(segments, e.Value)...)
			continue
		}
		name := JoinName(segments...)
		if d.t.Node(name) != nil {
			e.Key.Errorf("duplicate-node", "node %q is already declared", name)
			continue
		}
		n := newNode(name, d.kind(e))
		d.t.Nodes = append(d.t.Nodes, n)
		d.at[n], n.At = e.Key, e.Key.Position()
		bodies = append(bodies, body{node: n, value: e.Value})
	}
	return bodies
}

// refines says that a mapping is a box's children rather than a node: it has no field of a node
// and nothing in it but mappings.
func refines(v yamlpos.Value) bool {
	if !v.IsMap() || v.Get("kind").Present() || len(v.Entries()) == 0 {
		return false
	}
	for _, e := range v.Entries() {
		if slices.Contains(nodeFields, e.Key.Text()) || !e.Value.IsMap() {
			return false
		}
	}
	return true
}

func (d *decoder) kind(e yamlpos.Entry) Kind {
	v := e.Value.Get("kind")
	if !v.Present() {
		e.Key.Errorf("missing-key", "node %q has no kind, accepted: %s",
			e.Key.Text(), strings.Join(kinds, ", "))
		return ""
	}
	return Kind(v.OneOf(kinds...))
}

var kinds = []string{string(Broker), string(Cloud), string(Fleet), string(Service), string(Store)}

// nodeRef is the full name of the node that text at v stands for, "" when there is none or its
// kind is not one of kinds (none given accepts all).
func (d *decoder) nodeRef(v yamlpos.Value, text string, kinds ...Kind) string {
	if text == "" {
		return ""
	}
	full, err := d.t.Resolve(text)
	if err != nil {
		d.nameError(v, err)
		return ""
	}
	n := d.t.Node(full)
	if len(kinds) > 0 && n.Kind != "" && !slices.Contains(kinds, n.Kind) {
		v.Errorf("wrong-kind", "%q is a %s, accepted: a %s", text, n.Kind, orList(kinds))
		return ""
	}
	return full
}

// nameError reports a name that could not be resolved, under the kind that fits it.
func (d *decoder) nameError(v yamlpos.Value, err error) {
	kind := "unknown-node"
	var name *NameError
	if errors.As(err, &name) && len(name.Candidates) > 0 {
		kind = "ambiguous-node"
	}
	v.Errorf(kind, "%v", err)
}

func orList(kinds []Kind) string {
	text := string(kinds[0])
	for i, k := range kinds[1:] {
		if i+2 == len(kinds) {
			text += " or " + string(k)
			continue
		}
		text += ", " + string(k)
	}
	return text
}

// channelRef is the full reference of the channel that text at v stands for, "" when it is none.
func (d *decoder) channelRef(v yamlpos.Value, text string) string {
	if text == "" {
		return ""
	}
	node, name := cutRef(text)
	if name == "" {
		v.Errorf("wrong-form", "%q is not a channel, write it as broker/channel", text)
		return ""
	}
	full := d.nodeRef(v, node, Broker, Service, Cloud)
	if full == "" || !d.channelName(v, name) {
		return ""
	}
	return full + "/" + name
}

// channelOrNone is the full reference of a channel; "none" is "".
func (d *decoder) channelOrNone(v yamlpos.Value) string {
	if isNone(v) {
		return ""
	}
	return d.channelRef(v, v.String())
}

// channelName refuses names that no broker could carry.
func (d *decoder) channelName(v yamlpos.Value, name string) bool {
	for _, segment := range strings.Split(name, "/") {
		switch {
		case segment == "":
			v.Errorf("wrong-form", "channel %q has an empty segment", name)
			return false
		case strings.HasPrefix(segment, ":") && segment != ":id":
			v.Errorf("wrong-form", "segment %q of channel %q is not known, accepted: \":id\"", segment, name)
			return false
		case strings.ContainsAny(segment, "#+ \t\r\n\x00"):
			v.Errorf("wrong-form", "channel %q has a blank, # or + in it", name)
			return false
		}
	}
	return true
}

// flowRef is the name of a declared flow.
func (d *decoder) flowRef(v yamlpos.Value) string {
	name := v.String()
	if name == "" || d.t.Flow(name) != nil {
		return name
	}
	names := make([]string, len(d.t.Flows))
	for i, f := range d.t.Flows {
		names[i] = f.Name
	}
	v.Errorf("unknown-flow", "flow %q is not in the topology, %s", name, diag.Expected(name, names))
	return ""
}

// with is a map of fields with more put in.
func with(fields, more map[string]func(yamlpos.Value)) map[string]func(yamlpos.Value) {
	all := maps.Clone(fields)
	maps.Copy(all, more)
	return all
}
