package assertions

import (
	"fmt"
	"strings"
)

// ruling gathers what a checker has found and turns it into a verdict: doubts make it unknown,
// else anomalies make it invalid, else lacks make it unknown, else trials that never came make it
// untested, else it is valid.
type ruling struct {
	anomalies []Anomaly
	more      int
	doubts    []string // the history cannot be trusted on this
	lacks     []string // evidence that valid would need
	trials    []string // what would have put the promise to the test, and never came
	figures   []Figure
}

// anomaly keeps a counterexample, the first Most of them; others are counted.
func (r *ruling) anomaly(a Anomaly) {
	if len(r.anomalies) < Most {
		r.anomalies = append(r.anomalies, a)
		return
	}
	r.more++
}

// found is how many anomalies there are.
func (r *ruling) found() int { return len(r.anomalies) + r.more }

func (r *ruling) doubt(format string, args ...any) {
	r.doubts = append(r.doubts, fmt.Sprintf(format, args...))
}

func (r *ruling) lack(format string, args ...any) {
	r.lacks = append(r.lacks, fmt.Sprintf(format, args...))
}

// trial notes what the promise is about and the run never had.
func (r *ruling) trial(format string, args ...any) {
	r.trials = append(r.trials, fmt.Sprintf(format, args...))
}

func (r *ruling) figure(name string, value float64, unit string) {
	r.figures = append(r.figures, Figure{Name: name, Value: value, Unit: unit})
}

func (r *ruling) count(name string, n int, unit string) { r.figure(name, float64(n), unit) }

// verdict decides. The summary is for a valid verdict and follows the reason in the others.
func (r *ruling) verdict(format string, args ...any) Verdict {
	v := Verdict{
		Value:     Valid,
		Summary:   fmt.Sprintf(format, args...),
		Anomalies: r.anomalies,
		More:      r.more,
		Figures:   r.figures,
	}
	switch {
	case len(r.doubts) > 0:
		v.Value, v.Unknown = Unknown, strings.Join(r.doubts, "; ")
	case r.found() > 0:
		v.Value = Invalid
		v.Summary = r.tally() + "; " + v.Summary
	case len(r.lacks) > 0:
		v.Value, v.Unknown = Unknown, strings.Join(r.lacks, "; ")
	case len(r.trials) > 0:
		v.Value, v.Untested = Untested, strings.Join(r.trials, "; ")
	}
	return v
}

// tally is "3 lost, 1 unexpected": the anomalies shown by kind, and how many more there are.
func (r *ruling) tally() string {
	var kinds []string
	n := map[string]int{}
	for _, a := range r.anomalies {
		if n[a.Kind] == 0 {
			kinds = append(kinds, a.Kind)
		}
		n[a.Kind]++
	}
	parts := make([]string, 0, len(kinds)+1)
	for _, k := range kinds {
		parts = append(parts, fmt.Sprintf("%d %s", n[k], k))
	}
	if r.more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", r.more))
	}
	return strings.Join(parts, ", ")
}

// sound puts the doubts that any verdict on a history has: shed events make everything unknown.
func (r *ruling) sound(l *Ledger) {
	if l.shed > 0 {
		r.doubt("a history without gaps: the recorder shed %d events, "+
			"run with less load or on a faster machine", l.shed)
	}
	if l.implausible != "" {
		r.doubt("a history that holds together: %s", l.implausible)
	}
}

// complete adds the doubt of an unfinished run to verdicts on what is missing at its end.
func (r *ruling) complete(l *Ledger) {
	r.sound(l)
	if !l.ended {
		r.doubt("a run that reaches its end: this one has no audit, " +
			"so what is missing may have been on its way")
	}
}
