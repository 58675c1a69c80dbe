package scenarios

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/faultline-sim/faultline/topology"
	"github.com/faultline-sim/faultline/topology/diag"
)

// FuzzLoad holds whatever a file has in it against what the parser promises: no panic, a scenario
// or mistakes and never both, positions inside the file, and a plan of what it took.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/err/*.yaml", "testdata/plan/*.yaml",
		"testdata/good/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(src))
		}
	}
	small, diags, err := topology.Load("testdata/small.yaml", topology.Options{})
	if err != nil || !diags.Empty() {
		f.Fatal(err, diags.String())
	}
	saved := &Saved{Promise: small, AsBuilt: small}
	f.Fuzz(func(t *testing.T, src string) {
		file := filepath.Join(t.TempDir(), "fuzzed.yaml")
		if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
		s, diags, err := Load(file, Options{Saved: saved})
		if err != nil {
			t.Fatal(err)
		}
		if (s == nil) == diags.Empty() {
			t.Fatalf("scenario %v with mistakes %q", s != nil, diags.String())
		}
		inside(t, src, diags)
		if s == nil {
			return
		}
		p := NewPlan(s)
		if p.Longest() < p.LoadEnds() || p.Longest() > 5*longestPhase+time.Second {
			t.Errorf("load ends at %s, the run at %s", p.LoadEnds(), p.Longest())
		}
	})
}

// inside checks that every mistake has a place in the file.
func inside(t *testing.T, src string, diags diag.List) {
	t.Helper()
	lines := strings.Split(src, "\n")
	for _, d := range diags.Sorted() {
		if d.Line < 1 || d.Line > len(lines) || d.Column < 1 ||
			d.Column > 1+utf8.RuneCountInString(lines[d.Line-1]) {
			t.Errorf("%s: the file has %d lines", d, len(lines))
		}
	}
}
