package history_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions/history"
)

// on makes an event of telemetry-0, at a time in ms, at a node and handler.
func on(kind history.Kind, ms int64, node, handler string) history.Event {
	e := history.New(kind, ms*int64(time.Millisecond))
	e.Flow, e.Message, e.Key, e.KeySeq, e.Trace = "telemetry", 0, "hw-7", 3, traceOf(1)
	e.Node, e.Handler = node, handler
	return e
}

func traceOf(n byte) [16]byte { return [16]byte{0: 0xab, 1: 0xcd, 2: 0xef, 3: 0x01, 15: n} }

// with changes an event's other fields.
func with(e history.Event, change func(*history.Event)) history.Event {
	change(&e)
	return e
}

func outcome(o history.Outcome) func(*history.Event) {
	return func(e *history.Event) {
		e.Outcome, e.Attempt, e.Duration = o, 1, int64(time.Millisecond)
	}
}

// hot is a telemetry message that fails once, is stored, and gives birth to an alert that is
// dead-lettered; beside it goes telemetry-1, of which only the beginning is known.
func hot() []history.Event {
	alert := func(e history.Event) history.Event {
		e.Flow, e.Key, e.KeySeq, e.Trace = "alert", "", -1, traceOf(2)
		return e
	}
	received := on(history.Receive, 3, "worker", "records")
	received.Channel, received.Delivery = "stream/events", 1
	failed := with(on(history.Call, 5, "worker", "records"), outcome(history.Fail))
	failed.Delivery, failed.Wire, failed.Reason = 1, "worker -> api", "5xx"
	stored := with(on(history.Store, 8, "worker", "records"), outcome(history.Ok))
	stored.Delivery, stored.Wire, stored.Attempt = 1, "worker -> lake", 2
	born := alert(on(history.Derive, 9, "worker", "records"))
	born.Delivery, born.Parent, born.ParentFlow = 1, 0, "telemetry"
	dead := alert(on(history.DeadLetter, 12, "mailer", "alerts"))
	dead.Channel, dead.Reason = "stream/alerts.dead", "timeout"
	dead.Outcome, dead.Attempt = history.Ok, 3
	found := on(history.Found, 100, "lake", "")
	found.Value = 1
	other := on(history.Produce, 2, "device", "")
	other.Message, other.Key, other.Trace = 1, "hw-8", traceOf(3)
	return []history.Event{
		on(history.Produce, 1, "device", ""), other,
		with(on(history.Produce, 2, "device", ""), outcome(history.Ok)),
		received, failed, stored, born,
		with(on(history.Attempt, 10, "worker", "records"), outcome(history.Ok)),
		dead, found,
	}
}

func open(t *testing.T, events []history.Event) *history.Reader {
	t.Helper()
	dir := t.TempDir()
	seal(t, dir, 1, events)
	r, err := history.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMessages(t *testing.T) {
	const ms = time.Millisecond
	got, err := history.Messages(open(t, hot()))
	if err != nil {
		t.Fatal(err)
	}
	want := []history.Message{
		{Flow: "alert", KeySeq: -1, Trace: traceOf(2), ParentFlow: "telemetry", Sent: 9 * ms,
			DeadLetters: []history.Ending{{At: 12 * ms, Node: "mailer",
				Channel: "stream/alerts.dead", Reason: "timeout"}}},
		{Flow: "telemetry", Key: "hw-7", KeySeq: 3, Trace: traceOf(1), Parent: -1, Sent: ms,
			Answered: ms, Outcome: history.Ok, Deliveries: 1, Attempts: 1, Tries: 2,
			Arrivals: []history.Arrival{{Node: "lake", At: 8 * ms, Copies: 1}}},
		{Flow: "telemetry", Number: 1, Key: "hw-8", KeySeq: 3, Trace: traceOf(3), Parent: -1,
			Sent: 2 * ms},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("messages (-want +got):\n%s", diff)
	}
	var fates []string
	for _, m := range got {
		fates = append(fates, m.ID()+" "+m.Fate())
	}
	wantFates := []string{"alert-0 dead-lettered", "telemetry-0 arrived", "telemetry-1 open"}
	if diff := cmp.Diff(wantFates, fates); diff != "" {
		t.Fatalf("fates (-want +got):\n%s", diff)
	}
}

// outline is a journey in short: its message, then "node handler via: kinds" of each hop.
func outline(js []history.Journey) (lines []string) {
	for _, j := range js {
		line := strings.Repeat("  ", j.Depth) + j.ID()
		if j.Asked {
			line += " *"
		}
		lines = append(lines, line)
		for _, h := range j.Hops {
			line := fmt.Sprintf("%v %v %s %s %s:", h.From, h.To, h.Node, h.Handler, h.Via)
			for _, e := range h.Events {
				line += " " + e.Kind.String()
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func TestTrace(t *testing.T) {
	parent := []string{
		"1ms 2ms device  : produce produce",
		"3ms 10ms worker records stream/events: receive call store derive attempt",
		"100ms 100ms lake  : found",
	}
	child := []string{"9ms 9ms worker records : derive", "12ms 12ms mailer alerts : dead_letter"}
	telemetry := slices.Concat([]string{"telemetry-0 *"}, parent, []string{"  alert-0"}, child)
	alert := slices.Concat([]string{"telemetry-0"}, parent, []string{"  alert-0 *"}, child)
	for name, test := range map[string]struct {
		id    string
		want  []string
		error string
	}{
		"trace/message id/with its children":     {"telemetry-0", telemetry, ""},
		"trace/trace id/with its children":       {"abcdef01000000000000000000000001", telemetry, ""},
		"trace/derived message/with its parents": {"alert-0", alert, ""},
		"trace/capitals/found":                   {"ABCDEF01000000000000000000000002", alert, ""},
		"trace/prefix of several/refused": {"abcdef01", nil,
			`trace message "abcdef01": several messages fit, telemetry-0 and telemetry-1 ` +
				`among them: give more digits`},
		"trace/unknown number/refused": {"telemetry-9", nil,
			`trace message "telemetry-9": no such message`},
		"trace/unknown trace/refused": {"00000000", nil,
			`trace message "00000000": no such message`},
		"trace/too short/refused": {"abcdef", nil, `trace message "abcdef": it is neither ` +
			`"flow-number" nor at least 8 hex digits of a trace id: no such message`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := history.Trace(open(t, hot()), test.id)
			if err != nil && err.Error() != test.error || err == nil && test.error != "" {
				t.Fatalf("error is %v, want %q", err, test.error)
			}
			if diff := cmp.Diff(test.want, outline(got)); diff != "" {
				t.Fatalf("journeys (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("trace/unknown number/branches on no message", func(t *testing.T) {
		if _, err := history.Trace(open(t, hot()), "x-1"); !errors.Is(err, history.ErrNoMessage) {
			t.Fatalf("error is %v", err)
		}
	})
}

func TestLines(t *testing.T) {
	events := hot()[4:7]
	events = append(events, history.New(history.Ended, int64(time.Second)))
	t.Run("lines/jsonl/only what is set", func(t *testing.T) {
		var out bytes.Buffer
		if err := history.Lines(&out, open(t, events)); err != nil {
			t.Fatal(err)
		}
		want := `{"at_ns":5000000,"kind":"call","outcome":"fail","node":"worker","handler":"records",` +
			`"flow":"telemetry","message":0,"trace":"abcdef01000000000000000000000001","key":"hw-7",` +
			`"key_seq":3,"wire":"worker -> api","delivery":1,"attempt":1,"reason":"5xx",` +
			`"duration_ns":1000000}
{"at_ns":8000000,"kind":"store","outcome":"ok","node":"worker","handler":"records",` +
			`"flow":"telemetry","message":0,"trace":"abcdef01000000000000000000000001","key":"hw-7",` +
			`"key_seq":3,"wire":"worker -> lake","delivery":1,"attempt":2,"duration_ns":1000000}
{"at_ns":9000000,"kind":"derive","node":"worker","handler":"records","flow":"alert","message":0,` +
			`"trace":"abcdef01000000000000000000000002","parent_flow":"telemetry","parent":0,"delivery":1}
{"at_ns":1000000000,"kind":"ended"}
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Fatalf("lines (-want +got):\n%s", diff)
		}
	})
	t.Run("lines/csv/every column", func(t *testing.T) {
		var out bytes.Buffer
		if err := history.CSV(&out, open(t, events[2:])); err != nil {
			t.Fatal(err)
		}
		want := `at_ns,kind,outcome,node,replica,handler,step,flow,message,trace,parent_flow,parent,` +
			`key,key_seq,wire,channel,partition,offset,delivery,attempt,reason,duration_ns,value
9000000,derive,,worker,,records,,alert,0,abcdef01000000000000000000000002,telemetry,0,,,,,,,1,,,,
1000000000,ended,,,,,,,,,,,,,,,,,,,,,
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Fatalf("lines (-want +got):\n%s", diff)
		}
	})
	t.Run("lines/writer fails/told", func(t *testing.T) {
		for _, print := range []func(*history.Reader) error{
			func(r *history.Reader) error { return history.Lines(broken{}, r) },
			func(r *history.Reader) error { return history.CSV(broken{}, r) },
		} {
			if err := print(open(t, telemetry(100, 1000))); !errors.Is(err, errBroken) {
				t.Fatalf("error is %v", err)
			}
		}
	})
}

var errBroken = errors.New("broken pipe")

// broken is a pipe that nobody reads.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }
