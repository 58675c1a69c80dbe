package topology

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology/diag"
)

var update = flag.Bool("update", false, "write golden files anew")

// TestMistakes reads each bad file and compares all it is told about it. A first line
// "# --set a=b" stands for that flag.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/err/*.yaml")
	if err != nil || len(files) < 35 {
		t.Fatalf("%d fixtures, want at least 35 (%v)", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run("diagnostics/"+name+"/positioned", func(t *testing.T) { mistakes(t, file) })
	}
}

func mistakes(t *testing.T, file string) {
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var opt Options
	for _, line := range strings.Split(string(src), "\n") {
		if setting, ok := strings.CutPrefix(line, "# --set "); ok {
			opt.Set = append(opt.Set, setting)
		}
	}
	_, diags := Parse(filepath.Base(file), src, opt)
	if diags.Empty() {
		t.Fatal("nothing is wrong with it")
	}
	inside(t, src, diags.Sorted())
	golden(t, strings.TrimSuffix(file, ".yaml")+".out", diags.String())
}

// inside fails for a diagnostic whose place is not in the file.
func inside(t *testing.T, src []byte, diags []diag.Diagnostic) {
	t.Helper()
	lines := strings.Split(string(src), "\n")
	for _, one := range diags {
		if one.File == settingFile && one.Line == 0 {
			continue
		}
		if one.Line < 1 || one.Line > len(lines) {
			t.Fatalf("%v: the file has %d lines", one, len(lines))
		}
		if width := len([]rune(lines[one.Line-1])) + 1; one.Column < 1 || one.Column > width {
			t.Fatalf("%v: the line has %d columns", one, width)
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", file, diff)
	}
}
