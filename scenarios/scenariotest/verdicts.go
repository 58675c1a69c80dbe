package scenariotest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/reports"
	"github.com/faultline-sim/faultline/scenarios"
)

// tell gives each verdict a subtest, and one to each expectation that no verdict answers.
func tell(t *testing.T, r Result) {
	t.Helper()
	t.Log(clock(r))
	told := map[string]bool{}
	for _, v := range r.Report.Verdicts {
		told[v.Name] = true
		t.Run(v.Name, func(t *testing.T) {
			if text := r.complaint(v.Name); text != "" {
				t.Error(text + "\n" + evidence(v) + r.foot())
				return
			}
			if v.Value == assertions.Untested {
				t.Skipf("untested: it takes %s", reports.Plain(v.Untested))
			}
			t.Logf("%s: %s", v.Value, reports.Plain(v.Summary))
		})
	}
	for _, d := range r.Differences {
		if told[d.Name] {
			continue
		}
		told[d.Name] = true
		t.Run(d.Name, func(t *testing.T) { t.Error(r.complaint(d.Name) + "\n" + r.foot()) })
	}
	if len(r.Report.Verdicts) == 0 {
		t.Error("unknown: nothing was judged\n" + r.foot())
	}
}

// complaint is how the verdict with a name is not as it must be, "" when it is.
func (r Result) complaint(name string) string {
	var lines []string
	for _, d := range r.Differences {
		if d.Name == name {
			lines = append(lines, reports.Plain(d.Text))
		}
	}
	return strings.Join(lines, "\n")
}

// evidence is a verdict with all that it shows.
func evidence(v assertions.Verdict) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", strings.ToUpper(string(v.Value)), reports.Plain(v.Summary))
	if v.Value == assertions.Unknown && v.Unknown != "" {
		fmt.Fprintf(&b, "to know: %s\n", reports.Plain(v.Unknown))
	}
	if v.Value == assertions.Untested {
		fmt.Fprintf(&b, "to test it: %s\n", reports.Plain(v.Untested))
	}
	for _, a := range v.Anomalies {
		fmt.Fprintf(&b, "  %s: %s\n", reports.Plain(a.Kind), reports.Plain(a.Text))
		for e := range slices.Values(a.Events) {
			fmt.Fprintf(&b, "    %s\n", reports.EventLine(e))
		}
	}
	if v.More > 0 {
		fmt.Fprintf(&b, "  and %d more\n", v.More)
	}
	return b.String()
}

// foot is who is suspected, what repeats the run and where its files are.
func (r Result) foot() string {
	var b strings.Builder
	for _, s := range r.Report.Suspects {
		fmt.Fprintf(&b, "suspected: %s: %s\n", reports.Plain(s.Where), reports.Plain(s.Evidence))
	}
	for _, note := range r.notes {
		fmt.Fprintf(&b, "%s\n", reports.Plain(note))
	}
	fmt.Fprintf(&b, "%s\n", reports.Plain(clock(r)))
	fmt.Fprintf(&b, "repeat: %s\n", reports.Plain(r.Report.Repeat))
	fmt.Fprintf(&b, "run folder: %s", r.Folder)
	return b.String()
}

// clock is by which clock the run went, and why it was the machine's where it was not asked for.
func clock(r Result) string {
	switch c := r.Report.Clock; {
	case c == nil:
		return "clock: the machine's"
	case c.Time == scenarios.VirtualTime:
		return "clock: virtual"
	case c.Why != "":
		return "clock: the machine's, because " + c.Why
	}
	return "clock: the machine's"
}
