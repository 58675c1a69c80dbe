package topology

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

var stepKinds = []string{
	string(Work), string(Validate), string(When), string(Authenticate), string(Issue), string(Call),
	string(Request), string(Publish), string(StoreStep), string(Lookup), string(Reply),
}

// do reads a handler's steps: a list takes the place of all, a mapping (in an overlay) changes
// steps by name or by number from 0.
func (d *decoder) do(h *Handler, v yamlpos.Value) {
	if d.overlay && v.IsMap() {
		d.changeSteps(h, v)
		return
	}
	h.Do = d.steps(v)
	d.nameSteps(h)
}

func (d *decoder) steps(v yamlpos.Value) []*Step {
	var steps []*Step
	for _, item := range v.Items() {
		if !item.IsMap() {
			item.Entries() // reports the wrong shape
			continue
		}
		kind, ok := stepKind(item)
		if !ok {
			continue
		}
		s := &Step{Kind: kind}
		d.at[s] = item
		d.step(s, item)
		steps = append(steps, s)
	}
	return steps
}

// stepKind is the one key of a step that says what it does.
func stepKind(v yamlpos.Value) (StepKind, bool) {
	var found []string
	for _, e := range v.Entries() {
		if slices.Contains(stepKinds, e.Key.Text()) {
			found = append(found, e.Key.Text())
		}
	}
	switch len(found) {
	case 1:
		return StepKind(found[0]), true
	case 0:
		word := ""
		if es := v.Entries(); len(es) > 0 {
			word = es[0].Key.Text()
		}
		v.Errorf("no-step", "%q is not a step, %s", word, diag.Expected(word, stepKinds))
	default:
		v.Errorf("two-steps", "one step has the kinds %s, write each as its own step",
			strings.Join(found, " and "))
	}
	return "", false
}

func (d *decoder) step(s *Step, v yamlpos.Value) {
	d.usePolicies(&s.Policy, v)
	fields := with(d.policyFields(&s.Policy), map[string]func(yamlpos.Value){
		"name":  func(v yamlpos.Value) { s.Name = v.String() },
		"flows": func(v yamlpos.Value) { s.Flows = d.flowRefs(v) },
	})
	fields = with(fields, d.kindReaders(s))
	d.fields(v, fields)
}

// kindReaders are the fields of the step's own kind.
func (d *decoder) kindReaders(s *Step) map[string]func(yamlpos.Value) {
	switch s.Kind {
	case Work:
		return map[string]func(yamlpos.Value){
			"work": func(v yamlpos.Value) { d.work(s, v) },
			"p50":  func(v yamlpos.Value) { s.P50 = v.Duration(); s.P99 = max(s.P99, s.P50) },
			"p99":  func(v yamlpos.Value) { s.P99 = v.Duration() },
		}
	case Validate:
		return map[string]func(yamlpos.Value){
			"validate": func(v yamlpos.Value) { d.validation(s, v) },
			"schema":   func(v yamlpos.Value) { s.Schema = d.schema(v) },
		}
	case When:
		return map[string]func(yamlpos.Value){
			"when": func(v yamlpos.Value) { s.Cond = d.expression(v, CompileCondition) },
			"do":   func(v yamlpos.Value) { s.Do = d.steps(v) },
			"else": func(v yamlpos.Value) { s.Else = v.OneOf("filter") },
		}
	case Authenticate:
		return map[string]func(yamlpos.Value){
			"authenticate": func(v yamlpos.Value) { s.Target = d.nodeRef(v, v.String(), Service, Cloud) },
		}
	case Issue:
		return map[string]func(yamlpos.Value){"issue": func(v yamlpos.Value) { v.OneOf("token") }}
	case Reply:
		return map[string]func(yamlpos.Value){
			"reply":  func(v yamlpos.Value) { d.reply(s, v) },
			"status": func(v yamlpos.Value) { s.Status = v.Int(100, 599) },
		}
	default:
		return d.farReaders(s)
	}
}

// farReaders are the fields of steps that talk to another node.
func (d *decoder) farReaders(s *Step) map[string]func(yamlpos.Value) {
	born := map[string]func(yamlpos.Value){
		"derive":  func(v yamlpos.Value) { s.Derive = d.flowRef(v) },
		"subject": func(v yamlpos.Value) { s.Subject = d.expression(v, CompileText) },
		"key":     func(v yamlpos.Value) { s.Key = d.expression(v, CompileText) },
	}
	table := func(v yamlpos.Value) { s.Path = v.String() }
	switch s.Kind {
	case Call:
		born["call"] = func(v yamlpos.Value) { d.call(s, v) }
		return born
	case Publish:
		born["publish"] = func(v yamlpos.Value) { s.Target = d.channelRef(v, v.String()) }
		return born
	case Request:
		born["request"] = func(v yamlpos.Value) { s.Target = d.channelRef(v, v.String()) }
		born["reply_to"] = func(v yamlpos.Value) { s.ReplyTo = d.channelRef(v, v.String()) }
		return born
	case Lookup:
		return map[string]func(yamlpos.Value){
			"lookup": func(v yamlpos.Value) { s.Target = d.nodeRef(v, v.String(), Store) },
			"table":  table,
		}
	default:
		return map[string]func(yamlpos.Value){
			"store":  func(v yamlpos.Value) { s.Target = d.nodeRef(v, v.String(), Store) },
			"table":  table,
			"append": func(v yamlpos.Value) { s.Append = v.Bool() },
		}
	}
}

// work is a mapping of percentiles, or one duration for all.
func (d *decoder) work(s *Step, v yamlpos.Value) {
	if v.IsScalar() && !v.Null() {
		s.P50 = v.Duration()
		s.P99 = s.P50
		return
	}
	d.fields(v, map[string]func(yamlpos.Value){
		"p50": func(v yamlpos.Value) { s.P50 = v.Duration() },
		"p99": func(v yamlpos.Value) { s.P99 = v.Duration() },
	})
	d.needs(v, "work", s.P50 > 0, "p50")
	if s.P99 == 0 {
		s.P99 = s.P50
	}
	if s.P99 < s.P50 {
		v.Errorf("out-of-range", "p99 %v is below p50 %v", s.P99, s.P50)
	}
}

// reply is a mapping, or the status alone.
func (d *decoder) reply(s *Step, v yamlpos.Value) {
	s.Status = DefaultStatus
	if v.IsScalar() && !v.Null() {
		s.Status = v.Int(100, 599)
		return
	}
	d.fields(v, map[string]func(yamlpos.Value){
		"status": func(v yamlpos.Value) { s.Status = v.Int(100, 599) },
	})
}

func (d *decoder) call(s *Step, v yamlpos.Value) {
	text := v.String()
	node, method, path, ok := cutCall(text)
	if !ok {
		if text != "" {
			v.Errorf("wrong-form", "%q is no call, write it as \"service POST /path\"", text)
		}
		return
	}
	s.Target, s.Method, s.Path = d.nodeRef(v, node, Service, Cloud), method, path
}

func (d *decoder) validation(s *Step, v yamlpos.Value) {
	if v.IsScalar() {
		s.Schema = d.schema(v)
		return
	}
	d.fields(v, map[string]func(yamlpos.Value){
		"schema": func(v yamlpos.Value) { s.Schema = d.schema(v) },
	})
	d.needs(v, "validate", s.Schema != "", "schema")
}

// schema is a JSON Schema, written as JSON text or as a mapping.
func (d *decoder) schema(v yamlpos.Value) string {
	text := v.Text()
	if v.IsMap() {
		b, err := json.Marshal(v.Any())
		if err != nil {
			v.Errorf("bad-schema", "schema is not JSON: %v", err)
			return ""
		}
		text = string(b)
	}
	if err := CheckSchema(text); err != nil {
		v.Errorf("bad-schema", "schema is no JSON Schema: %s", innermost(err))
		return ""
	}
	return text
}

func (d *decoder) flowRefs(v yamlpos.Value) []string {
	items := []yamlpos.Value{v}
	if !v.IsScalar() {
		items = v.Items()
	}
	var flows []string
	for _, item := range items {
		if name := d.flowRef(item); name != "" {
			flows = append(flows, name)
		}
	}
	return flows
}

// changeSteps lays values over single steps.
func (d *decoder) changeSteps(h *Handler, v yamlpos.Value) {
	for _, e := range v.Entries() {
		name, value := d.nameKey(e, func(s string) bool { return d.findStep(h, s) != nil })
		s := d.findStep(h, name)
		if s == nil {
			var names []string
			for s := range h.Steps() {
				names = append(names, s.Name)
			}
			e.Key.Errorf("unknown-step", "step %q is not in handler %q, %s",
				name, h.Name, diag.Expected(name, names))
			continue
		}
		d.at[s] = e.Key
		d.step(s, value)
	}
	d.nameSteps(h)
}

// findStep is the step with a name, with a kind and a target that the name spells otherwise
// ("call data_core.data_api"), or with a number.
func (d *decoder) findStep(h *Handler, name string) *Step {
	kind, target, _ := strings.Cut(name, " ")
	if full, err := d.t.Resolve(ChannelNode(target)); err == nil {
		if _, channel := cutRef(target); channel != "" {
			full += "/" + channel
		}
		target = full
	}
	var spelt *Step
	for s := range h.Steps() {
		if s.Name == name {
			return s
		}
		if spelt == nil && target != "" && string(s.Kind) == kind && s.Target == target {
			spelt = s
		}
	}
	if i, err := strconv.Atoi(name); err == nil && spelt == nil && i >= 0 && i < len(h.Do) {
		return h.Do[i]
	}
	return spelt
}

// nameSteps gives every step without a name "<kind> <target>", the target as short as it can be,
// with a number behind it from the second one on.
func (d *decoder) nameSteps(h *Handler) {
	taken := map[string]bool{}
	for s := range h.Steps() {
		if s.Name != "" && taken[s.Name] {
			d.report(s, "duplicate-step", "step %q is already in handler %q", s.Name, h.Name)
		}
		taken[s.Name] = true
	}
	for s := range h.Steps() {
		if s.Name != "" {
			continue
		}
		name := d.stepName(s)
		for n := 2; taken[name]; n++ {
			name = fmt.Sprintf("%s %d", d.stepName(s), n)
		}
		s.Name, taken[name] = name, true
	}
}

func (d *decoder) stepName(s *Step) string {
	switch {
	case s.Target == "":
		return string(s.Kind)
	case s.Kind == Publish || s.Kind == Request:
		return string(s.Kind) + " " + d.t.ShortRef(s.Target)
	default:
		return string(s.Kind) + " " + d.t.Short(s.Target)
	}
}
