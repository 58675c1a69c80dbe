package scenarios

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/diag"
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

// maxActs bounds a timeline.
const maxActs = 200

func (p *parser) timeline(v yamlpos.Value) {
	items := v.Items()
	if len(items) > maxActs {
		v.Errorf("too-large", "a timeline has at most %d acts, this one has %d", maxActs, len(items))
		return
	}
	names := map[string]bool{}
	for i, item := range items {
		a, ok := p.act(item, i)
		if !ok {
			continue
		}
		if names[a.act.Name] {
			item.Errorf("duplicate-name", "two acts are called %q", a.act.Name)
			continue
		}
		names[a.act.Name] = true
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
		v.Errorf("wrong-type", "an act of the timeline is a mapping with at and one of fault, scale, redrive")
		return a, false
	}
	var kinds []string
	for _, k := range []string{"fault", "scale", "redrive"} {
		if v.Get(k).Present() {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) != 1 {
		v.Errorf("missing-key", "an act has exactly one of fault, scale, redrive, this one has %d", len(kinds))
		return a, false
	}
	if at := v.Get("at"); at.Present() {
		a.at = p.moment(at)
	} else {
		v.Errorf("missing-key", "an act needs at: a time from the end of steady, such as 5s or outage.end + 1s")
	}
	switch kinds[0] {
	case "fault":
		p.fault(v, &a.act)
	case "scale":
		p.scale(v, &a.act)
	case "redrive":
		p.redrive(v, &a.act)
	}
	if name := v.Get("name"); name.Present() {
		a.act.Name = name.String()
	}
	if a.act.Name == "" {
		a.act.Name = fmt.Sprintf("%s-%d", a.act.word(), i+1)
	}
	return a, true
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
		"scale": func(v yamlpos.Value) {
			for _, e := range v.Entries() {
				node, ok := p.node(e.Key)
				n := e.Value.Int(0, 100)
				if !ok {
					continue
				}
				if targetOf(node) != OnSim {
					e.Key.Errorf("wrong-target", "%q is a %s, only clouds and services have replicas",
						e.Key.Text(), node.Kind)
					continue
				}
				a.Scale = append(a.Scale, Scale{Node: node.Name, Replicas: n})
			}
		},
	})
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
	v.Errorf("unknown-name", "%q is not a dead-letter channel, %s", v.Text(), diag.Expected(v.Text(), known))
	return ""
}

func ignore(yamlpos.Value) {}

// node is the one node a key or value names.
func (p *parser) node(v yamlpos.Value) (*topology.Node, bool) {
	full, err := p.s.AsBuilt.Resolve(v.Text())
	if err != nil {
		v.Errorf("unknown-name", "%s", err)
		return nil, false
	}
	return p.s.AsBuilt.Node(full), true
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
		"for": func(v yamlpos.Value) { f.For = p.phase(v) },
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
			v.Errorf("missing-key", "fault %q needs %s: %s", word, need, kind.Doc)
		}
	}
	p.faultTarget(v, kind)
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
			f.Direction = wire.Direction(v.OneOf(string(wire.Requests), string(wire.Replies), string(wire.Both)))
		},
		"replica": func(v yamlpos.Value) { f.Replica = v.Int(0, 10_000) },
		"latency": func(v yamlpos.Value) { f.Latency = p.phase(v) },
		"bytes":   func(v yamlpos.Value) { f.Bytes = byteCount(v) },
		"share":   func(v yamlpos.Value) { f.Share = v.Share() },
		"status":  func(v yamlpos.Value) { f.Status = v.Int(400, 599) },
		"flow":    func(v yamlpos.Value) { f.Flow = p.flow(v) },
		"login":   func(v yamlpos.Value) { f.Login = v.Bool() },
		"factor":  func(v yamlpos.Value) { f.Factor = v.Float(0, 10_000) },
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
		v.Errorf("wrong-type", "%q is not a wire, write it as FROM -> TO in the direction of the dial", v.Text())
		return
	}
	froms, errFrom := p.s.AsBuilt.Select(from)
	tos, errTo := p.s.AsBuilt.Select(to)
	for _, err := range []error{errFrom, errTo} {
		if err != nil {
			v.Errorf("unknown-name", "%s", err)
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
				f.Replica = a.Replica
			}
		}
	}
	if len(f.Wires) == 0 {
		p.noWire(v, all)
	}
}

// noWire reports a wire that is not there, with those that are.
func (p *parser) noWire(v yamlpos.Value, all []topology.Wire) {
	var names []string
	for _, w := range all {
		names = append(names, p.s.AsBuilt.Short(w.From)+" -> "+p.s.AsBuilt.Short(w.To))
	}
	v.Errorf("unknown-wire", "there is no wire %q, %s", v.Text(), diag.Expected(v.Text(), names))
}

func (p *parser) faultNodes(v yamlpos.Value, kind Kind, f *Fault) {
	found, err := p.s.AsBuilt.Select(v.Text())
	if err != nil {
		v.Errorf("unknown-name", "%s", err)
		return
	}
	for _, s := range found {
		if !kind.On(targetOf(s.Node)) {
			v.Errorf("wrong-target", "%s cannot be done to %q, a %s; it can be done to: %s",
				kind.Name, s.Node.Name, s.Node.Kind, targetWords(kind))
			continue
		}
		f.Nodes = append(f.Nodes, s.Node.Name)
		if s.Replica >= 0 {
			f.Replica = s.Replica
		}
	}
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

// overlaps refuses two faults of one kind on one target at the same time: what each of them did
// could not be told apart.
func (p *parser) overlaps() {
	last := map[string]rawAct{}
	sorted := slices.Clone(p.acts)
	slices.SortStableFunc(sorted, func(a, b rawAct) int { return int(a.act.At - b.act.At) })
	for _, a := range sorted {
		if a.act.Fault == nil {
			continue
		}
		for _, target := range append(a.act.Fault.Targets(), a.act.Fault.Flow) {
			if target == "" {
				continue
			}
			key := a.act.Fault.Kind + " " + target
			if before, ok := last[key]; ok && before.act.End() > a.act.At {
				a.value.Errorf("overlap", "%q begins at %s, while %q does the same to %s until %s",
					a.act.Name, a.act.At, before.act.Name, target, before.act.End())
			}
			last[key] = a
		}
	}
}

var byteUnits = map[string]int64{"B": 1, "KB": 1000, "MB": 1_000_000, "KiB": 1 << 10, "MiB": 1 << 20}

// byteCount reads "512B", "64KB" or "1MiB".
func byteCount(v yamlpos.Value) int64 {
	text := strings.TrimSpace(v.Text())
	number := strings.TrimRight(text, "BKMib")
	unit, ok := byteUnits[text[len(number):]]
	var n float64
	if _, err := fmt.Sscanf(number+"\n", "%g\n", &n); err != nil || !ok || n <= 0 {
		v.Errorf("wrong-unit", "%q is not a number of bytes, write it with %s", text,
			strings.Join(slices.Sorted(maps.Keys(byteUnits)), ", "))
		return 0
	}
	return int64(n * float64(unit))
}

// bytesPerSecond reads "64KB/s".
func bytesPerSecond(v yamlpos.Value) float64 {
	amount, ok := strings.CutSuffix(strings.TrimSpace(v.Text()), "/s")
	number := strings.TrimRight(amount, "BKMib")
	unit, known := byteUnits[amount[len(number):]]
	var n float64
	if _, err := fmt.Sscanf(number+"\n", "%g\n", &n); err != nil || !ok || !known || n <= 0 {
		v.Errorf("wrong-unit", "%q is not a bandwidth, write it as 64KB/s or 1MB/s", v.Text())
		return 0
	}
	return n * float64(unit)
}

// consistent checks what only the whole scenario can show.
func (p *parser) consistent() {
	if p.s.Deadline > 0 {
		least := p.s.Steady + p.timelineEnd() + p.s.Recover
		if p.s.Deadline < least+time.Second {
			p.root.Get("deadline").Errorf("out-of-range",
				"deadline %s is before the load ends at %s", p.s.Deadline, least)
		}
	}
}
