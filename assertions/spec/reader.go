package spec

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// args are the fields of one assertion as read; which of them a word has is in its table entry.
type args struct {
	name                string
	flow                string
	node, handler, step string
	channel             string
	fault               string
	blastRadius         []string
	blastRadiusGiven    bool
	flows               []string
	within, hold        time.Duration
	bucket, grace       time.Duration
	tolerance           time.Duration
	share               float64
	amplification       float64
	slower              float64
	count, atLeast      int
	opens               bool
}

// reader reads the fields of one assertion.
type reader struct {
	names  Names
	key    yamlpos.Value
	word   word
	given  map[string]yamlpos.Value
	args   args
	failed bool
}

// oneOf reads a text that must be among the names of a kind.
func (r *reader) oneOf(v yamlpos.Value, what string, accepted []string) string {
	s := v.String()
	if s == "" {
		r.failed = true
		return ""
	}
	if !slices.Contains(accepted, s) {
		v.Errorf("unknown-"+strings.ReplaceAll(what, " ", "-"), "%s %q is not in the scenario, %s",
			what, s, diag.Expected(s, accepted))
		r.failed = true
		return ""
	}
	return s
}

func (r *reader) flow(v yamlpos.Value) { r.args.flow = r.oneOf(v, "flow", r.names.Flows()) }

// fault reads the name of a fault that the timeline injects.
func (r *reader) fault(v yamlpos.Value) {
	s := v.String()
	if s != "" && slices.Contains(r.names.Faults(), s) {
		r.args.fault = s
		return
	}
	r.failed = true
	switch {
	case s == "":
	case len(r.names.Faults()) == 0:
		v.Errorf("unknown-fault", "fault %q is never injected, the timeline has no fault; add an act "+
			"of that name to it: {name: %s, at: 5s, for: 10s, fault: …}", s, s)
	default:
		v.Errorf("unknown-fault", "fault %q is never injected by the timeline; name one of its acts, %s",
			s, diag.Expected(s, r.names.Faults()))
	}
}

func (r *reader) blastRadius(v yamlpos.Value) {
	r.args.blastRadiusGiven = true
	r.args.blastRadius = r.listOfFlows(v, r.args.flows)
}

// flows reads those that an isolation is about.
func (r *reader) flows(v yamlpos.Value) {
	r.args.flows = r.listOfFlows(v, r.args.blastRadius)
}

// listOfFlows reads one flow or a list of flows. A fault may not both be free to hurt a flow and be
// judged by it, so none of them may be among the others.
func (r *reader) listOfFlows(v yamlpos.Value, others []string) (all []string) {
	items := []yamlpos.Value{v}
	if !v.IsScalar() {
		items = v.Items()
	}
	for _, item := range items {
		flow := r.oneOf(item, "flow", r.names.Flows())
		if flow != "" && slices.Contains(others, flow) {
			item.Errorf("contradiction", "flow %q is both in the blast radius and judged", flow)
			r.failed = true
		}
		all = append(all, flow)
	}
	return all
}

// handler reads "node.handler", the node by any unique suffix, and "node.handler/step".
func (r *reader) handler(v yamlpos.Value) {
	s := v.String()
	if s == "" {
		r.failed = true
		return
	}
	path, step, hasStep := strings.Cut(s, "/")
	dot := strings.LastIndex(path, ".")
	if dot < 0 {
		r.wrongHandler(v, s, "a handler is written node.handler")
		return
	}
	node, err := r.names.Node(path[:dot])
	if err != nil {
		r.wrongHandler(v, s, err.Error())
		return
	}
	r.args.node, r.args.handler, r.args.step = node, path[dot+1:], step
	if handlers := r.names.Handlers(node); !slices.Contains(handlers, r.args.handler) {
		r.wrongHandler(v, s, "node "+node+" has no handler "+quoted(r.args.handler)+", "+
			diag.Expected(r.args.handler, handlers))
		return
	}
	if steps := r.names.Steps(node, r.args.handler); hasStep && !slices.Contains(steps, step) {
		r.wrongHandler(v, s, "handler "+path+" has no step "+quoted(step)+", "+diag.Expected(step,
			steps))
	}
}

func quoted(s string) string { return "\"" + s + "\"" }

func (r *reader) wrongHandler(v yamlpos.Value, text, why string) {
	v.Errorf("unknown-handler", "%q is no handler: %s", text, why)
	r.failed = true
}

// channel reads a dead-letter channel, its node by any unique suffix.
func (r *reader) channel(v yamlpos.Value) {
	s := v.String()
	if s == "" {
		r.failed = true
		return
	}
	node, name, _ := strings.Cut(s, "/")
	full := s
	if n, err := r.names.Node(node); err == nil {
		full = n + "/" + name
	}
	if slices.Contains(r.names.DeadLetters(), full) {
		r.args.channel = full
		return
	}
	var accepted []string
	for _, ref := range r.names.DeadLetters() {
		accepted = append(accepted, shortRef(ref, r.names))
	}
	v.Errorf("unknown-channel", "%q is no dead-letter channel, %s", s, diag.Expected(s, accepted))
	r.failed = true
}

// shortRef is a channel reference with its node's short name.
func shortRef(ref string, names Names) string {
	node, name, _ := strings.Cut(ref, "/")
	return names.Short(node) + "/" + name
}

// assertions makes the checks that the fields ask for: several where a flow or handler is left out.
func (r *reader) assertions() []Assertion {
	var all []Assertion
	for _, c := range r.word.checks(r.args, r.names) {
		if r.args.name != "" {
			c.Name = r.args.name
		}
		all = append(all, Assertion{Check: c, Position: r.key.Position(), Fault: r.args.fault,
			Recover: r.recover(), Blast: r.blast(), key: r.key})
	}
	return all
}

// blast is what the assertion lets its fault hurt, nil where it does not say.
func (r *reader) blast() map[string]time.Duration {
	switch {
	case r.word.name == "isolation" && r.args.blastRadiusGiven:
		flows := map[string]time.Duration{}
		for _, f := range r.args.blastRadius {
			flows[f] = r.args.grace
		}
		return flows
	case r.word.name == "recovery":
		return map[string]time.Duration{r.args.flow: cmp.Or(r.args.within, assertions.DefaultWithin)}
	}
	return nil
}

// recover is the load that a recovery needs after the heal.
func (r *reader) recover() time.Duration {
	if r.word.name != "recovery" {
		return 0
	}
	p := recoveryParams(r.args)
	within, hold := p.Within, p.Hold
	if within == 0 {
		within = assertions.DefaultWithin
	}
	if hold == 0 {
		hold = assertions.DefaultHold
	}
	return within + hold
}
