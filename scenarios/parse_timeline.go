package scenarios

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/features"
	"github.com/faultline-sim/faultline/topology/wire"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// rawAct is an act whose time may still lean on others.
type rawAct struct {
	act     Act
	at      moment
	value   yamlpos.Value
	settled bool
}

// nameValue is where the act gets its name.
func (a rawAct) nameValue() yamlpos.Value {
	if name := a.value.Get("name"); name.Present() {
		return name
	}
	return a.value
}

// maxActs bounds a timeline.
const maxActs = 200

func (p *parser) timeline(v yamlpos.Value) {
	items := v.Items()
	if len(items) > maxActs {
		v.Errorf("too-large", "a timeline has at most %d acts, this one has %d", maxActs,
			len(items))
		return
	}
	lines := map[string]int{}
	for i, item := range items {
		a, ok := p.act(item, i)
		if !ok {
			continue
		}
		if line, taken := lines[a.act.Name]; taken {
			a.nameValue().Errorf("duplicate-name", "an act is called %q already, at line %d",
				a.act.Name, line)
			continue
		}
		lines[a.act.Name] = item.Position().Line
		p.acts = append(p.acts, a)
	}
	p.settle()
	for _, a := range p.acts {
		p.s.Timeline = append(p.s.Timeline, a.act)
	}
	p.overlaps()
}

func (p *parser) act(v yamlpos.Value, i int) (rawAct, bool) {
	a := rawAct{value: v}
	if !v.IsMap() {
		v.Errorf("wrong-type",
			"an act of the timeline is a mapping with at and one of fault, scale, redrive")
		return a, false
	}
	word, ok := p.actWord(v)
	if !ok {
		return a, false
	}
	if at := v.Get("at"); at.Present() {
		a.at = p.moment(at)
	} else {
		v.Errorf("missing-key",
			"an act needs at: a time from the end of steady, such as 5s or outage.end + 1s")
	}
	switch word {
	case "fault":
		p.fault(v, &a.act)
	case "scale":
		p.scale(v, &a.act)
	case "redrive":
		p.redrive(v, &a.act)
	}
	if name := v.Get("name"); name.Present() {
		a.act.Name = oneLine(name)
	}
	if a.act.Name == "" {
		a.act.Name = fmt.Sprintf("%s-%d", a.act.word(), i+1)
	}
	return a, true
}

var actWords = []string{"fault", "scale", "redrive"}

// actWord is the one word that says what an act does.
func (p *parser) actWord(v yamlpos.Value) (string, bool) {
	var given []string
	for _, k := range actWords {
		if v.Get(k).Present() {
			given = append(given, k)
		}
	}
	switch len(given) {
	case 1:
		return given[0], true
	case 0:
		v.Errorf("missing-key", "an act has one of fault, scale, redrive, this one has none%s",
			misspelt(v))
	default:
		v.Errorf("conflict",
			"an act has only one of fault, scale, redrive, this one has %s; make an act of each",
			strings.Join(given, " and "))
	}
	return "", false
}

// misspelt is a hint at the key that was meant to say what an act does.
func misspelt(act yamlpos.Value) string {
	for _, e := range act.Entries() {
		if near := diag.Nearest(e.Key.Text(), actWords); near != "" {
			return fmt.Sprintf("; did you mean %q by %q", near, e.Key.Text())
		}
	}
	return ""
}

// word is what an act without a name of its own is called after.
func (a Act) word() string {
	switch {
	case a.Fault != nil:
		return a.Fault.Kind
	case a.Redrive != "":
		return "redrive"
	}
	return "scale"
}

func (p *parser) scale(v yamlpos.Value, a *Act) {
	v.Fields(map[string]func(yamlpos.Value){
		"name": ignore, "at": ignore,
		"scale": func(v yamlpos.Value) { a.Scale = p.scales(v) },
	})
}

func (p *parser) scales(v yamlpos.Value) (all []Scale) {
	entries := v.Entries()
	if len(entries) == 0 && (v.Null() || v.IsMap()) {
		v.Errorf("empty", "scale names no node, write it as {worker: 4}")
	}
	for _, e := range entries {
		node, ok := p.node(e.Key)
		n := e.Value.Int(0, 100)
		switch {
		case !ok:
		case targetOf(node) != OnSim:
			e.Key.Errorf("wrong-target", "%q is a %s, only clouds and services have replicas",
				e.Key.Text(), node.Kind)
		case slices.ContainsFunc(all, func(s Scale) bool { return s.Node == node.Name }):
			e.Key.Errorf("duplicate-key", "%q is scaled twice by one act", node.Name)
		default:
			all = append(all, Scale{Node: node.Name, Replicas: n})
		}
	}
	return all
}

func (p *parser) redrive(v yamlpos.Value, a *Act) {
	v.Fields(map[string]func(yamlpos.Value){
		"name": ignore, "at": ignore,
		"redrive": func(v yamlpos.Value) { a.Redrive = p.deadLetterChannel(v) },
	})
}

// deadLetterChannel is the full reference of a channel that some handler dead-letters to.
func (p *parser) deadLetterChannel(v yamlpos.Value) string {
	var known []string
	for _, ref := range p.s.Promise.DeadLetterChannels() {
		known = append(known, p.s.Promise.ShortRef(ref))
		if v.Text() == ref || v.Text() == p.s.Promise.ShortRef(ref) {
			return ref
		}
	}
	v.Errorf("unknown-channel", "%q is not a dead-letter channel, %s", v.Text(),
		diag.Expected(v.Text(), known))
	return ""
}

func ignore(yamlpos.Value) {}

// node is the one node a key or value names.
func (p *parser) node(v yamlpos.Value) (*topology.Node, bool) {
	full, err := p.s.AsBuilt.Resolve(v.Text())
	if err != nil {
		notMeant(v, err)
		return nil, false
	}
	return p.s.AsBuilt.Node(full), true
}

// notMeant reports a name or pattern that means no node.
func notMeant(v yamlpos.Value, err error) {
	var name *topology.NameError
	if errors.As(err, &name) {
		v.Errorf("unknown-node", "%s", err)
		return
	}
	v.Errorf("out-of-range", "%s", err)
}

func (p *parser) fault(v yamlpos.Value, a *Act) {
	word := v.Get("fault").OneOf(KindNames()...)
	kind, ok := KindOf(word)
	if !ok {
		return
	}
	f := &Fault{Kind: word, Replica: -1, Share: 1}
	a.Fault = f
	fields := map[string]func(yamlpos.Value){
		"name": ignore, "at": ignore, "fault": ignore,
		"for": func(v yamlpos.Value) { f.For = p.some(v) },
	}
	if kind.On(OnWire) {
		fields["wire"] = func(v yamlpos.Value) { p.wires(v, f) }
	} else if !kind.On(OnFlow) {
		fields["node"] = func(v yamlpos.Value) { p.faultNodes(v, kind, f) }
	}
	for name, read := range p.faultFields(f) {
		if kind.Takes(name) {
			fields[name] = read
		}
	}
	v.Fields(fields)
	for _, need := range kind.Needs {
		if !v.Get(need).Present() {
			v.Errorf("missing-key", "fault %q needs %s: %s", word, need, faultWords[need])
		}
	}
	p.faultTarget(v, kind)
	p.replicaExists(v.Get("replica"), f)
	if !kind.Instant && !v.Get("for").Present() {
		v.Errorf("missing-key", "fault %q needs for: how long until it heals, such as 10s", word)
	}
	if kind.Takes("direction") && f.Direction == "" {
		f.Direction = wire.Both
	}
}

// faultTarget checks that a fault says where it happens.
func (p *parser) faultTarget(v yamlpos.Value, kind Kind) {
	want := "node"
	switch {
	case kind.On(OnFlow):
		return
	case kind.On(OnWire):
		want = "wire"
	}
	if !v.Get(want).Present() {
		v.Errorf("missing-key", "fault %q needs %s: where it happens", kind.Name, want)
	}
}

// faultFields are the numbers a fault may be told, each read into its field.
func (p *parser) faultFields(f *Fault) map[string]func(yamlpos.Value) {
	return map[string]func(yamlpos.Value){
		"direction": func(v yamlpos.Value) {
			f.Direction = wire.Direction(v.OneOf(string(wire.Requests), string(wire.Replies),
				string(wire.Both)))
		},
		"replica": func(v yamlpos.Value) { f.Replica = v.Int(0, 10_000) },
		"latency": func(v yamlpos.Value) { f.Latency = p.some(v) },
		"bytes":   func(v yamlpos.Value) { f.Bytes = byteCount(v) },
		"share":   func(v yamlpos.Value) { f.Share = share(v) },
		"status":  func(v yamlpos.Value) { f.Status = v.Int(400, 599) },
		"flow":    func(v yamlpos.Value) { f.Flow = p.flow(v) },
		"login":   func(v yamlpos.Value) { f.Login = v.Bool() },
		"factor":  func(v yamlpos.Value) { f.Factor = v.Float(0.001, 10_000) },
		"rate": func(v yamlpos.Value) {
			if f.Kind == "bandwidth" {
				f.Rate = bytesPerSecond(v)
				return
			}
			f.Rate = v.Rate()
		},
	}
}

// wires reads "worker1 -> stream", "worker1[0] -> stream" or one with stars.
func (p *parser) wires(v yamlpos.Value, f *Fault) {
	from, to, ok := strings.Cut(v.Text(), "->")
	if !ok {
		v.Errorf("wrong-type",
			"%q is not a wire, write it as FROM -> TO in the direction of the dial", v.Text())
		return
	}
	froms, errFrom := p.s.AsBuilt.Select(from)
	tos, errTo := p.s.AsBuilt.Select(to)
	for _, err := range []error{errFrom, errTo} {
		if err != nil {
			notMeant(v, err)
		}
	}
	if errFrom != nil || errTo != nil {
		return
	}
	all := p.s.AsBuilt.Wires()
	for _, a := range froms {
		for _, b := range tos {
			w := topology.Wire{From: a.Node.Name, To: b.Node.Name}
			if slices.Contains(all, w) {
				f.Wires = append(f.Wires, w)
			}
			if a.Replica >= 0 {
				f.Replica = a.Replica
			}
			if b.Replica >= 0 {
				v.Errorf("wrong-target",
					"a wire has replicas of the node that dials, %q names one of %s",
					v.Text(), b.Node.Name)
				return
			}
		}
	}
	if len(f.Wires) == 0 {
		p.noWire(v, all)
	}
}

// replicaExists checks the replica that a field of its own names.
func (p *parser) replicaExists(v yamlpos.Value, f *Fault) {
	nodes := slices.Clone(f.Nodes)
	for _, w := range f.Wires {
		nodes = append(nodes, w.From)
	}
	for _, name := range nodes {
		if members := p.s.AsBuilt.Node(name).Members(); v.Present() && f.Replica >= members {
			v.Errorf("out-of-range", "replica %d is not there, %s has %d, counted from 0",
				f.Replica, name, members)
			return
		}
	}
}

// noWire reports a wire that is not there, with those that are.
func (p *parser) noWire(v yamlpos.Value, all []topology.Wire) {
	var names []string
	for _, w := range all {
		names = append(names, p.s.AsBuilt.Short(w.From)+" -> "+p.s.AsBuilt.Short(w.To))
	}
	from, to, _ := strings.Cut(v.Text(), "->")
	turned := strings.TrimSpace(to) + " -> " + strings.TrimSpace(from)
	if slices.Contains(names, turned) {
		v.Errorf("unknown-wire",
			"there is no wire %q, a wire is written in the direction of the dial; did you mean %q",
			v.Text(), turned)
		return
	}
	v.Errorf("unknown-wire", "there is no wire %q, %s", v.Text(), diag.Expected(v.Text(), names))
}

func (p *parser) faultNodes(v yamlpos.Value, kind Kind, f *Fault) {
	found, err := p.s.AsBuilt.Select(v.Text())
	if err != nil {
		notMeant(v, err)
		return
	}
	for _, s := range found {
		if !kind.On(targetOf(s.Node)) {
			v.Errorf("wrong-target", "%s cannot be done to %q, a %s; it can be done to: %s",
				kind.Name, s.Node.Name, s.Node.Kind, targetWords(kind))
			continue
		}
		if why := p.unable(s.Node, kind); why != "" {
			v.Errorf("cannot", "%s", why)
			continue
		}
		f.Nodes = append(f.Nodes, s.Node.Name)
		if s.Replica >= 0 {
			f.Replica = s.Replica
		}
	}
}

// unable is why a kind of fault cannot be done to a node's engine, "" when it can.
func (p *parser) unable(n *topology.Node, kind Kind) string {
	if kind.Asks == "" || targetOf(n) != OnEngine {
		return ""
	}
	set := features.Choose(n, p.s.Engines)
	can, _ := features.Of(set, n)
	if can.Able(kind.Asks) {
		return ""
	}
	why := fmt.Sprintf("%s cannot be done to %q: its engine, %s (%s), cannot %s",
		kind.Name, n.Name, can.Name, set, kind.Asks)
	if reason := can.Why[kind.Asks]; reason != "" {
		return why + "; " + reason
	}
	if real, ok := features.Of(features.Container, n); ok && set == features.Embedded &&
		real.Able(kind.Asks) {
		why += "; " + real.Name + " can: --engines containers, or engine: container on the node"
	}
	return why
}

var targetPlural = map[Target]string{
	OnSim: "clouds and services", OnFleet: "fleets", OnEngine: "brokers and stores",
	OnWire: "wires", OnFlow: "flows",
}

func targetWords(k Kind) string {
	var words []string
	for _, t := range k.Targets {
		words = append(words, targetPlural[t])
	}
	return strings.Join(words, ", ")
}
