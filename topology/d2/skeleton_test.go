package d2

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/faultline-sim/faultline/topology"
)

var update = flag.Bool("update", false, "write golden files anew")

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// TestSkeleton draws up the first draft of every drawing in testdata, and of the iot-platform.
func TestSkeleton(t *testing.T) {
	files, err := filepath.Glob("testdata/*.d2")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d drawings (%v)", len(files), err)
	}
	for _, file := range append(files, "../examples/iot-platform.d2") {
		name := strings.TrimSuffix(filepath.Base(file), ".d2")
		t.Run("skeleton/"+name+"/loads", func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			d, diags := Read(filepath.Base(file), src, Options{})
			if !diags.Empty() {
				t.Fatal(diags.String())
			}
			text := Skeleton(d)
			golden(t, filepath.Join("testdata", name+".skeleton.yaml"), text)
			loads(t, text)
		})
	}
}

// loads parses a skeleton, which must have no mistakes.
func loads(t interface{ Fatalf(string, ...any) }, text []byte) *topology.Topology {
	top, diags := topology.Parse("t.yaml", text, topology.Options{})
	if !diags.Empty() {
		t.Fatalf("skeleton does not load:\n%s\n%s", diags.String(), text)
	}
	return top
}

// TestNamesSurvive takes names with all that YAML, D2 and paths give a meaning to, from a drawing
// to a skeleton, through Load and back to text.
func TestNamesSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		odd := []rune(`ab.c"'\ /:#-> {}[]*&!|%@,?~0é한글데이터true`)
		key := rapid.StringOfN(rapid.SampledFrom(odd), 1, 8, -1).
			Filter(func(s string) bool { return strings.TrimSpace(s) != "" })
		keys := rapid.SliceOfNDistinct(key, 2, 6, strings.ToLower).Draw(t, "keys")
		var src strings.Builder
		for i := range keys {
			fmt.Fprintf(&src, "%s.x -> %s.y\n", quoted(keys[i]), quoted(keys[(i+1)%len(keys)]))
		}
		d, diags := Read("f.d2", []byte(src.String()), Options{})
		if !diags.Empty() {
			t.Fatalf("read:\n%s\n%s", src.String(), diags.String())
		}
		top := loads(t, Skeleton(d))
		var drawn, loaded []string
		for _, b := range d.Boxes {
			if !b.Container {
				drawn = append(drawn, b.Name)
			}
		}
		for _, n := range top.Nodes {
			loaded = append(loaded, topology.JoinName(topology.SplitName(n.Name)...))
		}
		slices.Sort(drawn)
		slices.Sort(loaded)
		if diff := cmp.Diff(drawn, loaded); diff != "" {
			t.Fatalf("names (-drawn +loaded):\n%s", diff)
		}
	})
}

// quoted writes a D2 key in double quotes.
func quoted(key string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`
}

// TestSkeletonsLoad draws systems at random: whatever is linked with whatever, the draft loads.
func TestSkeletonsLoad(t *testing.T) {
	names := []string{"hw", "app", "users", "auth", "login", "mqtt", "kafka", "queue", "api", "worker",
		"core.messaging", "core.rule", "core.cache", "lake", "db", "cloud", "core", "partner.app"}
	rapid.Check(t, func(t *rapid.T) {
		var src strings.Builder
		for range rapid.IntRange(1, 14).Draw(t, "links") {
			a, b := rapid.SampledFrom(names).Draw(t, "a"), rapid.SampledFrom(names).Draw(t, "b")
			if a != b {
				arrow := rapid.SampledFrom([]string{"--", "->", "<-", "<->"}).Draw(t, "arrow")
				fmt.Fprintf(&src, "%s %s %s\n", a, arrow, b)
			}
		}
		d, diags := Read("f.d2", []byte(src.String()+"q"), Options{})
		if !diags.Empty() {
			t.Fatalf("read:\n%s", diags.String())
		}
		p := propose(d)
		if _, mistakes := topology.Parse("f.yaml", p.print(d), topology.Options{}); !mistakes.Empty() {
			t.Fatalf("a proposed flow is refused:\n%s\n%s", mistakes.String(), p.print(d))
		}
		loads(t, Skeleton(d))
	})
}

func TestScalar(t *testing.T) {
	for in, want := range map[string]string{
		"a": "a", "3rd_party.hw": "3rd_party.hw", "데이터": "데이터", "a -> b/c/:id -> d": "a -> b/c/:id -> d",
		"1": `"1"`, "1e5": `"1e5"`, "0x1F": `"0x1F"`, "2001-01-01": `"2001-01-01"`, "true": `"true"`,
		"No": `"No"`, "~": `"~"`, "a: b": `"a: b"`, "a #b": `"a #b"`, `"a.b".c`: strconv.Quote(`"a.b".c`),
		"": `""`, "- a": `"- a"`, "bed": "bed", "a&<b": `"a&<b"`,
	} {
		if got := scalar(in); got != want {
			t.Errorf("%q is written %s, want %s", in, got, want)
		}
	}
}
