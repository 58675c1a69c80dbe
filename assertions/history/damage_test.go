package history_test

import (
	"os"
	"testing"

	"github.com/faultline-sim/faultline/assertions/history"
)

func TestDamage(t *testing.T) {
	dir := t.TempDir()
	seal(t, dir, 1, telemetry(3, 1000))
	path := history.SegmentPath(dir, 1)
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("damage/bytes changed all over/refused", func(t *testing.T) {
		for i := 0; i < len(sound); i += 13 {
			damaged := append([]byte(nil), sound...)
			damaged[i] ^= 1 << (i % 8)
			refuse(t, dir, path, damaged)
		}
	})
	t.Run("damage/torn all over/refused", func(t *testing.T) {
		for n := 0; n < len(sound); n += 37 {
			refuse(t, dir, path, sound[:n])
		}
	})
}

func refuse(t *testing.T, dir, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := history.Open(dir); err == nil {
		t.Fatal("a damaged file was opened")
	}
}

// FuzzOpen reads files that were changed and then given a checksum that fits, so that the change
// reaches the decoder: it may be refused or read as other events, and must do nothing else.
func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	seal(f, dir, 1, telemetry(3, 1000))
	path := history.SegmentPath(dir, 1)
	sound, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint(0), byte(0))
	f.Add(uint(len(sound)-20), byte(0xff))
	for i := uint(4); i < uint(len(sound)); i += 97 {
		f.Add(i, byte(i))
	}
	f.Fuzz(func(t *testing.T, at uint, with byte) {
		damaged := append([]byte(nil), sound...)
		damaged[at%uint(len(damaged))] ^= with
		dir := t.TempDir()
		if err := history.Prepare(dir); err != nil {
			t.Fatal(err)
		}
		path := history.SegmentPath(dir, 1)
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if !history.TryReseal(path) {
			return
		}
		r, err := history.Open(dir)
		if err != nil {
			return
		}
		n := 0
		for range r.Events {
			n++
		}
		if n > 1000 {
			t.Fatalf("%d events out of %d bytes", n, len(damaged))
		}
	})
}
