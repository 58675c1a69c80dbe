package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/topology/diag"
	"github.com/faultline-sim/faultline/topology/yamlpos"
)

// Expectation is one verdict that a scenario must get. Assertion is a word ("isolation") or a
// verdict's name ("delivery[telemetry]"); Anomaly and Flow are "" where any will do.
type Expectation struct {
	Verdict   assertions.Value
	Assertion string
	Anomaly   string
	Flow      string
	Position  diag.Position
}

// String is the expectation as it would be written.
func (e Expectation) String() string {
	parts := []string{"verdict: " + string(e.Verdict), "assertion: " + e.Assertion}
	if e.Anomaly != "" {
		parts = append(parts, "anomaly: "+e.Anomaly)
	}
	if e.Flow != "" {
		parts = append(parts, "flow: "+e.Flow)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// ParseExpect reads `expect:`: the word valid, or a list of verdicts that are not. Every verdict
// that the list does not name must be valid, or never have been put to the test.
func ParseExpect(v yamlpos.Value, names Names) []Expectation {
	if v.IsScalar() && !v.Null() {
		v.OneOf(string(assertions.Valid))
		return nil
	}
	var all []Expectation
	for _, item := range v.Items() {
		if item.IsScalar() && !item.Null() {
			item.OneOf(string(assertions.Valid))
			continue
		}
		if e, ok := parseExpectation(item, names); ok {
			all = append(all, e)
		}
	}
	return all
}

func parseExpectation(item yamlpos.Value, names Names) (Expectation, bool) {
	e := Expectation{Position: item.Position()}
	var anomaly yamlpos.Value
	item.Fields(map[string]func(yamlpos.Value){
		"verdict": func(v yamlpos.Value) {
			e.Verdict = assertions.Value(v.OneOf("valid", "invalid", "unknown", "untested"))
		},
		"assertion": func(v yamlpos.Value) {
			e.Assertion = v.String()
			word, _, _ := strings.Cut(e.Assertion, "[")
			if _, ok := wordOf(word); e.Assertion != "" && !ok {
				v.Errorf("unknown-assertion", "unknown assertion %q, %s", e.Assertion,
					diag.Expected(word, Words()))
				e.Assertion = ""
			}
		},
		"anomaly": func(v yamlpos.Value) { anomaly, e.Anomaly = v, v.String() },
		"flow": func(v yamlpos.Value) {
			if e.Flow = v.String(); e.Flow != "" && !slices.Contains(names.Flows(), e.Flow) {
				v.Errorf("unknown-flow", "flow %q is not in the topology, %s", e.Flow,
					diag.Expected(e.Flow, names.Flows()))
			}
		},
	})
	if !item.IsMap() {
		return e, false
	}
	for _, key := range []string{"verdict", "assertion"} {
		if !item.Get(key).Present() {
			item.Errorf("missing-key", "an expectation needs %q", key)
		}
	}
	checkAnomaly(&e, anomaly)
	return e, e.Verdict != "" && e.Assertion != ""
}

// checkAnomaly reports a kind of anomaly that the assertion never finds.
func checkAnomaly(e *Expectation, v yamlpos.Value) {
	word, _, _ := strings.Cut(e.Assertion, "[")
	if w, ok := wordOf(word); ok && e.Anomaly != "" && !slices.Contains(w.anomalies, e.Anomaly) {
		v.Errorf("unknown-anomaly", "%s finds no anomaly %q, %s", word, e.Anomaly,
			diag.Expected(e.Anomaly, w.anomalies))
	}
	if e.Anomaly != "" && e.Verdict == assertions.Valid {
		v.Errorf("contradiction", "a valid verdict has no anomaly %q", e.Anomaly)
	}
}

// Difference is one way in which verdicts are not as expected.
type Difference struct {
	Name string // of the verdict, or the assertion that was expected
	Text string
}

// String is the name and the text.
func (d Difference) String() string { return d.Name + ": " + d.Text }

// Compare holds verdicts against expectations: each expectation must be met by a verdict, and every
// verdict that none names must be valid or untested. A verdict that is named only in part (other handlers of
// the same word) may be valid too.
func Compare(expect []Expectation, verdicts []assertions.Verdict) []Difference {
	var all []Difference
	for _, e := range expect {
		if !slices.ContainsFunc(verdicts, e.metBy) {
			all = append(all, Difference{e.Assertion, fmt.Sprintf("expected %v, got %s", e,
				e.gotten(verdicts))})
		}
	}
	for _, v := range verdicts {
		named := func(e Expectation) bool { return e.names(v) && (e.Verdict == v.Value) }
		if v.Value != assertions.Valid && v.Value != assertions.Untested && !slices.ContainsFunc(expect, named) {
			all = append(all, Difference{v.Name, fmt.Sprintf("expected valid, got %s: %s", v.Value,
				reason(v))})
		}
	}
	return all
}

// names says whether the expectation is about a verdict.
func (e Expectation) names(v assertions.Verdict) bool {
	if e.Assertion != v.Property && e.Assertion != v.Name {
		return false
	}
	if e.Flow == "" || v.Flow == e.Flow {
		return true
	}
	return v.Flow == "" && (len(v.Anomalies) == 0 || e.among(v.Anomalies, ""))
}

// metBy says whether a verdict is what was expected.
func (e Expectation) metBy(v assertions.Verdict) bool {
	return e.names(v) && v.Value == e.Verdict && (e.Anomaly == "" || e.among(v.Anomalies,
		e.Anomaly))
}

// among says whether there is an anomaly of a kind ("" for any) on the expected flow.
func (e Expectation) among(anomalies []assertions.Anomaly, kind string) bool {
	return slices.ContainsFunc(anomalies, func(a assertions.Anomaly) bool {
		return (kind == "" || a.Kind == kind) && (e.Flow == "" || a.Flow == e.Flow || a.Flow == "")
	})
}

// gotten is what the verdicts of the expected assertion say.
func (e Expectation) gotten(verdicts []assertions.Verdict) string {
	var got []string
	for _, v := range verdicts {
		if e.names(v) {
			got = append(got, fmt.Sprintf("%s %s (%s)", v.Name, v.Value, reason(v)))
		}
	}
	if len(got) == 0 {
		return "no verdict of that assertion"
	}
	return strings.Join(got, "; ")
}

// reason is why a verdict is what it is, in one line.
func reason(v assertions.Verdict) string {
	switch {
	case v.Value == assertions.Unknown && v.Unknown != "":
		return "needs " + v.Unknown
	case v.Value == assertions.Untested:
		return "never tried, it takes " + v.Untested
	case len(v.Anomalies) > 0:
		return v.Summary + ": " + v.Anomalies[0].Text
	}
	return v.Summary
}
