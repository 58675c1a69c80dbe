package reports

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/faultline-sim/faultline/assertions/history"
)

// MessagesOptions choose which messages are listed and how.
type MessagesOptions struct {
	Flow   string // "" is all
	Limit  int    // 0 is no limit
	Format string // "text" or "jsonl"; "" is text
	Width  int    // columns of a text; 0 is 110
	Names  Names  // to show in a text
}

// Messages lists what became of a run's messages, one a line.
func Messages(w io.Writer, all []history.Message, opt MessagesOptions) error {
	if opt.Flow != "" {
		all = slices.DeleteFunc(slices.Clone(all),
			func(m history.Message) bool { return m.Flow != opt.Flow })
	}
	left := 0
	if opt.Limit > 0 && len(all) > opt.Limit {
		left, all = len(all)-opt.Limit, all[:opt.Limit]
	}
	if opt.Format == "jsonl" {
		return messageLines(w, all)
	}
	p := newPage(w, TextOptions{Width: opt.Width}, opt.Names)
	s := sheet{
		header:  []string{"message", "key", "sent", "answer", "attempts", "fate", "arrived at"},
		figures: []int{2, 4}, prose: true,
	}
	for i := range all {
		m := &all[i]
		s.add(Plain(m.ID()), Plain(m.Key), Seconds(m.Sent), m.Outcome.String(),
			strconv.Itoa(m.Attempts),
			m.Fate(), p.plain(arrivals(m)))
	}
	p.put(s)
	if len(all) == 0 {
		p.printf("no messages\n")
	}
	if left > 0 {
		p.printf("%d more are not shown\n", left)
	}
	return p.err
}

// messageLines writes messages as JSON, one a line.
func messageLines(w io.Writer, all []history.Message) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for i := range all {
		if err := enc.Encode(messageLine(&all[i])); err != nil {
			return fmt.Errorf("print messages: %w", err)
		}
	}
	return nil
}

func arrivals(m *history.Message) string {
	var parts []string
	for _, a := range m.Arrivals {
		part := a.Node
		if a.At >= 0 {
			part += " after " + took(a.At-m.Sent)
		}
		if a.Copies > 1 {
			part += fmt.Sprintf(" (%d copies)", a.Copies)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// line is a message in JSON lines.
type line struct {
	ID          string   `json:"id"`
	Flow        string   `json:"flow"`
	Key         string   `json:"key,omitempty"`
	Trace       string   `json:"trace"`
	Sent        int64    `json:"sent_ns"`
	Answer      string   `json:"answer"`
	Deliveries  int      `json:"deliveries"`
	Attempts    int      `json:"attempts"`
	Fate        string   `json:"fate"`
	Arrivals    []at     `json:"arrivals,omitempty"`
	DeadLetters []ending `json:"dead_letters,omitempty"`
}

type at struct {
	Node   string `json:"node"`
	AtNS   int64  `json:"at_ns"`
	Copies int64  `json:"copies"`
}

type ending struct {
	Channel string `json:"channel"`
	Reason  string `json:"reason"`
	AtNS    int64  `json:"at_ns"`
}

func messageLine(m *history.Message) line {
	l := line{
		ID: m.ID(), Flow: m.Flow, Key: m.Key, Trace: fmt.Sprintf("%x",
			m.Trace), Sent: int64(m.Sent),
		Answer: m.Outcome.String(), Deliveries: m.Deliveries, Attempts: m.Attempts, Fate: m.Fate(),
	}
	for _, a := range m.Arrivals {
		l.Arrivals = append(l.Arrivals, at{a.Node, int64(a.At), a.Copies})
	}
	for _, d := range m.DeadLetters {
		l.DeadLetters = append(l.DeadLetters, ending{d.Channel, d.Reason, int64(d.At)})
	}
	return l
}
