package scenarios

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/claims"
	"github.com/faultline-sim/faultline/topology/diag"
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
	p.oneProcess()
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
		case node.Elsewhere():
			e.Key.Errorf("cannot", "%q runs elsewhere, its replicas are not ours to start or stop",
				e.Key.Text())
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
			p.readable(v, ref)
			return ref
		}
	}
	v.Errorf("unknown-channel", "%q is not a dead-letter channel, %s", v.Text(),
		diag.Expected(v.Text(), known))
	return ""
}

// readable refuses a channel whose broker cannot be asked what stands in it.
func (p *parser) readable(v yamlpos.Value, ref string) {
	n := p.s.AsBuilt.Node(topology.ChannelNode(ref))
	if n == nil || n.Own != nil {
		return
	}
	if c, ok := claims.Of(n.Protocol); ok && !c.Readable {
		v.Errorf("cannot", "%q cannot be redriven: what stands in it cannot be read over %s; "+
			"dead-letter to a channel of another broker", v.Text(), n.Protocol)
	}
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
