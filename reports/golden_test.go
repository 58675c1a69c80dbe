package reports_test

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/reports"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden holds a text against a file of testdata.
func golden(t *testing.T, name string, write func(io.Writer) error) {
	t.Helper()
	var got bytes.Buffer
	if err := write(&got); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestFormats(t *testing.T) {
	text := func(r reports.Report, opt reports.TextOptions) func(io.Writer) error {
		return func(w io.Writer) error { return reports.Text(w, r, opt) }
	}
	short := rich()
	short.Nodes, short.Engines, short.Suspects, short.Shed = nil, nil, nil, 0
	short.Stopped = "stopped in phase drain: the run passed its deadline of 90s"
	tests := []struct {
		name  string
		write func(io.Writer) error
	}{
		{"rich.80.txt", text(rich(), reports.TextOptions{Width: 80})},
		{"rich.140.txt", text(rich(), reports.TextOptions{Width: 140})},
		{"rich.color.txt", text(rich(), reports.TextOptions{Color: true})},
		{"stopped.txt", text(short, reports.TextOptions{})},
		{"empty.txt", text(reports.Report{}, reports.TextOptions{})},
		{"rich.json", func(w io.Writer) error { return reports.JSON(w, rich()) }},
		{"empty.json", func(w io.Writer) error {
			return reports.JSON(w,
				reports.Report{Format: reports.Format})
		}},
		{"rich.xml", func(w io.Writer) error { return reports.JUnit(w, rich(), reports.Report{}) }},
		{"empty.xml", func(w io.Writer) error { return reports.JUnit(w) }},
		{"rich.md", func(w io.Writer) error { return reports.Markdown(w, rich()) }},
		{"empty.md", func(w io.Writer) error { return reports.Markdown(w, reports.Report{}) }},
		{"schema.json", func(w io.Writer) error {
			schema, err := reports.Schema()
			if err != nil {
				return err
			}
			_, err = w.Write(append(schema, '\n'))
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { golden(t, tt.name, tt.write) })
	}
}

// fates are messages of every fate.
func fates() []history.Message {
	arrived := history.Message{Flow: "partner", Number: 3, Key: hostile, Trace: [16]byte{15: 3},
		Sent:    5 * time.Second,
		Outcome: history.Ok, Deliveries: 2, Attempts: 3, Arrivals: []history.Arrival{
			{Node: lake, At: 5020 * time.Millisecond, Copies: 1},
			{Node: api, At: -1, Copies: 2}}}
	dead := history.Message{Flow: "telemetry", Number: 12, Key: "hw-004", Trace: [16]byte{15: 12},
		Sent:    6 * time.Second,
		Outcome: history.Ok, Deliveries: 5, Attempts: 5,
		DeadLetters: []history.Ending{{At: 7 * time.Second, Node: worker,
			Channel: stream + "/events.dead", Reason: "schema"}}}
	open := history.Message{Flow: "telemetry", Number: 13, Sent: 6 * time.Second,
		Outcome: history.Unknown}
	return []history.Message{arrived, dead, open}
}

func TestMessages(t *testing.T) {
	names := reports.ShortNames(rich().Nodes)
	tests := []struct {
		name string
		opt  reports.MessagesOptions
	}{
		{"messages.txt", reports.MessagesOptions{Names: names, Width: 100}},
		{"messages.limit.txt", reports.MessagesOptions{Flow: "telemetry", Limit: 1}},
		{"messages.none.txt", reports.MessagesOptions{Flow: "command", Format: "text"}},
		{"messages.jsonl", reports.MessagesOptions{Format: "jsonl"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			golden(t, tt.name, func(w io.Writer) error {
				return reports.Messages(w, fates(),
					tt.opt)
			})
		})
	}
}

func TestTrace(t *testing.T) {
	journeys := []history.Journey{
		{Flow: "partner", Number: 17, Trace: [16]byte{0: 0xab, 15: 17}, Parent: -1, Asked: true,
			Hops: []history.Hop{
				{Node: "3rd_party.hw", Replica: 4, From: 5100 * time.Millisecond,
					To:     5102 * time.Millisecond,
					Events: lost().Events[:1]},
				{Node: bridge, Handler: "webhook", Via: cloud + " -> " + bridge, Delivery: 2,
					From: 5400 * time.Millisecond,
					To:   5700 * time.Millisecond, Events: lost().Events[1:3]},
			}},
		{Flow: "alert", Number: 2, Trace: [16]byte{0: 0xab, 15: 17}, ParentFlow: "partner",
			Parent: 17, Depth: 1,
			Hops: []history.Hop{{Node: worker, Replica: 1, Handler: hostile,
				Via:  stream + "/alerts",
				From: 6 * time.Second, To: 6001 * time.Millisecond}}},
	}
	golden(t, "trace.txt", func(w io.Writer) error {
		return reports.Trace(w, journeys,
			reports.TraceOptions{Names: reports.ShortNames(rich().Nodes)})
	})
	golden(t, "trace.narrow.txt", func(w io.Writer) error {
		return reports.Trace(w, journeys[:1], reports.TraceOptions{Width: 72})
	})
}
