package record_test

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/simulators/record"
)

// never seals only when it must.
var never = record.Options{Every: time.Hour, Segment: 1 << 30}

func start(t *testing.T, dir string, o record.Options) *record.Recorder {
	t.Helper()
	r, err := record.NewWith(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(false) }) // where the test did not come to it
	return r
}

func stop(t *testing.T, r *record.Recorder) {
	t.Helper()
	if err := r.Close(true); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir string) (*history.Reader, []history.Event) {
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

func TestRecord(t *testing.T) {
	t.Run("complete/eight goroutines and many segments/every event once, in order", func(t *testing.T) {
		dir := t.TempDir()
		r := start(t, dir, record.Options{Segment: 3000})
		const goroutines, each = 8, 4000
		var all sync.WaitGroup
		for g := range goroutines {
			all.Go(func() {
				for i := range each {
					e := event(g*each + i)
					r.Record(&e)
				}
			})
		}
		all.Wait()
		stop(t, r)
		h, got := read(t, dir)
		var want []history.Event
		for i := range goroutines * each {
			want = append(want, event(i))
		}
		ended := got[len(got)-1]
		if !h.Ended() || h.Shed() != 0 || ended.Kind != history.Ended {
			t.Fatalf("ended %v, shed %d, last %v", h.Ended(), h.Shed(), ended)
		}
		if !slices.Equal(want, got[:len(got)-1]) {
			t.Fatal("the events read are not the events recorded")
		}
	})
	t.Run("complete/an event from the future/ended is still last", func(t *testing.T) {
		dir := t.TempDir()
		r := start(t, dir, record.Options{})
		e := history.New(history.Phase, int64(time.Hour))
		r.Record(&e)
		stop(t, r)
		_, got := read(t, dir)
		want := []history.Event{e, history.New(history.Ended, int64(time.Hour))}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("events (-want +got):\n%s", diff)
		}
	})
}

func TestClose(t *testing.T) {
	t.Run("not ended/closed without its audit/no ended", func(t *testing.T) {
		dir := t.TempDir()
		r := start(t, dir, record.Options{})
		e := event(1)
		r.Record(&e)
		if err := r.Close(false); err != nil {
			t.Fatal(err)
		}
		h, got := read(t, dir)
		if diff := cmp.Diff([]history.Event{e}, got); h.Ended() || diff != "" {
			t.Fatalf("ended %v, events (-want +got):\n%s", h.Ended(), diff)
		}
	})
	t.Run("killed/after a second/sealed by then", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			r := start(t, dir, record.Options{})
			e := event(1)
			r.Record(&e)
			time.Sleep(time.Second)
			synctest.Wait()
			h, got := read(t, dir)
			if diff := cmp.Diff([]history.Event{e}, got); h.Ended() || diff != "" {
				t.Fatalf("ended %v, events (-want +got):\n%s", h.Ended(), diff)
			}
			stop(t, r)
		})
	})
	t.Run("after the end/recorded/counted and not kept", func(t *testing.T) {
		dir := t.TempDir()
		r := start(t, dir, record.Options{})
		stop(t, r)
		e := event(1)
		r.Record(&e)
		stop(t, r)
		if _, got := read(t, dir); len(got) != 1 || r.Late() != 1 {
			t.Fatalf("%d events, %d late; want only ended, and 1", len(got), r.Late())
		}
	})
}

func TestOptions(t *testing.T) {
	t.Run("a folder with a history/begun again/refused", func(t *testing.T) {
		dir := t.TempDir()
		stop(t, start(t, dir, record.Options{}))
		if _, err := record.New(dir); !errors.Is(err, fs.ErrExist) {
			t.Fatalf("New gave %v", err)
		}
	})
	t.Run("off/recorded/counted and not kept", func(t *testing.T) {
		r := record.Off()
		c := r.Count(func(*history.Event) bool { return true })
		e := event(1)
		r.Record(&e)
		stop(t, r)
		if c.Value() != 1 {
			t.Fatalf("counted %d, want 1", c.Value())
		}
	})
	t.Run("cost/memory at hand/no allocation", func(t *testing.T) {
		r := start(t, t.TempDir(), never)
		r.Count(func(e *history.Event) bool { return e.Kind == history.Ack })
		record := func() {
			e := event(1)
			r.Record(&e)
		}
		if n := testing.AllocsPerRun(10_000, record); n != 0 {
			t.Fatalf("%v allocations an event", n)
		}
	})
}

func TestShed(t *testing.T) {
	t.Run("shed/more than memory/counted in a shed event", func(t *testing.T) {
		dir := t.TempDir()
		o := never
		o.Limit = 1000
		r := start(t, dir, o)
		c := r.Count(func(*history.Event) bool { return true })
		const all = 5000
		for i := range all {
			e := event(i)
			r.Record(&e)
		}
		stop(t, r)
		h, got := read(t, dir)
		kept := int64(len(got) - 2) // but for shed and ended
		if h.Shed() == 0 || kept+h.Shed() != all || c.Value() != all {
			t.Fatalf("kept %d, shed %d, counted %d of %d", kept, h.Shed(), c.Value(), all)
		}
	})
}

func TestFullDisk(t *testing.T) {
	full := func(t *testing.T, dir string, segment int) {
		t.Helper()
		if err := history.Prepare(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/dev/full", history.SegmentPath(dir, segment)+".tmp"); err != nil {
			t.Fatal(err)
		}
	}
	const noSpace = "no space left on device"
	t.Run("disk full/while running/told at once, the sealed part stays", func(t *testing.T) {
		dir := t.TempDir()
		full(t, dir, 2)
		r := start(t, dir, record.Options{Segment: 1})
		var sent int
		for alive := true; alive; sent++ {
			e := event(sent)
			r.Record(&e)
			select {
			case <-r.Failed():
				alive = false
			default:
			}
		}
		if err := r.Err(); err == nil || !strings.Contains(err.Error(), noSpace) {
			t.Fatalf("Err is %v", err)
		}
		if err := r.Close(true); err != r.Err() {
			t.Fatalf("Close gave %v, want the first error", err)
		}
		h, got := read(t, dir)
		if h.Ended() || len(got) == 0 || len(got) >= sent {
			t.Fatalf("ended %v, %d of %d events", h.Ended(), len(got), sent)
		}
	})
	t.Run("disk full/at the end/told by Close", func(t *testing.T) {
		dir := t.TempDir()
		full(t, dir, 1)
		r := start(t, dir, never)
		e := event(1)
		r.Record(&e)
		if err := r.Close(true); err == nil || !strings.Contains(err.Error(), noSpace) {
			t.Fatalf("Close gave %v", err)
		}
	})
}

func TestCount(t *testing.T) {
	r := start(t, t.TempDir(), never)
	put := func(kinds ...history.Kind) {
		for _, k := range kinds {
			e := history.New(k, 0)
			r.Record(&e)
		}
	}
	is := func(k history.Kind) func(*history.Event) bool {
		return func(e *history.Event) bool { return e.Kind == k }
	}
	put(history.Ack)
	acks := r.Count(is(history.Ack))
	put(history.Ack, history.Call)
	calls := r.Count(is(history.Call))
	put(history.Ack, history.Call, history.Store)
	acks.Stop()
	put(history.Ack, history.Call)
	got := map[string]int64{"acks": acks.Value(), "calls": calls.Value()}
	if diff := cmp.Diff(map[string]int64{"acks": 2, "calls": 2}, got); diff != "" {
		t.Fatalf("count/started and stopped/what came between (-want +got):\n%s", diff)
	}
}

func TestSchedDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := start(t, dir, record.Options{})
		r.SchedDelay()
		time.Sleep(250 * time.Millisecond)
		synctest.Wait()
		stop(t, r)
		want := []history.Event{}
		for _, ms := range []int64{100, 200} {
			e := history.New(history.Gauge, ms*int64(time.Millisecond))
			e.Step = "sched_delay_ns"
			want = append(want, e)
		}
		want = append(want, history.New(history.Ended, 250*int64(time.Millisecond)))
		_, got := read(t, dir)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("delay/an idle machine/zero each 100 ms (-want +got):\n%s", diff)
		}
	})
}
