package reports

import (
	"fmt"
	"html"
	"io"
	"regexp"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
)

// Markdown writes the report for a merge request or a job's summary page.
func Markdown(w io.Writer, r Report) error {
	p := newPage(w, TextOptions{}, namesOf(r))
	p.printf("## %s on %s: %s\n\n", p.mark(r.Scenario), p.mark(r.Topology), p.mark(string(r.Value)))
	if r.Description != "" {
		p.printf("%s\n\n", mark(paragraph(r.Description)))
	}
	if r.Stopped != "" {
		p.printf("**The run ended early:** %s\n\n", p.mark(r.Stopped))
	}
	p.printf("%s; %d messages, seed %d, took %s\n\n",
		countWords(r.Verdicts), r.Messages, r.Seed, tookWords(r))
	p.markdownVerdicts(r)
	p.markdownAnomalies(r)
	for i, s := range r.Suspects {
		p.printf("%d. suspected from the history alone: %s: %s\n", i+1, p.mark(s.Where),
			p.mark(s.Evidence))
	}
	if len(r.Suspects) > 0 {
		p.printf("\n")
	}
	p.markdownFaults(r)
	p.markdownFlows(r)
	if r.Repeat != "" {
		p.printf("Repeat: %s\n", code(r.Repeat))
	}
	return p.err
}

func (p *page) markdownVerdicts(r Report) {
	t := table.NewWriter()
	t.AppendHeader(table.Row{"verdict", "assertion", "what was measured"})
	for _, v := range worstFirst(r.Verdicts) {
		t.AppendRow(table.Row{p.mark(string(v.Value)), p.mark(v.Name), p.mark(measured(v))})
	}
	p.putMarkdown(t)
}

func (p *page) markdownFaults(r Report) {
	t := table.NewWriter()
	t.AppendHeader(table.Row{"fault", "what", "from", "to", "touched"})
	for _, f := range r.Faults {
		t.AppendRow(table.Row{p.mark(f.Name), p.mark(f.What), Seconds(f.From), p.healed(f),
			bite(f)})
	}
	p.putMarkdown(t)
}

func (p *page) markdownFlows(r Report) {
	t := table.NewWriter()
	t.AppendHeader(table.Row{"flow", "sent", "accepted", "sink", "arrived", "p50", "p99",
		"promised"})
	for _, f := range r.Flows {
		for _, s := range f.Sinks {
			t.AppendRow(table.Row{
				p.mark(f.Name), sent(f), f.Ok, p.mark(s.Node), s.Arrived, took(s.P50), took(s.P99),
				mark(promisedWords(s)),
			})
		}
	}
	p.putMarkdown(t)
}

func (p *page) putMarkdown(t table.Writer) {
	if t.Length() > 0 {
		p.printf("%s\n\n", t.RenderMarkdown())
	}
}

func (p *page) markdownAnomalies(r Report) {
	for _, v := range worstFirst(r.Verdicts) {
		if len(v.Anomalies) == 0 {
			continue
		}
		p.printf("<details><summary>counterexamples to %s</summary>\n\n",
			html.EscapeString(p.plain(v.Name)))
		for _, a := range v.Anomalies {
			p.printf("- %s %s: %s\n", p.mark(a.Kind), p.mark(a.Subject()), p.mark(a.Text))
			for _, e := range a.Events {
				p.printf("  - %s\n", code(strings.TrimSpace(p.names.In(EventLine(e)))))
			}
		}
		if v.More > 0 {
			p.printf("- and %d more\n", v.More)
		}
		p.printf("\n</details>\n\n")
	}
}

// mark is a text without any meaning to Markdown, with short names.
func (p *page) mark(s string) string { return mark(p.names.In(s)) }

var markup = strings.NewReplacer("\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[",
	"]", "\\]",
	"<", "&lt;", ">", "&gt;", "&", "&amp;", "#", "\\#", "!", "\\!", "~", "\\~", "@", "\\@", "|",
	"&#124;",
	"://", "\\://")

var (
	// opening is what makes a list, a rule or a heading of the line that begins with it.
	opening = regexp.MustCompile(`^([-+=]|\d+[.)](?:\s|$))`)
	// website is what readers make a link of without being asked to.
	website = regexp.MustCompile(`(?i)\bwww\.`)
)

// mark is a text on one line without any meaning to Markdown; no text is a dash.
func mark(s string) string {
	s = markup.Replace(strings.TrimSpace(Plain(s)))
	if s == "" {
		return "–"
	}
	s = website.ReplaceAllStringFunc(s, func(w string) string { return w[:len(w)-1] + "\\." })
	if o := strings.TrimSpace(opening.FindString(s)); o != "" {
		return o[:len(o)-1] + "\\" + s[len(o)-1:]
	}
	return s
}

// code is a text as a code span, whatever backticks are in it.
func code(s string) string {
	s = Plain(s)
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	return fmt.Sprintf("%s %s %s", fence, s, fence)
}
