package d2

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/topology/diag"
)

// sketch is a drawing in few words: one line for each box, link, note or mistake, in that order.
func sketch(d *Drawing, diags diag.List) []string {
	var lines []string
	for _, m := range diags.Sorted() {
		lines = append(lines, m.String())
	}
	if d == nil {
		return lines
	}
	for _, b := range d.Boxes {
		line := fmt.Sprintf("%d:%d %s", b.At.Line, b.At.Column, b.Name)
		if b.Shape != "rectangle" {
			line += " " + b.Shape
		}
		if b.Container {
			line += " container"
		}
		lines = append(lines, line)
	}
	for _, l := range d.Links {
		lines = append(lines, fmt.Sprintf("%d:%d %s", l.At.Line, l.At.Column, l))
	}
	for _, n := range d.Notes.Sorted() {
		lines = append(lines, n.String())
	}
	return lines
}

// drawn reads a short drawing for a test.
func drawn(t *testing.T, src string) *Drawing {
	t.Helper()
	d, diags := Read("f.d2", []byte(src), Options{})
	if !diags.Empty() {
		t.Fatalf("read drawing:\n%s", diags.String())
	}
	return d
}

func TestRead(t *testing.T) {
	folder := fstest.MapFS{
		"part.d2":     {Data: []byte("u -> 한글.v\n")},
		"far/away.d2": {Data: []byte("x -> y\n")},
		"broken.d2":   {Data: []byte("a -> b\n가 ->\n")},
		"round.d2":    {Data: []byte("...@f\n")},
		"twice.d2":    {Data: []byte("l: @twice2\nr: @twice2\n")},
	}
	deep := strings.Repeat("a: {", maxDepth+1)
	cases := []struct {
		name, src string
		opt       Options
		want      []string
	}{
		{"links/chain/each pair", "a -> b -> c", Options{},
			[]string{"1:1 a", "1:6 b", "1:11 c", "1:1 a -> b", "1:6 b -> c"}},
		{"links/backward/turned", "a <- b", Options{}, []string{"1:1 a", "1:6 b", "1:1 b -> a"}},
		{"links/both/both", "a <-> b", Options{}, []string{"1:1 a", "1:7 b", "1:1 a <-> b"}},
		{"links/line/undirected", "a -- b", Options{}, []string{"1:1 a", "1:6 b", "1:1 a -- b"}},
		{"links/container as end/kept", "a.b -> c\nc.d", Options{},
			[]string{"1:1 a container", "1:3 a.b", "1:8 c container", "2:3 c.d", "1:1 a.b -> c"}},
		{"links/container and its member/kept", "a -> a.b", Options{},
			[]string{"1:1 a container", "1:8 a.b", "1:1 a -> a.b"}},
		{"links/parent reference/followed", "a: {b -> _.c}", Options{},
			[]string{"1:1 a container", "1:5 a.b", "1:12 c", "1:5 a.b -> c"}},
		{"links/twice/noted", "a -> b\na -> b\nb -> a", Options{},
			[]string{"1:1 a", "1:6 b", "1:1 a -> b", "3:1 b -> a",
				"f.d2:2:1: link a -> b is already drawn at line 1 [duplicate-link]"}},
		{"links/to itself/refused", "a\n  b -> b", Options{},
			[]string{`f.d2:2:3: box "b" is linked to itself, which no wire can carry; draw the parts ` +
				`that talk as boxes of their own, or take the link away [self-link]`}},
		{"links/deleted/gone", "a -> b\n(a -> b)[0]: null", Options{}, []string{"1:1 a", "1:6 b"}},
		{"links/table columns/noted",
			"u: {shape: sql_table; id: int}\no: {shape: sql_table; user: int}\no.user -> u.id", Options{},
			[]string{"1:1 u sql_table", "2:1 o sql_table", "3:1 o -> u",
				`f.d2:1:1: the columns of table "u" are not boxes [table]`,
				`f.d2:2:1: the columns of table "o" are not boxes [table]`,
				"f.d2:3:1: a link with a table's column is read as one with the table [table]"}},
		{"names/quoted dots/one key", "'a.b'.c -> \"x\\\"y\"", Options{},
			[]string{`1:1 "a.b" container`, `1:7 "a.b".c`, `1:12 "x\"y"`, `1:1 "a.b".c -> "x\"y"`}},
		{"names/korean/characters counted", "가.나 -> 다; 라 -- 가", Options{},
			[]string{"1:1 가 container", "1:3 가.나", "1:8 다", "1:11 라", "1:1 가.나 -> 다", "1:11 라 -- 가"}},
		{"names/nested/boxes", "a: {b: {c}}", Options{},
			[]string{"1:1 a container", "1:5 a.b container", "1:9 a.b.c"}},
		{"names/empty/refused", "a: {\"\"}\n'  ' -> a", Options{},
			[]string{"f.d2:1:5: a box needs a name, its key is empty [empty-name]",
				"f.d2:2:1: a box needs a name, its key is empty [empty-name]"}},
		{"names/slash/quoted", "tcp/ip -> b", Options{},
			[]string{`1:1 "tcp/ip"`, "1:11 b", `1:1 "tcp/ip" -> b`}},
		{"names/line break/refused", "b -> \"x\\ny\"", Options{},
			[]string{`f.d2:1:6: key "x\ny" has a line break, which names of nodes cannot have; give the ` +
				"box a plain key and keep the text as its label [name]"}},
		{"names/byte order mark/dropped", "\ufeffa -> b", Options{},
			[]string{"1:1 a", "1:6 b", "1:1 a -> b"}},
		{"names/line ends of windows/dropped", "a -> b\r\nc\r\n", Options{},
			[]string{"1:1 a", "1:6 b", "2:1 c", "1:1 a -> b"}},
		{"language/glob/expanded", "a\nb\n* -> c\n**: {shape: cylinder}", Options{},
			[]string{"1:1 a cylinder", "2:1 b cylinder", "3:6 c cylinder", "3:1 a -> c", "3:1 b -> c"}},
		{"language/class/applied", "classes: {x: {shape: queue}}\na.class: x", Options{},
			[]string{"2:1 a queue"}},
		{"language/vars/filled in", "vars: {n: 'a b'}\na: ${n}", Options{}, []string{"2:1 a"}},
		{"language/null/gone", "a; a: null; b", Options{}, []string{"1:13 b"}},
		{"language/syntax/refused", "a ->\nx: {shape: foo}", Options{},
			[]string{"f.d2:1:1: connection missing destination [syntax]"}},
		{"language/unknown shape/refused", "가: {shape: foo}", Options{},
			[]string{`f.d2:1:12: unknown shape "foo" [syntax]`}},
		{"aside/text and code and class/noted",
			"n: |md\n # hi\n|\nn -> b\nc: |go f() |\nd: {shape: class; +f: int}", Options{}, []string{
				"4:6 b",
				`f.d2:1:1: text "n" is not part of the system [set-aside]`,
				`f.d2:4:1: a link with text "n" is not part of the system [set-aside]`,
				`f.d2:5:1: code "c" is not part of the system [set-aside]`,
				`f.d2:6:1: class "d" is not part of the system [set-aside]`}},
		{"aside/note in a container/leaf", "a: {n: |md hi |}", Options{}, []string{"1:1 a",
			`f.d2:1:5: text "n" is not part of the system [set-aside]`}},
		{"aside/legend/noted", "vars: {d2-legend: {a; b; a -> b}}\nq", Options{}, []string{"2:1 q",
			"f.d2:1:1: the legend is not part of the system [legend]"}},
		{"aside/nothing else/refused", "n: |md hi |", Options{},
			[]string{"f.d2:1:1: the drawing has no box that stands for a part of the system [empty]"}},
		{"layout/sequence/refused", "q\ns: {shape: sequence_diagram; a -> b}", Options{},
			[]string{"f.d2:2:1: a sequence diagram tells an order in time, not who is connected; draw its " +
				"actors as boxes with links, and the sequence as a flow's path [sequence-diagram]"}},
		{"layout/sequence at the root/refused", "shape: sequence_diagram\na -> b: hi", Options{},
			[]string{"f.d2:1:1: a sequence diagram tells an order in time, not who is connected; draw its " +
				"actors as boxes with links, and the sequence as a flow's path [sequence-diagram]"}},
		{"layout/grid/refused", "g: {grid-rows: 2; a; b}\ng.a -> q", Options{},
			[]string{"f.d2:1:1: a grid arranges boxes in rows and columns, which says nothing about the " +
				"system; take grid-rows and grid-columns away [grid]"}},
		{"imports/spread and value/followed", "...@part\nx: @far/away", Options{FS: folder},
			[]string{"1:1 u", "2:1 x container", "1:1 x.x", "1:6 한글 container", "1:6 x.y", "1:9 한글.v",
				"1:1 x.x -> x.y", "1:1 u -> 한글.v"}},
		{"imports/outside/refused", "x: @../secret\ny: @/etc/passwd", Options{FS: folder},
			[]string{
				`f.d2:1:4: import "../secret.d2": it lies outside the drawing's folder, ` +
					"copy it in [import]",
				`f.d2:2:4: import "/etc/passwd.d2": it lies outside the drawing's folder, ` +
					"copy it in [import]"}},
		{"imports/missing/refused", "x: @nowhere", Options{FS: folder},
			[]string{`f.d2:1:4: import "nowhere.d2": file does not exist [import]`}},
		{"imports/broken/in the imported file", "x: @broken", Options{FS: folder},
			[]string{"broken.d2:2:1: connection missing destination [syntax]"}},
		{"imports/in a circle/refused", "...@round", Options{FS: folder},
			[]string{"round.d2:1:1: detected cyclic import chain: f.d2 -> round.d2 -> f.d2 [syntax]"}},
		{"boards/beside boxes/noted", "a\nlayers: {x: {b}}\nscenarios: {y: {c}}", Options{},
			[]string{"1:1 a", "f.d2:1:1: boards layers.x, scenarios.y are not read, choose one with " +
				"--board [board]"}},
		{"boards/layer/read", "a\nlayers: {x: {b -> c}}", Options{Board: "layers.x"},
			[]string{"2:14 b", "2:19 c", "2:14 b -> c"}},
		{"boards/scenario by short name/inherits", "a\nscenarios: {y: {a -> c}}", Options{Board: "y"},
			[]string{"1:1 a", "2:22 c", "2:17 a -> c"}},
		{"boards/step in a layer/read", "layers: {x: {steps: {1: {b}; 2: {c}}}}",
			Options{Board: "x.steps.2"},
			[]string{"1:26 b", "1:34 c"}},
		{"boards/only boards/choice", "layers: {x: {a}; y: {b}}", Options{},
			[]string{"f.d2:1:1: all boxes are in other boards, choose one with --board, accepted: " +
				"layers.x, layers.y [board]"}},
		{"boards/unknown/nearest", "layers: {night: {a}}", Options{Board: "layers.nigth"},
			[]string{`f.d2:1:1: there is no board "layers.nigth", accepted: layers.night; did you mean ` +
				`"layers.night" [unknown-board]`}},
		{"limits/empty/refused", " \n", Options{}, []string{"f.d2:1:1: the drawing has no box [empty]"}},
		{"limits/binary/refused", "a\xff", Options{},
			[]string{"f.d2:1:1: file is not UTF-8 text [encoding]"}},
		{"limits/braces/refused", "x\n" + deep, Options{},
			[]string{"f.d2:2:1: more than 64 braces and brackets are open at once [too-large]"}},
		{"limits/keys of a name/refused", "x\ny -> " + strings.Repeat("a.", maxDepth) + "b", Options{},
			[]string{"f.d2:2:1: a name has more than 64 keys [too-large]"}},
		{"limits/arrows on a line/refused", "x\n" + strings.Repeat("a -> ", maxChain+1) + "b", Options{},
			[]string{"f.d2:2:1: more than 1000 arrows stand on one line [too-large]"}},
		{"limits/globs/refused", strings.Repeat("a\n", 70) + "* -> *", Options{},
			[]string{"f.d2:1:1: its links may grow to 5184, at most 5000 are read; name the ends of " +
				"links instead of using globs [too-large]"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := sketch(Read("f.d2", []byte(c.src), c.opt))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("drawing (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadMarkdown(t *testing.T) {
	one := "# 그림\n\n```d2\na -> b\n```\n"
	listed := "1. item\n\n   ```d2 {a=b}\n   a -> b\n     c -- b\n   ```\n"
	two := "```d2\na\n```\n\n```go\nx\n```\n\n~~~D2\nb\n~~~\n"
	cases := []struct {
		name, src string
		opt       Options
		want      []string
	}{
		{"markdown/one block/its lines", one, Options{}, []string{"4:1 a", "4:6 b", "4:1 a -> b"}},
		{"markdown/in a list/its columns", listed, Options{},
			[]string{"4:4 a", "4:9 b", "5:6 c", "4:4 a -> b", "5:6 c -- b"}},
		{"markdown/mistake/its place", "text\n```d2\na\n b ->\n```\n", Options{},
			[]string{"f.md:4:2: connection missing destination [syntax]"}},
		{"markdown/none/refused", "```go\nx\n```\n", Options{},
			[]string{"f.md:1:1: the file has no fenced block marked d2 [no-block]"}},
		{"markdown/empty block/refused", "\n```d2\n```\n", Options{},
			[]string{"f.md:1:1: the drawing has no box [empty]"}},
		{"markdown/several/choice", two, Options{}, []string{
			"f.md:1:1: this is block 1 of 2 marked d2, choose one by its number [block]",
			"f.md:9:1: this is block 2 of 2 marked d2, choose one by its number [block]"}},
		{"markdown/several/chosen", two, Options{Block: 2}, []string{"10:1 b"}},
		{"markdown/several/out of range", two, Options{Block: 3},
			[]string{"f.md:1:1: there is no block 3, accepted: 1 to 2 [block]"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := sketch(Read("f.md", []byte(c.src), c.opt))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("drawing (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadIotPlatform(t *testing.T) {
	src, err := os.ReadFile("../examples/iot-platform.d2")
	if err != nil {
		t.Fatal(err)
	}
	d, diags := Read("iot-platform.d2", src, Options{})
	if !diags.Empty() {
		t.Fatal(diags.String())
	}
	if len(d.Links) != 17 {
		t.Errorf("the drawing has 17 links, read %d", len(d.Links))
	}
	var containers []string
	for _, b := range d.Boxes {
		if b.Container {
			containers = append(containers, b.Name)
		}
	}
	want := []string{"3rd_party", "data_core", "device", "service_platform",
		"service_platform.container", "service_platform.core"}
	slices.Sort(containers)
	if diff := cmp.Diff(want, containers); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
}

// TestImportLeavesNoFolder reads a link out of the folder, which a path alone does not show.
func TestImportLeavesNoFolder(t *testing.T) {
	dir := t.TempDir()
	outside := t.TempDir() + "/secret.d2"
	for file, text := range map[string]string{outside: "s", dir + "/near.d2": "n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, dir+"/link.d2"); err != nil {
		t.Fatal(err)
	}
	d, diags := Read(dir+"/f.d2", []byte("x: @near\ny: @link"), Options{})
	if d != nil || !strings.Contains(diags.String(), `2:4: import "link.d2":`) {
		t.Errorf("a link out of the folder was followed: %v %s", d, diags.String())
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"a -> b <- c -- d", "a: {b.c -> _.d}", "'a.b'.\"\" -> 한글", "x: @y", "...@z.w", "a; a: null",
		"vars: {x: y}\na: ${x}", "layers: {l: {a}}", "u: {shape: sql_table; id: int}\nu.id -> b",
		"**: {shape: queue}", "n: |md hi |", "a[0]: [1;2]", "(a -> b)[*].style.stroke: red", "&a: b",
		"classes: {c: {shape: cylinder}}\na.class: c", "scenarios: {s: {a -> b}}", "a <-> a",
	} {
		f.Add(seed, false)
		f.Add("# t\n\n- x\n\n  ```d2\n  "+seed+"\n  ```\n", true)
	}
	f.Fuzz(func(t *testing.T, src string, markdown bool) {
		file := "f.d2"
		if markdown {
			file = "f.md"
		}
		d, diags := Read(file, []byte(src), Options{FS: fstest.MapFS{}})
		places := []diag.Position{}
		for _, m := range diags.Sorted() {
			places = append(places, m.Position)
		}
		if d != nil {
			for _, b := range d.Boxes {
				places = append(places, b.At)
			}
			for _, l := range d.Links {
				places = append(places, l.At)
			}
			for _, n := range d.Notes.Sorted() {
				places = append(places, n.Position)
			}
		}
		inside(t, src, places)
	})
}

// inside checks that positions lie in the text, or just behind one of its lines.
func inside(t *testing.T, src string, places []diag.Position) {
	t.Helper()
	lines := strings.Split(src, "\n")
	for _, p := range places {
		if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > len(lines[p.Line-1])+1 {
			t.Errorf("position %s lies outside the file", p)
		}
	}
}
