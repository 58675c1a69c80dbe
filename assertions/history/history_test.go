package history_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/faultline-sim/faultline/assertions/history"
)

func TestRoundTrip(t *testing.T) {
	t.Run("reads what was written/any events in any segments/equal and in order", func(t *testing.T) {
		top := t.TempDir()
		rapid.Check(t, func(t *rapid.T) {
			events := rapid.SliceOfN(arbitrary(), 1, 50).Draw(t, "events")
			parts := rapid.IntRange(1, 4).Draw(t, "segments")
			dir, err := os.MkdirTemp(top, "")
			if err != nil {
				t.Fatal(err)
			}
			for i := range parts {
				seal(t, dir, i+1, slices.Clone(events[i*len(events)/parts:(i+1)*len(events)/parts]))
			}
			slices.SortStableFunc(events, byTime)
			_, got := readAll(t, dir)
			same(t, events, got)
			if err := history.Compact(dir); err != nil {
				t.Fatal(err)
			}
			_, got = readAll(t, dir)
			same(t, events, got)
		})
	})
	t.Run("reads what was written/more than a row group with many keys/equal", func(t *testing.T) {
		events := make([]history.Event, 140_000)
		for i := range events {
			e := history.New(history.Found, int64(i))
			e.Message, e.Value = int64(i), int64(i%3)
			e.Key = strings.Repeat("k", i%7) + string(rune('a'+i%20_000))
			events[i] = e
		}
		dir := t.TempDir()
		seal(t, dir, 1, events)
		if err := history.Compact(dir); err != nil {
			t.Fatal(err)
		}
		_, got := readAll(t, dir)
		if !slices.Equal(events, got) {
			t.Fatal("the events read are not the events written")
		}
	})
}

func TestMerge(t *testing.T) {
	t.Run("time order/segments that overlap and segments apart/exact", func(t *testing.T) {
		all := telemetry(400, 1000)
		dir := t.TempDir()
		parts := make([][]history.Event, 5)
		for i, e := range all {
			part := min(i*len(parts)/len(all)+i%2, len(parts)-1) // each reaches into the next
			parts[part] = append(parts[part], e)
		}
		for i, part := range parts {
			seal(t, dir, i+1, part)
		}
		want := slices.Concat(parts...)
		slices.SortStableFunc(want, byTime)
		_, got := readAll(t, dir)
		same(t, want, got)
	})
	t.Run("time order/stopped early/read again from the beginning", func(t *testing.T) {
		dir := t.TempDir()
		seal(t, dir, 1, telemetry(10, 1000))
		r, _ := readAll(t, dir)
		var first []history.Event
		for range 2 {
			for e := range r.Events {
				first = append(first, *e)
				break
			}
		}
		if len(first) != 2 || first[0] != first[1] {
			t.Fatalf("two readings began with %v", first)
		}
	})
}

// facts are what a reader says about a history as a whole.
type facts struct {
	Len, Shed, End int64
	Ended          bool
}

func factsOf(r *history.Reader) facts {
	return facts{r.Len(), r.Shed(), r.End(), r.Ended()}
}

func TestFacts(t *testing.T) {
	shed := history.New(history.Shed, 20)
	shed.Value = 7
	phase, ended := history.New(history.Phase, 10), history.New(history.Ended, 30)
	for name, test := range map[string]struct {
		segments [][]history.Event
		want     facts
	}{
		"ended/nothing recorded/false": {[][]history.Event{{}}, facts{}},
		"ended/killed/false":           {[][]history.Event{{phase}}, facts{Len: 1, End: 10}},
		"ended/ended/true": {[][]history.Event{{phase}, {ended}},
			facts{Len: 2, End: 30, Ended: true}},
		"shed/two segments/sum": {[][]history.Event{{phase, shed}, {shed}},
			facts{Len: 3, Shed: 14, End: 20}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for i, events := range test.segments {
				seal(t, dir, i+1, events)
			}
			for range 2 {
				r, _ := readAll(t, dir)
				if diff := cmp.Diff(test.want, factsOf(r)); diff != "" {
					t.Fatalf("facts (-want +got):\n%s", diff)
				}
				if err := history.Compact(dir); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestWriterRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		events []history.Event
		want   string
	}{
		"kind/zero/error": {[]history.Event{{}}, "event has unknown kind(0)"},
		"kind/beyond/error": {[]history.Event{{Kind: history.Ended + 1}},
			"event has unknown kind(24)"},
		"outcome/beyond/error": {[]history.Event{{Kind: history.Ack, Outcome: 4}},
			"event has unknown outcome(4)"},
		"order/goes back/error": {
			[]history.Event{{Kind: history.Ack, At: 2}, {Kind: history.Ack, At: 1}},
			"event at 1 ns stands behind one at 2 ns"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := history.Prepare(dir); err != nil {
				t.Fatal(err)
			}
			w, err := history.Create(history.SegmentPath(dir, 1))
			if err != nil {
				t.Fatal(err)
			}
			var got error
			for _, e := range test.events {
				got = w.Write(&e)
			}
			if got == nil || !strings.HasSuffix(got.Error(), test.want) {
				t.Fatalf("error is %v, want %q", got, test.want)
			}
			if sealed := w.Seal(); sealed != got {
				t.Fatalf("Seal gave %v, want the first error", sealed)
			}
			if _, err := history.Open(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("Open gave %v, want no segment", err)
			}
		})
	}
}

func TestKilled(t *testing.T) {
	events := telemetry(20, 1000)
	t.Run("sealed segments/killed while one is written/the sealed ones", func(t *testing.T) {
		dir := t.TempDir()
		seal(t, dir, 1, events)
		w, err := history.Create(history.SegmentPath(dir, 2))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(&events[0]); err != nil {
			t.Fatal(err)
		}
		_, got := readAll(t, dir)
		same(t, events, got)
	})
	t.Run("sealed segments/killed between compaction and clearing up/once each", func(t *testing.T) {
		dir := t.TempDir()
		seal(t, dir, 1, events)
		segment, err := os.ReadFile(history.SegmentPath(dir, 1))
		if err != nil {
			t.Fatal(err)
		}
		if err := history.Compact(dir); err != nil {
			t.Fatal(err)
		}
		if err := history.Prepare(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(history.SegmentPath(dir, 1), segment, 0o600); err != nil {
			t.Fatal(err)
		}
		_, got := readAll(t, dir)
		same(t, events, got)
	})
	t.Run("no segment/killed at once/not exist", func(t *testing.T) {
		_, err := history.Open(t.TempDir())
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("Open gave %v", err)
		}
	})
}

func TestFullDisk(t *testing.T) {
	t.Run("write error/no space left/kept and told", func(t *testing.T) {
		dir := t.TempDir()
		if err := history.Prepare(dir); err != nil {
			t.Fatal(err)
		}
		path := history.SegmentPath(dir, 1)
		if err := os.Symlink("/dev/full", path+".tmp"); err != nil {
			t.Fatal(err)
		}
		w, err := history.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range telemetry(100, 1000) {
			if err := w.Write(&e); err != nil {
				t.Fatal(err)
			}
		}
		const noSpace = "no space left on device"
		if err := w.Seal(); err == nil || !strings.Contains(err.Error(), noSpace) {
			t.Fatalf("Seal gave %v", err)
		}
		left, err := filepath.Glob(filepath.Join(dir, "segments", "*"))
		if err != nil || left != nil {
			t.Fatalf("left behind: %v, %v", left, err)
		}
	})
}

func TestNewerFormat(t *testing.T) {
	t.Run("format/higher than ours/refused by its number", func(t *testing.T) {
		dir := t.TempDir()
		seal(t, dir, 1, telemetry(1, 1000))
		path := history.SegmentPath(dir, 1)
		replaceInFile(t, path, "faultline.format\x18\x011", "faultline.format\x18\x019")
		history.Reseal(t, path)
		_, err := history.Open(dir)
		want := "history has format 9, this program reads up to format 1"
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("Open gave %v, want %q", err, want)
		}
	})
}

func replaceInFile(t *testing.T, path, old, with string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(content, []byte(old)) {
		t.Fatalf("%q is not in %s", old, path)
	}
	content = bytes.ReplaceAll(content, []byte(old), []byte(with))
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
