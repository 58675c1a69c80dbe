package history_test

import (
	"bytes"
	stdcmp "cmp"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions/history"
)

// duckdb is a Python that has DuckDB and pyarrow. A test is skipped without it, unless it is CI
// that runs it.
func duckdb(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("python-duckdb")
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatal(err)
	case err != nil:
		t.Skip("python-duckdb is not on PATH: .ci/programs duckdb installs it")
	}
	return path
}

// filter is a condition on one column: =, < or > a number or a text. In JSON it is a list.
type filter struct {
	column, op string
	value      any
}

func (f filter) MarshalJSON() ([]byte, error) { return json.Marshal([]any{f.column, f.op, f.value}) }

// rows are what a filter finds: how many, and the sum of their times.
type rows [2]int64

// numbers and words are the columns of a file, each with where an event has it.
var numbers = map[string]func(*history.Event) int64{
	"at_ns":       func(e *history.Event) int64 { return e.At },
	"replica":     func(e *history.Event) int64 { return int64(e.Replica) },
	"message":     func(e *history.Event) int64 { return e.Message },
	"parent":      func(e *history.Event) int64 { return e.Parent },
	"key_seq":     func(e *history.Event) int64 { return e.KeySeq },
	"partition":   func(e *history.Event) int64 { return int64(e.Partition) },
	"offset":      func(e *history.Event) int64 { return e.Offset },
	"delivery":    func(e *history.Event) int64 { return int64(e.Delivery) },
	"attempt":     func(e *history.Event) int64 { return int64(e.Attempt) },
	"duration_ns": func(e *history.Event) int64 { return e.Duration },
	"value":       func(e *history.Event) int64 { return e.Value },
}

var words = map[string]func(*history.Event) string{
	"kind":        func(e *history.Event) string { return e.Kind.String() },
	"outcome":     func(e *history.Event) string { return e.Outcome.String() },
	"node":        func(e *history.Event) string { return e.Node },
	"handler":     func(e *history.Event) string { return e.Handler },
	"step":        func(e *history.Event) string { return e.Step },
	"flow":        func(e *history.Event) string { return e.Flow },
	"trace":       func(e *history.Event) string { return traceText(e.Trace) },
	"parent_flow": func(e *history.Event) string { return e.ParentFlow },
	"key":         func(e *history.Event) string { return e.Key },
	"wire":        func(e *history.Event) string { return e.Wire },
	"channel":     func(e *history.Event) string { return e.Channel },
	"reason":      func(e *history.Event) string { return e.Reason },
}

func traceText(id [16]byte) string {
	if id == ([16]byte{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// varied is a history of more than one row group in which every column has several values, in
// different pages too, among them such that the page index has trouble with: negative numbers and
// long texts that are not ASCII.
func varied() []history.Event {
	events := telemetry(9_000, 1_000)
	for i := range events {
		e := &events[i]
		e.Value, e.Attempt = e.Value+int64(i%5-2), int32(i/40_000)
		e.Offset, e.Parent = int64(i/7), int64(i/1000-1)
		e.Reason = [...]string{"", "timeout", "5xx"}[i%3]
		e.ParentFlow = [...]string{"", "telemetry"}[i/70_000%2]
		if i%30_000 == 29_999 {
			e.Key = strings.Repeat("기기", 10) + string(rune('가'+i/30_000))
			e.KeySeq, e.Duration = -5, -int64(i)
		}
	}
	return events
}

// asked are the filters to hold against an engine: for each column the value of an odd event, and
// that of the last one.
func asked(events []history.Event) (all []filter) {
	odd, last := &events[59_999], &events[len(events)-1]
	ask := func(column string, odd, last any) {
		all = append(all, filter{column, "=", odd}, filter{column, "<", odd},
			filter{column, ">", odd}, filter{column, "=", last})
	}
	for column, of := range numbers {
		ask(column, of(odd), of(last))
	}
	for column, of := range words {
		ask(column, of(odd), of(last))
	}
	return all
}

// find is what the events say about a filter.
func find(events []history.Event, f filter) (r rows) {
	for i := range events {
		var c int
		switch want := f.value.(type) {
		case int64:
			c = stdcmp.Compare(numbers[f.column](&events[i]), want)
		case string:
			c = strings.Compare(words[f.column](&events[i]), want)
		}
		if c == map[string]int{"=": 0, "<": -1, ">": 1}[f.op] {
			r[0]++
			r[1] += events[i].At
		}
	}
	return r
}

// Filters are where an engine believes the page index and the row groups' bounds.
func TestOtherEnginesFindWhatTheEventsSay(t *testing.T) {
	python := duckdb(t)
	dir := t.TempDir()
	events := varied()
	seal(t, dir, 1, events)
	t.Run("filters/a segment/the events' rows", func(t *testing.T) {
		agree(t, python, history.SegmentPath(dir, 1), events)
	})
	if err := history.Compact(dir); err != nil {
		t.Fatal(err)
	}
	t.Run("filters/a compacted history/the events' rows", func(t *testing.T) {
		agree(t, python, filepath.Join(dir, "history.parquet"), events)
	})
}

// agree holds what DuckDB and pyarrow find in a file against the events in it.
func agree(t *testing.T, python, path string, events []history.Event) {
	t.Helper()
	filters := asked(events)
	in, err := json.Marshal(filters)
	if err != nil {
		t.Fatal(err)
	}
	const script = "testdata/filters.py"
	if _, err := os.Stat(script); err != nil { // a changed script is no test that has run
		t.Fatal(err)
	}
	command := exec.Command(python, script, path)
	command.Stdin, command.Stderr = bytes.NewReader(in), os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got [][2]rows
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(filters) {
		t.Fatalf("%d filters got %d answers", len(filters), len(got))
	}
	for i, f := range filters {
		want := find(events, f)
		if diff := cmp.Diff([2]rows{want, want}, got[i]); diff != "" {
			t.Errorf("%s %s %v, by DuckDB and pyarrow (-want +got):\n%s", f.column, f.op, f.value, diff)
		}
	}
}
