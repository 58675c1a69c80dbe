package history_test

import (
	stdcmp "cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/faultline-sim/faultline/assertions/history"
)

// telemetry is a realistic history: messages of 200 devices take five hops, three events each, with
// gauges in between, as a run of the iot-platform records them at the given rate.
func telemetry(messages, perSecond int) []history.Event {
	random := rand.New(rand.NewPCG(1, 2))
	took := func(mean time.Duration) int64 { return int64(random.ExpFloat64() * float64(mean)) }
	var prefix [8]byte
	binary.BigEndian.PutUint64(prefix[:], random.Uint64())
	var events []history.Event
	sequence := make([]int64, 200)
	for number := range messages {
		device := random.IntN(len(sequence))
		at := int64(number) * int64(time.Second) / int64(perSecond)
		m := history.New(history.Produce, at)
		m.Flow, m.Message, m.Key = "telemetry", int64(number), fmt.Sprintf("hw-%03d", device)
		m.KeySeq = sequence[device]
		sequence[device]++
		copy(m.Trace[:], prefix[:])
		binary.BigEndian.PutUint64(m.Trace[8:], 0x8a31f00200000000+uint64(number+1))
		events = append(events, path(m, device, took)...)
		if number%20 == 0 {
			events = append(events, gauges(at, random)...)
		}
	}
	slices.SortFunc(events, func(a, b history.Event) int { return a.Compare(&b) })
	return events
}

// path is what one message leaves on its way.
func path(m history.Event, device int, took func(time.Duration) int64) []history.Event {
	m.Node, m.Replica = "device.hw", int32(device)
	events := []history.Event{m}
	m.Kind, m.Outcome, m.Attempt, m.Wire = history.Publish, history.Ok, 1, "device.hw -> core.mqtt"
	m.Channel, m.Step = "core.mqtt/telemetry/:id", "publish core.mqtt/telemetry/:id"
	m.Duration = took(300 * time.Microsecond)
	m.At += m.Duration
	events = append(events, m)
	m.Kind, m.Wire, m.Channel, m.Step = history.Produce, "", "", ""
	events = append(events, m)
	hops := []struct {
		node, handler, in, step, wire string
		kind                          history.Kind
	}{
		{"core.event_rule", "telemetry", "core.mqtt/telemetry/:id", "publish core.stream/events",
			"core.event_rule -> core.stream", history.Publish},
		{"container.worker1", "records", "core.stream/events", "call data_api",
			"container.worker1 -> data_core.data_api", history.Call},
		{"data_core.data_api", "post /records", "", "store datalake",
			"data_core.data_api -> data_core.datalake", history.Store},
		{"data_core.etl_service", "batch", "data_core.changes/records", "store warehouse",
			"data_core.etl_service -> data_core.data_warehouse", history.Store},
	}
	for i, h := range hops {
		m.Node, m.Handler, m.Replica, m.Step, m.Wire = h.node, h.handler, int32(device%2), "", ""
		m.Kind, m.Outcome, m.Duration, m.Channel = history.Receive, history.None, 0, h.in
		m.Delivery, m.Attempt, m.At = 1, 0, m.At+took(200*time.Microsecond)
		if i == 1 {
			m.Partition, m.Offset = int32(device%6), m.Message/6
		}
		events = append(events, m)
		m.Kind, m.Outcome, m.Step, m.Wire, m.Attempt = h.kind, history.Ok, h.step, h.wire, 1
		m.Channel, m.Duration = "", took(500*time.Microsecond)
		m.At += m.Duration
		events = append(events, m)
		m.Kind, m.Step, m.Wire = history.Attempt, "", ""
		m.At, m.Duration = m.At+2000, m.Duration+2000
		events = append(events, m)
	}
	return events
}

func gauges(at int64, random *rand.Rand) (events []history.Event) {
	for _, wire := range []string{"device.hw -> core.mqtt", "core.event_rule -> core.stream"} {
		g := history.New(history.Gauge, at)
		g.Step, g.Wire, g.Value = "bytes_up", wire, at/1000+random.Int64N(1000)
		events = append(events, g)
	}
	return events
}

// failer is what *testing.T, *testing.B and *rapid.T have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// arbitrary draws any event that a history can hold.
func arbitrary() *rapid.Generator[history.Event] {
	text := rapid.OneOf(rapid.SampledFrom([]string{"", "a", "b.c", "데이터"}), rapid.String())
	return rapid.Custom(func(t *rapid.T) history.Event {
		e := history.Event{
			At:         rapid.Int64().Draw(t, "at"),
			Kind:       history.Kind(rapid.IntRange(1, int(history.Ended)).Draw(t, "kind")),
			Outcome:    history.Outcome(rapid.IntRange(0, 3).Draw(t, "outcome")),
			Attempt:    rapid.Int32().Draw(t, "attempt"),
			Delivery:   rapid.Int32().Draw(t, "delivery"),
			Replica:    rapid.Int32().Draw(t, "replica"),
			Partition:  rapid.Int32().Draw(t, "partition"),
			Offset:     rapid.Int64().Draw(t, "offset"),
			Message:    rapid.Int64().Draw(t, "message"),
			Parent:     rapid.Int64().Draw(t, "parent"),
			KeySeq:     rapid.Int64().Draw(t, "keyseq"),
			Duration:   rapid.Int64().Draw(t, "duration"),
			Value:      rapid.Int64().Draw(t, "value"),
			Node:       text.Draw(t, "node"),
			Handler:    text.Draw(t, "handler"),
			Step:       text.Draw(t, "step"),
			Flow:       text.Draw(t, "flow"),
			ParentFlow: text.Draw(t, "parentflow"),
			Key:        text.Draw(t, "key"),
			Wire:       text.Draw(t, "wire"),
			Channel:    text.Draw(t, "channel"),
			Reason:     text.Draw(t, "reason"),
		}
		copy(e.Trace[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "trace"))
		return e
	})
}

// byTime is the order of a history; rows of one instant stay as they are.
func byTime(a, b history.Event) int { return stdcmp.Compare(a.At, b.At) }

// seal writes events, which it sorts, as the segment with a number.
func seal(t failer, dir string, number int, events []history.Event) {
	t.Helper()
	slices.SortStableFunc(events, byTime)
	if err := history.Prepare(dir); err != nil {
		t.Fatal(err)
	}
	w, err := history.Create(history.SegmentPath(dir, number))
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		if err := w.Write(&events[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Seal(); err != nil {
		t.Fatal(err)
	}
}

// readAll opens a history and copies all of it.
func readAll(t failer, dir string) (*history.Reader, []history.Event) {
	t.Helper()
	r, err := history.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var events []history.Event
	for e := range r.Events {
		events = append(events, *e)
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return r, events
}

func same(t failer, want, got []history.Event) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
}
