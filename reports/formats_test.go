package reports_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
	"pgregory.net/rapid"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/assertions/history"
	"github.com/faultline-sim/faultline/reports"
)

func TestAResultComesBackFromJSON(t *testing.T) {
	tests := []struct {
		name   string
		report reports.Report
	}{
		{"round trip/rich/the same", readable(rich())},
		{"round trip/empty/the same", reports.Report{Format: reports.Format}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := reports.JSON(&out, tt.report); err != nil {
				t.Fatal(err)
			}
			got, err := reports.FromJSON(out.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			tt.report.Folder = "" // where the reader's run is, not the writer's
			if diff := cmp.Diff(tt.report, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
		})
	}
}

// readable is a report whose texts are UTF-8, which is all that JSON can hold.
func readable(r reports.Report) reports.Report {
	clean := func(s *string) { *s = strings.ToValidUTF8(*s, "\ufffd") }
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		clean(&v.Name)
		clean(&v.Flow)
		clean(&v.Summary)
		for _, a := range v.Anomalies {
			for j := range a.Events {
				clean(&a.Events[j].Key)
			}
		}
	}
	return r
}

func TestFiguresThatAreNoNumbersAreLeftOut(t *testing.T) {
	r := reports.Report{Format: 1, Suspects: []reports.Suspect{{Where: "a", Score: math.NaN()}},
		Verdicts: []assertions.Verdict{{Figures: []assertions.Figure{
			{Name: "share", Value: math.NaN()}, {Name: "rate", Value: math.Inf(1)}, {Name: "found",
				Value: 2}}}}}
	var out bytes.Buffer
	if err := reports.JSON(&out, r); err != nil {
		t.Fatal(err)
	}
	got, err := reports.FromJSON(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]assertions.Figure{{Name: "found", Value: 2}},
		got.Verdicts[0].Figures); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
	if len(r.Verdicts[0].Figures) != 3 {
		t.Error("writing a report changed it")
	}
}

func TestResultsThatCannotBeReadAreRefused(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"format/newer/refused", `{"format": 99}`,
			"read result: format 99 is newer than this program's 1"},
		{"format/missing/refused", `{}`,
			"read result: it has no format: not a result of faultline"},
		{"syntax/cut off/refused", `{"format": 1, "ver`,
			"read result: unexpected end of JSON input"},
		{"events/unknown kind/refused",
			`{"format": 1, "verdicts": [{"anomalies": [{"events": [{"at_ns": 1, "kind": "sneeze"}]}]}]}`,
			`read result: read event: kind "sneeze" is not known`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := reports.FromJSON([]byte(tt.src))
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestTheSchemaTakesResultsAndNothingElse(t *testing.T) {
	schema, err := reports.Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("result.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("result.json")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(map[string]any)
		valid  bool
	}{
		{"result/as written/taken", func(map[string]any) {}, true},
		{"result/without verdicts/refused", func(r map[string]any) { delete(r, "verdicts") },
			false},
		{"result/verdict of no value/refused", func(r map[string]any) { r["verdict"] = "perhaps" },
			false},
		{"result/seed as text/refused", func(r map[string]any) { r["seed"] = "42" }, false},
		{"result/event without a time/refused", func(r map[string]any) {
			delete(firstEvent(r),
				"at_ns")
		}, false},
		{"result/event with a number for a node/refused",
			func(r map[string]any) { firstEvent(r)["node"] = 1.0 }, false},
		{"result/lists are null/refused", func(r map[string]any) { r["faults"] = nil }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := reports.JSON(&out, rich()); err != nil {
				t.Fatal(err)
			}
			var result map[string]any
			if err := json.Unmarshal(out.Bytes(), &result); err != nil {
				t.Fatal(err)
			}
			tt.change(result)
			if err := compiled.Validate(result); (err == nil) != tt.valid {
				t.Errorf("valid %v, want %v: %v", err == nil, tt.valid, err)
			}
		})
	}
}

func firstEvent(result map[string]any) map[string]any {
	verdict := result["verdicts"].([]any)[2].(map[string]any)
	anomaly := verdict["anomalies"].([]any)[0].(map[string]any)
	return anomaly["events"].([]any)[0].(map[string]any)
}

// drawn is a report in which every text that comes from a run may be anything.
func drawn(t *rapid.T, text *rapid.Generator[string]) reports.Report {
	draw := func(label string) string { return text.Draw(t, label) }
	e := history.New(history.Call, 5)
	e.Node, e.Handler, e.Step, e.Wire, e.Channel, e.Reason = draw("node"), draw("handler"),
		draw("step"),
		draw("wire"), draw("channel"), draw("reason")
	p := history.New(history.Produce, 5)
	p.Key = draw("key")
	anomaly := assertions.Anomaly{Kind: draw("kind"), Message: 3, Flow: draw("flow"),
		Where: draw("where"),
		Text:  draw("text"), Events: []history.Event{e, p}}
	verdict := func(v assertions.Value) assertions.Verdict {
		return assertions.Verdict{Name: draw("name"), Property: draw("property"),
			Summary: draw("summary"),
			Unknown: draw("unknown"), Value: v, Anomalies: []assertions.Anomaly{anomaly}, More: 1}
	}
	return reports.Report{
		Scenario: draw("scenario"), Topology: draw("topology"), Description: "d" +
			draw("description"),
		Stopped: "s" + draw("stopped"), Repeat: "r" + draw("repeat"), Folder: draw("folder"),
		Value:    assertions.Invalid,
		Verdicts: []assertions.Verdict{verdict("valid"), verdict("invalid"), verdict("unknown")},
		Faults:   []reports.Fault{{Name: draw("fault"), What: draw("what")}},
		Flows: []reports.Flow{{Name: draw("flow"), Sinks: []reports.Sink{{Node: draw("sink"),
			SLO: draw("slo")}}}},
		Suspects: []reports.Suspect{{Where: draw("suspect"), Evidence: draw("evidence")}},
		Engines:  []reports.Engine{{Node: draw("engine"), Name: draw("is"), Worth: draw("worth")}},
	}
}

// anything draws texts with what some format gives a meaning.
func anything() *rapid.Generator[string] {
	pieces := rapid.SampledFrom([]string{
		"<b>", "</details>", "<script>", "<!--", "]]>", "&amp;", "&#x0;", "[x](y)",
		"![i](http://e.example/p.png)",
		"http://e.example", "https://e.example/", "www.e.example", "a@e.example", "**", "__", "*a*", "_b_", "~~c~~", "`",
		"```", "# ", "## h", "- ", "+ ", "1. ", "1) ", "---", "===", "> ", "|", "\\|", "\\", "    ", "\t", "\n", "\r\n",
		"\n\n", "| --- |", ":tada:", "[^1]", "[ref]: /u", "<a@b.example>", "\x00", "\x1b[31m",
		"\u202e", "\ufffe", "\uffff",
		"\xff", "\u2028", "\u200b", "\U000e0041", "word", "데이터",
	})
	return rapid.OneOf(
		rapid.Map(rapid.SliceOfN(pieces, 0, 4), func(p []string) string {
			return strings.Join(p,
				"")
		}),
		rapid.String())
}

func TestJUnitIsXMLWhateverTheRunSaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var out bytes.Buffer
		if err := reports.JUnit(&out, drawn(t, anything())); err != nil {
			t.Fatal(err)
		}
		decoder := xml.NewDecoder(&out)
		cases := 0
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if start, ok := token.(xml.StartElement); ok && start.Name.Local == "testcase" {
				cases++
			}
		}
		if cases != 3 {
			t.Fatalf("%d cases, want 3", cases)
		}
	})
}

func TestMarkdownHasNoMarkupThatTheRunBrought(t *testing.T) {
	shape := func(t *rapid.T, r reports.Report) []string {
		var out bytes.Buffer
		if err := reports.Markdown(&out, r); err != nil {
			t.Fatal(err)
		}
		src := out.Bytes()
		doc := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(src))
		var kinds []string
		err := ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
			if entering && n.Kind() != ast.KindText && n.Kind() != ast.KindString {
				kinds = append(kinds, n.Kind().String())
			}
			return ast.WalkContinue, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return kinds
	}
	rapid.Check(t, func(t *rapid.T) {
		want := shape(t, drawn(t, rapid.Just("word")))
		if got := shape(t, drawn(t, anything())); !slices.Equal(want, got) {
			t.Fatalf("elements of the page (-want +got):\n%s", cmp.Diff(want, got))
		}
	})
}

func TestATerminalGetsNoControlCharactersFromTheRun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var out bytes.Buffer
		width := rapid.IntRange(20, 200).Draw(t, "width")
		if err := reports.Text(&out, drawn(t, anything()),
			reports.TextOptions{Width: width}); err != nil {
			t.Fatal(err)
		}
		for _, r := range out.String() {
			if r != '\n' && (unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Bidi_Control,
				r) || r == unicode.ReplacementChar) {
				t.Fatalf("%U in the report:\n%q", r, out.String())
			}
		}
	})
}
