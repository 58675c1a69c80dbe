package reports

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
)

// Markdown writes the report for a merge request or a job's summary page.
func Markdown(w io.Writer, r Report) error {
	p := &page{w: w}
	valid, invalid, unknown := Counts(r.Verdicts)
	p.printf("## %s on %s: %s\n\n", mark(r.Scenario), mark(r.Topology), r.Value)
	if r.Description != "" {
		p.printf("%s\n\n", mark(r.Description))
	}
	if r.Stopped != "" {
		p.printf("**The run ended early:** %s\n\n", mark(r.Stopped))
	}
	p.printf("%d valid, %d invalid, %d unknown; %d messages, seed %d, took %s\n\n",
		valid, invalid, unknown, r.Messages, r.Seed, Seconds(r.Took))
	t := table.NewWriter()
	t.AppendHeader(table.Row{"verdict", "assertion", "what was measured"})
	for _, v := range r.Verdicts {
		t.AppendRow(table.Row{string(v.Value), mark(v.Name), mark(v.Summary)})
	}
	p.printf("%s\n\n", t.RenderMarkdown())
	p.markdownAnomalies(r)
	if len(r.Faults) > 0 {
		t := table.NewWriter()
		t.AppendHeader(table.Row{"fault", "what", "from", "to", "touched"})
		for _, f := range r.Faults {
			t.AppendRow(table.Row{mark(f.Name), mark(f.What), Seconds(f.From), Seconds(f.To), f.Bite})
		}
		p.printf("%s\n\n", t.RenderMarkdown())
	}
	for i, s := range r.Suspects {
		p.printf("%d. suspected from the history alone: %s: %s\n", i+1, mark(s.Where), mark(s.Evidence))
	}
	if r.Repeat != "" {
		p.printf("\nRepeat: %s\n", code(r.Repeat))
	}
	return p.err
}

func (p *page) markdownAnomalies(r Report) {
	for _, v := range r.Verdicts {
		if len(v.Anomalies) == 0 {
			continue
		}
		p.printf("<details><summary>counterexamples to %s</summary>\n\n", mark(v.Name))
		for _, a := range v.Anomalies {
			p.printf("- %s %s: %s\n", mark(a.Kind), mark(a.Subject()), mark(a.Text))
			for _, e := range a.Events {
				p.printf("  - %s\n", code(strings.TrimSpace(EventLine(e))))
			}
		}
		if v.More > 0 {
			p.printf("- and %d more\n", v.More)
		}
		p.printf("\n</details>\n\n")
	}
}

var markup = strings.NewReplacer("\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]",
	"<", "&lt;", ">", "&gt;", "&", "&amp;", "#", "\\#", "!", "\\!", "~", "\\~")

// mark is a text without any meaning to Markdown.
func mark(s string) string { return markup.Replace(Plain(s)) }

// code is a text as a code span, whatever backticks are in it.
func code(s string) string {
	s = Plain(s)
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	return fmt.Sprintf("%s %s %s", fence, s, fence)
}
