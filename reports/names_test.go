package reports_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/assertions"
	"github.com/faultline-sim/faultline/reports"
)

func TestNamesAreShortWhereTheyStandForOneNode(t *testing.T) {
	names := reports.ShortNames([]string{
		"core.api", "core.stream", "data.api", "data.lake", "data.lake.index", "clients", `odd."a.b"`, "core.stream",
	})
	tests := []struct{ name, text, want string }{
		{"short/one node/last word", "core.stream", "stream"},
		{"short/two nodes end alike/as much as needed", "core.api and data.api",
			"core.api and data.api"},
		{"short/no dot/as it is", "clients", "clients"},
		{"short/a wire/both ends", "core.stream -> data.lake", "stream -> lake"},
		{"short/a channel/its broker", "in core.stream/events.dead", "in stream/events.dead"},
		{"short/a replica/its node", "core.stream[2], core.stream.", "stream[2], stream."},
		{"short/a handler/its node", "retry[core.stream.records/call data.lake]",
			"retry[stream.records/call lake]"},
		{"short/a longer name/the longer node", "data.lake.index", "index"},
		{"short/quoted segment/with its quotes", `odd."a.b"`, `"a.b"`},
		{"short/part of a word/as it is", "xcore.stream core.streams core.stream-2 a.core.stream",
			"xcore.stream core.streams core.stream-2 a.core.stream"},
		{"short/letters of other scripts/as it is", "데core.stream core.stream데",
			"데core.stream core.stream데"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := names.In(tt.text); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	if got := (reports.Names{}).In("core.stream"); got != "core.stream" {
		t.Errorf("names that nobody gave make %q", got)
	}
}

func TestPlain(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"plain/words/as they are", "order 17, 데이터, \U0001F468\u200D\U0001F469",
			"order 17, 데이터, \U0001F468\u200D\U0001F469"},
		{"plain/terminal escape/visible", "\x1b[31mred\x07", `\x1b[31mred\x07`},
		{"plain/line breaks/visible", "a\r\nb\tc\u2028d", `a\x0d\x0ab\x09c\u2028d`},
		{"plain/direction overrides/visible", "\u202egnp\u2066\u061c", `\u202egnp\u2066\u061c`},
		{"plain/hidden/visible", "a\u200bb\ufeffc\U000e0041", `a\u200bb\ufeffc\U000e0041`},
		{"plain/no UTF-8/visible", "\xff\xfe", `\ufffd\ufffd`},
		{"plain/no characters/visible", "\ufffe\uffff\U0001ffff", `\ufffe\uffff\U0001ffff`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := reports.Plain(tt.text); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestOverall(t *testing.T) {
	verdicts := func(values ...assertions.Value) (all []assertions.Verdict) {
		for _, v := range values {
			all = append(all, assertions.Verdict{Value: v})
		}
		return all
	}
	tests := []struct {
		name   string
		values []assertions.Value
		want   assertions.Value
		counts reports.Counts
	}{
		{"overall/nothing/unknown", nil, assertions.Unknown, reports.Counts{}},
		{"overall/all valid/valid", []assertions.Value{"valid", "valid"}, assertions.Valid,
			reports.Counts{Valid: 2}},
		{"overall/untested changes nothing/valid", []assertions.Value{"valid", "untested"}, assertions.Valid,
			reports.Counts{Valid: 1, Untested: 1}},
		{"overall/untested and unknown/unknown", []assertions.Value{"untested", "unknown"},
			assertions.Unknown, reports.Counts{Unknown: 1, Untested: 1}},
		{"overall/one unknown/unknown", []assertions.Value{"valid", "unknown"}, assertions.Unknown,
			reports.Counts{Valid: 1, Unknown: 1}},
		{"overall/one invalid/invalid", []assertions.Value{"unknown", "invalid", "valid"},
			assertions.Invalid, reports.Counts{Valid: 1, Invalid: 1, Unknown: 1}},
		{"overall/no value/unknown", []assertions.Value{""}, assertions.Unknown, reports.Counts{Unknown: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := reports.Overall(verdicts(tt.values...)); got != tt.want {
				t.Errorf("overall %s, want %s", got, tt.want)
			}
			if diff := cmp.Diff(tt.counts, reports.CountsOf(verdicts(tt.values...))); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
		})
	}
}
