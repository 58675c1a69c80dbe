package reports

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
)

// TextOptions is how a report is laid out for a terminal.
type TextOptions struct {
	Color bool
	Width int // columns; 0 is 110
}

// Text writes the report for people, in the order in which they ask: does it hold, what shows that
// it does not, who is to blame, what was broken, how did each flow fare, what is that worth.
func Text(w io.Writer, r Report, opt TextOptions) error {
	p := newPage(w, opt, namesOf(r))
	p.head(r)
	p.verdicts(r)
	p.counterexamples(r)
	p.diagnosis(r)
	p.faults(r)
	p.flows(r)
	p.engines(r)
	p.clock(r)
	p.foot(r)
	return p.err
}

func (p *page) head(r Report) {
	p.printf("\n%s on %s: %s (%s)\n",
		p.paint(Plain(r.Scenario),
			bold), Plain(r.Topology), p.value(r.Value), countWords(r.Verdicts))
	if r.Description != "" {
		p.wrapped(0, "", 0, paragraph(r.Description))
	}
	if r.Stopped != "" {
		p.wrapped(0, "", 2, p.paint("the run ended early: ", yellow)+p.plain(r.Stopped))
	}
	if r.Shed > 0 {
		p.wrapped(0, "", 2,
			fmt.Sprintf("the recorder dropped %d events: verdicts that needed them are unknown",
				r.Shed))
	}
	p.printf("\n")
}

// countWords is "1 invalid, 2 unknown, 3 valid, 4 untested", without those that there are none of.
func countWords(verdicts []assertions.Verdict) string {
	counts := CountsOf(verdicts)
	var words []string
	for _, c := range []struct {
		n    int
		word string
	}{{counts.Invalid, "invalid"}, {counts.Unknown, "unknown"}, {counts.Valid, "valid"},
		{counts.Untested, "untested"}} {
		if c.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", c.n, c.word))
		}
	}
	if len(words) == 0 {
		return "nothing was judged"
	}
	return strings.Join(words, ", ")
}

// worstFirst is the verdicts in the order a reader wants: invalid, unknown, valid, untested.
func worstFirst(verdicts []assertions.Verdict) []assertions.Verdict {
	rank := map[assertions.Value]int{assertions.Invalid: -1, assertions.Valid: 1, assertions.Untested: 2}
	return slices.SortedStableFunc(slices.Values(verdicts), func(a, b assertions.Verdict) int {
		return cmp.Compare(rank[a.Value], rank[b.Value])
	})
}

func (p *page) verdicts(r Report) {
	s := sheet{header: []string{"verdict", "assertion", "what was measured"}, prose: true}
	for _, v := range worstFirst(r.Verdicts) {
		s.add(p.value(v.Value), p.plain(v.Name), p.plain(measured(v)))
	}
	p.put(s)
}

// measured is a verdict's summary, with what would make an unknown known, or test what was not.
func measured(v assertions.Verdict) string {
	if v.Value == assertions.Unknown && v.Unknown != "" {
		return v.Summary + "; to know: " + v.Unknown
	}
	if v.Value == assertions.Untested {
		return v.Summary + "; to test it: " + v.Untested
	}
	return v.Summary
}

func (p *page) counterexamples(r Report) {
	for _, v := range worstFirst(r.Verdicts) {
		if len(v.Anomalies) == 0 {
			continue
		}
		p.printf("%s\n", p.paint("counterexamples to "+p.plain(v.Name), bold))
		for _, a := range v.Anomalies {
			p.anomaly(a)
		}
		if v.More > 0 {
			p.printf("  and %d more\n", v.More)
		}
		p.printf("\n")
	}
}

// Of an anomaly's events a terminal gets the first and the last, which tell where it ended;
// result.json has all of them.
const (
	firstShown = 2
	lastShown  = 4
)

func (p *page) anomaly(a assertions.Anomaly) {
	subject, said := p.plain(a.Subject()), p.plain(a.Text)
	head := p.paint(Plain(a.Kind), red) + " "
	if !strings.HasPrefix(said, subject) {
		said = subject + ": " + said
	}
	p.wrapped(2, head, len(a.Kind)+1, said)
	left := len(a.Events) - firstShown - lastShown
	for i, e := range a.Events {
		if left > 1 && i >= firstShown && i < firstShown+left {
			if i == firstShown {
				more := fmt.Sprintf("%9s  %d more events in result.json", "…", left)
				p.printf("    %s\n", p.paint(more, faint))
			}
			continue
		}
		p.event(4, e)
	}
}

// event prints an event; what does not fit on its line goes on below its place.
func (p *page) event(indent int, e history.Event) {
	head := eventHead(e)
	p.wrapped(indent, head, len(head), p.names.In(eventPlace(e)))
}

// EventLine is one event for people: time, what, where, how it ended.
func EventLine(e history.Event) string { return eventHead(e) + eventPlace(e) }

func eventHead(e history.Event) string {
	return fmt.Sprintf("%9s  %-11s ", Seconds(time.Duration(e.At)), e.Kind)
}

func eventPlace(e history.Event) string {
	var parts []string
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
	add(e.Key != "" && e.Kind == history.Produce, "key %s", e.Key)
	add(e.Delivery > 1, "delivery %d", e.Delivery)
	add(e.Attempt > 0, "attempt %d", e.Attempt)
	add(e.Outcome != history.None, "%s", e.Outcome)
	add(e.Reason != "", "(%s)", e.Reason)
	add(e.Value != 0 || e.Kind == history.Gauge, valueWords(e.Kind), e.Value)
	add(e.Duration > 0, "took %s", took(time.Duration(e.Duration)))
	return Plain(strings.Join(parts, " "))
}

// valueWords says what the value of an event counts.
func valueWords(k history.Kind) string {
	switch k {
	case history.Found:
		return "copies: %d"
	case history.Fault:
		return "messages touched: %d"
	case history.Shed:
		return "events dropped: %d"
	}
	return "%d"
}

func (p *page) diagnosis(r Report) {
	if len(r.Suspects) == 0 {
		p.printf("diagnosis, from the history alone: nobody is suspected\n\n")
		return
	}
	p.printf("%s\n", p.paint("diagnosis, from the history alone", bold))
	for i, s := range r.Suspects {
		p.wrapped(2, fmt.Sprintf("%d. ", i+1), 3, p.plain(s.Where)+": "+p.plain(s.Evidence))
	}
	p.printf("\n")
}

func (p *page) faults(r Report) {
	s := sheet{header: []string{"fault", "from", "to", "touched", "what"}, figures: []int{1, 2, 3},
		prose: true}
	for _, f := range r.Faults {
		s.add(p.plain(f.Name), Seconds(f.From), p.healed(f), bite(f), p.plain(f.What))
	}
	p.put(s)
}

func (p *page) healed(f Fault) string {
	if f.From >= 0 && f.To < 0 {
		return p.paint("not healed", red)
	}
	return Seconds(f.To)
}

func bite(f Fault) string {
	switch {
	case f.From < 0:
		return "not begun"
	case f.Bite == 0:
		return "nothing"
	}
	return strconv.FormatInt(f.Bite, 10)
}

// promised is a sink's SLO, and whether it is broken.
func (p *page) promised(k Sink) string {
	if k.Broken {
		return p.paint(Plain(promisedWords(k)), red)
	}
	return Plain(promisedWords(k))
}

func promisedWords(k Sink) string {
	if k.Broken {
		return k.SLO + ": broken"
	}
	return k.SLO
}

func (p *page) flows(r Report) {
	s := sheet{
		header: []string{"flow", "sent", "accepted", "sink", "arrived", "p50", "p99", "max",
			"promised"},
		figures: []int{1, 2, 4, 5, 6, 7},
	}
	for _, f := range r.Flows {
		for i, k := range f.Sinks {
			row := []string{"", "", "", p.plain(k.Node), number(k.Arrived), took(k.P50),
				took(k.P99), took(k.Max), p.promised(k)}
			if i == 0 {
				row[0], row[1], row[2] = p.plain(f.Name), sent(f), number(f.Ok)
			}
			s.add(row...)
		}
		if len(f.Sinks) == 0 {
			s.add(p.plain(f.Name), sent(f), number(f.Ok), "", "", "", "", "", "")
		}
	}
	if p.opt.Width < narrow {
		s.without("max", "p50")
	}
	p.put(s)
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// sent is how many messages were offered, and of how many when that is not what the plan asked.
func sent(f Flow) string {
	if f.Asked > 0 && f.Asked != f.Sent {
		return fmt.Sprintf("%d of %d", f.Sent, f.Asked)
	}
	return number(f.Sent)
}

// took is a span for people, with three figures or so.
func took(d time.Duration) string {
	for _, unit := range []time.Duration{10 * time.Second, time.Second, 100 * time.Millisecond,
		time.Millisecond} {
		if d >= unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.Round(time.Microsecond).String()
}

func (p *page) engines(r Report) {
	s := sheet{header: []string{"engine of", "is", "a verdict on it is worth"}, prose: true}
	for _, e := range r.Engines {
		s.add(p.plain(e.Node), Plain(engineWords(e)), p.plain(e.Worth))
	}
	p.put(s)
}

// engineWords is "kfake v0.1" or "Apache Kafka 3.9.1 (container)".
func engineWords(e Engine) string {
	words := strings.TrimSpace(e.Name + " " + e.Version)
	if e.Set == "container" {
		words += " (container)"
	}
	return words
}

// clock says by what time the run went, and what that is worth.
func (p *page) clock(r Report) {
	c := r.Clock
	switch {
	case c == nil:
	case c.Worth != "":
		p.wrapped(0, "", 2, "in virtual time, which "+c.Worth)
	case c.Why != "":
		p.wrapped(0, "", 2, "in real time: "+p.plain(c.Why))
	}
}

// over says what carried the wires' bytes, where that was not sockets alone.
func over(r Report) string {
	if r.Transport == "memory" || r.Transport == "virtual" {
		return " in memory"
	}
	return ""
}

// tookWords is how long the run took, by its own clock.
func tookWords(r Report) string {
	if r.Clock != nil && r.Clock.Time == "virtual" {
		return Seconds(r.Took) + " of virtual time"
	}
	return Seconds(r.Took)
}

func (p *page) foot(r Report) {
	p.printf("%d messages, %d events, %d wires%s, seed %d, took %s\n",
		r.Messages, r.Events, r.Wires, over(r), r.Seed, tookWords(r))
	if r.Clock != nil && r.Clock.Digest != "" {
		p.printf("history: sha256 %.16s…, the same for the same seed\n", r.Clock.Digest)
	}
	if r.Repeat != "" {
		p.printf("repeat: %s\n", Plain(r.Repeat))
	}
	if r.Folder != "" {
		p.printf("folder: %s\n", Plain(r.Folder))
	}
}
