package reports

import (
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/faultline-sim/faultline/topology/claims"
)

// Brokers writes what each broker can promise, a column a broker: as a table for a terminal, or in
// Markdown.
func Brokers(w io.Writer, brokers []claims.Broker, markdown bool) error {
	t := table.NewWriter()
	head := table.Row{""}
	for _, b := range brokers {
		head = append(head, b.Protocol)
	}
	t.AppendHeader(head)
	if len(brokers) == 0 {
		return nil
	}
	for i, fact := range brokers[0].Facts() {
		row := table.Row{fact.Name}
		for _, b := range brokers {
			row = append(row, b.Facts()[i].Value)
		}
		t.AppendRow(row)
	}
	render := t.Render
	if markdown {
		render = t.RenderMarkdown
	} else {
		t.SetStyle(plain())
	}
	_, err := fmt.Fprintln(w, render())
	return err
}

// plain is a table of columns without lines, headed as the cells are written.
func plain() table.Style {
	s := table.StyleDefault
	s.Options = table.OptionsNoBordersAndSeparators
	s.Format.Header = 0
	return s
}

// Broker writes all about one broker, a fact a line, and what to do for what it cannot.
func Broker(w io.Writer, b claims.Broker) error {
	t := table.NewWriter()
	t.SetStyle(plain())
	for _, f := range b.Facts() {
		t.AppendRow(table.Row{f.Name, f.Value})
	}
	t.AppendRow(table.Row{"a channel is", b.Map})
	if b.DeadLetter != "" {
		t.AppendRow(table.Row{"dead-lettered natively by", b.DeadLetter})
		t.AppendRow(table.Row{"which is made with", b.MapDead})
	}
	for _, asked := range []claims.Asked{claims.NativeDeadLetter, claims.MessageTTL, claims.FanOut,
		claims.TransientChannel, claims.ParallelParts} {
		if instead := b.Instead[asked]; instead != "" {
			t.AppendRow(table.Row{"instead of " + string(asked), instead})
		}
	}
	_, err := fmt.Fprintf(w, "%s, protocol %s\n\n%s\n", b.Product, b.Protocol, t.Render())
	return err
}
