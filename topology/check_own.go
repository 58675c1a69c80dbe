package topology

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/topology/policy"
)

// finishOwn sets what is not declared, and takes away the policies that the program does not
// promise.
func (d *decoder) finishOwn(n *Node) {
	o := n.Own
	if o == nil {
		return
	}
	if len(o.words()) == 0 && o.blank() {
		n.Own = nil
		return
	}
	if o.Dir == "" {
		o.Dir = filepath.Dir(d.t.File)
	}
	if o.Ready.Within == 0 {
		o.Ready.Within = DefaultReadyWithin
	}
	if o.StopWithin == 0 {
		o.StopWithin = DefaultStopWithin
	}
	if o.Restart == "" {
		o.Restart = DefaultRestart
	}
	if o.Declares == nil {
		return
	}
	for _, h := range n.Handlers {
		o.keepDeclared(&h.Policy)
		d.noDeadLetters(h.Source())
		for s := range h.Steps() {
			o.keepDeclared(&s.Policy)
		}
	}
}

// noDeadLetters takes a channel's own dead-lettering away where nobody who takes its messages
// promises it.
func (d *decoder) noDeadLetters(ref string) {
	c := d.t.Channel(ref)
	if c == nil {
		return
	}
	for _, n := range d.t.Consumers(ref) {
		promised := n.Own == nil || n.Own.Declares == nil ||
			slices.Contains(n.Own.Declares, "dead_letter")
		if promised {
			return
		}
	}
	c.DeadLetter = nil
}

// blank says that nothing else is told of a program that is taken away again.
func (o *Own) blank() bool {
	return len(o.Env) == 0 && o.Declares == nil
}

func (o *Own) keepDeclared(p *policy.Set) {
	undo := map[string]func(){
		"retry": func() { p.Retry = nil }, "breaker": func() { p.Breaker = nil },
		"bulkhead": func() { p.Bulkhead = nil }, "timeout": func() { p.Timeout = 0 },
		"rate_limit": func() { p.RateLimit = nil }, "fallback": func() { p.Fallback = nil },
		"dedupe": func() { p.Dedupe = nil }, "ttl": func() { p.TTL = 0 },
		"dead_letter": func() { p.DeadLetter = nil },
	}
	for _, word := range declarable {
		if !slices.Contains(o.Declares, word) {
			undo[word]()
		}
	}
}

// checkOwn refuses what cannot be run in a node's place.
func (d *decoder) checkOwn(n *Node) {
	d.checkCorrelate(n)
	if n.Own == nil {
		if n.Protocol == "tcp" {
			d.report(n, "missing-key", "%q speaks plain tcp, which nothing here imitates; add one of "+
				"command, image, build or endpoint", n.Name)
		}
		return
	}
	o := n.Own
	switch given := o.words(); {
	case len(given) == 0:
		d.report(n, "missing-key", "%q tells about a program of its own and does not say which; add "+
			"one of command, image, build or endpoint", n.Name)
	case len(given) > 1:
		d.report(n, "conflict", "%q has %s, accepted: one of command, image, build and "+
			"endpoint", n.Name, strings.Join(given, " and "))
	}
	if (n.Kind == Broker || n.Kind == Store) && n.Protocol != "tcp" && n.Protocol != "" {
		d.report(n, "wrong-kind", "%q is a %s that speaks %s, for which there are engines; a program "+
			"of your own takes the place of a service or a cloud, or speaks plain tcp",
			n.Name, n.Kind, n.Protocol)
	}
	for _, s := range n.Sends {
		d.report(n, "cannot-send", "%q begins the messages of flow %q by itself, which a program "+
			"of your own cannot be asked to; let a fleet begin them", n.Name, s.Flow)
	}
	d.checkElsewhere(n)
}

// checkCorrelate refuses a field that the bodies of the program's messages do not have.
func (d *decoder) checkCorrelate(n *Node) {
	if n.Correlate == nil || len(d.broken) > 0 {
		return
	}
	passing := map[string]bool{}
	for _, h := range n.Handlers {
		for _, name := range d.t.HandlerFlows(n, h) {
			passing[d.t.firstOf(name)] = true
		}
	}
	for _, from := range d.t.Nodes {
		for _, s := range from.Sends {
			if !passing[s.Flow] {
				continue
			}
			for _, path := range [][]string{n.Correlate.ID, n.Correlate.Key} {
				if len(path) == 0 {
					continue
				}
				if _, given := s.Body[path[0]]; !given {
					d.report(n, "not-in-body", "correlate: the bodies of flow %q, which %q sends, have no "+
						"field %q; add it there, or name one that they have", s.Flow, from.Name, path[0])
				}
			}
		}
	}
}

// firstOf is the flow that a flow is derived from in the end: its bodies are passed on.
func (t *Topology) firstOf(flow string) string {
	for range t.Flows {
		f := t.Flow(flow)
		if f == nil || f.DerivedFrom == "" {
			break
		}
		flow = f.DerivedFrom
	}
	return flow
}

// checkPlain refuses what would speak to a node of plain tcp, or read it back, in a protocol.
func (d *decoder) checkPlain(thing any, ref string) {
	far := d.t.Node(ref)
	if far == nil || far.Protocol != "tcp" {
		return
	}
	d.report(thing, "wrong-hop", "%q speaks plain tcp, which nothing here has a client for; a "+
		"program of your own is given its address by env: {NAME: $wire(%s)}", far.Name, d.t.Short(far.Name))
}

// checkElsewhere refuses what something that runs elsewhere would have to reach here.
func (d *decoder) checkElsewhere(n *Node) {
	if !n.Elsewhere() {
		return
	}
	e := n.Own.Endpoint
	if (e.User != "" || e.Password != "" || e.Token != "") && n.Protocol == "tcp" {
		d.report(n, "conflict", "%q speaks plain tcp, where no credentials can be put in", n.Name)
	}
	if (e.User == "") != (e.Password == "") {
		d.report(n, "missing-key", "the endpoint of %q needs user and password, or token", n.Name)
	}
	if e.CA != "" && !e.TLS {
		d.report(n, "conflict", "the endpoint of %q has a ca and no tls", n.Name)
	}
	said := map[string]bool{n.Name: true, "": true}
	for _, far := range d.t.dialled(n) {
		other := d.t.Node(far)
		if other == nil || said[far] || other.Elsewhere() {
			continue
		}
		said[far] = true
		d.report(n, "no-wire", "%q runs elsewhere, so that its connection to %q can go over no wire; "+
			"run it here, or give %s an endpoint too", n.Name, far, d.t.Short(far))
	}
}

// Notes say what cannot be judged, or not be reached over a wire, where programs of the user's own
// take part: one sentence each, in the topology's order.
func (t *Topology) Notes() []string {
	var notes []string
	for _, n := range t.Nodes {
		if n.Own == nil {
			continue
		}
		short := t.Short(n.Name)
		notes = append(notes, fmt.Sprintf("%s runs a program of your own: judged by what goes into "+
			"and comes out of it, as far as %s; what happens inside is unknown", short, n.known()))
		if inside := t.insideOnly(n); len(inside) > 0 {
			notes = append(notes, fmt.Sprintf("%s declares %s: when and how often it tries is seen at "+
				"its callees only, so these verdicts are unknown; declares: lists what it promises",
				short, strings.Join(inside, ", ")))
		}
		calls := slices.ContainsFunc(t.dialled(n), func(far string) bool { return far != "" })
		if n.Elsewhere() && calls {
			notes = append(notes, fmt.Sprintf("%s runs elsewhere: what it calls goes over no wire, "+
				"can be given no fault and is not counted", short))
		}
	}
	return notes
}

// known says by what the program's messages are known behind it.
func (n *Node) known() string {
	if n.Correlate == nil {
		return "it passes on the CloudEvents attributes and the traceparent that it was given " +
			"(correlate: tells them apart by their bodies)"
	}
	return "its bodies hold the " + strings.Join(n.Correlate.ID, ".") + " that they came with; without " +
		"a traceparent its wires count bytes and no messages"
}

// insideOnly are the policies of a node that only a look inside it could judge.
func (t *Topology) insideOnly(n *Node) (words []string) {
	note := func(p policy.Set) {
		for _, one := range []struct {
			word string
			set  bool
		}{
			{"retry", p.Retry != nil}, {"breaker", p.Breaker != nil},
			{"bulkhead", p.Bulkhead != nil}, {"ttl", p.TTL > 0},
			{"dead_letter", p.DeadLetter != nil},
		} {
			if one.set && !slices.Contains(words, one.word) {
				words = append(words, one.word)
			}
		}
	}
	for _, h := range n.Handlers {
		note(h.Policy)
		for s := range h.Steps() {
			note(s.Policy)
		}
	}
	return words
}
