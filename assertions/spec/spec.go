// Package spec reads what a scenario asserts and expects: YAML `assert:` becomes checks, YAML
// `expect:` becomes expectations, and a topology alone gives the checks that stand for its promise.
//
// It serves the load step of load → plan → run → check → report (mistakes come with positions, all
// at once) and, with Compare, the report step of `faultline test`. It promises that every word it
// accepts is explained by Explain and allowed by Schema, for all three come from one table. It
// knows the names in a topology through the interface Names alone, and imports nothing of
// scenarios, runner, simulators or reports.
package spec

import (
	"slices"
	"time"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// Names are the names that assertions may use. Of gives them for a topology.
type Names interface {
	Flows() []string
	// Loaded are the flows that the scenario puts load on, with those derived from them.
	Loaded() []string
	// Faults are the names of the faults that the scenario injects.
	Faults() []string
	// Node is a node's full name from any unique suffix; the error says what is accepted.
	Node(name string) (string, error)
	// Short is the shortest name that stands for a node.
	Short(full string) string
	Handlers(node string) []string
	Steps(node, handler string) []string
	// DeadLetters are the full references of all dead-letter channels.
	DeadLetters() []string
}

// Assertion is one check with what a scenario must give it.
type Assertion struct {
	assertions.Check
	Position diag.Position // zero for an implied one
	Fault    string        // the fault that it leans on, "" for none
	Recover  time.Duration // load it needs after the last heal: within + hold
	// Blast is what the fault may hurt by this assertion's word: the declared radius of an isolation, the
	// one flow of a recovery, each with its time after the heal; nil where it does not say.
	Blast map[string]time.Duration

	key yamlpos.Value
}

// Parse reads `assert:`, a list with one assertion an item. Mistakes go to v's diagnostics.
func Parse(v yamlpos.Value, names Names) []Assertion {
	var all []Assertion
	for _, item := range v.Items() {
		all = append(all, parseItem(item, names)...)
	}
	repeated(all)
	return all
}

// Merge is the implied assertions with the written ones: one of the same name takes the implied
// one's place, others follow.
func Merge(implied, written []Assertion) []Assertion {
	all := slices.Clone(implied)
	for _, w := range written {
		same := func(a Assertion) bool { return a.Name == w.Name }
		if i := slices.IndexFunc(all, same); i >= 0 {
			all[i] = w
			continue
		}
		all = append(all, w)
	}
	return all
}

// Checks are the checks of assertions, in order.
func Checks(all []Assertion) []assertions.Check {
	checks := make([]assertions.Check, len(all))
	for i, a := range all {
		checks[i] = a.Check
	}
	return checks
}

// parseItem reads one item: a word alone, or a mapping of one word to its fields.
func parseItem(item yamlpos.Value, names Names) []Assertion {
	if item.IsScalar() && !item.Null() {
		return parseWord(item, yamlpos.Value{}, names)
	}
	entries := item.Entries()
	if len(entries) == 0 {
		if !item.IsMap() {
			return nil
		}
		item.Errorf("missing-key", "an assertion is one word with its fields, %s", diag.Expected("",
			Words()))
		return nil
	}
	if len(entries) > 1 {
		entries[1].Key.Errorf("two-assertions",
			"an item holds one assertion, %q is a second one: begin it with \"- \"",
			entries[1].Key.Text())
		return nil
	}
	return parseWord(entries[0].Key, entries[0].Value, names)
}

func parseWord(key, value yamlpos.Value, names Names) []Assertion {
	w, ok := wordOf(key.Text())
	if !ok {
		key.Errorf("unknown-assertion", "unknown assertion %q, %s", key.Text(),
			diag.Expected(key.Text(), Words()))
		return nil
	}
	r := &reader{names: names, key: key, word: w, given: map[string]yamlpos.Value{}}
	r.args.count = -1
	fields := map[string]func(yamlpos.Value){}
	for _, f := range w.fields {
		fields[f.name] = func(v yamlpos.Value) {
			r.given[f.name] = v
			f.read(r, v)
		}
	}
	value.Fields(fields)
	for _, f := range w.fields {
		if _, given := r.given[f.name]; f.needed && !given {
			key.Errorf("missing-key", "%s needs %q: %s", w.name, f.name, f.doc)
			r.failed = true
		}
	}
	if r.failed {
		return nil
	}
	return r.assertions()
}

// repeated reports assertions that would have the same verdict name.
func repeated(all []Assertion) {
	seen := map[string]int{}
	for _, a := range all {
		if first, ok := seen[a.Name]; ok {
			a.key.Errorf("repeated-assertion",
				"%q is already asserted at line %d, give this one a name of its own",
				a.Name, first)
			continue
		}
		seen[a.Name] = a.Position.Line
	}
}
