package reports

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
)

// TextOptions is how a report is laid out for a terminal.
type TextOptions struct {
	Color bool
	Width int // columns; 0 is 110
}

// Text writes the report for people: verdicts first, then what they stand on.
func Text(w io.Writer, r Report, opt TextOptions) error {
	p := &page{w: w, opt: opt}
	if p.opt.Width == 0 {
		p.opt.Width = 110
	}
	p.head(r)
	p.verdicts(r)
	p.counterexamples(r)
	p.faults(r)
	p.flows(r)
	p.diagnosis(r)
	p.engines(r)
	p.foot(r)
	return p.err
}

// page writes until the first error and keeps it.
type page struct {
	w   io.Writer
	opt TextOptions
	err error
}

func (p *page) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// sheet is a table in the house's plain style, indented and as wide as the page allows.
func (p *page) sheet(header ...any) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleDefault)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Format.Header = text.FormatLower
	t.Style().Box.PaddingLeft, t.Style().Box.PaddingRight = "", "  "
	t.AppendHeader(table.Row(header))
	return t
}

func (p *page) put(t table.Writer) {
	for line := range strings.Lines(t.Render() + "\n") {
		p.printf("  %s\n", strings.TrimRight(line, " \n"))
	}
	p.printf("\n")
}

var valueColor = map[assertions.Value]text.Colors{
	assertions.Valid:   {text.FgGreen},
	assertions.Invalid: {text.FgRed},
	assertions.Unknown: {text.FgYellow},
}

func (p *page) value(v assertions.Value) string {
	if !p.opt.Color {
		return string(v)
	}
	return valueColor[v].Sprint(string(v))
}

func (p *page) head(r Report) {
	valid, invalid, unknown := Counts(r.Verdicts)
	p.printf("\n%s on %s: %s (%d valid, %d invalid, %d unknown)\n",
		Plain(r.Scenario), Plain(r.Topology), p.value(r.Value), valid, invalid, unknown)
	if r.Description != "" {
		p.printf("%s\n", Plain(r.Description))
	}
	if r.Stopped != "" {
		p.printf("the run ended early: %s\n", Plain(r.Stopped))
	}
	p.printf("\n")
}

func (p *page) verdicts(r Report) {
	t := p.sheet("verdict", "assertion", "what was measured")
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 3, WidthMax: p.opt.Width - 42, WidthMaxEnforcer: text.WrapSoft}})
	for _, v := range r.Verdicts {
		said := Plain(v.Summary)
		if v.Value == assertions.Unknown && v.Unknown != "" {
			said += "; to know: " + Plain(v.Unknown)
		}
		t.AppendRow(table.Row{p.value(v.Value), Plain(v.Name), said})
	}
	p.put(t)
}

func (p *page) counterexamples(r Report) {
	for _, v := range r.Verdicts {
		for i, a := range v.Anomalies {
			if i == 0 {
				p.printf("counterexamples to %s\n", Plain(v.Name))
			}
			p.anomaly(a)
		}
		if v.More > 0 {
			p.printf("  and %d more\n", v.More)
		}
		if len(v.Anomalies) > 0 {
			p.printf("\n")
		}
	}
}

// mostShown bounds the events of an anomaly on a terminal; result.json has all of them.
const mostShown = 6

func (p *page) anomaly(a assertions.Anomaly) {
	p.printf("  %s %s: %s\n", Plain(a.Kind), Plain(a.Subject()), Plain(a.Text))
	for i, e := range a.Events {
		if i == mostShown {
			p.printf("      and %d events more\n", len(a.Events)-mostShown)
			break
		}
		p.printf("      %s\n", EventLine(e))
	}
}

// EventLine is one event for people: time, place, what happened.
func EventLine(e history.Event) string {
	parts := []string{fmt.Sprintf("%10s  %-11s", Seconds(time.Duration(e.At)), e.Kind)}
	add := func(given bool, format string, args ...any) {
		if given {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(e.Node != "" && e.Replica > 0, "%s[%d]", e.Node, e.Replica)
	add(e.Node != "" && e.Replica <= 0, "%s", e.Node)
	add(e.Handler != "", "%s", e.Handler)
	add(e.Step != "", "%s", e.Step)
	add(e.Wire != "", "over %s", e.Wire)
	add(e.Channel != "", "in %s", e.Channel)
	add(e.Delivery > 1, "delivery %d", e.Delivery)
	add(e.Attempt > 0, "attempt %d", e.Attempt)
	add(e.Outcome != history.None, "%s", e.Outcome)
	add(e.Reason != "", "(%s)", e.Reason)
	add(e.Duration > 0, "took %s", time.Duration(e.Duration).Round(time.Microsecond))
	return Plain(strings.Join(parts, " "))
}

func (p *page) faults(r Report) {
	if len(r.Faults) == 0 {
		return
	}
	t := p.sheet("fault", "what", "from", "to", "touched")
	for _, f := range r.Faults {
		bite := fmt.Sprint(f.Bite)
		if f.Bite == 0 {
			bite = "nothing"
		}
		t.AppendRow(table.Row{Plain(f.Name), Plain(f.What), Seconds(f.From), Seconds(f.To), bite})
	}
	p.put(t)
}

func (p *page) flows(r Report) {
	t := p.sheet("flow", "asked", "sent", "accepted", "sink", "arrived", "p50", "p99", "max", "slo")
	for _, f := range r.Flows {
		for i, s := range f.Sinks {
			row := table.Row{"", "", "", "", Plain(s.Node), s.Arrived, ms(s.P50), ms(s.P99), ms(s.Max), s.SLO}
			if i == 0 {
				row[0], row[1], row[2], row[3] = Plain(f.Name), f.Asked, f.Sent, f.Ok
			}
			t.AppendRow(row)
		}
	}
	p.put(t)
}

func ms(d time.Duration) string {
	if d < 100*time.Millisecond {
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

func (p *page) diagnosis(r Report) {
	if len(r.Suspects) == 0 {
		p.printf("diagnosis, from the history alone: nobody is suspected\n\n")
		return
	}
	p.printf("diagnosis, from the history alone\n")
	for i, s := range r.Suspects {
		p.printf("  %d. %s: %s\n", i+1, Plain(s.Where), Plain(s.Evidence))
	}
	p.printf("\n")
}

func (p *page) engines(r Report) {
	if len(r.Engines) == 0 {
		return
	}
	t := p.sheet("engine of", "is", "a verdict on it is worth")
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 3, WidthMax: p.opt.Width - 60, WidthMaxEnforcer: text.WrapSoft}})
	for _, e := range r.Engines {
		t.AppendRow(table.Row{Plain(e.Node), strings.TrimSpace(e.Name + " " + e.Version), e.Worth})
	}
	p.put(t)
}

func (p *page) foot(r Report) {
	p.printf("%d messages, %d events, %d wires, seed %d, took %s\n",
		r.Messages, r.Events, r.Wires, r.Seed, Seconds(r.Took))
	if r.Repeat != "" {
		p.printf("repeat: %s\n", Plain(r.Repeat))
	}
	if r.Folder != "" {
		p.printf("folder: %s\n", Plain(r.Folder))
	}
}
