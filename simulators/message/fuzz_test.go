package message_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/faultline-sim/faultline/simulators/message"
)

// FuzzFromStructured wants no panic, and that what was read is written and read the same.
func FuzzFromStructured(f *testing.F) {
	doc, err := sample().Structured()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(doc)
	f.Add([]byte(`{"specversion":"1.0","id":"a-1","source":"\ud800","type":"faultline.a","data":[1]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		m, err := message.FromStructured(doc)
		if err != nil {
			return
		}
		again, err := m.Structured()
		if err != nil {
			t.Fatalf("written again: %v", err)
		}
		got, err := message.FromStructured(again)
		if diff := cmp.Diff(m, got); diff != "" || err != nil {
			t.Errorf("%v\n%s\n%s", err, again, diff)
		}
	})
}

// FuzzParseTraceparent wants no panic, and that ids come out as they stand in the text.
func FuzzParseTraceparent(f *testing.F) {
	f.Add(sample().Traceparent())
	f.Fuzz(func(t *testing.T, text string) {
		trace, span, err := message.ParseTraceparent(text)
		if err != nil {
			return
		}
		m := message.Message{Trace: trace, Span: span}
		if got := m.Traceparent(); got[3:52] != text[3:52] {
			t.Errorf("%q became %q", text, got)
		}
	})
}

// FuzzUnescapeHeader wants no panic, and that what was read is escaped and read the same.
func FuzzUnescapeHeader(f *testing.F) {
	f.Add("%EA%B0%80 plain%25")
	f.Fuzz(func(t *testing.T, text string) {
		value, err := message.UnescapeHeader(text)
		if err != nil {
			return
		}
		if got, err := message.UnescapeHeader(message.EscapeHeader(value)); err != nil || got != value {
			t.Errorf("%q became %q, %v", value, got, err)
		}
	})
}
